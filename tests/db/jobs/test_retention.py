"""Raw points are rolled up where a namespace says so, when they are old, and their figures stay."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from db.engine import Database
from db.jobs import retention
from db.metrics import read, rewriting
from db.metrics.columns import Columns
from db.metrics.read import Sample, Sampled
from db.metrics.segment import SIZE
from db.metrics.stream import stream_of
from tests.db.metrics.tailed import NOW, Tailed
from tests.jobs import done

SET = "UPDATE namespace SET raw_metric_days = $2 WHERE id = $1"
PUT_BELOW = "UPDATE namespace SET lineage = ARRAY[$2, $1], root_id = $2 WHERE id = $1"
HEAD = "INSERT INTO stream_head (tenant_id, stream_id, seq) VALUES ($1, $2, 100)"
MIN_SEQ = "SELECT min_seq FROM stream_head WHERE stream_id = $1"
LATER = NOW + timedelta(days=30, hours=1)


def walk(count: int, seed: int) -> Columns:
    steps = np.arange(count, dtype=np.int64) + seed * count
    return Columns(steps, steps * 1_000_000, np.random.default_rng(seed).standard_normal(count))


async def compacted(database: Database, count: int = 3 * SIZE) -> Tailed:
    """An object with that many points in segments of which the last is not full, logged at two times."""
    owner = await Tailed.made(database)
    await owner.add_series(1)
    for number in range(12):
        await owner.append({1: walk(count // 12 + 1, number)})
    await owner.compact()
    async with database.connection() as connection:
        await connection.execute(HEAD, owner.tenant_id, stream_of(owner.owner_id))
    return owner


async def set_days(database: Database, namespace_id: Any, days: int | None) -> None:
    async with database.connection() as connection:
        await connection.execute(SET, namespace_id, days)


async def rolled(owner: Tailed) -> list[bool]:
    return [row["data"] is None for row in await owner.segments()]


async def roll_up(database: Database, now: Any = LATER) -> int:
    return await done(retention.find, retention.roll_up, database, now)


async def test_nothing_is_rolled_up_unless_somebody_says_so(database: Database) -> None:
    owner = await compacted(database)
    assert await roll_up(database, NOW + timedelta(days=40_000)) == 0
    assert await rolled(owner) == [False] * 4


async def test_full_segments_that_are_old_lose_their_points(database: Database) -> None:
    owner, other = await compacted(database), await compacted(database)
    await set_days(database, owner.namespace_id, 30)
    before = [dict(row, data=None) for row in await owner.segments()]
    assert await roll_up(database, NOW + timedelta(days=30)) == 0
    with capture_logs() as lines:
        assert await roll_up(database) == 3
    [line] = lines
    assert (line["event"], line["owner"], line["segments"], line["points"]) == (
        "raw metrics rolled up",
        owner.owner_id,
        3,
        3 * SIZE,
    )
    assert await rolled(owner) == [True, True, True, False]
    assert [dict(row, data=None) for row in await owner.segments()] == before
    assert await rolled(other) == [False] * 4
    assert await roll_up(database) == 0


async def test_samples_show_the_figures_that_stayed(database: Database) -> None:
    owner = await compacted(database)
    await set_days(database, owner.namespace_id, 1)
    asked = Sample(owner.owner_id, 1, 24, "MINMAX")
    before = await sampled(database, owner, asked)
    await roll_up(database)
    after = await sampled(database, owner, asked)
    assert after.columns.values.tolist() == before.columns.values.tolist()  # type: ignore[union-attr]
    assert after.raw_count == before.raw_count


async def sampled(database: Database, owner: Tailed, asked: Sample) -> Sampled:
    async with database.transaction() as connection:
        [found] = await read.read(connection, owner.tenant_id, [asked])
    assert isinstance(found, Sampled), found
    return found


async def test_cursors_to_what_is_gone_expire(database: Database) -> None:
    owner = await compacted(database)
    await set_days(database, owner.namespace_id, 30)
    await roll_up(database)
    last = [row["last_seq"] for row in await owner.segments()]
    async with database.connection() as connection:
        assert await connection.fetchval(MIN_SEQ, stream_of(owner.owner_id)) == last[2]


@pytest.mark.parametrize(("own", "above", "is_due"), [(None, 30, True), (31, 30, False), (30, 31, True)])
async def test_the_nearest_setting_holds(database: Database, own: int | None, above: int, is_due: bool) -> None:
    owner, root = await compacted(database), await Tailed.made(database)
    async with database.connection() as connection:
        await connection.execute(PUT_BELOW, owner.namespace_id, root.namespace_id)
    await set_days(database, owner.namespace_id, own)
    await set_days(database, root.namespace_id, above)
    assert bool(await roll_up(database)) is is_due


async def test_a_setting_that_was_taken_away_meanwhile(database: Database) -> None:
    owner = await compacted(database)
    await set_days(database, owner.namespace_id, 30)
    [piece] = await retention.find(database, LATER)
    await set_days(database, owner.namespace_id, None)
    assert await retention.roll_up(database, piece, LATER) == 0
    assert await rolled(owner) == [False] * 4


async def test_more_than_one_batch_and_alone(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    owner = await compacted(database)
    await set_days(database, owner.namespace_id, 30)
    async with database.transaction() as connection:
        await rewriting.alone(connection, owner.owner_id)
        assert await roll_up(database) == 0
    assert await roll_up(database) == 3


async def test_what_comes_later_is_compacted_behind_it(database: Database) -> None:
    owner = await compacted(database)
    await set_days(database, owner.namespace_id, 30)
    await roll_up(database)
    await owner.append({1: walk(SIZE, 99)})
    await owner.compact()
    counts = [row["count"] for row in await owner.segments()]
    assert counts == [SIZE] * 4 + [sum(map(len, owner.logged.values())) - 4 * SIZE]
    assert await rolled(owner) == [True] * 3 + [False] * 2
