"""What arrived at objects between two numbers of their metric streams, be it still in the tail or compacted."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

import asyncpg
import numpy as np

from db.errors import CursorExpired
from db.metrics import segment
from db.metrics.columns import NONE, Floats, Ints, together
from db.metrics.tail_rows import LITTLE, TailRows


@dataclass(frozen=True, slots=True)
class Between:
    """Numbers of an owner's metric stream: those after one, up to another."""

    owner_id: UUID
    after: int
    upto: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """Points of one series in order of arrival, with their numbers in the feed.

    `kind` is FLOAT, STRING or BYTES. `steps` and `times` (microseconds since 1970) hold `NONE` where none was given.
    """

    series_id: int
    key: str
    leg: int
    kind: str
    seqs: Ints
    steps: Ints
    times: Ints
    values: Floats | list[str] | list[bytes]

    def __len__(self) -> int:
        return len(self.seqs)


class TooLong(Exception):
    """Strings and bytes of a span, counted from 0, are too long in all from a number of its stream on."""

    def __init__(self, place: int, seq: int) -> None:
        super().__init__(place, seq)
        self.place = place
        self.seq = seq


ARRIVED: Final = """
WITH between AS MATERIALIZED (
    SELECT * FROM unnest($2::uuid[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS b (owner_id, after, upto, n)
), chosen AS MATERIALIZED (
    SELECT b.n, s.id, s.key, s.leg, s.kind
    FROM between b JOIN series s ON s.tenant_id = $1 AND s.owner_id = b.owner_id
    WHERE ($5::text[] IS NULL AND $6::text IS NULL) OR s.key = ANY($5) OR starts_with(s.key, $6)
)
SELECT 'n' AS what, n, id, leg::bigint AS number, 0::bigint AS position, NULL::bytea AS data, key AS text, kind,
    NULL::bigint AS step, NULL::bigint AS time
FROM chosen
UNION ALL
SELECT 's', b.n, g.series_id, 0, g.position, g.data, NULL, NULL, NULL, NULL
FROM between b JOIN metric_segment g ON g.tenant_id = $1 AND g.owner_id = b.owner_id
    AND g.last_seq > b.after AND g.first_seq <= b.upto
WHERE (b.n, g.series_id) IN (SELECT n, id FROM chosen)
UNION ALL
SELECT 't', b.n, 0, t.seq, 0, t.data, NULL, NULL, NULL, NULL
FROM between b JOIN metric_batch t ON t.tenant_id = $1 AND t.owner_id = b.owner_id
    AND t.seq > b.after AND t.seq <= b.upto
UNION ALL
SELECT 'o', n, series_id, seq, position, CASE WHEN is_sent THEN "binary" END, CASE WHEN is_sent THEN string END, NULL,
    step, (extract(epoch FROM wall_time) * 1000000)::bigint
FROM (
    SELECT b.n, o.*, coalesce(sum(coalesce(octet_length(o.string), octet_length(o.binary))) OVER (
        ORDER BY b.n, o.seq RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE GROUP
    ), 0) < $7 AS is_sent
    FROM between b JOIN opaque_point o ON o.tenant_id = $1 AND o.owner_id = b.owner_id
        AND o.seq > b.after AND o.seq <= b.upto
    WHERE (b.n, o.series_id) IN (SELECT n, id FROM chosen)
) o
"""
"""Series by key, and what of their points is in segments, in the tail, and in rows of their own."""


async def read(
    connection: asyncpg.Connection[Any],
    tenant_id: UUID,
    spans: Sequence[Between],
    *,
    keys: Sequence[str] | None = None,
    prefix: str | None = None,
    most_bytes: int = 2**62,
) -> list[list[Arrived]]:
    """For each span the series with new points, by key and leg; those with one of the keys or the prefix, or all.

    Raises:
        CursorExpired: some of the points were rolled up.
        TooLong: strings and bytes are more than `most_bytes`, whole calls of one object counted; a first call never is.
    """
    columns = ([getattr(span, name) for span in spans] for name in ("owner_id", "after", "upto"))
    rows = await connection.fetch(ARRIVED, tenant_id, *columns, keys, prefix, most_bytes)
    if left_out := [(row["n"] - 1, row["number"]) for row in rows if row["what"] == "o" and _is_left_out(row)]:
        raise TooLong(*min(left_out))
    found = [_Found() for _ in spans]
    for row in rows:
        found[row["n"] - 1].add(row)
    if sum(one.work for one in found) > LITTLE:
        return await asyncio.to_thread(_arrived, spans, found)
    return _arrived(spans, found)


def _is_left_out(row: Mapping[str, Any]) -> bool:
    return row["data"] is None and row["text"] is None


@dataclass(slots=True)
class _Found:
    """Rows of one span, by series."""

    names: dict[int, Any] = field(default_factory=dict)
    segments: dict[int, list[tuple[int, bytes | None]]] = field(default_factory=lambda: defaultdict(list))
    opaque: dict[int, list[Any]] = field(default_factory=lambda: defaultdict(list))
    batches: list[tuple[int, bytes]] = field(default_factory=list)

    def add(self, row: Mapping[str, Any]) -> None:
        if row["what"] == "n":
            self.names[row["id"]] = row
        elif row["what"] == "s":
            self.segments[row["id"]].append((row["position"], row["data"]))
        elif row["what"] == "o":
            self.opaque[row["id"]].append(row)
        else:
            self.batches.append((row["number"], row["data"]))

    @property
    def work(self) -> int:
        """What decoding costs, in segments."""
        return sum(map(len, self.segments.values())) + TailRows(self.batches).work


def _arrived(spans: Sequence[Between], found: Sequence[_Found]) -> list[list[Arrived]]:
    return [_of_span(span, one) for span, one in zip(spans, found, strict=True)]


def _of_span(span: Between, found: _Found) -> list[Arrived]:
    tail = TailRows(found.batches)
    arrived = []
    for name in sorted(found.names.values(), key=lambda name: (name["text"], name["number"])):
        one = name["id"]
        if one in found.opaque:
            arrived.append(_opaque(name, found.opaque[one]))
        elif one in found.segments or one in tail.series:
            arrived.append(_floats(name, span, found.segments.get(one, []), tail))
    return [one for one in arrived if len(one)]


def _floats(name: Any, span: Between, segments: list[tuple[int, bytes | None]], tail: TailRows) -> Arrived:
    """Points of segments come before those of the tail, in number as in place."""
    stretches = []
    for _, data in sorted(segments):
        if data is None:
            raise CursorExpired(path=("after",))
        stretches.append(segment.decode(data))
    if name["id"] in tail.series:
        stretches.append(tail.of(name["id"]))
    columns = together([stretch for stretch, _ in stretches])
    seqs = np.concatenate([numbers for _, numbers in stretches])
    within = (seqs > span.after) & (seqs <= span.upto)
    columns = columns.at(within)
    return Arrived(*_named(name), seqs[within], columns.steps, columns.times, columns.values)


def _opaque(name: Any, rows: list[Any]) -> Arrived:
    rows.sort(key=itemgetter("position"))
    return Arrived(
        *_named(name),
        np.array([row["number"] for row in rows], np.int64),
        np.array([NONE if row["step"] is None else row["step"] for row in rows], np.int64),
        np.array([NONE if row["time"] is None else row["time"] for row in rows], np.int64),
        [row["data"] if row["text"] is None else row["text"] for row in rows],
    )


def _named(name: Any) -> tuple[int, str, int, str]:
    return name["id"], name["text"], name["number"], name["kind"]
