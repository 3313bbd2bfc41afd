"""Uploads whose completion was cut short, by the end of a process say, are completed by another one."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from db.access import Caller, Role, roles_of
from db.blobs.clearing import remove_spare
from db.blobs.verification import reopen, verify
from db.engine import Database
from db.errors import Conflict, DomainError, Unavailable
from db.identifiers import format_id
from db.jobs import piece
from db.read.source import UPLOAD
from db.transaction import Again, Transaction
from db.verbs import uploads

BATCH: Final = 100

CUT_SHORT: Final = """
    SELECT tenant_id, id FROM upload WHERE status = 'VERIFYING' AND verifying_since < $1
    ORDER BY verifying_since LIMIT $2
"""
"""Uploads that somebody began to look through, and of which nothing was heard since."""

TAKE: Final = """
    UPDATE upload u SET verifying_since = $3 FROM actor a
    WHERE u.tenant_id = $1 AND u.id = $2 AND u.status = 'VERIFYING' AND u.verifying_since < $4
        AND a.tenant_id = $1 AND a.id = u.created_by
    RETURNING a.id, a.name, a.kind, a.disabled_at
"""
"""Take one over, unless somebody did; in the name of who began it, if that may still do so."""


async def find(database: Database, now: datetime) -> list[str]:
    """The uploads, each with its tenant."""
    if database.blobs is None:
        return []
    async with database.connection() as connection:
        rows = await connection.fetch(CUT_SHORT, now - uploads.STALE, BATCH)
    return [piece.of_object(row["tenant_id"], row["id"]) for row in rows]


async def do(database: Database, name: str, now: datetime) -> bool:
    """Look through one of them and complete it; whether that was to be done, and went well."""
    tenant_id, upload = piece.read(name)
    store = database.blobs
    if store is None:
        return False
    caller = await _take(database, tenant_id, upload, now)
    if caller is None:
        return False
    try:
        await verify(database, store, tenant_id, upload)
        async with database.transaction() as connection:
            tx = Transaction(connection, caller, Role.WRITER, "completion", now)
            await uploads.complete(tx, id=format_id(UPLOAD.prefix, upload))
            await tx.settle()
    except Unavailable:
        raise
    except Again as error:
        raise Conflict("Its bytes changed meanwhile; it is looked through once more.") from error
    except DomainError:
        await reopen(database, tenant_id, upload)
        return False  # Whoever completes it is told why.
    database.committed(tenant_id, tx.moved)
    await remove_spare(database, store, tenant_id, upload)
    return True


async def _take(database: Database, tenant_id: UUID, upload: UUID, now: datetime) -> Caller | None:
    """Who began an upload, with the roles of this moment; None when it is not to be taken over."""
    async with database.connection() as connection:
        actor = await connection.fetchrow(TAKE, tenant_id, upload, now, now - uploads.STALE)
        if actor is None:
            return None
        roles = {} if actor["disabled_at"] else await roles_of(connection, tenant_id, actor["id"])
    return Caller(tenant_id, actor["id"], actor["name"], actor["kind"], roles)
