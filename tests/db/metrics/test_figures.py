"""The figures of a series, added to lot by lot in the database, against their definitions over all points."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.access import Role, local_caller
from db.engine import Database
from db.metrics import series_rows
from db.metrics.batch import Batch
from db.metrics.columns import NONE, Columns
from db.metrics.instant import microseconds
from db.metrics.lot import gathered
from db.metrics.series_part import Opaque
from db.transaction import Transaction
from tests.metric_model import Point, bits, defined

STEPS = st.none() | st.integers(-3, 3) | st.integers(-(2**53) + 1, 2**53 - 1)
TIMES = st.none() | st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
EXTREMES = [0.0, -0.0, 5e-324, -5e-324, 1e-308, 1.7976931348623157e308, -1.7976931348623157e308]
NUMBERS = st.floats() | st.sampled_from(EXTREMES)
CHUNKS = st.lists(st.lists(st.builds(Point, STEPS, TIMES, NUMBERS), min_size=1, max_size=6), min_size=1, max_size=6)
IN_DATABASE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
EXACT = [name for name in asdict(defined([Point(number=0.0)])) if name != "mean"]


@dataclass(frozen=True)
class Owned:
    batch: Batch
    owner_id: UUID


@dataclass
class Kept:
    """Adds lots to series of its own and reads what was kept."""

    tx: Transaction
    home: UUID
    keys: Any

    async def __call__(self, chunks: Sequence[Sequence[Point]], kind: str = "FLOAT") -> dict[str, Any]:
        key = f"k{next(self.keys)}"
        for chunk in chunks:
            lot = gathered([Owned(batch_of(key, chunk, kind), self.home)])
            await series_rows.add(self.tx, lot, [self.home])
        row = await self.tx.fetchrow("SELECT * FROM series WHERE tenant_id = $1 AND key = $2", key)
        assert row is not None
        return dict(row)


def batch_of(key: str, points: Sequence[Point], kind: str) -> Batch:
    if kind != "FLOAT":
        opaque = Opaque(key, kind, [(point.step, point.wall_time, "x") for point in points])
        none = np.zeros(0, np.int64)
        return Batch("", ("input",), [], none, Columns(none, none, np.zeros(0)), [opaque])
    columns = Columns(
        np.array([NONE if point.step is None else point.step for point in points], np.int64),
        np.array([NONE if point.wall_time is None else microseconds(point.wall_time) for point in points], np.int64),
        np.array([point.number for point in points], np.float64),
    )
    return Batch("", ("input",), [key], np.array([len(points)], np.int64), columns)


@pytest.fixture
async def kept(database: Database) -> AsyncIterator[Kept]:
    caller = await local_caller(database)
    async with database.transaction() as connection:
        tx = Transaction(connection, caller, Role.WRITER, "test")
        home = caller.actor_id
        await connection.execute(
            "INSERT INTO object (tenant_id, id, kind, namespace_id, container_ids, name)"
            " VALUES ($1, $2, 'NAMESPACE', $2, '{}', 'n')",
            *(caller.tenant_id, home),
        )
        yield Kept(tx, home, count())


@given(CHUNKS)
@IN_DATABASE
async def test_figures_are_what_their_descriptions_say(kept: Kept, chunks: list[list[Point]]) -> None:
    points = [point for chunk in chunks for point in chunk]
    known, expected = await kept(chunks), asdict(defined(points))
    for name in EXACT:
        one, other = known[name], expected[name]
        assert (bits(one) == bits(other)) if isinstance(other, float) else (one == other), name


@given(CHUNKS)
@IN_DATABASE
async def test_the_mean_is_right_even_where_the_sum_is_beyond_a_double(kept: Kept, chunks: list[list[Point]]) -> None:
    points = [point for chunk in chunks for point in chunk]
    known, expected = await kept(chunks), defined(points)
    if expected.mean is None:
        assert known["mean"] is None
        return
    largest = max(abs(known["min"]), abs(known["max"]))
    assert math.isclose(known["mean"], expected.mean, rel_tol=1e-12, abs_tol=max(largest * 1e-14, 1e-322))


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 20))
@IN_DATABASE
async def test_the_mean_of_equal_values_is_that_value(kept: Kept, value: float, count: int) -> None:
    assert (await kept([[Point(number=value)] * count, [Point(number=value)]]))["mean"] == value


@given(st.lists(st.lists(st.builds(Point, STEPS, TIMES), min_size=1, max_size=6), min_size=1, max_size=3))
@IN_DATABASE
async def test_strings_have_counts_steps_and_times_only(kept: Kept, chunks: list[list[Point]]) -> None:
    points = [point for chunk in chunks for point in chunk]
    figures = await kept(chunks, "STRING")
    assert figures["count"] == len(points)
    assert figures["first_step"] == min((p.step for p in points if p.step is not None), default=None)
    assert figures["last_at"] == max((p.wall_time for p in points if p.wall_time is not None), default=None)
    assert {figures[name] for name in ("first", "last", "min", "max", "mean", "min_step")} == {None}
    assert figures["non_finite_count"] == 0
