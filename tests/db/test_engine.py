"""The pool: connections that come back, and what it says when there are none."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from db import engine
from db.engine import Database
from db.errors import Overloaded, TooSlow, Unavailable


@pytest.fixture
async def pair(dsn: str) -> Database:
    """A pool of two connections, for each of which one more may wait."""
    return await Database.connect(dsn, size=2, statement_timeout=0.2)


async def test_the_connection_used_last_comes_first(pair: Database) -> None:
    async with pair.connection() as first, pair.connection() as second:
        pass
    async with pair.connection() as again:
        assert again is first or again is second
        assert pair.in_use == 1


async def test_who_waits_too_long_is_refused(pair: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PATIENCE", 0.05)
    async with pair.connection(), pair.connection():
        with pytest.raises(Overloaded):
            async with pair.connection():
                pass
    async with pair.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_too_long_a_queue_is_refused_at_once(pair: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "QUEUE", 1)

    async def use() -> None:
        async with pair.connection():
            pass

    async with pair.connection(), pair.connection():
        waiting = [asyncio.create_task(use()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await use()
    await asyncio.gather(*waiting)


async def test_a_statement_has_a_time_limit(pair: Database) -> None:
    with pytest.raises(TooSlow):
        async with pair.connection() as connection:
            await connection.execute("SELECT pg_sleep(5)")
    async with pair.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_transaction_left_open_is_never_handed_on(pair: Database) -> None:
    async with pair.connection() as connection:
        await connection.execute("BEGIN")
        left = connection
    async with pair.connection() as connection:
        assert connection is not left
        assert not connection.is_in_transaction()


async def test_a_lost_connection_is_replaced(pair: Database) -> None:
    with pytest.raises(Unavailable):
        async with pair.connection() as connection:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    async with pair.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_an_argument_of_the_wrong_type_is_our_fault_and_no_outage(pair: Database) -> None:
    with pytest.raises(asyncpg.DataError):
        async with pair.connection() as connection:
            await connection.fetchval("SELECT $1::int", "not a number")


async def test_a_database_that_is_not_there() -> None:
    with pytest.raises(Unavailable):
        await Database.connect("postgresql://nobody@127.0.0.1:1/none")


async def test_a_statement_that_nobody_waits_for_leaves_nothing_behind(database: Database) -> None:
    """Cancelled while it begins, a read-only transaction must not be found open by who gets the connection next."""
    for rounds in range(50):

        async def begin() -> None:
            async with (
                database.connection() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                await connection.fetchval("SELECT pg_sleep(0.01)")

        task = asyncio.create_task(begin())
        for _ in range(rounds % 7):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with database.transaction() as connection:
            assert await connection.fetchval("SELECT current_setting('transaction_read_only')") == "off"


async def test_a_driver_that_has_lost_its_place_gives_way_to_another(pair: Database) -> None:
    lost = []

    async def use() -> None:
        async with pair.connection() as connection:
            lost.append(connection)
            raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")

    with pytest.raises(Unavailable):
        await use()
    async with pair.connection() as connection:
        assert connection not in lost
        assert await connection.fetchval("SELECT 1") == 1
