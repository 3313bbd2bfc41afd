"""Parts that pass through the server: judged as they arrive, by whoever sends them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from db.access import Role
from db.engine import Database
from tests.app.serving import serving
from tests.app.tokens import new_token
from tests.app.uploading import NOBODY, PART, new_run, refused, somebody
from tests.uploader import ABORT, BEGIN, COMPLETE, RESUME, Uploader, announced, digest_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
async def uploader(database: Database) -> AsyncIterator[Uploader]:
    app = create_app(Settings(), database)
    async with serving(app) as address, httpx.AsyncClient(timeout=30) as http:
        headers = {"Authorization": f"Bearer {await new_token(database)}"}
        yield Uploader(http, f"http://{address}/graphql", headers)


@pytest.fixture
async def run(uploader: Uploader) -> str:
    return await new_run(uploader)


def stored(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


async def test_a_wrong_part_is_refused_as_it_arrives(uploader: Uploader, run: str) -> None:
    data = os.urandom(2 * PART)
    begun = await uploader.change(BEGIN, objectId=run, name="w", files=[announced("a", data, PART)])
    wrong = bytearray(data[:PART])
    wrong[777] ^= 4
    answer = await uploader.put(begun["parts"][0], bytes(wrong))
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (422, "DIGEST_MISMATCH")
    await uploader.send(begun["parts"], {"a": data})
    assert (await uploader.complete(begun["upload"]["id"]))["artifact"]["status"] == "READY"


async def test_bytes_that_changed_in_the_store_are_asked_for_again(uploader: Uploader, run: str, folder: Path) -> None:
    data = os.urandom(3 * PART)
    begun = await uploader.change(BEGIN, objectId=run, name="w", files=[announced("a", data, PART)])
    await uploader.send(begun["parts"], {"a": data})
    (path,) = stored(folder)
    with path.open("r+b") as file:
        file.seek(PART + 3)
        file.write(bytes([data[PART + 3] ^ 1]))
    assert await refused(uploader.complete(begun["upload"]["id"])) == "UPLOAD_INCOMPLETE"
    resumed = await uploader.change(RESUME, id=begun["upload"]["id"])
    assert [part["number"] for part in resumed["parts"]] == [1]
    await uploader.send(resumed["parts"], {"a": data})
    assert (await uploader.complete(begun["upload"]["id"]))["artifact"]["status"] == "READY"


@pytest.mark.parametrize("length", [0, 1, PART - 1, PART + 1])
async def test_parts_of_another_length(uploader: Uploader, run: str, length: int) -> None:
    data = os.urandom(2 * PART)
    begun = await uploader.change(BEGIN, objectId=run, name="w", files=[announced("a", data, PART)])

    async def pieces() -> AsyncIterator[bytes]:
        yield data[: length // 2]
        yield data[length // 2 : length]

    for content in (data[:length], pieces()):  # with Content-Length, and chunked
        answer = await uploader.put(begun["parts"][0], content)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (400, "INVALID")
    assert (await uploader.change(RESUME, id=begun["upload"]["id"]))["missingPartCount"] == 2


async def test_a_part_that_is_there_is_taken_again(uploader: Uploader, run: str) -> None:
    begun = await uploader.change(BEGIN, objectId=run, name="w", files=[announced("a", b"bytes")])
    for _ in range(2):
        await uploader.send(begun["parts"], {"a": b"bytes"})
    assert (await uploader.put(begun["parts"][0], b"other")).status_code == 204
    payload = await uploader.complete(begun["upload"]["id"])
    assert payload["artifact"]["files"]["nodes"][0]["digest"] == digest_of(b"bytes")


async def test_readers(uploader: Uploader, run: str) -> None:
    begun = await uploader.change(BEGIN, objectId=run, name="w", files=[announced("a", b"bytes")])
    reader = await somebody(uploader, Role.READER, "default")
    assert (await reader.put(begun["parts"][0], b"bytes")).status_code == 403
    for document in (RESUME, COMPLETE, ABORT):
        assert await refused(reader.change(document, id=begun["upload"]["id"])) == "FORBIDDEN"
    reader.headers = {}
    assert (await reader.put(begun["parts"][0], b"bytes")).status_code == 401


async def test_strangers(uploader: Uploader, run: str) -> None:
    begun = await uploader.change(BEGIN, objectId=run, name="w", files=[announced("a", b"bytes")])
    part = begun["parts"][0]
    stranger = await somebody(uploader, Role.ADMIN, "elsewhere")
    answers = [await stranger.put({**part, "url": url}, b"bytes") for url in (part["url"], f"uploads/{NOBODY}/0/0")]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert len({answer.json()["errors"][0]["message"] for answer in answers}) == 1
    for document in (RESUME, COMPLETE, ABORT):
        assert await refused(stranger.change(document, id=begun["upload"]["id"])) == "NOT_FOUND"


@pytest.mark.parametrize(
    "path",
    [
        "uploads/upl_x/0/0",
        "uploads/..%2f..%2fetc/0/0",
        f"uploads/{NOBODY}/0/-1",
        f"uploads/{NOBODY}/0/1e3",
        f"uploads/{NOBODY}/{'9' * 30}/0",
        f"uploads/{NOBODY}/0/٣",
        f"uploads/{NOBODY}/0/0/..",
    ],
)
async def test_odd_addresses_lead_nowhere(uploader: Uploader, path: str) -> None:
    answer = await uploader.put({"url": path, "headers": []}, b"")
    assert answer.status_code == 404


@pytest.mark.parametrize("size", [1_000_000, 2 * PART])
async def test_what_comes_late_through_another_process_changes_nothing(
    database: Database, uploader: Uploader, run: str, folder: Path, size: int
) -> None:
    """A part that is still being sent when the upload is completed finds its file whole."""
    data, wrong = os.urandom(size), os.urandom(size)
    begun = await uploader.change(BEGIN, objectId=run, name="w", files=[announced("a", data, PART)])
    part, goes_on = begun["parts"][0], asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield wrong[: part["size"] // 2]
        await goes_on.wait()
        yield wrong[part["size"] // 2 : part["size"]]

    async with serving(create_app(Settings(), database)) as other:
        late = Uploader(uploader.http, f"http://{other}/graphql", uploader.headers)
        sending = asyncio.create_task(late.put(part, slowly()))  # type: ignore[arg-type]
        await asyncio.sleep(0.2)
        await uploader.send(begun["parts"], {"a": data})
        assert (await uploader.complete(begun["upload"]["id"]))["upload"]["status"] == "READY"
        goes_on.set()
        assert (await sending).status_code in (409, 422)
    (path,) = stored(folder)
    assert path.read_bytes() == data
