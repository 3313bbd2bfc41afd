"""What is stored of series, read and put together: segments and the tail are one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import numpy as np

from db.metrics import segment, summary, tail
from db.metrics.columns import NONE, Columns, Ints
from db.metrics.sample import Known, Missing, Points
from db.metrics.want import POINTS_OF, STORED, Form, Level, Want, arguments


class Segment(NamedTuple):
    """A segment as it was read."""

    position: int
    size: int
    level: int
    is_rolled: bool
    body: bytes


class Opaque(NamedTuple):
    """A point of strings or bytes; `time` in microseconds since 1970."""

    position: int
    step: int | None
    time: int | None
    value: str | bytes


@dataclass(slots=True)
class Found:
    """What was found of a want.

    `end` is where the tail begins, or where a series of strings or bytes ends. `is_stepped` tells whether any point
    that is not in the tail has a step; it is looked at for ranges of steps.
    """

    end: int = 0
    is_stepped: bool = False
    segments: dict[int, Segment] = field(default_factory=dict)
    opaque: list[Opaque] = field(default_factory=list)
    tails: Mapping[int, Columns] = field(default_factory=dict)

    @property
    def is_refused(self) -> bool:
        """Whether it was too much."""
        return any(row.level == Level.REFUSED for row in self.segments.values())


async def fetch(connection: asyncpg.Connection[Any], tenant_id: UUID, wants: Sequence[Want]) -> list[Found]:
    """What is stored of each want."""
    owners = list(dict.fromkeys(want.owner_id for want in wants if want.form < Form.OPAQUE_RANGE))
    rows = await connection.fetch(STORED, *arguments(tenant_id, wants, owners))
    found = [Found() for _ in wants]
    batches: dict[UUID, list[tuple[int, bytes]]] = defaultdict(list)
    for kind, number, position, count, level, flag, body, step, time, string, binary in rows:
        if kind == "t":
            batches[owners[number - 1]].append((position, body))
        elif kind == "s":
            found[number - 1].segments[position] = Segment(position, count, level, flag, body)
        elif kind == "e":
            found[number - 1].end, found[number - 1].is_stepped = position, flag
        else:
            found[number - 1].opaque.append(Opaque(position, step, time, binary if string is None else string))
    _put_tails(found, wants, batches)
    return found


async def fetch_points(
    connection: asyncpg.Connection[Any], tenant_id: UUID, missing: Sequence[tuple[Want, Found, Missing]]
) -> None:
    """Put the points of segments in the place of figures that do not suffice."""
    flat = [(number, want, at) for number, (want, _, more) in enumerate(missing) for at in more.positions.tolist()]
    columns = (
        [number for number, _, _ in flat],
        [want.owner_id for _, want, _ in flat],
        [want.series_id for _, want, _ in flat],
        [at for _, _, at in flat],
    )
    for number, *row in await connection.fetch(POINTS_OF, tenant_id, *columns):
        read = Segment(*row)
        missing[number][1].segments[read.position] = read


def work(found: Found) -> int:
    """How many segments there are to decode."""
    return sum(row.level == Level.DATA for row in found.segments.values())


def known(want: Want, found: Found) -> Known:
    """Points and figures of a series, from segments and the tail alike."""
    rows = sorted(found.segments.values())
    decoded = [(row.position, segment.decode(row.body)[0]) for row in rows if row.level == Level.DATA]
    after = found.tails.get(want.series_id)
    if after is not None:
        decoded.append((found.end, after))
    figures = [row for row in rows if row.level != Level.DATA]
    records, counts = summary.unpack([row.body for row in figures])
    begins = np.array([row.position for row in figures], np.int64)
    rolled = np.array([row.is_rolled for row in figures], np.bool_)
    return Known(joined(decoded), summary.moved(records, np.repeat(begins, counts)), np.repeat(rolled, counts))


def joined(decoded: Sequence[tuple[int, Columns]]) -> Points:
    """Stretches of points, each with the position of its first, in order."""
    positions = [np.arange(at, at + len(columns), dtype=np.int64) for at, columns in decoded]
    return Points(_concatenated(positions, np.int64), columns_of([columns for _, columns in decoded]))


def columns_of(several: Sequence[Columns]) -> Columns:
    """One behind the other."""
    if len(several) == 1:
        return several[0]
    return Columns(
        _concatenated([columns.steps for columns in several], np.int64),
        _concatenated([columns.times for columns in several], np.int64),
        _concatenated([columns.values for columns in several], np.float64),
    )


def _concatenated(arrays: list[Any], dtype: Any) -> Any:
    return np.concatenate([np.empty(0, dtype), *arrays])


def is_stepped(want: Want, found: Found) -> bool:
    """Whether any point of the series has a step."""
    after = found.tails.get(want.series_id)
    return found.is_stepped or (after is not None and bool((after.steps != NONE).any()))


def _put_tails(found: Sequence[Found], wants: Sequence[Want], batches: Mapping[UUID, list[tuple[int, bytes]]]) -> None:
    series = defaultdict(set)
    for want in wants:
        series[want.owner_id].add(want.series_id)
    tails = {owner: _tails_of(TailRows(rows), series[owner]) for owner, rows in batches.items()}
    for one, want in zip(found, wants, strict=True):
        one.tails = tails.get(want.owner_id, {})


def _tails_of(rows: TailRows, series: set[int]) -> dict[int, Columns]:
    return {one: rows.of(one)[0] for one in series & rows.series}


class TailRows:
    """Rows of one owner's tail as one: the points of each of its series, in order of arrival."""

    def __init__(self, rows: Sequence[tuple[int, bytes]]) -> None:
        rows = sorted(rows)
        parts = [tail.decode(data) for _, data in rows]
        self._ids = _concatenated([part.ids for part in parts], np.int64)
        self._counts = _concatenated([part.counts for part in parts], np.int64)
        self._seqs = np.repeat([seq for seq, _ in rows], [len(part.ids) for part in parts])
        self._begins = np.cumsum(self._counts) - self._counts
        self._columns = columns_of([part.columns for part in parts])
        self.series = set(self._ids.tolist())

    def of(self, series: int) -> tuple[Columns, Ints]:
        """The points of a series, and their numbers in the feed."""
        which = np.flatnonzero(self._ids == series)
        counts = self._counts[which]
        at = np.repeat(self._begins[which] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        columns = self._columns
        return Columns(columns.steps[at], columns.times[at], columns.values[at]), np.repeat(self._seqs[which], counts)
