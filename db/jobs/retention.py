"""Raw points are rolled up where a namespace says so: after so many days only the figures of each 512 stay.

Full segments lose their points and keep their figures: samples go on to show minima, maxima, means and last values.
Nothing of it is audited, since nobody did it; a line in the log tells how much it was.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from db.engine import Database
from db.jobs import piece
from db.metrics import rewriting
from db.metrics.segment import SIZE
from db.metrics.stream import stream_of

log = structlog.get_logger("modelbox.metrics")

BATCH: Final = 1_000
TENANTS: Final = "SELECT DISTINCT tenant_id FROM namespace WHERE raw_metric_days IS NOT NULL"

# Where `n` is a namespace: the setting of the nearest that has one.
NEAREST: Final = """
    SELECT raw_metric_days AS days FROM namespace a
    WHERE a.tenant_id = $1 AND a.id = ANY(n.lineage) AND a.raw_metric_days IS NOT NULL
    ORDER BY cardinality(a.lineage) DESC LIMIT 1
"""

DUE: Final = f"""
    SELECT o.id FROM namespace n CROSS JOIN LATERAL ({NEAREST}) nearest
    JOIN object o ON o.tenant_id = $1 AND o.namespace_id = n.id
    WHERE n.tenant_id = $1 AND EXISTS (
        SELECT FROM metric_segment s WHERE s.tenant_id = $1 AND s.owner_id = o.id AND s.data IS NOT NULL
            AND s.count = {SIZE} AND s.recorded_until < $2::timestamptz - make_interval(days => nearest.days)
    ) LIMIT $3
"""
"""Objects with full segments that are older than their namespace keeps raw points."""

DAYS: Final = f"""
    SELECT nearest.days FROM object o JOIN namespace n ON n.tenant_id = $1 AND n.id = o.namespace_id
    CROSS JOIN LATERAL ({NEAREST}) nearest WHERE o.tenant_id = $1 AND o.id = $2
"""

ROLL_UP: Final = f"""
    WITH old AS (
        SELECT series_id, position FROM metric_segment
        WHERE tenant_id = $1 AND owner_id = $2 AND data IS NOT NULL AND count = {SIZE} AND recorded_until < $3
        ORDER BY recorded_until LIMIT $4
    )
    UPDATE metric_segment s SET data = NULL FROM old
    WHERE s.tenant_id = $1 AND s.owner_id = $2 AND s.series_id = old.series_id AND s.position = old.position
    RETURNING s.last_seq
"""

EXPIRE: Final = """
    UPDATE stream_head SET min_seq = $3 WHERE tenant_id = $1 AND stream_id = $2 AND min_seq < $3
"""
"""Cursors before this number point to what is gone."""


async def find(database: Database, now: datetime) -> list[str]:
    """The objects with raw points that are too old, each with its tenant."""
    async with database.connection() as connection:
        tenants = [row["tenant_id"] for row in await connection.fetch(TENANTS)]
        return [
            piece.of_object(tenant, row["id"])
            for tenant in tenants
            for row in await connection.fetch(DUE, tenant, now, BATCH)
        ]


async def roll_up(database: Database, name: str, now: datetime) -> int:
    """Roll up what is too old of one of them; returns how many segments it was."""
    tenant_id, owner_id = piece.read(name)
    async with database.connection() as connection:
        days = await connection.fetchval(DAYS, tenant_id, owner_id)
    if days is None:  # The setting was taken away meanwhile.
        return 0
    total = 0
    while True:
        count = await _roll_up_some(database, tenant_id, owner_id, now - timedelta(days=days))
        total += count
        if count < BATCH:
            break
    if total:  # Somebody else may have been at it.
        log.info(
            "raw metrics rolled up", tenant=tenant_id, owner=owner_id, days=days, segments=total, points=total * SIZE
        )
    return total


async def _roll_up_some(database: Database, tenant_id: UUID, owner_id: UUID, before: datetime) -> int:
    async with database.transaction() as connection:
        if not await rewriting.is_alone(connection, owner_id):
            return 0
        rows = await connection.fetch(ROLL_UP, tenant_id, owner_id, before, BATCH)
        if rows:
            gone = max(row["last_seq"] for row in rows)
            await connection.execute(EXPIRE, tenant_id, stream_of(owner_id), gone)
        return len(rows)
