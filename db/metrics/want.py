"""What is wanted of series, and the rows that hold it: one statement, whatever the number of wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final
from uuid import UUID

from db.metrics.axis import GREATEST, LEAST, Axis, Range
from db.metrics.segment import PART, SIZE

MOST: Final = 2_000_000
"""Points that all wants of one statement that are `limited` come to at most."""

MOST_BYTES: Final = 32 << 20
"""Bytes of strings and of bytes that wants of one form come to at most in one statement."""

_AXES: Final = {Axis.STEP: 1, Axis.WALL_TIME: 2, Axis.RELATIVE_TIME: 2}


class Form(IntEnum):
    """How points are wanted: those in a range of an axis, or a page; of floats, or of strings and bytes."""

    RANGE = 0
    FORWARD = 1
    BACKWARD = 2
    OPAQUE_RANGE = 3
    OPAQUE_FORWARD = 4
    OPAQUE_BACKWARD = 5


class Level(IntEnum):
    """What a segment comes as: one record, a record for each part, or all its points."""

    SUMMARY = 0
    PARTS = 1
    DATA = 2
    REFUSED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """Part of a series.

    For a range, `low` and `high` are its ends; for a page, the position at which it begins, or before which it ends,
    and how many points it holds. Segments that are wholly in range come as parts when together they hold more points
    than `parts_above`, each as one record above `summary_above`, else as all their points.
    """

    owner_id: UUID
    series_id: int
    form: Form
    axis: int = 0
    low: int = LEAST
    high: int = GREATEST
    parts_above: int = GREATEST
    summary_above: int = GREATEST
    is_limited: bool = False

    @classmethod
    def of_range(cls, owner_id: UUID, series_id: int, range_: Range, buckets: int | None = None) -> Want:
        """What is in range: as points, or in what suffices for so many buckets."""
        return cls(
            owner_id=owner_id,
            series_id=series_id,
            form=Form.RANGE,
            axis=_AXES.get(range_.axis, 0),
            low=range_.low,
            high=range_.high,
            # Of half a part, or of half a segment, there would be more buckets than this.
            parts_above=GREATEST if buckets is None else buckets * PART // 2,
            summary_above=GREATEST if buckets is None else buckets * SIZE // 2,
            is_limited=buckets is None,
        )


def arguments(tenant_id: UUID, wants: Sequence[Want], owners: Sequence[UUID]) -> tuple[Any, ...]:
    """The arguments of `STORED`; `owners` are those whose tail is read."""
    names = ("owner_id", "series_id", "form", "axis", "low", "high", "parts_above", "summary_above", "is_limited")
    return (tenant_id, *([getattr(want, name) for want in wants] for name in names), owners, MOST, MOST_BYTES)


_OF_SERIES: Final = "tenant_id = $1 AND owner_id = w.owner_id AND series_id = w.series_id"
# Where a segment lies on the axis. Without steps it is its positions: so it is in a series without any.
_LOWEST: Final = "CASE w.axis WHEN 1 THEN coalesce(min_step, position) WHEN 2 THEN min_time ELSE position END"
_HIGHEST: Final = (
    "CASE w.axis WHEN 1 THEN coalesce(max_step, position + count - 1) WHEN 2 THEN max_time"
    " ELSE position + count - 1 END"
)
_WITHIN: Final = f"{_LOWEST} >= w.low AND {_HIGHEST} <= w.high"
_COLUMNS: Final = "NULL::bigint, NULL::bigint, NULL::text, NULL::bytea"


def _page(form: Form, *, first: str, end: str, condition: str, order: str) -> str:
    """Segments that hold a page. Of two neighbours one is full, and at least one point is left of each of its parts."""
    return f"""
    SELECT 's', w.n, p.position, p.count, CASE WHEN p.data IS NULL THEN {Level.PARTS} ELSE {Level.DATA} END,
        p.data IS NULL, coalesce(p.data, p.parts), {_COLUMNS}
    FROM wanted w CROSS JOIN LATERAL (
        SELECT near.*, sum(near.kept) OVER (ORDER BY near.position {order}) - near.kept AS before
        FROM (
            SELECT position, count, data, parts,
                ({end} - {first}) / CASE WHEN data IS NULL THEN {PART} ELSE 1 END AS kept
            FROM metric_segment WHERE {_OF_SERIES} AND {condition}
            ORDER BY position {order} LIMIT 2 * (w.high / {SIZE // PART}) + 3
        ) near
    ) p WHERE w.form = {form} AND p.before < w.high"""


def _opaque(form: Form, condition: str, order: str, limit: str) -> str:
    return f"""
    SELECT 'o', o.n, o.position, 0, 0, o.bytes > $13, NULL, o.step,
        (extract(epoch FROM o.wall_time) * 1000000)::bigint,
        CASE WHEN o.bytes <= $13 THEN o.string END, CASE WHEN o.bytes <= $13 THEN o.binary END
    FROM (
        SELECT w.n, p.*, sum(coalesce(octet_length(p.string), octet_length(p.binary)))
            OVER (ROWS UNBOUNDED PRECEDING) AS bytes
        FROM wanted w CROSS JOIN LATERAL (
            SELECT * FROM opaque_point WHERE {_OF_SERIES} AND {condition} ORDER BY position {order} LIMIT {limit}
        ) p WHERE w.form = {form}
    ) o"""


STORED: Final = f"""
WITH wanted AS MATERIALIZED (
    SELECT * FROM unnest($2::uuid[], $3::bigint[], $4::int[], $5::int[], $6::bigint[], $7::bigint[], $8::bigint[],
        $9::bigint[], $10::boolean[])
    WITH ORDINALITY
        AS w (owner_id, series_id, form, axis, low, high, parts_above, summary_above, is_limited, n)
), sized AS MATERIALIZED (
    SELECT w.*, s.total, sum(s.total) FILTER (WHERE w.is_limited) OVER (ORDER BY w.n) AS running
    FROM wanted w CROSS JOIN LATERAL (
        SELECT coalesce(sum(count), 0) AS total FROM metric_segment WHERE {_OF_SERIES} AND {_WITHIN}
    ) s WHERE w.form = {Form.RANGE}
)
SELECT 'e' AS kind, w.n, s.upto AS position, 0 AS count, 0 AS level, w.axis = 1 AND EXISTS (
        SELECT FROM metric_segment WHERE {_OF_SERIES} AND min_step IS NOT NULL
    ) AS flag, NULL::bytea AS body, NULL::bigint AS step, NULL::bigint AS time, NULL::text AS string,
    NULL::bytea AS binary
FROM wanted w CROSS JOIN LATERAL (
    SELECT position + count AS upto FROM metric_segment WHERE {_OF_SERIES} ORDER BY position DESC LIMIT 1
) s WHERE w.form <= {Form.BACKWARD}
UNION ALL
SELECT 'e', w.n, s.upto, 0, 0, w.axis = 1 AND EXISTS (
        SELECT FROM opaque_point WHERE {_OF_SERIES} AND step IS NOT NULL
    ), NULL, {_COLUMNS}
FROM wanted w CROSS JOIN LATERAL (
    SELECT position + 1 AS upto FROM opaque_point WHERE {_OF_SERIES} ORDER BY position DESC LIMIT 1
) s WHERE w.form > {Form.BACKWARD}
UNION ALL
SELECT 's', w.n, s.position, s.count, l.level, s.data IS NULL,
    CASE l.level WHEN {Level.SUMMARY} THEN s.summary WHEN {Level.PARTS} THEN s.parts
        WHEN {Level.DATA} THEN s.data END, {_COLUMNS}
FROM sized w JOIN metric_segment s ON s.{_OF_SERIES.replace(" AND ", " AND s.")}
    AND {_LOWEST} <= w.high AND {_HIGHEST} >= w.low
CROSS JOIN LATERAL (
    SELECT CASE WHEN w.is_limited AND w.running > $12 THEN {Level.REFUSED}
        WHEN s.data IS NOT NULL AND (NOT ({_WITHIN}) OR w.total <= w.parts_above) THEN {Level.DATA}
        WHEN NOT ({_WITHIN}) OR w.total <= w.summary_above OR s.count < {SIZE} THEN {Level.PARTS}
        ELSE {Level.SUMMARY} END AS level
) l
UNION ALL {
    _page(
        Form.FORWARD,
        first="greatest(position, w.low)",
        end="(position + count)",
        condition=f"position > w.low - {SIZE} AND position + count > w.low",
        order="",
    )
} UNION ALL {
    _page(
        Form.BACKWARD,
        first="position",
        end="least(position + count, w.low)",
        condition="position < w.low",
        order="DESC",
    )
} UNION ALL {
    _opaque(
        Form.OPAQUE_RANGE,
        "CASE w.axis WHEN 1 THEN coalesce(step, position) ELSE position END BETWEEN w.low AND w.high",
        "",
        "$12 + 1",
    )
} UNION ALL {_opaque(Form.OPAQUE_FORWARD, "position >= w.low", "", "w.high")} UNION ALL {
    _opaque(Form.OPAQUE_BACKWARD, "position < w.low", "DESC", "w.high")
} UNION ALL
SELECT 't', o.n, b.seq, b.point_count, 0, false, b.data, {_COLUMNS}
FROM unnest($11::uuid[]) WITH ORDINALITY AS o (owner_id, n)
JOIN metric_batch b ON b.tenant_id = $1 AND b.owner_id = o.owner_id
"""
"""All that is stored of what is wanted: where each series' segments end, segments, opaque points, and tails."""

POINTS_OF: Final = f"""
SELECT w.n, s.position, s.count, CASE WHEN s.data IS NULL THEN {Level.PARTS} ELSE {Level.DATA} END, s.data IS NULL,
    coalesce(s.data, s.parts)
FROM unnest($2::int[], $3::uuid[], $4::bigint[], $5::bigint[]) AS w (n, owner_id, series_id, position)
JOIN metric_segment s ON s.tenant_id = $1 AND s.owner_id = w.owner_id AND s.series_id = w.series_id
    AND s.position = w.position
"""
"""The points of segments whose figures did not suffice."""
