"""Checkpoints that no rule of their experiment keeps are deleted, in the server's name.

They can be restored like what somebody deleted, until the job that forgets the files of deleted objects comes to them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from db import tables
from db.access import Role
from db.engine import Database
from db.jobs import piece, server_actor
from db.policies.checkpoint_retention import Checkpoint, Rules, dropped
from db.read.checkpoint import left_behind
from db.read.source import CHECKPOINT
from db.transaction import Transaction
from db.verbs import entity
from db.verbs.entity import Found

FOUND: Final = 1_000
EXPERIMENTS: Final = 100
BATCH: Final = 500
FIRST: Final = UUID(int=0)

TENANTS: Final = """
    SELECT DISTINCT tenant_id FROM experiment WHERE checkpoint_retention IS NOT NULL AND deleted_at IS NULL
"""
"""Where experiments have rules."""

RULED: Final = """
    SELECT e.id, e.checkpoint_retention FROM experiment e
    JOIN namespace n ON n.tenant_id = $1 AND n.id = e.namespace_id AND n.visible
    WHERE e.tenant_id = $1 AND e.checkpoint_retention IS NOT NULL AND e.deleted_at IS NULL AND e.id > $2
    ORDER BY e.id LIMIT $3
"""
"""The next experiments with rules."""

HOLD_RULES: Final = """
    SELECT e.checkpoint_retention FROM experiment e
    JOIN namespace n ON n.tenant_id = $1 AND n.id = e.namespace_id AND n.visible
    WHERE e.tenant_id = $1 AND e.id = $2 AND e.deleted_at IS NULL FOR NO KEY UPDATE OF e
"""
"""The rules of one, which do not change until the commit; nor does another process go by them."""

JUDGED: Final = f"""
    SELECT c.experiment_id, c.id, c.step, c.created_at, c.status = 'READY' AS is_complete,
        c.pinned OR EXISTS (
            SELECT FROM model_version v WHERE v.tenant_id = $1 AND v.checkpoint_id = c.id AND v.deleted_at IS NULL
        ) AS is_held, {left_behind("$1", "c")} AS is_left, s.last AS value
    FROM experiment e JOIN checkpoint c ON c.tenant_id = $1 AND c.experiment_id = e.id AND c.deleted_at IS NULL
    LEFT JOIN series s ON s.tenant_id = $1 AND s.owner_id = c.id AND s.leg = 0
        AND s.key = e.checkpoint_retention #>> '{{keepBest,metric}}'
    WHERE e.tenant_id = $1 AND e.id = ANY($2)
"""
"""What the rules of experiments ask of their checkpoints, in the order of `Checkpoint`."""

HOLD: Final = f"""
    SELECT c.*, {entity.HOME} FROM checkpoint c JOIN namespace h ON h.tenant_id = $1 AND h.id = c.namespace_id
    WHERE c.tenant_id = $1 AND c.id = ANY($2) AND c.deleted_at IS NULL ORDER BY c.id FOR NO KEY UPDATE OF c
"""
"""Nobody pins these, or makes a version from one, until the commit; who just did so is waited for."""


async def find(database: Database, now: datetime) -> list[str]:
    """The experiments with checkpoints to drop, each with its tenant."""
    found: list[str] = []
    async with database.connection() as connection:
        tenants = [row["tenant_id"] for row in await connection.fetch(TENANTS)]
    for tenant in tenants:
        last: UUID | None = FIRST
        while last is not None and len(found) < FOUND:
            async with database.connection() as connection:
                due, last = await _next(connection, tenant, last, now)
            found += [piece.of_object(tenant, experiment) for experiment in due]
    return found


async def _next(
    connection: asyncpg.Connection[Any], tenant: UUID, after: UUID, now: datetime
) -> tuple[list[UUID], UUID | None]:
    """Those of the next experiments that have something to drop, and where to go on; None at the end."""
    rows = await connection.fetch(RULED, tenant, after, EXPERIMENTS)
    judged = await _judged(connection, tenant, [row["id"] for row in rows]) if rows else {}
    due = [row["id"] for row in rows if dropped(Rules.read(row["checkpoint_retention"]), judged[row["id"]], now)]
    return due, rows[-1]["id"] if len(rows) == EXPERIMENTS else None


async def _judged(
    connection: asyncpg.Connection[Any], tenant: UUID, experiments: Sequence[UUID]
) -> dict[UUID, list[Checkpoint]]:
    """The checkpoints of each experiment as rules see them."""
    found: dict[UUID, list[Checkpoint]] = defaultdict(list)
    for row in await connection.fetch(JUDGED, tenant, experiments):
        experiment, *values = row.values()
        found[experiment].append(Checkpoint(*values))
    return found


async def drop(database: Database, name: str, now: datetime) -> int:
    """Drop the checkpoints of an experiment that nothing keeps; returns how many."""
    tenant, experiment = piece.read(name)
    total = 0
    while True:
        async with database.transaction() as connection:
            tx = Transaction(
                connection, await server_actor.of(connection, tenant, now), Role.WRITER, "checkpoint retention", now
            )
            count = await _drop_some(tx, experiment)
            await tx.settle()
        database.committed(tenant, tx.moved)
        total += count
        if count < BATCH:
            return total


async def _drop_some(tx: Transaction, experiment: UUID) -> int:
    stored = await tx.fetchval(HOLD_RULES, experiment)
    if stored is None:  # The rules were taken away meanwhile, or the experiment was deleted.
        return 0
    rules = Rules.read(stored)
    due = (await _due(tx, experiment, rules))[:BATCH]
    rows = await tx.fetch(HOLD, due)
    # A second look, now that they are held: what was pinned or promoted a moment ago is kept.
    still = set(await _due(tx, experiment, rules)) if rows else set()
    gone = [row for row in rows if row["id"] in still]
    for row in gone:
        await entity.remove(tx, Found(CHECKPOINT, row, entity.home_of(row)), checkpoint_retention=stored)
        await tx.update(tables.Checkpoint, row["id"], retired_at=tx.now)
    return len(gone)


async def _due(tx: Transaction, experiment: UUID, rules: Rules) -> list[UUID]:
    judged = await _judged(tx.connection, tx.tenant_id, [experiment])
    return dropped(rules, judged[experiment], tx.now)
