"""Parts over HTTP as no client speaks it: bodies that lie about themselves, slow senders, noise."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from db.engine import Database
from tests.app import files_at_work as at
from tests.app.raw_http import PATIENCE, Answer, connected, head_of
from tests.app.uploading import NOBODY, PART, new_run
from tests.uploader import BEGIN, RESUME, Uploader, announced

LONG: Final = 1_000_000
"""The size of a part that is read past the parser."""

SIZES: Final = [9, LONG]
HIDDEN: Final = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""A request inside another one's body."""

SLOW: Final = 200
FLIPS: Final = 10_000
SENDERS: Final = 8


@pytest.fixture
async def uploader(database: Database) -> AsyncIterator[Uploader]:
    async with at.at_work(database) as uploader:
        yield uploader


async def begun(uploader: Uploader, data: bytes, run: str | None = None, name: str = "w") -> dict[str, Any]:
    owner = run or await new_run(uploader)
    return await uploader.change(BEGIN, objectId=owner, name=name, files=[announced("a", data, PART)])


def put(uploader: Uploader, upload: Mapping[str, Any], body: bytes, **also: str) -> bytes:
    """A request to send its first part."""
    headers = {**uploader.headers, **{name.replace("_", "-"): value for name, value in also.items()}}
    return head_of("PUT", upload["parts"][0]["url"], headers) + body


async def answered(uploader: Uploader, request: bytes, *, then_end: bool = False) -> Answer:
    """The only answer to what is sent; after it, nothing comes. `then_end`: no more is sent."""
    async with connected(uploader.endpoint) as wire:
        await wire.send(request)
        if then_end:
            wire.writer.write_eof()
        answer = await wire.answer()
        if answer.headers.get("connection") == "close":
            assert await wire.is_over()
        return answer


async def is_missing(uploader: Uploader, upload: Mapping[str, Any]) -> bool:
    found: int = (await uploader.change(RESUME, id=upload["upload"]["id"]))["missingPartCount"]
    return found == 1


def open_files() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


# --- Bodies ---


@pytest.mark.parametrize("size", SIZES)
async def test_lengths_that_lie(uploader: Uploader, size: int) -> None:
    data = os.urandom(size)
    upload = await begun(uploader, data)
    for declared, sent in ((size - 1, data[:-1]), (size + 1, data + b"x"), (0, b""), (2 * size, data * 2)):
        answer = await answered(uploader, put(uploader, upload, sent, Content_Length=str(declared)))
        assert (answer.status, answer.code) == (400, "INVALID")
    assert (await answered(uploader, put(uploader, upload, b""))).status == 400
    for pieces in ((data[:-1],), (data, b"x"), (data[:5], data)):
        answer = await answered(uploader, put(uploader, upload, chunked(*pieces), Transfer_Encoding="chunked"))
        assert (answer.status, answer.code) == (400, "INVALID")
    assert await is_missing(uploader, upload)
    whole = put(uploader, upload, chunked(data[:4], data[4:]), Transfer_Encoding="chunked")
    assert (await answered(uploader, whole)).status == 204
    assert not await is_missing(uploader, upload)


