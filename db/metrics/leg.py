"""A resumption leaves points behind: those with a later step go from the line's series into others of the same key.

The line is leg 0, always; what the n-th resumption leaves is leg n. Points keep their numbers in the feed, so cursors
stay good, and a retry of what was left behind is still known. Nothing is decoded but segments that hold both, and those
behind them that stay; segments past the step change their series, and all say of themselves what figures need.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeGuard
from uuid import UUID

import asyncpg

from db.metrics import leg_figures, leg_opaque
from db.metrics.leg_figures import At, One
from db.metrics.leg_split import Side, Split
from db.metrics.segment import SIZE
from db.metrics.stretch import COLUMNS
from db.metrics.summary import PAST_SQL

AT_ONCE: Final = 48
"""Segments that are taken apart at once: what bounds memory."""

PAGE: Final = 4_096
"""Figures of segments that are read at once."""

EVERYWHERE: Final = 2**63 - 1

PLAN: Final = f"""
    SELECT s.id, s.key, s.first_step, s.first, s.last, g.is_whole, t.touched, t.moved, g.rolled
    FROM series s CROSS JOIN LATERAL (
        SELECT coalesce(max(position) FILTER (WHERE data IS NULL), -1) AS rolled, bool_and({PAST_SQL}) AS is_whole
        FROM metric_segment WHERE tenant_id = $1 AND owner_id = $2 AND series_id = s.id
    ) g CROSS JOIN LATERAL (
        SELECT min(position) FILTER (WHERE position > g.rolled AND max_step > $3) AS touched,
            count(*) FILTER (WHERE position <= g.rolled AND {PAST_SQL}) AS moved
        FROM metric_segment WHERE tenant_id = $1 AND owner_id = $2 AND series_id = s.id
    ) t
    WHERE s.tenant_id = $1 AND s.owner_id = $2 AND s.leg = 0 AND s.kind = 'FLOAT' AND s.last_step > $3
    ORDER BY s.id
"""
"""The series with points past a step. Up to the last segment that was rolled up they go or stay segment by segment:
`moved` go. Behind it they are taken apart from `touched` on, but for those that go whole. `is_whole`: all points are
past the step."""

RELABEL: Final = """
    WITH whole AS (
        UPDATE series SET leg = $4, updated_at = $5
        WHERE tenant_id = $1 AND owner_id = $2 AND key = ANY($3) AND leg = 0 RETURNING id
    ), points AS (
        UPDATE opaque_point SET leg = $4
        WHERE tenant_id = $1 AND owner_id = $2 AND series_id IN (SELECT id FROM whole)
    )
    UPDATE metric_segment SET leg = $4
    WHERE tenant_id = $1 AND owner_id = $2 AND series_id IN (SELECT id FROM whole)
"""
"""Series leave the line whole."""

MOVE: Final = f"""
    UPDATE metric_segment g SET series_id = m.left_id, position = m.place, leg = $7
    FROM (
        SELECT series_id, position, left_id,
            (row_number() OVER (PARTITION BY series_id ORDER BY position) - 1) * {SIZE} AS place
        FROM unnest($4::bigint[], $5::bigint[], $6::bigint[]) AS w(series_id, left_id, rolled)
        JOIN metric_segment USING (series_id)
        WHERE tenant_id = $1 AND owner_id = $2 AND position <= w.rolled AND {PAST_SQL}
    ) m
    WHERE g.tenant_id = $1 AND g.owner_id = $2 AND g.series_id = m.series_id AND g.position = m.position
"""
"""Segments leave the line whole. They are full: only a last one is not, and that is never rolled up."""

CLOSE_UP: Final = f"""
    UPDATE metric_segment g SET position = -1 - m.place
    FROM (
        SELECT series_id, position, (row_number() OVER (PARTITION BY series_id ORDER BY position) - 1) * {SIZE} AS place
        FROM metric_segment WHERE tenant_id = $1 AND owner_id = $2 AND series_id = ANY($3)
    ) m
    WHERE g.tenant_id = $1 AND g.owner_id = $2 AND g.series_id = m.series_id AND g.position = m.position
        AND m.place <> m.position
"""
"""Others take their places, for a moment below zero: where one goes another may still be."""

SETTLE: Final = """
    UPDATE metric_segment SET position = -1 - position
    WHERE tenant_id = $1 AND owner_id = $2 AND series_id = ANY($3) AND position < 0
"""

_BEHIND: Final = """
    FROM metric_segment s JOIN unnest($4::bigint[], $5::bigint[]) AS w(series_id, touched) USING (series_id)
    WHERE s.tenant_id = $1 AND s.owner_id = $2 AND s.position >= w.touched
"""

TOUCHED: Final = f"""
    SELECT s.series_id, s.position, s.recorded_until, s.data {_BEHIND} AND NOT {PAST_SQL}
    ORDER BY s.series_id, s.position
