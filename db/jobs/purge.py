"""Files of what was deleted long ago are forgotten: from then on it cannot be restored, and its bytes can be swept.

Long ago is so many days for what somebody deleted, and as long as bytes without a file are kept for checkpoints that
retention retired. Files that are tracked where they lie have no bytes here: an artifact of nothing else is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, Final
from uuid import UUID

import asyncpg
import structlog

from db.access import Role
from db.engine import Database
from db.jobs import server_actor
from db.read.source import ARTIFACT
from db.transaction import Transaction
from db.verbs import entity

log = structlog.get_logger("modelbox.blobs")

ARTIFACTS: Final = 100
FILES: Final = 20_000
"""The most artifacts and, but for the first of them, files that are forgotten in one transaction."""

HOLDS_BYTES = """
    EXISTS (SELECT FROM file f WHERE f.tenant_id = a.tenant_id AND f.artifact_id = a.id AND f.blob_id IS NOT NULL)
"""

# Where $1 and $2 are the moments before which what somebody deleted, and what retention retired, is old.
OLD_OBJECT = """
    o.deleted_at IS NOT NULL AND o.purged_at IS NULL AND (o.deleted_at < $1 OR (
        o.deleted_at < $2 AND o.kind = 'CHECKPOINT' AND EXISTS (
            SELECT FROM checkpoint c WHERE c.tenant_id = o.tenant_id AND c.id = o.id AND c.retired_at IS NOT NULL
        )
    ))
"""
OLD_ARTIFACT = f"a.deleted_at IS NOT NULL AND a.purged_at IS NULL AND a.deleted_at < $1 AND {HOLDS_BYTES}"

TENANTS: Final = f"""
    SELECT tenant_id FROM object o WHERE {OLD_OBJECT} UNION SELECT tenant_id FROM artifact a WHERE {OLD_ARTIFACT}
"""
"""Where something is to be forgotten."""

NEXT: Final = f"""
    SELECT o.id, o.kind, o.namespace_id FROM object o WHERE o.tenant_id = $3 AND {OLD_OBJECT}
    ORDER BY o.deleted_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
"""
"""The object that was deleted first. Held, it is not restored meanwhile."""

DONE: Final = "UPDATE object SET purged_at = $3 WHERE tenant_id = $1 AND id = $2"

COLUMNS: Final = f"""
    a.id, a.name, {entity.HOME},
    (SELECT count(*) FROM file f WHERE f.tenant_id = a.tenant_id AND f.artifact_id = a.id) AS file_count
"""

ALONE: Final = f"""
    SELECT {COLUMNS} FROM artifact a JOIN namespace h ON h.tenant_id = a.tenant_id AND h.id = a.namespace_id
    WHERE a.tenant_id = $2 AND {OLD_ARTIFACT} ORDER BY a.deleted_at LIMIT $3 FOR UPDATE OF a SKIP LOCKED
"""
"""Artifacts that were deleted themselves."""

OF_OBJECT: Final = f"""
    SELECT {COLUMNS} FROM artifact a JOIN namespace h ON h.tenant_id = $1 AND h.id = a.namespace_id
    WHERE a.tenant_id = $1 AND a.purged_at IS NULL AND {HOLDS_BYTES} AND a.object_id IN (
        SELECT $2 UNION ALL
        SELECT id FROM object WHERE tenant_id = $1 AND namespace_id = $3 AND kind = ANY($4) AND $2 = ANY(container_ids)
    ) ORDER BY a.id LIMIT $5 FOR UPDATE OF a
"""
"""Artifacts of an object and of all that it contains."""

CONTAINED: Final = {
    "MODEL": ("MODEL_VERSION", "DATASET_USE"),
    "MODEL_VERSION": ("DATASET_USE",),
    "EXPERIMENT": ("CHECKPOINT", "DATASET_USE"),
}
"""What an object of a kind may contain."""

OF_NAMESPACE: Final = f"""
    SELECT {COLUMNS} FROM artifact a JOIN namespace h ON h.tenant_id = $1 AND h.id = a.namespace_id
    WHERE a.tenant_id = $1 AND a.purged_at IS NULL AND {HOLDS_BYTES} AND $2 = ANY(h.lineage)
    ORDER BY a.id LIMIT $3 FOR UPDATE OF a
