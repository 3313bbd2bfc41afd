"""Streams as writers and followers meet them, without what the numbers are of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

from db.engine import Database
from db.feed.feed import Watch
from db.transaction import TAKE_NUMBERS

TENANT = UUID(int=7)


async def commit(database: Database, *streams: UUID, hinted: bool = True) -> None:
    """Take a number of each stream."""
    async with database.transaction() as connection:
        for stream in sorted(streams):
            await connection.fetchval(TAKE_NUMBERS, TENANT, stream, 1)
    if hinted:
        database.committed(TENANT, streams)


def seqs(watch: Watch) -> list[int]:
    return [head.seq for head in watch.heads()]


async def until(watch: Watch, expected: Sequence[int]) -> None:
    """Wait until the watch has seen these numbers, and has passed none of them."""
    async with asyncio.timeout(10):
        while seqs(watch) != list(expected):
            assert all(seen <= wanted for seen, wanted in zip(seqs(watch), expected, strict=True)), seqs(watch)
            await watch.moved.wait()
            watch.moved.clear()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
