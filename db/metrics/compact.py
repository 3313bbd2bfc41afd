"""An object's tail becomes segments: what many calls logged, sorted into series and compressed.

One transaction takes rows from the tail's begin, writes each series' last segment anew until it is full, and deletes
the rows. Who reads in one snapshot sees each point once, before and after. Appends need none of what is locked here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg

from db.engine import Database
from db.metrics import rewriting
from db.metrics.segment import SIZE
from db.metrics.stretch import COLUMNS, Grown, Sorted, sorted_into_series, written

MOST: Final = 200_000
"""Points that a transaction moves, but for its last row's: what bounds memory, and how long a backup waits for it."""

MOST_ROWS: Final = 4_096

TAIL: Final = """
    SELECT seq, leg, recorded_at, point_count, data FROM (
        SELECT *, sum(point_count) OVER (ORDER BY seq) - point_count AS before FROM (
            SELECT seq, leg, recorded_at, point_count, data FROM metric_batch
            WHERE tenant_id = $1 AND owner_id = $2 ORDER BY seq LIMIT $4
        ) oldest
    ) counted WHERE before < $3 ORDER BY seq
"""
"""The oldest rows of the tail."""

SERIES: Final = "SELECT id, leg FROM series WHERE tenant_id = $1 AND owner_id = $2"

ENDS: Final = """
    SELECT e.* FROM unnest($3::bigint[]) AS wanted(id) CROSS JOIN LATERAL (
        SELECT series_id, position, count FROM metric_segment s
        WHERE s.tenant_id = $1 AND s.owner_id = $2 AND s.series_id = wanted.id ORDER BY position DESC LIMIT 1
    ) e
"""
"""The last segment of each series."""

OPEN: Final = """
    SELECT s.series_id, s.position, s.recorded_until, s.data FROM metric_segment s
    JOIN unnest($3::bigint[], $4::bigint[]) AS wanted(series_id, position) USING (series_id, position)
    WHERE s.tenant_id = $1 AND s.owner_id = $2
"""
"""Segments that are not full yet."""

REMOVE: Final = """
    DELETE FROM metric_segment s USING unnest($3::bigint[], $4::bigint[]) AS known(series_id, position)
    WHERE s.tenant_id = $1 AND s.owner_id = $2 AND s.series_id = known.series_id AND s.position = known.position
"""

AUTHORS: Final = """
    INSERT INTO metric_author AS known (tenant_id, owner_id, actor_id, applied, first_at, last_at)
    SELECT tenant_id, owner_id, actor_id, range_agg(int8range(seq, seq + 1)), min(recorded_at), max(recorded_at)
    FROM metric_batch WHERE tenant_id = $1 AND owner_id = $2 AND seq BETWEEN $3 AND $4 AND actor_id IS NOT NULL
    GROUP BY tenant_id, owner_id, actor_id
    ON CONFLICT (tenant_id, owner_id, actor_id) DO UPDATE SET applied = known.applied + excluded.applied,
        first_at = least(known.first_at, excluded.first_at), last_at = greatest(known.last_at, excluded.last_at)
"""
"""Keep who logged the rows that go."""

DROP: Final = "DELETE FROM metric_batch WHERE tenant_id = $1 AND owner_id = $2 AND seq BETWEEN $3 AND $4"


async def compact(database: Database, tenant_id: UUID, owner_id: UUID) -> int:
    """Move the points of an object's tail into segments; returns how many.

    It stops when what is left is little, or when another process is at this object. Calls to numpy and zlib are
    made in a thread, so that requests are served meanwhile.
    """
    total = 0
    while True:
        async with database.transaction() as connection:
            moved = await _Pass(connection, tenant_id, owner_id).run()
        total += moved.points
        if not moved.is_full:
            return total


async def compact_within(connection: asyncpg.Connection[Any], tenant_id: UUID, owner_id: UUID) -> None:
    """The same in a transaction of the caller's, who is alone at the object: all that the tail has is moved."""
    while (await _Pass(connection, tenant_id, owner_id).run()).is_full:
        pass


