"""The bytes of uploads that came to nothing are removed: first from the store, then from memory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from db.blobs.sending import session_of
from db.blobs.store import BlobStore
from db.engine import Database

AT_ONCE: Final = 16

OWN = """
    SELECT f.* FROM upload_file f JOIN upload u ON u.tenant_id = $1 AND u.id = f.upload_id
    WHERE f.tenant_id = $1 AND f.upload_id = $2 AND u.status = $3
        AND NOT EXISTS (SELECT FROM blob b WHERE b.tenant_id = $1 AND b.id = f.blob_id)
"""
"""Files whose bytes are the upload's own: they are not a blob, and as the upload is over, will never be one."""

FORGET = "DELETE FROM upload_file WHERE tenant_id = $1 AND upload_id = $2"


async def clear(database: Database, store: BlobStore, tenant_id: UUID, upload: UUID) -> int:
    """Remove the bytes of a discarded upload, and what is known of its files; how many there were.

    Raises:
        StoreUnavailable: the store does not answer; what is left is removed another time.
    """
    rows = await _own(database, tenant_id, upload, "DISCARDED")
    await _remove(store, tenant_id, rows)
    async with database.connection() as connection:
        await connection.execute(FORGET, tenant_id, upload)
    return len(rows)


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
