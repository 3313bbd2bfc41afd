"""What is stored of series, read and put together: segments and the tail are one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import numpy as np

from db.metrics import segment, summary
from db.metrics.columns import NONE, Columns, concatenated, together
from db.metrics.sample import Known, Missing, Points
from db.metrics.tail_rows import TailRows
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
    that is not in the tail has a step; it is looked at for ranges of steps. `is_too_long` when strings or bytes were
    too much and are left out.
    """

    end: int = 0
    is_stepped: bool = False
    segments: dict[int, Segment] = field(default_factory=dict)
    opaque: list[Opaque] = field(default_factory=list)
    tail: TailRows = field(default_factory=TailRows)
    is_too_long: bool = False

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
        elif flag:
            found[number - 1].is_too_long = True
        else:
            found[number - 1].opaque.append(Opaque(position, step, time, binary if string is None else string))
    tails = {owner: TailRows(batches[owner]) for owner in batches}
    for one, want in zip(found, wants, strict=True):
        one.tail = tails.get(want.owner_id, one.tail)
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


def work(found: Sequence[Found]) -> int:
    """What it costs to decode all this, in segments."""
    tails = {id(one.tail): one.tail.work for one in found}
    return sum(tails.values()) + sum(row.level == Level.DATA for one in found for row in one.segments.values())


def known(want: Want, found: Found) -> Known:
    """Points and figures of a series, from segments and the tail alike.

    Raises:
        Damaged: what is stored is not what was written.
    """
    rows = sorted(found.segments.values())
    decoded = [(row.position, segment.decode(row.body)[0]) for row in rows if row.level == Level.DATA]
    decoded.append((found.end, tail_of(want, found)))
    figures = [row for row in rows if row.level != Level.DATA]
    records, counts = summary.unpack([row.body for row in figures])
    begins = np.array([row.position for row in figures], np.int64)
    rolled = np.array([row.is_rolled for row in figures], np.bool_)
    return Known(joined(decoded), summary.moved(records, np.repeat(begins, counts)), np.repeat(rolled, counts))


def tail_of(want: Want, found: Found) -> Columns:
    """The points that are not compacted."""
    return found.tail.of(want.series_id)[0]


def joined(decoded: Sequence[tuple[int, Columns]]) -> Points:
    """Stretches of points, each with the position of its first, in order."""
    stretches = [(at, columns) for at, columns in decoded if len(columns)]
    positions = [np.arange(at, at + len(columns), dtype=np.int64) for at, columns in stretches]
    return Points(concatenated(positions, np.int64), together([columns for _, columns in stretches]))


def is_stepped(want: Want, found: Found) -> bool:
    """Whether any point of the series has a step."""
    return found.is_stepped or bool((tail_of(want, found).steps != NONE).any())
