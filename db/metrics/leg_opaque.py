"""Points of strings and of bytes that a resumption leaves behind. They are rows, so statements move them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from db.metrics.leg_figures import One

PLAN: Final = """
    SELECT s.id, s.key, NOT EXISTS (
        SELECT FROM opaque_point p WHERE p.tenant_id = $1 AND p.owner_id = $2 AND p.series_id = s.id
            AND (p.step IS NULL OR p.step <= $3)
    ) AS is_whole
    FROM series s
    WHERE s.tenant_id = $1 AND s.owner_id = $2 AND s.leg = 0 AND s.kind <> 'FLOAT' AND s.last_step > $3
"""
"""The series with points past a step, and whether all are."""

MOVE: Final = """
    UPDATE opaque_point p SET series_id = m.left_id, position = m.place, leg = $6
    FROM (
        SELECT series_id, position, left_id, row_number() OVER (PARTITION BY series_id ORDER BY position) - 1 AS place
        FROM unnest($4::bigint[], $5::bigint[]) AS w(series_id, left_id) JOIN opaque_point USING (series_id)
        WHERE tenant_id = $1 AND owner_id = $2 AND step > $3
    ) m
    WHERE p.tenant_id = $1 AND p.owner_id = $2 AND p.series_id = m.series_id AND p.position = m.position
"""

CLOSE_UP: Final = """
    UPDATE opaque_point p SET position = -1 - m.place
    FROM (
        SELECT series_id, position, row_number() OVER (PARTITION BY series_id ORDER BY position) - 1 AS place
        FROM opaque_point WHERE tenant_id = $1 AND owner_id = $2 AND series_id = ANY($3)
    ) m
    WHERE p.tenant_id = $1 AND p.owner_id = $2 AND p.series_id = m.series_id AND p.position = m.position
        AND m.place <> m.position
"""
"""Those that stay take their places, for a moment below zero: where one goes another may still be."""

SETTLE: Final = """
    UPDATE opaque_point SET position = -1 - position
    WHERE tenant_id = $1 AND owner_id = $2 AND series_id = ANY($3) AND position < 0
"""

_MICROSECONDS: Final = "(extract(epoch FROM {}(wall_time)) * 1000000)::bigint"

FIGURES: Final = f"""
    SELECT series_id, count(*) AS count, min(step) AS first_step, max(step) AS last_step,
        {_MICROSECONDS.format("min")} AS first_at, {_MICROSECONDS.format("max")} AS last_at
    FROM opaque_point WHERE tenant_id = $1 AND owner_id = $2 AND series_id = ANY($3) GROUP BY series_id
"""


def figures_of(row: Mapping[str, Any]) -> One:
    """What is known of a series whose values are no numbers."""
    names = ("first_step", "last_step", "first_at", "last_at")
    return One(row["count"], 0, *(row[name] for name in names), *[None] * 7)