"""
"""Artifacts of all that is in a namespace or below it."""

FORGET: Final = """
    WITH gone AS (DELETE FROM file WHERE tenant_id = $1 AND artifact_id = ANY($2) RETURNING artifact_id, size, blob_id),
    counted AS (
        SELECT artifact_id, count(*) AS files, sum(size) FILTER (WHERE blob_id IS NOT NULL)::bigint AS bytes
        FROM gone GROUP BY artifact_id
    )
    UPDATE artifact a SET purged_at = $3, deleted_at = coalesce(a.deleted_at, $3), updated_at = $3,
        revision = a.revision + 1
    FROM counted WHERE a.tenant_id = $1 AND a.id = counted.artifact_id RETURNING a.id, counted.files, counted.bytes
"""
"""Forget the files of artifacts. These are deleted from now on, too, lest they come back empty with their owner."""


@dataclass(frozen=True)
class Ages:
    """How long files are kept of what somebody deleted, and of what retention retired."""

    deleted: timedelta
    retired: timedelta

    def limits(self, now: datetime) -> tuple[datetime, datetime]:
        """The moments before which it is old."""
        return now - self.deleted, now - self.retired


async def find(database: Database, now: datetime, *, ages: Ages) -> list[str]:
    """The tenants where something is to be forgotten."""
    async with database.connection() as connection:
        return [row["tenant_id"].hex for row in await connection.fetch(TENANTS, *ages.limits(now))]


async def forget(database: Database, tenant_hex: str, now: datetime, *, ages: Ages) -> int:
    """Forget all of it in a tenant; returns how many files.

    Any number of processes may do it at once: each artifact is forgotten by one of them.
    """
    tenant, total = UUID(tenant_hex), 0
    for step in (_next_object, _some_artifacts):
        while True:
            async with database.transaction() as connection:
                tx = Transaction(connection, await server_actor.of(connection, tenant, now), Role.WRITER, "purge", now)
                count = await step(tx, ages)
                await tx.settle()
            database.committed(tenant, tx.moved)
            if count is None:
                break
            total += count
    if total:
        log.info("files of what was deleted are forgotten", tenant=tenant, files=total)
    return total


async def _next_object(tx: Transaction, ages: Ages) -> int | None:
    """Forget what a deleted object held, or a part of that; None when there is no such object."""
    found = await tx.connection.fetchrow(NEXT, *ages.limits(tx.now), tx.tenant_id)
    if found is None:
        return None
    if found["kind"] == "NAMESPACE":
        rows = await tx.fetch(OF_NAMESPACE, found["id"], ARTIFACTS)
    else:
        kinds = CONTAINED.get(found["kind"], ())
        rows = await tx.fetch(OF_OBJECT, found["id"], found["namespace_id"], kinds, ARTIFACTS)
    some = _bearable(rows)
    if len(some) == len(rows) < ARTIFACTS:
        await tx.execute(DONE, found["id"], tx.now)
    return await _forget(tx, some)


async def _some_artifacts(tx: Transaction, ages: Ages) -> int | None:
    """Forget some artifacts that were deleted themselves; None when there are none."""
    rows = await tx.connection.fetch(ALONE, ages.limits(tx.now)[0], tx.tenant_id, ARTIFACTS)
    return await _forget(tx, _bearable(rows)) if rows else None


def _bearable(rows: Sequence[asyncpg.Record]) -> Sequence[asyncpg.Record]:
    """The first of them, as many as one transaction can bear."""
    totals = accumulate(row["file_count"] for row in rows)
    return [row for place, (row, total) in enumerate(zip(rows, totals, strict=True)) if not place or total <= FILES]


async def _forget(tx: Transaction, rows: Sequence[asyncpg.Record]) -> int:
    gone: dict[UUID, Any] = {row["id"]: row for row in await tx.fetch(FORGET, [row["id"] for row in rows], tx.now)}
    for row in rows:
        files, size = gone[row["id"]]["files"], gone[row["id"]]["bytes"]
        told = {"before": {"fileCount": files}, "after": {"fileCount": 0, "purgedAt": tx.now.isoformat()}}
        entity.note(tx, "UPDATE", ARTIFACT, entity.home_of(row), row["id"], name=row["name"], byte_count=size, **told)
    return sum(row["files"] for row in gone.values())
