"""The bytes of uploads that came to nothing are removed: first from the store, then from memory.

Some may come after that. A part that is being sent while its upload ends is removed by who writes it; what a client
puts into a bucket by an address that is still good, and what a killed process leaves, is removed when the upload's
files are forgotten: LATEST after its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from db.blobs.sending import session_of
from db.blobs.store import BlobStore, Key
from db.engine import Database

AT_ONCE: Final = 16

LATEST: Final = timedelta(hours=2)
"""Longer than any address is good by which a client puts bytes into a bucket."""


OWN = """
    SELECT f.* FROM upload_file f JOIN upload u ON u.tenant_id = $1 AND u.id = f.upload_id
    WHERE f.tenant_id = $1 AND f.upload_id = $2 AND u.status = $3
        AND NOT EXISTS (SELECT FROM blob b WHERE b.tenant_id = $1 AND b.id = f.blob_id)
"""
"""Files whose bytes are the upload's own: they are not a blob, and as the upload is over, will never be one."""

CLEARED = """
    UPDATE upload SET verifying_since = $3 WHERE tenant_id = $1 AND id = $2 AND status = 'DISCARDED'
    RETURNING finished_at < $4
"""
"""Note that the bytes of a discarded upload were removed; whether nothing of it can come any more."""

FORGET = "DELETE FROM upload_file WHERE tenant_id = $1 AND upload_id = $2"

IS_NOBODYS = """
    SELECT NOT EXISTS (
        SELECT FROM upload WHERE tenant_id = $1 AND id = $2 AND status IN ('OPEN', 'VERIFYING')
    ) AND NOT EXISTS (SELECT FROM blob WHERE tenant_id = $1 AND id = $3)
"""
"""Whether bytes that were sent for an upload are those of nothing: it is over, and they became no blob."""


async def clear(database: Database, store: BlobStore, tenant_id: UUID, upload: UUID, now: datetime) -> int:
    """Remove the bytes of a discarded upload; how many files there were. These are forgotten when none can come late.

    Raises:
        StoreUnavailable: the store does not answer; what is left is removed another time.
    """
    rows = await _own(database, tenant_id, upload, "DISCARDED")
    await _remove(store, tenant_id, rows)
    async with database.connection() as connection:
        if await connection.fetchval(CLEARED, tenant_id, upload, now, now - LATEST):
            await connection.execute(FORGET, tenant_id, upload)
    return len(rows)


async def remove_late(database: Database, store: BlobStore, upload: UUID, key: Key) -> None:
    """Remove what was written for an upload, if that ended meanwhile without it."""
    async with database.connection() as connection:
        is_nobodys = await connection.fetchval(IS_NOBODYS, key.tenant_id, upload, key.id)
    if is_nobodys:
        await store.remove(key)


async def remove_spare(
    database: Database, store: BlobStore, tenant_id: UUID, upload: UUID, numbers: Sequence[int] | None = None
) -> None:
    """Remove what an upload brought that the tenant had already when it was completed."""
    if numbers is None or numbers:
        rows = await _own(database, tenant_id, upload, "READY")
        await _remove(store, tenant_id, rows)


async def _own(database: Database, tenant_id: UUID, upload: UUID, status: str) -> list[Mapping[str, Any]]:
    async with database.connection() as connection:
        return list(await connection.fetch(OWN, tenant_id, upload, status))


async def _remove(store: BlobStore, tenant_id: UUID, rows: Sequence[Mapping[str, Any]]) -> None:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(row: Mapping[str, Any]) -> None:
        async with turns:
            session = session_of(tenant_id, row)
            await store.remove(session.key, session.token)

    for end in await asyncio.gather(*map(one, rows), return_exceptions=True):
        if end is not None:
            raise end
