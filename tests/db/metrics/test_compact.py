"""Compaction moves points and changes none: whatever is appended, deleted, read, broken off or done twice meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import random
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.engine import Database
from db.errors import Unavailable
from db.identifiers import new_id
from db.jobs import compaction
from db.metrics import compact, rewriting, segment, summary
from db.metrics.columns import NONE, Columns
from db.metrics.segment import SIZE
from tests.db.metrics.tailed import NOW, Tailed
from tests.postgres import Postgres, connected

ODD = [0.0, -0.0, float("nan"), float("inf"), float("-inf"), 5e-324, 1.7976931348623157e308, 0.1]
AUTHORS = "SELECT actor_id, applied, first_at, last_at FROM metric_author WHERE owner_id = $1"
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'modelbox'"


def points(count: int, seed: int, kind: str = "even") -> Columns:
    """Points whose steps and times are of some kind, and whose values are of all sorts."""
    chance = np.random.default_rng(seed)
    numbers = np.arange(count, dtype=np.int64)
    steps = {
        "even": numbers + seed,
        "none": np.full(count, NONE),
        "wild": chance.integers(-(2**53), 2**53, count),
        "some": np.where(numbers % 3 == 0, NONE, numbers),
    }[kind]
    times = np.full(count, NONE) if kind == "none" else 1_700_000_000_000_000 + chance.integers(0, 10**9, count)
    values = np.where(chance.random(count) < 0.2, chance.choice(ODD, count), chance.standard_normal(count))
    return Columns(steps, times, values)


call = st.dictionaries(
    st.integers(1, 4),
    st.tuples(st.sampled_from([1, 2, 3, 7, 500, 3_000, 5_000]), st.sampled_from(["even", "none", "wild", "some"])),
    max_size=4,
)
step = st.one_of(call, call, call, st.just("compact"), st.just("forget"))


@given(st.lists(step, max_size=14), st.sampled_from([1, 40, 6_000, 200_000]))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_schedule_leaves_what_was_logged(database: Database, schedule: list[Any], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compact, "MOST", most)
        await play(await Tailed.made(database), schedule)


async def play(owner: Tailed, schedule: list[Any]) -> None:
    await owner.add_series(1, 2, 3, 4)
    for number, action in enumerate(schedule):
        if action == "compact":
            await owner.compact()
            assert await owner.length() == 0
        elif action == "forget":
            if owner.logged:
                await owner.forget(next(iter(owner.logged)))
        else:
            known = {id_: points(given[0], number, given[1]) for id_, given in action.items() if id_ in owner.logged}
            await owner.append(known)
        await owner.check()
    await owner.compact()
    await owner.check()


async def test_figures_are_those_of_the_points(database: Database) -> None:
    """Bit for bit as if each segment had been summed up by itself, however many were written at once."""
    owner = await Tailed.made(database)
    await owner.add_series(1, 2, 3)
    for number in range(5):
        await owner.append({id_: points(700 * id_, number * 10 + id_, "some") for id_ in (1, 2, 3)})
        await owner.compact()
    rows = await owner.segments()
    assert len(rows) == 6
    for row in rows:
        columns, _ = segment.decode(row["data"])
        assert row["parts"] == summary.pack(summary.summarise(columns))
        [whole] = summary.summarise(columns, SIZE)
        assert row["summary"] == summary.pack(summary.summarise(columns, SIZE))
        for name in ("min_step", "max_step", "min_time", "max_time"):
            assert row[name] == whole[name]


async def test_a_series_without_steps_and_times_has_no_range(database: Database) -> None:
    owner = await Tailed.made(database)
    await owner.add_series(1)
    await owner.append({1: points(3, 1, "none")})
    await owner.compact()
    [row] = await owner.segments()
    assert [row[name] for name in ("min_step", "max_step", "min_time", "max_time")] == [None] * 4


async def test_calls_without_floats_leave_the_tail_too(database: Database) -> None:
    owner = await Tailed.made(database)
    await owner.append({})
    assert await owner.compact() == 0
    assert await owner.length() == 0


async def test_who_logged_what_is_kept(database: Database) -> None:
    owner = await Tailed.made(database)
    await owner.add_series(1)
    other = new_id()
    for number, actor in enumerate([None, None, other, None, other, other]):
        await owner.append({1: points(1, number)}, actor)
        if number % 2:
            await owner.compact()
    async with database.connection() as connection:
        rows = {row["actor_id"]: row for row in await connection.fetch(AUTHORS, owner.owner_id)}
    spans = {actor: [(span.lower, span.upper) for span in row["applied"]] for actor, row in rows.items()}
    assert spans == {owner.actor_id: [(1, 3), (4, 5)], other: [(3, 4), (5, 7)]}
    assert [rows[other][name] for name in ("first_at", "last_at")] == [NOW + timedelta(seconds=s) for s in (3, 6)]


async def test_one_object_is_compacted_by_one_at_a_time(database: Database) -> None:
    owner = await Tailed.made(database)
    await owner.add_series(1)
    await owner.append({1: points(5, 1)})
    async with database.transaction() as connection:
        await rewriting.alone(connection, owner.owner_id)
        assert await owner.compact() == 0
    assert sum(await asyncio.gather(*(owner.compact() for _ in range(5)))) == 5
    await owner.check()


async def test_appends_and_reads_go_on_meanwhile(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every reader sees all that was there when it began, in order, none twice; nobody waits for anybody."""
    monkeypatch.setattr(compact, "MOST", 3_000)
    owner = await Tailed.made(database)
    await owner.add_series(1, 2)
    is_over = False

    async def compacting() -> None:
        while not is_over:
            await owner.compact()
            await asyncio.sleep(0.005)

    async def reading() -> None:
        while not is_over:
            before = {id_: len(rows) for id_, rows in owner.logged.items()}
            seen = await owner.read()
            for id_, rows in seen.items():
                assert len(rows) >= before[id_]
                assert rows == [row[:3] for row in owner.logged[id_][: len(rows)]]
            await asyncio.sleep(0.005)

    others = [asyncio.create_task(work()) for work in (compacting, compacting, reading, reading)]
    for number in range(120):
        await owner.append({1: points(number % 5 * 50 + 1, number), 2: points(100, 1_000 + number, "wild")})
        assert all(not other.done() for other in others)
    is_over = True
    await asyncio.gather(*others)
    await owner.compact()
    assert await owner.length() == 0
    await owner.check()


