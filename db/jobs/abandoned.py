"""Uploads that nobody goes on with are given up, and those that are over are forgotten.

Each step may be the last that a process does: an upload is discarded, and that committed, before its bytes are removed,
and its rows go last.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from db.access import Role
from db.blobs.clearing import LATEST, clear, remove_spare
from db.engine import Database
from db.jobs import server_actor
from db.transaction import Transaction
from db.verbs import discarding, entity, uploads

log = structlog.get_logger("modelbox.blobs")

KEPT: Final = timedelta(days=1)
"""How long an upload that is over can be asked about."""

LATE: Final = timedelta(minutes=1)
"""Whoever discards an upload removes its bytes at once; after this long somebody else does."""

# Where `u` is an upload, $1 is now, and a process that verifies has said so since $2.
EXPIRED = "u.expires_at < $1 AND (u.status = 'OPEN' OR (u.status = 'VERIFYING' AND u.verifying_since < $2))"

# Where an upload that ended before $1 is forgotten, and the bytes of one discarded before $2 are somebody else's work:
# they were not removed, or it is long enough ago that none can come any more.
OVER = f"""(u.finished_at < $1 OR (
    u.status = 'DISCARDED' AND u.finished_at < $2
    AND (u.verifying_since IS NULL OR u.finished_at < $2::timestamptz - interval '{LATEST.total_seconds()} seconds')
    AND EXISTS (SELECT FROM upload_file w WHERE w.tenant_id = u.tenant_id AND w.upload_id = u.id)
))"""

EXPIRED_SOMEWHERE: Final = f"SELECT DISTINCT u.tenant_id FROM upload u WHERE {EXPIRED}"
OVER_SOMEWHERE: Final = f"SELECT DISTINCT u.tenant_id FROM upload u WHERE {OVER}"

NEXT: Final = f"""
    SELECT u.*, {entity.HOME} FROM upload u JOIN namespace h ON h.tenant_id = u.tenant_id AND h.id = u.namespace_id
    WHERE u.tenant_id = $3 AND {EXPIRED} ORDER BY u.expires_at LIMIT 1 FOR UPDATE OF u SKIP LOCKED
"""
"""The upload that nobody has gone on with for longest, but for those that somebody is at."""

ENDED: Final = f"""
    SELECT u.id, u.status, u.finished_at < $1 AS is_old FROM upload u
    WHERE u.tenant_id = $3 AND {OVER} ORDER BY u.finished_at
"""

FORGET_FILES: Final = "DELETE FROM upload_file WHERE tenant_id = $1 AND upload_id = $2"
FORGET: Final = "DELETE FROM upload WHERE tenant_id = $1 AND id = $2 AND status IN ('READY', 'DISCARDED')"

COUNT: Final = f"""
    SELECT count(*) AS count, coalesce(sum(u.total_size), 0)::bigint AS size FROM upload u
    WHERE u.tenant_id = $3 AND {EXPIRED}
"""


async def find(database: Database, now: datetime) -> list[str]:
    """The tenants where uploads are to be given up, or forgotten."""
    if database.blobs is None:
        return []
    async with database.connection() as connection:
        expired = await connection.fetch(EXPIRED_SOMEWHERE, now, now - uploads.STALE)
        over = await connection.fetch(OVER_SOMEWHERE, now - KEPT, now - LATE)
    return sorted({row["tenant_id"].hex for row in (*expired, *over)})


async def do(database: Database, tenant_hex: str, now: datetime) -> int:
    """All steps in a tenant; returns how many uploads were given up."""
    tenant = UUID(tenant_hex)
    count = await discard(database, tenant, now)
    await remove(database, tenant, now)
    return count


async def discard(database: Database, tenant: UUID, now: datetime) -> int:
    """Give up what nobody goes on with, and remove its bytes; returns how many uploads it was.

    Raises:
        StoreUnavailable: the store does not answer; `remove` does the rest, another time.
    """
    count = 0
    while upload := await give_up(database, tenant, now):
        count += 1
        if database.blobs is not None:
            await clear(database, database.blobs, tenant, upload, now)
    if count:
        log.info("abandoned uploads are given up", tenant=tenant, uploads=count)
    return count


async def give_up(database: Database, tenant: UUID, now: datetime) -> UUID | None:
    """Discard one upload that nobody goes on with, and return its id; its bytes are still there."""
    async with database.transaction() as connection:
        row = await connection.fetchrow(NEXT, now, now - uploads.STALE, tenant)
        if row is None:
            return None
        tx = Transaction(connection, await server_actor.of(connection, tenant, now), Role.WRITER, "abandoned", now)
        await discarding.discard(tx, uploads.Opened(row, entity.home_of(row)), failure=None)
        await tx.settle()
    database.committed(tenant, tx.moved)
    return row["id"]  # type: ignore[no-any-return]


async def remove(database: Database, tenant: UUID, now: datetime) -> None:
    """Remove what a killed process left of uploads that are over, and forget the old ones.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    store = database.blobs
    if store is None:
        return
    async with database.connection() as connection:
        rows = await connection.fetch(ENDED, now - KEPT, now - LATE, tenant)
    for row in rows:
        if row["status"] == "DISCARDED":
            await clear(database, store, tenant, row["id"], now)
        else:
            await remove_spare(database, store, tenant, row["id"])
        if row["is_old"]:
            await _forget(database, tenant, row["id"])


async def _forget(database: Database, tenant: UUID, upload: UUID) -> None:
    async with database.transaction() as connection:
        await connection.execute(FORGET_FILES, tenant, upload)
        await connection.execute(FORGET, tenant, upload)


async def count(database: Database, tenant: UUID, now: datetime) -> tuple[int, int]:
    """How many uploads would be given up now, and how many bytes they were to bring."""
    async with database.connection() as connection:
        row = await connection.fetchrow(COUNT, now, now - uploads.STALE, tenant)
    return row["count"], row["size"]
