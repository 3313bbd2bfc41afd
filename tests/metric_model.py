"""The figures of a series by their definitions, from all its points at once: what the kept ones must equal."""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from uuid import UUID

from db.engine import Database
from db.metrics.columns import NONE, Columns
from db.metrics.instant import moment
from db.metrics.segment import decode as decode_segment
from db.metrics.tail import decode as decode_tail


@dataclass(frozen=True)
class Point:
    """One value of a series of floats."""

    step: int | None = None
    wall_time: datetime | None = None
    number: float | None = None


@dataclass(frozen=True)
class Defined:
    """The figures of a series."""

    count: int
    non_finite_count: int
    first_step: int | None
    last_step: int | None
    first_at: datetime | None
    last_at: datetime | None
    first: float | None
    last: float | None
    min: float | None
    min_step: int | None
    max: float | None
    max_step: int | None
    mean: float | None


STORED = """
    SELECT data, series_id, position FROM metric_segment WHERE owner_id = $1
    UNION ALL SELECT data, NULL, seq FROM metric_batch WHERE owner_id = $1
    ORDER BY series_id, position
"""
KEYS = "SELECT id, key FROM series WHERE owner_id = $1"


async def stored(database: Database, owner: str) -> dict[str, list[Point]]:
    """The points of an object's series as they lie in segments and in the tail, in order of arrival, by key.

    `owner` is the 32 hexadecimal digits of its id.
    """
    found: dict[str, list[Point]] = defaultdict(list)
    async with database.connection() as connection:
        keys = {row["id"]: row["key"] for row in await connection.fetch(KEYS, UUID(owner))}
        rows = await connection.fetch(STORED, UUID(owner))
    for row in rows:
        if row["series_id"] is not None:
            columns, _ = decode_segment(row["data"])
            assert row["position"] == len(found[keys[row["series_id"]]])
            found[keys[row["series_id"]]] += points_of(columns)
            continue
        tail = decode_tail(row["data"])
        points = points_of(tail.columns)
        for id_, count in zip(tail.ids.tolist(), tail.counts.tolist(), strict=True):
            found[keys[id_]] += points[:count]
            points = points[count:]
    return found


def points_of(columns: Columns) -> list[Point]:
    """Columns as points."""
    rows = zip(columns.steps.tolist(), columns.times.tolist(), columns.values.tolist(), strict=True)
    return [
        Point(None if step == NONE else step, None if time == NONE else moment(time), value)
        for step, time, value in rows
    ]


def bits(value: float | None) -> bytes | None:
    """All 64 bits of a double, by which −0.0 differs from 0.0; of NaN, which comes as a word, those of one."""
    return None if value is None else struct.pack(">d", math.nan if math.isnan(value) else value)


def defined(points: Sequence[Point]) -> Defined:
    """What `MetricSeries` says of its fields, word by word; the sum rounded once."""
    stepped = [point for point in points if point.step is not None]
    times = [point.wall_time for point in points if point.wall_time is not None]
    steps = [point.step for point in points if point.step is not None]
    first, last = ends(stepped or points)
    finite = [point for point in points if point.number is not None and math.isfinite(point.number)]
    low, high = lowest(finite), highest(finite)
    total = sum((Fraction(point.number or 0) for point in finite), Fraction())
    return Defined(
        count=len(points),
        non_finite_count=sum(point.number is not None for point in points) - len(finite),
        first_step=min(steps, default=None),
        last_step=max(steps, default=None),
        first_at=min(times, default=None),
        last_at=max(times, default=None),
        first=first,
        last=last,
        min=low.number if low else None,
        min_step=low.step if low else None,
        max=high.number if high else None,
        max_step=high.step if high else None,
        mean=rounded(total / len(finite)) if finite else None,
    )


def ends(points: Sequence[Point]) -> tuple[float | None, float | None]:
    """The values with the least and the greatest step; of equals the oldest and the newest."""
    first, last = points[0], points[0]
    for point in points:
        if (point.step or 0) < (first.step or 0):
            first = point
        if (point.step or 0) >= (last.step or 0):
            last = point
    return first.number, last.number


def lowest(points: Sequence[Point]) -> Point | None:
    found: Point | None = None
    for point in points:
        if found is None or (point.number or 0) < (found.number or 0):
            found = point
    return found


def highest(points: Sequence[Point]) -> Point | None:
    found: Point | None = None
    for point in points:
        if found is None or (point.number or 0) > (found.number or 0):
            found = point
    return found


def rounded(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