async def test_one_that_is_broken_off_leaves_all_as_it_was(
    dsn: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compact, "MOST", 2_000)
    chance = random.Random(7)
    owner = await Tailed.made(database)
    await owner.add_series(1, 2, 3)
    for number in range(40):
        await owner.append({id_: points(150, number * id_) for id_ in (1, 2, 3)})
        if number % 4 == 3:
            work = asyncio.create_task(owner.compact())
            await asyncio.sleep(chance.random() * 0.03)
            await break_off(work, dsn, by_server=number % 8 == 3)
            await check_once_connected(owner)
    await owner.compact()
    await owner.check()


async def check_once_connected(owner: Tailed) -> None:
    """Of a connection that was ended, the driver may learn only when it is used: that use is refused, and no other."""
    for _ in range(10):  # as many as the pool has
        with contextlib.suppress(Unavailable):
            await owner.check()
            return
    raise AssertionError("none of the connections is of use")


async def break_off(work: asyncio.Task[int], dsn: str, *, by_server: bool) -> None:
    if by_server:
        async with connected(dsn) as server:
            await server.execute(TERMINATE)
    else:
        work.cancel()
    with contextlib.suppress(Exception, asyncio.CancelledError):
        await work


# --- What is due ---


@pytest.mark.parametrize(
    ("calls", "count", "age", "is_due"),
    [
        (compaction.ROWS - 1, 1, 0, False),
        (compaction.ROWS, 1, 0, True),
        (5, 9_999, 0, False),
        (6, 9_999, 0, True),
        (1, 1, 590, False),
        (1, 1, 601, True),
    ],
)
async def test_a_tail_is_due_when_it_is_long_or_old(
    database: Database, calls: int, count: int, age: int, is_due: bool
) -> None:
    owner, other = await Tailed.made(database), await Tailed.made(database)
    for one in (owner, other):
        await one.add_series(1)
    for number in range(calls):
        await owner.append({1: points(count, number)})
    await other.append({1: points(1, 1)})
    now = NOW + timedelta(seconds=1 + age)
    async with database.connection() as connection:
        await connection.execute("UPDATE metric_batch SET recorded_at = $1 WHERE owner_id = $2", now, other.owner_id)
    found = await compaction.find(database, now)
    assert found == ([f"{owner.tenant_id.hex}/{owner.owner_id.hex}"] if is_due else [])
    for piece in found:
        assert await compaction.do(database, piece, now) == calls * count
    assert await compaction.find(database, now) == []


FINISHED = """
    INSERT INTO experiment (tenant_id, id, namespace_id, created_at, created_by, updated_at, name, status, started_at)
    VALUES ($1, $2, $3, now(), $4, now(), 'e', $5, now())
"""


@pytest.mark.parametrize(("status", "is_due"), [("RUNNING", False), ("STALLED", False), ("FAILED", True)])
async def test_the_tail_of_an_experiment_that_ended_is_soon_due(database: Database, status: str, is_due: bool) -> None:
    owner = await Tailed.made(database)
    await owner.add_series(1)
    await owner.append({1: points(1, 1)})
    values = (owner.tenant_id, owner.owner_id, owner.namespace_id, owner.actor_id, status)
    async with database.connection() as connection:
        await connection.execute(FINISHED, *values)
    assert await compaction.find(database, NOW + timedelta(seconds=20)) == []
    assert bool(await compaction.find(database, NOW + timedelta(seconds=45))) is is_due


async def test_each_of_many_is_found(postgres: Postgres) -> None:
    async with postgres.new_connections() as database:
        owners = [await Tailed.made(database) for _ in range(20)]
        for owner in owners:
            await owner.add_series(1)
            for number in range(3):
                await owner.append({1: points(1, number)})
        found = await compaction.find(database, NOW + timedelta(hours=1))
        assert sorted(found) == sorted(f"{owner.tenant_id.hex}/{owner.owner_id.hex}" for owner in owners)
        for piece in found[:10]:
            await compaction.do(database, piece, NOW)
        assert len(await compaction.find(database, NOW + timedelta(hours=1))) == 10
