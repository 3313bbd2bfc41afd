"""Reading blobs so that no wrong byte goes unnoticed: part by part, against the digests that were stored with them.

The last piece of what is wanted of a part is held back until the whole part is known to be right. So bytes that are
wrong may come out, but never to the end: whoever reads learns of it before they could take them for whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator

from db.blobs.hashing import SMALL
from db.blobs.store import BlobStore, Key, Part, Parts


class Damaged(Exception):
    """Stored bytes are not those that were stored."""

    def __init__(self, key: Key, part: int) -> None:
        super().__init__(f"part {part} of {key.path}")
        self.key = key
        self.part = part


async def read(
    store: BlobStore, key: Key, parts: Parts, start: int = 0, stop: int | None = None
) -> AsyncGenerator[bytes]:
    """The bytes from `start` up to, without it, `stop` (the end if None), in pieces of at most CHUNK.

    Close it when you leave it early. Whole parts are read and hashed, whatever is wanted of them; while a piece is
    used, the next one is on its way. A reader holds five pieces at most.

    Raises:
        Damaged: a part is not what its digest says.
        Missing: there is nothing under the key, or it is shorter.
        StoreUnavailable: it cannot be read now.
    """
    stop = parts.size if stop is None else min(stop, parts.size)
    pieces = _right(store, key, parts, start, stop)
    if stop - start > SMALL:
        pieces = _ahead(pieces)
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            yield piece


async def _right(store: BlobStore, key: Key, parts: Parts, start: int, stop: int) -> AsyncGenerator[bytes]:
    """The same, one piece after the other."""
    if start >= stop:
        return
    for number in range(start // parts.part_size, (stop - 1) // parts.part_size + 1):
        part = parts[number]
        held = b""
        async with contextlib.aclosing(_hashed(store, key, part)) as pieces:
            async for offset, piece in pieces:
                wanted = piece[max(0, start - offset) : max(0, stop - offset)]
                if held and wanted:
                    yield held
                held = wanted or held
        yield held


async def _hashed(store: BlobStore, key: Key, part: Part) -> AsyncGenerator[tuple[int, bytes]]:
    """The pieces of a part, each with its place in the file; once the last was taken, all were right."""
    digest, offset = hashlib.sha256(), part.offset
    async with contextlib.aclosing(store.read(key, offset, part.size, digest)) as pieces:
        async for piece in pieces:
            yield offset, piece
            offset += len(piece)
    if digest.digest() != part.digest:
        raise Damaged(key, part.number)


async def _ahead(pieces: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The same pieces, of which the next is fetched while one is used."""
    waiting: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(maxsize=1)
    task = asyncio.create_task(_fetch(pieces, waiting))
    try:
        while (piece := await waiting.get()) is not None:
            if isinstance(piece, Exception):
                raise piece
            yield piece
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _fetch(pieces: AsyncGenerator[bytes], waiting: asyncio.Queue[bytes | Exception | None]) -> None:
    try:
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                await waiting.put(piece)
    except Exception as error:  # noqa: BLE001 - raised where the pieces are used
        await waiting.put(error)
    else:
        await waiting.put(None)
