"""Hashing what a store reads while the next bytes are on their way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final

from db.blobs.store import Digest

SMALL: Final = 1 << 16
"""So many bytes are hashed in the time that handing them to a thread would take."""


async def hashed(pieces: AsyncGenerator[bytes], digest: Digest) -> AsyncGenerator[bytes]:
    """The same pieces; once there are no more, the digest has taken all of them."""
    hashing: asyncio.Future[None] | None = None
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            if hashing:
                await hashing
            hashing = _update(digest, piece)  # While it runs, this piece is used, and the next one is read.
            yield piece
    if hashing:
        await hashing


def _update(digest: Digest, piece: bytes) -> asyncio.Future[None] | None:
    if len(piece) > SMALL:
        return asyncio.get_running_loop().run_in_executor(None, digest.update, piece)
    digest.update(piece)
    return None
