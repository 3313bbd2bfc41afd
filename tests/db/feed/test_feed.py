"""One look for all followers of a process: at once after a hint, within a second without."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from db.engine import Database
from db.errors import Unavailable
from db.feed import feed as feeds
from db.feed.feed import Feed
from tests.db.feed.streams import TENANT, commit, seqs, until
from tests.postgres import Postgres


@pytest.fixture
def feed(database: Database) -> Feed:
    return Feed(database)


async def test_a_stream_without_records_stands_at_zero(feed: Feed) -> None:
    async with feed.following(TENANT, [uuid4()]) as watch:
        [head] = watch.heads()
    assert (head.seq, head.min_seq, head.epoch) == (0, 0, 1)


async def test_commits_of_this_process_are_seen_at_once(feed: Feed, database: Database) -> None:
    stream = uuid4()
    async with feed.following(TENANT, [stream]) as watch:
        began = time.perf_counter()
        for number in range(1, 21):
            await commit(database, stream)
            await until(watch, [number])
    assert time.perf_counter() - began < 0.5


async def test_without_a_hint_they_are_seen_within_a_second(feed: Feed, database: Database) -> None:
    stream = uuid4()
    async with feed.following(TENANT, [stream]) as watch:
        began = time.perf_counter()
        await commit(database, stream, hinted=False)
        await until(watch, [1])
    assert time.perf_counter() - began < 2 * feeds.LOOK_INTERVAL


async def test_a_look_sees_all_that_was_committed_before_it(feed: Feed, database: Database) -> None:
    streams = [uuid4() for _ in range(3)]
    async with feed.following(TENANT, streams) as watch:
        await commit(database, *streams[:2], hinted=False)
        await watch.look()
        assert seqs(watch) == [1, 1, 0]


async def test_who_begins_to_follow_sees_what_is_there(feed: Feed, database: Database) -> None:
    stream = uuid4()
    async with feed.following(TENANT, [stream]):
        await commit(database, stream, hinted=False)
        async with feed.following(TENANT, [stream]) as late:
            assert seqs(late) == [1]


async def test_all_dirty_streams_are_read_in_one_statement(
    feed: Feed, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = [uuid4() for _ in range(200)]
    statements: list[str] = []
    fetch = asyncpg.Connection.fetch

    async def counted(connection: Any, query: str, *arguments: Any, **options: Any) -> Sequence[Any]:
        statements.append(query)
        return list(await fetch(connection, query, *arguments, **options))

    async with feed.following(TENANT, streams) as watch:
        await commit(database, *streams, hinted=False)
        monkeypatch.setattr(asyncpg.Connection, "fetch", counted)
        await watch.look()
        assert seqs(watch) == [1] * 200
    assert statements == [feeds.MOVED]


async def test_who_has_left_costs_nothing(feed: Feed, database: Database) -> None:
    before = len(asyncio.all_tasks())
    stream = uuid4()
    async with feed.following(TENANT, [stream]), feed.following(TENANT, [stream]):
        assert len(asyncio.all_tasks()) == before + 1
        assert len(database.committed.listeners) == 1
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before
    assert database.committed.listeners == []


async def test_ten_thousand_idle_followers_cost_next_to_nothing(feed: Feed) -> None:
    """The look at all of them is the only thing that happens: most of its time is PostgreSQL's."""
    streams = [uuid4() for _ in range(10_000)]
    async with feed.following(TENANT, streams):
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.sleep(3)
        share = (time.process_time() - cpu) / (time.perf_counter() - began)
    assert share < 0.2, share


async def test_a_database_that_is_away_is_told_to_who_asks_and_met_again(
    feed: Feed, database: Database, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "PATIENCE", 0.05)
    stream = uuid4()
    async with feed.following(TENANT, [stream]) as watch:
        async with database.connection() as connection:
            name = await connection.fetchval("SELECT current_database()")
        await postgres.run(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        with pytest.raises(Unavailable):
            await watch.look()
        await postgres.run(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await commit(database, stream, hinted=False)
        await until(watch, [1])


async def test_another_epoch_is_seen(feed: Feed, database: Database) -> None:
    stream = uuid4()
    await commit(database, stream)
    async with feed.following(TENANT, [stream]) as watch, database.connection() as connection:
        await connection.execute("UPDATE stream_head SET epoch = 9")
        await watch.look()
        assert [head.epoch for head in watch.heads()] == [9]


async def test_hints_of_streams_that_nobody_follows_are_nothing(feed: Feed) -> None:
    before = len(asyncio.all_tasks())
    feed.hint([UUID(int=1)])
    feed.hint()
    assert len(asyncio.all_tasks()) == before
