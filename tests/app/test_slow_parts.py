"""Parts whose bytes come when they like: in drops, with pauses, or faster than the disk takes them."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from db.engine import Database
from tests.app.serving import serving
from tests.app.tokens import new_token
from tests.app.uploading import PART, new_run
from tests.uploader import BEGIN, Uploader, announced

BREATH: Final = 0.1
ANSWERED: Final = 20.0
"""Seconds, of which an answer takes a few thousandths."""


@pytest.fixture
async def uploader(database: Database) -> AsyncIterator[Uploader]:
    app = create_app(Settings(), database)
    async with serving(app) as address, httpx.AsyncClient(timeout=30) as http:
        headers = {"Authorization": f"Bearer {await new_token(database)}"}
        yield Uploader(http, f"http://{address}/graphql", headers)


class Sender:
    """Sends parts over one connection, as slowly as one wants."""

    def __init__(self, uploader: Uploader, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._uploader, self._reader, self._writer = uploader, reader, writer

    async def begin(self, part: Mapping[str, Any]) -> None:
        """Send the head."""
        place = urlsplit(urljoin(self._uploader.endpoint, part["url"]))
        fields = {"Host": place.netloc, "Content-Length": part["size"], **self._uploader.headers}
        lines = [f"PUT {place.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        await self.send("\r\n".join(lines).encode())

    async def send(self, piece: bytes) -> None:
        """Send a piece, and wait for a moment."""
        self._writer.write(piece)
        await asyncio.sleep(BREATH)

    async def status(self) -> int:
        """That of the answer."""
        async with asyncio.timeout(ANSWERED):
            head = await self._reader.readuntil(b"\r\n\r\n")
        return int(head.split()[1])

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


@pytest.fixture
async def sender(uploader: Uploader) -> AsyncIterator[Sender]:
    place = urlsplit(uploader.endpoint)
    sender = Sender(uploader, *await asyncio.open_connection(place.hostname, place.port))
    yield sender
    sender.close()


async def begun(uploader: Uploader, data: bytes) -> list[dict[str, Any]]:
    payload = await uploader.change(
        BEGIN, objectId=await new_run(uploader), name="w", files=[announced("a", data, PART)]
    )
    parts: list[dict[str, Any]] = payload["parts"]
    return parts


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let nobody write into a draft."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


async def test_the_disk_is_slower_than_the_sender(uploader: Uploader, sender: Sender, tmp_path: Path) -> None:
    """While the first few bytes are written, many others come."""
    data = os.urandom(2 * PART)
    first, second = await begun(uploader, data)
    await uploader.send([first], {"a": data})
    (draft,) = (path for path in (tmp_path / "blobs").rglob("*") if path.is_file())
    await sender.begin(second)
    with locked(draft):
        await sender.send(data[PART : PART + 1_000])
        await sender.send(data[PART + 1_000 :])
    assert await sender.status() == 204
    assert draft.read_bytes() == data


@pytest.mark.parametrize("last", [1, 1_000, 200_000])
async def test_the_last_bytes_come_late(uploader: Uploader, sender: Sender, last: int) -> None:
    data = os.urandom(2 * PART)
    for part in await begun(uploader, data):  # On one connection, which goes on with the next.
        content = data[part["offset"] : part["offset"] + PART]
        await sender.begin(part)
        await sender.send(content[:-last])
        await sender.send(content[-last:])
        assert await sender.status() == 204


async def test_bytes_come_in_drops(uploader: Uploader, sender: Sender, tmp_path: Path) -> None:
    data = os.urandom(PART)
    (part,) = await begun(uploader, data)
    await sender.begin(part)
    edges = [0, 1, 100, 70_000, 400_000, 400_001, 2_000_000, PART]
    for begin, end in pairwise(edges):
        await sender.send(data[begin:end])
    assert await sender.status() == 204
    (path,) = (path for path in (tmp_path / "blobs").rglob("*") if path.is_file())
    assert path.read_bytes() == data