@pytest.mark.parametrize("size", SIZES)
async def test_senders_that_go_away(uploader: Uploader, size: int) -> None:
    data = os.urandom(size)
    upload = await begun(uploader, data)
    for count in (0, 1, size // 2, size - 1):
        async with connected(uploader.endpoint) as wire:
            await wire.send(put(uploader, upload, data[:count], Content_Length=str(size)))
            await asyncio.sleep(0.05)
    assert await is_missing(uploader, upload)
    await uploader.send(upload["parts"], {"a": data})  # Nobody holds its place.
    assert not await is_missing(uploader, upload)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: {size}\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: {size}",
        "Content-Length: {size}\r\nContent-Length: {size}",
        "Content-Length: {size}\r\nContent-Length: 0",
        "Content-Length: {size}, {size}",
        "Content-Length: +{size}",
        "Content-Length: 0x{size}",
        "Content-Length : {size}",
        "Content-Length:\r\n {size}",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "X: y\nContent-Length: {size}",
    ],
)
async def test_no_request_hides_in_another(uploader: Uploader, size: int, headers: str) -> None:
    """Whatever is said of its length, twice or oddly: one request, at most one answer, and nothing is stored."""
    data = (HIDDEN * (size // len(HIDDEN) + 1))[:size]
    upload = await begun(uploader, data)
    start = put(uploader, upload, b"").removesuffix(b"\r\n") + headers.format(size=size).encode()
    async with connected(uploader.endpoint) as wire:
        await wire.send(start + b"\r\n\r\n" + chunked() + data)
        text = b""
        with contextlib.suppress(ConnectionError):  # Who is cut off in mid-sentence may not hear why.
            while piece := await asyncio.wait_for(wire.reader.read(65_536), PATIENCE):
                text += piece
    assert text.count(b"HTTP/1.1 ") == text.count(b"HTTP/1.1 400") <= 1
    assert await is_missing(uploader, upload)


@pytest.mark.parametrize("size", SIZES)
async def test_requests_one_behind_the_other(uploader: Uploader, size: int) -> None:
    """Sent at once over one connection, they are answered in their order; a body is never taken for a request."""
    data = (HIDDEN * (size // len(HIDDEN) + 1))[:size]
    run = await new_run(uploader)
    uploads = [await begun(uploader, data, run, f"w{number}") for number in range(3)]
    async with connected(uploader.endpoint) as wire:
        for upload in uploads:
            await wire.send(put(uploader, upload, data, Content_Length=str(size)) + HIDDEN)
        statuses = [(await wire.answer()).status for _ in range(6)]
    assert statuses[::2] == [204, 204, 204]
    assert len(set(statuses[1::2])) == 1
    assert not [upload for upload in uploads if await is_missing(uploader, upload)]


@pytest.mark.parametrize("size", SIZES)
async def test_senders_that_ask_first(uploader: Uploader, size: int) -> None:
    data = os.urandom(size)
    upload = await begun(uploader, data)
    nowhere = {"parts": [{"url": f"uploads/{NOBODY}/0/0"}]}
    for each, status in ((upload, 204), (nowhere, 404)):
        async with connected(uploader.endpoint) as wire:
            await wire.send(put(uploader, each, b"", Content_Length=str(size), Expect="100-continue"))
            assert (await wire.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
            await wire.send(data)
            assert (await wire.answer()).status == status


@pytest.mark.parametrize("first", [0, 1])
async def test_strangers_with_long_bodies_are_told(uploader: Uploader, first: int) -> None:
    """However the begin of their body comes, they get their answer, and the connection ends."""
    data, before = os.urandom(LONG), open_files()
    nowhere = {"parts": [{"url": f"uploads/{NOBODY}/0/0"}]}
    for headers, status in ((uploader.headers, 404), ({}, 401)):
        known = Uploader(uploader.http, uploader.endpoint, headers)
        async with connected(uploader.endpoint) as wire:
            await wire.send(put(known, nowhere, data[:first], Content_Length=str(LONG)))
            for place in range(first, first + 10_000, 1_000):
                await asyncio.sleep(0.02)
                await wire.send(data[place : place + 1_000])
            await wire.send(data[first + 10_000 : 66_000])
            assert (await wire.answer()).status == status
    assert open_files() < before + 10


async def test_encoded_parts_are_refused(uploader: Uploader) -> None:
    upload = await begun(uploader, b"123456789")
    for encoding in ("gzip", "br", "identity, gzip", "x"):
        request = put(uploader, upload, b"123456789", Content_Length="9", Content_Encoding=encoding)
        answer = await answered(uploader, request)
        assert (answer.status, answer.code) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("size", SIZES)
async def test_slow_senders_stop_nobody(uploader: Uploader, size: int) -> None:
    """Two hundred that send a byte now and then; beside them, others upload and download."""
    data, run = os.urandom(size), await new_run(uploader)
    slow = await uploader.change(
        BEGIN, objectId=run, name="slow", files=[announced(f"{n}", b"%08d" % n + data[8:], PART) for n in range(SLOW)]
    )
    async with asyncio.TaskGroup() as group:
        ended = asyncio.Event()

        async def send(part: dict[str, Any]) -> None:
            async with connected(uploader.endpoint) as wire:
                await wire.send(put(uploader, {"parts": [part]}, b"", Content_Length=str(size)))
                for _ in range(size - 1):
                    if ended.is_set():
                        break
                    await wire.send(b"0")
                    await asyncio.sleep(0.5)

        for part in slow["parts"]:
            group.create_task(send(part))
        await asyncio.sleep(1)
        for number in range(3):
            fast = await uploader.upload(run, f"fast {number}", {"a": os.urandom(LONG)}, PART)
            url = fast["artifact"]["files"]["nodes"][0]["downloadUrl"]
            got = await uploader.http.get(uploader.endpoint.replace("graphql", url), headers=uploader.headers)
            assert len(got.content) == LONG
        ended.set()


# --- Noise ---


async def test_ten_thousand_flipped_bits_in_transit(uploader: Uploader) -> None:
    """One bit of the body is another one each time: each is refused, and the right bytes are taken afterwards."""
    files = {f"{number}": os.urandom(64) for number in range(SENDERS)}
    told = [announced(path, data, PART) for path, data in files.items()]
    upload = await uploader.change(BEGIN, objectId=await new_run(uploader), name="w", files=told)
    left = iter(range(FLIPS))

    async def flip(part: dict[str, Any], chance: random.Random) -> None:
        async with connected(uploader.endpoint) as wire:
            head, data = put(uploader, {"parts": [part]}, b"", Content_Length="64"), files[part["path"]]
            while next(left, None) is not None:
                body = bytearray(data)
                body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
                await wire.send(head + body)
                answer = await wire.answer()
                assert (answer.status, answer.code) == (422, "DIGEST_MISMATCH")

    await asyncio.gather(*(flip(part, random.Random(part["path"])) for part in upload["parts"]))
    assert (await uploader.change(RESUME, id=upload["upload"]["id"]))["missingPartCount"] == SENDERS
    await uploader.send(upload["parts"], files)
    payload = await uploader.complete(upload["upload"]["id"])
    assert payload["artifact"]["status"] == "READY"
