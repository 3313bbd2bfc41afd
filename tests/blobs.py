"""Stored files without an upload: rows as a completed one leaves them, for tests that need no bytes."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from uuid import UUID

from db.engine import Database
from db.identifiers import format_id, new_id

PART_SIZE = 8 << 20

OWNER = "SELECT tenant_id, id, namespace_id FROM object WHERE id = $1"
ACTOR = "SELECT id FROM actor WHERE tenant_id = $1 LIMIT 1"

ARTIFACT = """
    INSERT INTO artifact (
        tenant_id, id, object_id, namespace_id, name, kind, status, created_at, created_by, updated_at, shard
    ) VALUES ($1, $2, $3, $4, $5, 'CHECKPOINT', $6, $7, $8, $7, $9) RETURNING id
"""
KNOWN = "SELECT id FROM artifact WHERE tenant_id = $1 AND object_id = $2 AND name = $3 AND deleted_at IS NULL"
BLOB = """
    INSERT INTO blob (tenant_id, id, digest, size, part_size, part_digests, stored_at, verified_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
    ON CONFLICT (tenant_id, digest) WHERE doomed_at IS NULL DO UPDATE SET verified_at = excluded.verified_at
    RETURNING id
"""
FILE = """
    INSERT INTO file (tenant_id, id, artifact_id, path, size, digest, blob_id, verified_at, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
"""


async def stored_artifact(
    database: Database, owner_id: str, name: str = "files", *, shard: int | None = None, status: str = "READY"
) -> str:
    """An artifact of an entity without a file; its id."""
    id_, now = new_id(), datetime.now(UTC)
    async with database.connection() as connection:
        owner = await connection.fetchrow(OWNER, UUID(owner_id.partition("_")[2]))
        assert owner is not None
        actor = await connection.fetchval(ACTOR, owner["tenant_id"])
        await connection.execute(
            ARTIFACT, owner["tenant_id"], id_, *list(owner.values())[1:], name, status, now, actor, shard
        )
    return format_id("art", id_)


async def stored_file(
    database: Database,
    owner_id: str,
    path: str = "weights.bin",
    content: bytes = b"weights",
    *,
    artifact: str = "files",
    shard: int | None = None,
) -> str:
    """A file of an entity's artifact of that name, which is made when it is missing; the artifact's id."""
    now, digest = datetime.now(UTC), hashlib.sha256(content)
    async with database.connection() as connection:
        owner = await connection.fetchrow(OWNER, UUID(owner_id.partition("_")[2]))
        assert owner is not None
        known = await connection.fetchval(KNOWN, owner["tenant_id"], owner["id"], artifact)
    if known is None:
        known = UUID((await stored_artifact(database, owner_id, artifact, shard=shard)).partition("_")[2])
    about = (f"sha256:{digest.hexdigest()}", len(content))
    async with database.connection() as connection:
        # One part: the file's digest is the part's. A file without bytes has none.
        parts = digest.digest() if content else b""
        blob = await connection.fetchval(BLOB, owner["tenant_id"], new_id(), *about, PART_SIZE, parts, now)
        await connection.execute(FILE, owner["tenant_id"], new_id(), known, path, *about[::-1], blob, now)
    return format_id("art", known)
