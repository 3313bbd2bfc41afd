"""Transactions that take their numbers in one order and commit in another, or not at all: nothing is skipped.

Sequence numbers of PostgreSQL are given before the commit, so who pages by them passes by what commits late. Numbers of
a stream are given under a lock that is held until the commit.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID, uuid4

import pytest

from db.engine import Database
from db.feed.feed import Feed, Watch
from db.transaction import TAKE_NUMBERS
from tests.db.feed.streams import TENANT, seqs
from tests.postgres import connected

ROUNDS = 10_000
MAKE_LOG = "CREATE UNLOGGED TABLE log (stream uuid, seq bigint, PRIMARY KEY (stream, seq))"
LOG = f"WITH taken AS ({TAKE_NUMBERS}) INSERT INTO log SELECT $2, seq FROM taken"
READ = "SELECT seq FROM log WHERE stream = $1 AND seq > $2 AND seq <= $3 ORDER BY seq"
LOG_BY_SEQUENCE = "INSERT INTO log VALUES ($1, nextval('numbers'))"
READ_ALL = "SELECT seq FROM log WHERE stream = $1 AND seq > $2 ORDER BY seq"


@pytest.fixture
async def writers(dsn: str) -> AsyncIterator[list[Any]]:
    """Four connections to a database with a log."""
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(connected(dsn)) for _ in range(4)]
        await found[0].execute(MAKE_LOG)
        yield found


async def pause(dice: random.Random) -> None:
    """Let the others go first, for a while or for long."""
    for _ in range(dice.randrange(4)):
        await asyncio.sleep(0)
    if dice.random() < 0.01:
        await asyncio.sleep(0.001)


async def transact(writer: Any, dice: random.Random, streams: Sequence[UUID]) -> list[UUID]:
    """One transaction, slow or fast; the streams that it committed a number of."""
    wanted = [stream for stream in streams if dice.random() < 0.6]
    await pause(dice)
    await writer.execute("BEGIN")
    for stream in wanted:
        await writer.execute(LOG, TENANT, stream, 1)
    await pause(dice)
    is_kept = dice.random() < 0.9
    await writer.execute("COMMIT" if is_kept else "ROLLBACK")
    return wanted if is_kept else []


async def follow(watch: Watch, connection: Any, at: dict[UUID, int], done: asyncio.Event) -> None:
    """Read whatever the heads tell, as soon as they tell it: all of it must be there."""
    while True:
        is_last = done.is_set()
        await watch.look()
        for stream, head in zip(watch.streams, seqs(watch), strict=True):
            found = [row["seq"] for row in await connection.fetch(READ, stream, at[stream], head)]
            assert found == list(range(at[stream] + 1, head + 1))
            at[stream] = head
        if is_last:
            return
        await asyncio.sleep(0.001)


async def test_ten_thousand_interleavings(database: Database, dsn: str, writers: list[Any]) -> None:
    dice, streams = random.Random(5), sorted([uuid4(), uuid4()])
    committed, at, done = dict.fromkeys(streams, 0), dict.fromkeys(streams, 0), asyncio.Event()
    async with Feed(database).following(TENANT, streams) as watch, connected(dsn) as reader:
        following = asyncio.create_task(follow(watch, reader, at, done))
        for _ in range(ROUNDS):
            together = dice.sample(writers, dice.choice((2, 2, 3, 4)))
            for taken in await asyncio.gather(*(transact(writer, dice, streams) for writer in together)):
                for stream in taken:
                    committed[stream] += 1
            if following.done():
                break
        done.set()
        await following
    assert at == committed
    assert min(committed.values()) > ROUNDS


async def test_with_numbers_of_a_sequence_the_same_reader_misses_some(writers: list[Any], dsn: str) -> None:
    """What the lock is for: the same transactions, numbered as they come and not as they commit."""
    dice, stream, seen, at = random.Random(5), uuid4(), 0, 0
    await writers[0].execute("CREATE SEQUENCE numbers")

    async def write(writer: Any) -> None:
        for _ in range(200):
            async with writer.transaction():
                await writer.execute(LOG_BY_SEQUENCE, stream)
                await pause(dice)

    async with connected(dsn) as reader, asyncio.TaskGroup() as group:
        tasks = [group.create_task(write(writer)) for writer in writers]
        while not all(task.done() for task in tasks):
            found = [row["seq"] for row in await reader.fetch(READ_ALL, stream, at)]
            seen, at = seen + len(found), max([at, *found])
    assert seen < 800
