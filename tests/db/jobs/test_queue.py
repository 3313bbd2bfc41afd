"""Jobs: found from what is stored, claimed by one process, done once; and what happens when things break."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from db.engine import Database
from db.errors import Unavailable
from db.jobs import queue
from db.jobs.queue import Queue, Work
from tests.postgres import connected

WAITING = "SELECT count(*) FROM pgqueuer WHERE status = 'queued'"
HELD = "SELECT count(*) FROM pgqueuer WHERE status = 'picked'"
OURS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'modelbox'"
NOW = datetime.fromisoformat("2026-01-01T00:00:00+00:00")


class Pile:
    """Pieces of work that are there until they are done; notes who did which."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = list(pieces)
        self.log: list[tuple[str, str]] = []
        self.faults: list[Exception] = []
        self.seconds = 0.0

    async def find(self, _database: Database, _now: datetime) -> list[str]:
        return list(self.pieces)

    def work(self, who: str) -> Work:
        async def do(_database: Database, piece: str, _now: datetime) -> None:
            self.log.append((who, piece))
            await asyncio.sleep(self.seconds)
            if self.faults:
                raise self.faults.pop()
            self.pieces.remove(piece)

        return Work("pile", self.find, do, 1)


@contextlib.asynccontextmanager
async def serving(database: Database, *works: Work) -> AsyncIterator[Queue]:
    """A process that takes part."""
    taking_part = Queue(database, works)
    task = asyncio.create_task(taking_part.serve())
    try:
        await until(lambda: taking_part.is_connected)
        yield taking_part
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Any, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def value(database: Database, statement: str) -> Any:
    async with database.connection() as connection:
        return await connection.fetchval(statement)


async def look(taking_part: Queue) -> None:
    for work in taking_part.works:
        await taking_part.look(work, NOW)


async def test_each_piece_is_done_once_by_any_process(database: Database) -> None:
    pile = Pile(*map(str, range(20)))
    pile.seconds = 0.02
    async with serving(database, pile.work("one")) as one, serving(database, pile.work("two")) as two:
        await asyncio.gather(*(look(process) for process in (one, two, one, two)))
        await until(lambda: not pile.pieces)
    assert sorted(int(piece) for _, piece in pile.log) == list(range(20))
    assert {who for who, _ in pile.log} == {"one", "two"}
    assert await value(database, "SELECT count(*) FROM pgqueuer") == 0


async def test_what_waits_or_is_being_done_is_not_put_there_again(database: Database) -> None:
    pile = Pile("a", "b", "c")
    pile.seconds = 0.3
    async with serving(database, pile.work("one")) as one:
        for _ in range(5):
            await look(one)
        await until(lambda: len(pile.log) == queue.AT_ONCE)
        for _ in range(5):
            await look(one)
        assert await value(database, WAITING) == 1
        assert await value(database, HELD) == queue.AT_ONCE
        await until(lambda: not pile.pieces)
    assert sorted(piece for _, piece in pile.log) == ["a", "b", "c"]


async def test_a_job_that_fails_is_told_of_and_tried_again_later(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "RETRY", timedelta(seconds=0.3))
    pile = Pile("a")
    pile.faults = [ValueError("broken"), ValueError("broken")]
    with capture_logs() as lines:
        async with serving(database, pile.work("one")) as one:
            await look(one)
            await until(lambda: len(pile.log) == 1)
            await asyncio.sleep(0.1)
            await look(one)  # It waits for its time, and is not put there twice.
            assert len(pile.log) == 1
            await until(lambda: not pile.pieces)
    assert [(line["event"], line["job"], line["piece"], line["attempt"]) for line in lines] == [
        ("job failed", "pile", "a", 1),
        ("job failed", "pile", "a", 2),
    ]
    assert len(pile.log) == 3


async def test_nobody_is_told_that_postgresql_is_away(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "RETRY", timedelta(seconds=0.1))
    pile = Pile("a")
    pile.faults = [Unavailable()]
    with capture_logs() as lines:
        async with serving(database, pile.work("one")) as one:
            await look(one)
            await until(lambda: not pile.pieces)
    assert lines == []


KILLED = """
import asyncio, sys
from db.engine import Database
from db.jobs.queue import Queue, Work

async def find(database, now):
    return ["a"]

async def do(database, piece, now):
    print("begun", flush=True)
    await asyncio.sleep(60)

async def main():
    database = await Database.connect(sys.argv[1], role="modelbox_server")
    taking_part = Queue(database, [Work("pile", find, do, 1)])
    task = asyncio.create_task(taking_part.serve())
    while not taking_part.is_connected:
        await asyncio.sleep(0.01)
    await taking_part.look(taking_part.works[0], None)
    await task

asyncio.run(main())
"""


async def test_the_job_of_a_killed_process_is_taken_up(
    dsn: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "LOST", timedelta(seconds=1))
    monkeypatch.setattr(queue, "LOOK", timedelta(seconds=0.2))
    root = Path(queue.__file__).parents[2]
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, dsn, cwd=root, stdout=asyncio.subprocess.PIPE
    )
    assert killed.stdout is not None
    assert await killed.stdout.readline() == b"begun\n"
    os.kill(killed.pid, signal.SIGKILL)
    await killed.wait()
    pile = Pile("a")
    async with serving(database, pile.work("other")) as other:
        await look(other)
        await until(lambda: not pile.pieces)
    assert pile.log == [("other", "a")]


async def test_an_end_waits_for_no_job(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "GRACE", 0.2)
    pile = Pile("a")
    pile.seconds = 60
    async with serving(database, pile.work("one")) as one:
        await look(one)
        await until(lambda: pile.log)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 2
    assert pile.pieces == ["a"]
    pile.seconds = 0  # Nobody has to wait for a heartbeat that does not come.
    async with serving(database, pile.work("two")) as two:
        await look(two)
        await until(lambda: not pile.pieces)


async def test_a_job_under_way_may_end_first(database: Database) -> None:
    pile = Pile("a")
    pile.seconds = 0.3
    async with serving(database, pile.work("one")) as one:
        await look(one)
        await until(lambda: pile.log)
    assert pile.pieces == []
    assert await value(database, "SELECT count(*) FROM pgqueuer") == 0


async def test_a_lost_connection_is_told_of_as_such(dsn: str, database: Database) -> None:
    taking_part = Queue(database, [Pile().work("one")])
    task = asyncio.create_task(taking_part.serve())
    await until(lambda: taking_part.is_connected)
    await asyncio.sleep(0.1)
    async with connected(dsn) as owner:
        await owner.execute(OURS)
    async with asyncio.timeout(5):
        with pytest.raises(Unavailable):
            await task
    assert not taking_part.is_connected
    await look(taking_part)  # does nothing


async def test_the_library_finds_its_tables_as_it_wants_them(dsn: str) -> None:
    """A later version may want others: then its `pgq upgrade --dry-run` prints what a new migration has to do."""
    async with connected(dsn) as connection:
        plan = await queue.queries_on(connection).plan_upgrade()
    assert list(plan.statements) == []