"""
"""Segments to take apart."""

WHOLE: Final = f"SELECT s.series_id, s.position {_BEHIND} AND {PAST_SQL} ORDER BY s.series_id, s.position"
"""Segments among them that go whole."""

PUT: Final = """
    UPDATE metric_segment g SET series_id = m.left_id, position = m.place, leg = $3
    FROM unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[]) AS m(series_id, position, left_id, place)
    WHERE g.tenant_id = $1 AND g.owner_id = $2 AND g.series_id = m.series_id AND g.position = m.position
"""
"""They take their places in other series."""

REMOVE: Final = """
    DELETE FROM metric_segment s USING unnest($3::bigint[], $4::bigint[]) AS known(series_id, position)
    WHERE s.tenant_id = $1 AND s.owner_id = $2 AND s.series_id = known.series_id AND s.position = known.position
"""

KEPT: Final = """
    SELECT s.series_id, s.position, s.summary FROM metric_segment s
    JOIN unnest($3::bigint[], $4::bigint[]) AS w(series_id, before) USING (series_id)
    WHERE s.tenant_id = $1 AND s.owner_id = $2 AND s.position < w.before ORDER BY s.series_id, s.position
"""
"""What segments that were not made of points here know of themselves."""

ENDS: Final = """
    SELECT s.series_id, s.position, s.data, s.parts FROM metric_segment s
    JOIN unnest($3::bigint[], $4::bigint[]) AS w(series_id, position) USING (series_id, position)
    WHERE s.tenant_id = $1 AND s.owner_id = $2
"""

_NAMES: Final = [f'"{name}"' for name in One._fields]

REVISE: Final = f"""
    UPDATE series SET updated_at = $4, {", ".join(f"{name} = ${n}" for n, name in enumerate(_NAMES, 5))}
    WHERE tenant_id = $1 AND owner_id = $2 AND key = $3 AND leg = 0
"""
"""The line's figures of a key."""

LEAVE: Final = f"""
    INSERT INTO series (tenant_id, owner_id, key, namespace_id, kind, updated_at, {", ".join(_NAMES)}, leg, id)
    SELECT tenant_id, owner_id, key, namespace_id, kind, $4,
        {", ".join(f"${n}" for n in range(5, 7 + len(_NAMES)))}
    FROM series WHERE tenant_id = $1 AND owner_id = $2 AND key = $3 AND leg = 0
"""
"""The series of what was left behind of a key."""