@dataclass(frozen=True, slots=True)
class _Moved:
    points: int = 0
    is_full: bool = False


@dataclass(frozen=True, slots=True)
class _Pass:
    """One transaction of a compaction."""

    connection: asyncpg.Connection[Any]
    tenant_id: UUID
    owner_id: UUID

    async def run(self) -> _Moved:
        if not await rewriting.is_alone(self.connection, self.owner_id):
            return _Moved()
        rows = await self._fetch(TAIL, MOST, MOST_ROWS)
        if not rows:
            return _Moved()
        legs = {row["id"]: row["leg"] for row in await self._fetch(SERIES)}
        found = await asyncio.to_thread(sorted_into_series, rows, list(legs))
        for group in await self._groups(found):
            await self._rewrite(found, group, legs)
        span = rows[0]["seq"], rows[-1]["seq"]
        for statement in (AUTHORS, DROP):
            await self.connection.execute(statement, self.tenant_id, self.owner_id, *span)
        points = sum(row["point_count"] for row in rows)
        return _Moved(points, is_full=points >= MOST or len(rows) == MOST_ROWS)

    async def _fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        return list(await self.connection.fetch(statement, self.tenant_id, self.owner_id, *arguments))

    async def _groups(self, found: Sorted) -> list[list[_Growing]]:
        """The series that grow, in groups of not too many points: one may have thousands of open segments."""
        ends = {row["series_id"]: row for row in await self._fetch(ENDS, found.ids.tolist())}
        growing = [_growing(number, int(id_), ends.get(id_)) for number, id_ in enumerate(found.ids.tolist())]
        return list(_grouped(growing, found))

    async def _rewrite(self, found: Sorted, group: Sequence[_Growing], legs: Mapping[int, int]) -> None:
        partial = [one for one in group if one.is_open]
        places = [one.series_id for one in partial], [one.position for one in partial]
        known = {row["series_id"]: row for row in await self._fetch(OPEN, *places)} if partial else {}
        segments = await asyncio.to_thread(_segments, found, group, known)
        if partial:
            await self.connection.execute(REMOVE, self.tenant_id, self.owner_id, *places)
        await self.connection.copy_records_to_table(
            "metric_segment",
            columns=("tenant_id", "owner_id", "leg", *COLUMNS),
            records=[(self.tenant_id, self.owner_id, legs[row[0]], *row) for row in segments],
        )


@dataclass(frozen=True, slots=True)
class _Growing:
    """A series that gets points: `number` is its place among the sorted, `count` what its open segment has."""

    number: int
    series_id: int
    position: int
    count: int

    @property
    def is_open(self) -> bool:
        return self.count > 0


def _growing(number: int, series_id: int, end: Mapping[str, Any] | None) -> _Growing:
    if end is None:
        return _Growing(number, series_id, 0, 0)
    if end["count"] == SIZE:
        return _Growing(number, series_id, end["position"] + SIZE, 0)
    return _Growing(number, series_id, end["position"], end["count"])


def _grouped(growing: Sequence[_Growing], found: Sorted) -> Iterator[list[_Growing]]:
    group: list[_Growing] = []
    points = 0
    for one in growing:
        size = one.count + found.size(one.number)
        if group and points + size > MOST:
            yield group
            group, points = [], 0
        group.append(one)
        points += size
    if group:
        yield group


def _segments(
    found: Sorted, group: Sequence[_Growing], known: Mapping[int, Mapping[str, Any]]
) -> list[tuple[Any, ...]]:
    """The rows of all segments that the series of a group get."""
    grown = []
    for one in group:
        points = found.stretch(one.number)
        is_new = not one.is_open
        grown.append(Grown(one.series_id, one.position, points) if is_new else Grown.of(known[one.series_id], points))
    return written(grown)
