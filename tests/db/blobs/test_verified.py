"""What comes out of a store is right, or does not come to its end."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from db.blobs import verified
from db.blobs.disk import DiskStore, open_disk
from db.blobs.store import CHUNK, Digest, Key, Missing, Parts, Session

FLIPS = 10_000
TENANT = UUID(int=1)


@dataclass(frozen=True)
class Kept:
    """A file in a store, as bytes and as a path."""

    store: DiskStore
    key: Key
    parts: Parts
    content: bytes
    path: Path

    async def read(self, start: int = 0, stop: int | None = None) -> bytes:
        received: list[bytes] = []
        await self.read_into(received, start, stop)
        return b"".join(received)

    async def read_into(self, received: list[bytes], start: int = 0, stop: int | None = None) -> None:
        """Add the pieces to a list, as far as they come."""
        async for piece in verified.read(self.store, self.key, self.parts, start, stop):
            received.append(piece)  # noqa: PERF401 - what came before an error counts, too

    def flip(self, bit: int) -> None:
        """Turn one bit of the file over, as a disk does."""
        with self.path.open("r+b") as file:
            file.seek(bit // 8)
            (byte,) = file.read(1)
            file.seek(bit // 8)
            file.write(bytes([byte ^ 1 << bit % 8]))


async def kept(folder: Path, content: bytes, part_size: int) -> Kept:
    digests = b"".join(
        hashlib.sha256(content[offset : offset + part_size]).digest() for offset in range(0, len(content), part_size)
    )
    parts = Parts(len(content), part_size, digests)
    key = Key(TENANT, hashlib.sha256(content).hexdigest(), uuid4())
    store = open_disk(folder)
    session = Session(key, parts)
    await store.open(session)
    if content:
        await store.write(session, 0, [content])
    await store.close(session)
    return Kept(store, key, parts, content, folder / key.path)


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 1_000, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7])
@pytest.mark.parametrize("part_size", [100, CHUNK, 2 * CHUNK + 3])
async def test_bytes_come_back_as_they_were(tmp_path: Path, size: int, part_size: int) -> None:
    if size // part_size > 1_000:
        part_size *= 1_000
    file = await kept(tmp_path, random.randbytes(size), part_size)
    assert await file.read() == file.content


async def test_any_stretch_comes_back(tmp_path: Path) -> None:
    file = await kept(tmp_path, random.randbytes(1_000), 128)
    for _ in range(500):
        start, stop = sorted(random.choices(range(1_050), k=2))
        assert await file.read(start, stop) == file.content[start:stop], (start, stop)


async def test_pieces_are_small(tmp_path: Path) -> None:
    file = await kept(tmp_path, random.randbytes(5 * CHUNK), 3 * CHUNK)
    pieces = [len(piece) async for piece in verified.read(file.store, file.key, file.parts, 3, 5 * CHUNK - 3)]
    assert all(0 < size <= CHUNK for size in pieces)
    assert sum(pieces) == 5 * CHUNK - 6


async def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    """One bit in ten thousand places, each read whole or in a stretch that touches its part: never one to its end."""
    chosen = random.Random(4)
    files = [await kept(tmp_path, chosen.randbytes(size), part) for size, part in ((700, 256), (90, 90), (2_000, 999))]
    found = 0
    for number in range(FLIPS):
        file = files[number % len(files)]
        bit = chosen.randrange(8 * len(file.content))
        part = file.parts[bit // 8 // file.parts.part_size]
        start, stop = 0, len(file.content)
        if number % 2:
            start = chosen.randrange(part.offset, part.offset + part.size)
            stop = chosen.randrange(start, len(file.content)) + 1
        file.flip(bit)
        received: list[bytes] = []
        with pytest.raises(verified.Damaged) as caught:
            await file.read_into(received, start, stop)
        file.flip(bit)
        assert len(b"".join(received)) < stop - start
        found += (caught.value.key, caught.value.part) == (file.key, part.number)
    assert found == FLIPS
    assert [await file.read() == file.content for file in files] == [True] * 3


@pytest.mark.parametrize("place", [0, CHUNK, 2 * CHUNK, 3 * CHUNK - 1])
async def test_nothing_after_a_damaged_part_is_told(tmp_path: Path, place: int) -> None:
    """Of a part of several pieces some may be told before the flip is found: never the last one."""
    file = await kept(tmp_path, random.randbytes(6 * CHUNK), 3 * CHUNK)
    file.flip(8 * place)
    received: list[bytes] = []
    with pytest.raises(verified.Damaged):
        await file.read_into(received)
    assert sum(map(len, received)) == 2 * CHUNK


async def test_a_file_that_is_cut_or_gone_is_missing(tmp_path: Path) -> None:
    file = await kept(tmp_path, random.randbytes(1_000), 300)
    with file.path.open("r+b") as cut:
        cut.truncate(999)
    assert await file.read(0, 300) == file.content[:300]
    with pytest.raises(Missing):
        await file.read()
    file.path.unlink()
    with pytest.raises(Missing):
        await file.read(0, 1)


async def test_who_leaves_early_leaves_nothing_running(tmp_path: Path) -> None:
    file = await kept(tmp_path, random.randbytes(8 * CHUNK), 4 * CHUNK)
    before = asyncio.all_tasks()
    pieces = verified.read(file.store, file.key, file.parts)
    assert await anext(pieces)
    assert asyncio.all_tasks() > before
    await pieces.aclose()
    assert asyncio.all_tasks() == before


@dataclass(frozen=True)
class Endless:
    """A store that tells how far it was read."""

    read_to: list[int]

    async def read(self, _key: Key, offset: int, size: int, digest: Digest) -> AsyncGenerator[bytes]:
        end = offset + size
        while offset < end:
            piece = bytes(min(CHUNK, end - offset))
            offset += len(piece)
            self.read_to.append(offset)
            digest.update(piece)
            yield piece


async def test_a_slow_reader_is_not_read_ahead_of_by_much() -> None:
    digest = hashlib.sha256(bytes(64 * CHUNK)).digest()
    store = Endless([])
    key = Key(TENANT, "0" * 64, uuid4())
    pieces = verified.read(store, key, Parts(128 * CHUNK, 64 * CHUNK, 2 * digest))  # type: ignore[arg-type]
    taken = 0
    async for piece in pieces:
        taken += len(piece)
        await asyncio.sleep(0.001)
        assert store.read_to[-1] - taken <= 4 * CHUNK
    assert taken == 128 * CHUNK