@dataclass(frozen=True, slots=True)
class Divided:
    """A series of the line that loses points to another. `touched` is where it is taken apart from, if it is.

    `first` is the value with the least step, `last` that with the greatest, before.
    """

    id: int
    key: str
    left_id: int
    moved: int
    rolled: int
    touched: int | None
    first_step: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Leaving:
    """One resumption: points of an object past `step` become leg `number`.

    The caller is alone at the object's points, holds its series, and has compacted its tail.
    """

    connection: asyncpg.Connection[Any]
    tenant_id: UUID
    owner_id: UUID
    step: int
    number: int
    now: datetime

    async def run(self) -> None:
        """Move them."""
        plan = await self._fetch(PLAN, self.step)
        opaque = await self._fetch(leg_opaque.PLAN, self.step)
        whole = [row["key"] for row in (*plan, *opaque) if row["is_whole"]]
        await self._execute(RELABEL, whole, self.number, self.now)
        await self._divide([_divided(row) for row in plan if not row["is_whole"]])
        await self._divide_opaque({row["id"]: row["key"] for row in opaque if not row["is_whole"]})

    async def _divide(self, series: Sequence[Divided]) -> None:
        series = [one for one in series if one.moved or one.touched is not None]
        if not series:
            return
        await self._move_whole([one for one in series if one.moved])
        left = {one.id: Side(one.left_id, one.moved * SIZE) for one in series}
        line = {one.id: Side(one.id, _begin(one)) for one in series if one.touched is not None}
        await self._take_apart(split := Split(self.step, line, left, await self._whole(line)))
        bounds = {one.id: _begin(one) for one in series} | {one.left_id: EVERYWHERE for one in series}
        found = await self._with_ends(self._ends_known(series, await self._with_kept(bounds, split.figures)))
        await self._write([(one.key, found.get(one.id), found.get(one.left_id), one.left_id) for one in series])

    async def _move_whole(self, series: Sequence[Divided]) -> None:
        if series:
            ids = [one.id for one in series]
            places = ([one.left_id for one in series], [one.rolled for one in series])
            await self._execute(MOVE, self.step, ids, *places, self.number)
            await self._execute(CLOSE_UP, ids)
            await self._execute(SETTLE, ids)

    async def _whole(self, line: Mapping[int, Side]) -> dict[int, deque[int]]:
        found: dict[int, deque[int]] = defaultdict(deque)
        begins = [side.position for side in line.values()]
        for row in await self._fetch(WHOLE, self.step, [*line], begins):
            found[row["series_id"]].append(row["position"])
        return found

    async def _take_apart(self, split: Split) -> None:
        """A cursor sees what was there when it was opened, whatever is written meanwhile."""
        begins = [side.position for side in split.line.values()]
        async for rows in self._pages(TOUCHED, AT_ONCE, self.step, [*split.line], begins):
            segments = await asyncio.to_thread(split.segments, rows, is_end=False)
            await self._execute(REMOVE, [row["series_id"] for row in rows], [row["position"] for row in rows])
            await self._put(split, segments)
        await self._put(split, await asyncio.to_thread(split.segments, [], is_end=True))

    async def _put(self, split: Split, segments: Iterable[tuple[Any, ...]]) -> None:
        """What goes whole first: where it was, what stays is written."""
        if split.moves:
            await self._execute(PUT, self.number, *map(list, zip(*split.moves, strict=True)))
            split.moves.clear()
        await self._copy(segments, {side.series_id: self.number for side in split.left.values()})

    async def _copy(self, segments: Iterable[tuple[Any, ...]], legs: Mapping[int, int]) -> None:
        await self.connection.copy_records_to_table(
            "metric_segment",
            columns=("tenant_id", "owner_id", "leg", *COLUMNS),
            records=[(self.tenant_id, self.owner_id, legs.get(row[0], 0), *row) for row in segments],
        )

    async def _with_kept(self, before: Mapping[int, int], more: Mapping[int, One]) -> dict[int, One]:
        """The figures of all points of each series: those in front of a position know themselves."""
        found: dict[int, One] = {}
        async for rows in self._pages(KEPT, PAGE, [*before], [*before.values()]):
            for row in rows:
                one = leg_figures.of_segment(row)
                known = found.get(row["series_id"])
                found[row["series_id"]] = one if known is None else leg_figures.merged(known, one)
        for id_, one in more.items():
            found[id_] = leg_figures.merged(found[id_], one) if id_ in found else one
        return found

    def _ends_known(self, series: Sequence[Divided], found: dict[int, One]) -> dict[int, One]:
        """The same with the ends that stay what they were. What was rolled up has not kept them itself."""
        for one in series:
            first_of = one.id if one.first_step <= self.step else one.left_id
            if first_of in found:
                found[first_of] = found[first_of]._replace(first=one.first)
            if one.left_id in found:
                found[one.left_id] = found[one.left_id]._replace(last=one.last)
        return found

    async def _with_ends(self, found: dict[int, One]) -> dict[int, One]:
        """The same with the first and the last value in the place of where they are."""
        wanted = [(id_, at.position) for id_, one in found.items() for at in {one.first, one.last} if _is_place(at)]
        for begin in range(0, len(wanted), AT_ONCE):
            columns = zip(*wanted[begin : begin + AT_ONCE], strict=True)
            for row in await self._fetch(ENDS, *columns):
                here, (first, last) = At(row["position"]), leg_figures.ends_of(row)
                one = found[row["series_id"]]
                one = one._replace(first=first) if one.first == here and _is_place(one.first) else one
                found[row["series_id"]] = one._replace(last=last) if _is_place(one.last) and one.last == here else one
        return found

    async def _divide_opaque(self, keys: Mapping[int, str]) -> None:
        if not keys:
            return
        left = {id_: random.getrandbits(63) for id_ in keys}
        await self._execute(leg_opaque.MOVE, self.step, [*left], [*left.values()], self.number)
        await self._execute(leg_opaque.CLOSE_UP, [*keys])
        await self._execute(leg_opaque.SETTLE, [*keys])
        rows = await self._fetch(leg_opaque.FIGURES, [*left, *left.values()])
        found = {row["series_id"]: leg_opaque.figures_of(row) for row in rows}
        await self._write([(key, found[id_], found[left[id_]], left[id_]) for id_, key in keys.items()])

    async def _write(self, series: Iterable[tuple[str, One | None, One | None, int]]) -> None:
        """Of each key, the figures on the line and of what was left behind, and the series that has that."""
        who = (self.tenant_id, self.owner_id)
        line, left = [], []
        for key, stays, leaves, left_id in series:
            if stays is not None and leaves is not None:
                line.append((*who, key, self.now, *stays.values()))
                left.append((*who, key, self.now, *leaves.values(), self.number, left_id))
        await self.connection.executemany(LEAVE, left)
        await self.connection.executemany(REVISE, line)

    async def _pages(self, statement: str, size: int, *arguments: Any) -> AsyncIterator[list[asyncpg.Record]]:
        cursor = await self.connection.cursor(statement, self.tenant_id, self.owner_id, *arguments)
        while rows := await cursor.fetch(size):
            yield rows

    async def _fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        return list(await self.connection.fetch(statement, self.tenant_id, self.owner_id, *arguments))

    async def _execute(self, statement: str, *arguments: Any) -> None:
        await self.connection.execute(statement, self.tenant_id, self.owner_id, *arguments)


def _is_place(value: Any) -> TypeGuard[At]:
    return isinstance(value, At)


def _divided(row: Mapping[str, Any]) -> Divided:
    known = (row[name] for name in ("moved", "rolled", "touched", "first_step", "first", "last"))
    return Divided(row["id"], row["key"], random.getrandbits(63), *known)


def _begin(one: Divided) -> int:
    """From where a series is taken apart, once whole segments have left it."""
    return EVERYWHERE if one.touched is None else one.touched - one.moved * SIZE
