"""Experiments that went silent become STALLED: a stored transition, so that audit and feed see it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from db.access import Role
from db.engine import Database
from db.jobs import server_actor
from db.transaction import Transaction
from db.verbs import experiments

BATCH: Final = 100
TENANTS = """
    SELECT DISTINCT e.tenant_id FROM experiment e
    JOIN heartbeat h ON h.tenant_id = e.tenant_id AND h.experiment_id = e.id
    WHERE e.status = 'RUNNING' AND e.deleted_at IS NULL AND h.at + make_interval(secs => e.stall_after) < $1
"""
"""Where experiments have been silent for too long."""

SILENT = """
    SELECT e.id, e.name, n.id AS home_id, n.path AS home_path, n.root_id AS home_root, n.lineage AS home_lineage
    FROM experiment e
    JOIN heartbeat h ON h.tenant_id = $1 AND h.experiment_id = e.id
    JOIN namespace n ON n.tenant_id = $1 AND n.id = e.namespace_id AND n.visible
    WHERE e.tenant_id = $1 AND e.status = 'RUNNING' AND e.deleted_at IS NULL
        AND h.at + make_interval(secs => e.stall_after) < $2
    ORDER BY e.id LIMIT $3 FOR NO KEY UPDATE OF e, h SKIP LOCKED
"""
"""Some of them. With their heartbeats locked, a sign of life at the same moment comes before this or ends it."""

STALL = """
    UPDATE experiment SET status = 'STALLED', updated_at = $3, revision = revision + 1
    WHERE tenant_id = $1 AND id = ANY($2)
"""


async def find(database: Database, now: datetime) -> list[str]:
    """The tenants where experiments have been silent for longer than they may."""
    async with database.connection() as connection:
        return [row["tenant_id"].hex for row in await connection.fetch(TENANTS, now)]


async def mark(database: Database, tenant_hex: str, now: datetime) -> int:
    """Mark them in a tenant; returns how many.

    Any number of processes may do it at once: each experiment is marked by one of them.
    """
    tenant = UUID(tenant_hex)
    total = 0
    while True:
        async with database.transaction() as connection:
            marked, moved = await _mark(connection, tenant, now)
        database.committed(tenant, moved)
        total += marked
        if marked < BATCH:
            return total


async def _mark(connection: asyncpg.Connection[Any], tenant: UUID, now: datetime) -> tuple[int, set[UUID]]:
    """How many were marked, and in which streams it stands."""
    silent = await connection.fetch(SILENT, tenant, now, BATCH)
    if not silent:
        return 0, set()
    tx = Transaction(connection, await server_actor.of(connection, tenant, now), Role.WRITER, "stalled", now)
    await tx.execute(STALL, [row["id"] for row in silent], now)
    for row in silent:
        experiments.note_status(tx, row, "RUNNING", "STALLED")
    await tx.settle()
    return len(silent), tx.moved
