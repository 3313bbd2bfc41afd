"""Tails that have grown long, old, or will grow no more become segments."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from db.engine import Database
from db.jobs import piece
from db.metrics import compact

ROWS: Final = 256
"""Whoever reads a series decodes its object's whole tail: some 10 ms at this length."""

POINTS: Final = 50_000
"""The same for tails of few long rows. They are guessed from the oldest and the newest row."""

AGE: Final = timedelta(minutes=10)
"""In the tail a point takes three times the room of one in a segment; so none stays for long."""

AGE_AT_THE_END: Final = timedelta(seconds=30)
"""Of experiments that ended. Not at once: their last calls may be on their way."""

BATCH: Final = 1_000

TENANTS: Final = "SELECT id FROM tenant"

DUE: Final = """
    WITH RECURSIVE tail AS (
        (SELECT owner_id FROM metric_batch WHERE tenant_id = $1 ORDER BY owner_id LIMIT 1)
        UNION ALL
        SELECT next.owner_id FROM tail CROSS JOIN LATERAL (
            SELECT owner_id FROM metric_batch
            WHERE tenant_id = $1 AND owner_id > tail.owner_id ORDER BY owner_id LIMIT 1
        ) next
    )
    SELECT tail.owner_id FROM tail
    CROSS JOIN LATERAL (
        SELECT seq, recorded_at, point_count FROM metric_batch
        WHERE tenant_id = $1 AND owner_id = tail.owner_id ORDER BY seq LIMIT 1
    ) oldest
    CROSS JOIN LATERAL (
        SELECT seq, point_count FROM metric_batch
        WHERE tenant_id = $1 AND owner_id = tail.owner_id ORDER BY seq DESC LIMIT 1
    ) newest
    LEFT JOIN experiment e ON e.tenant_id = $1 AND e.id = tail.owner_id
    WHERE newest.seq - oldest.seq + 1 >= $2
        OR (newest.seq - oldest.seq + 1) * greatest(oldest.point_count, newest.point_count) >= $3
        OR oldest.recorded_at < $4
        OR (e.status NOT IN ('RUNNING', 'STALLED') AND oldest.recorded_at < $5)
    LIMIT $6
"""
"""Objects whose tails are due. From each object the index leads straight to the next; numbers of rows are dense."""


async def find(database: Database, now: datetime) -> list[str]:
    """The objects whose tails are due, each with its tenant."""
    limits = (ROWS, POINTS, now - AGE, now - AGE_AT_THE_END, BATCH)
    async with database.connection() as connection:
        tenants = [row["id"] for row in await connection.fetch(TENANTS)]
        return [
            piece.of_object(tenant, row["owner_id"])
            for tenant in tenants
            for row in await connection.fetch(DUE, tenant, *limits)
        ]


async def do(database: Database, name: str, _now: datetime) -> int:
    """Compact one of them; returns how many points moved."""
    return await compact.compact(database, *piece.read(name))
