"""Bytes that no file consists of any more are removed, in steps of which each may be the last that a process does.

A blob without a file is stamped, and doomed when it still has none after a while; then its bytes are removed, and
last its row. Whoever makes a file of a blob holds the blob's row meanwhile, and takes none that is doomed: so of the
two, one sees the other. Files of uploads that are under way count as files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from db.blobs.store import BlobStore, Key
from db.engine import Connection, Database
from db.errors import StoreUnavailable

log = structlog.get_logger("modelbox.blobs")

LOOKED_AT: Final = 10_000
BATCH: Final = 500
AT_ONCE: Final = 8
"""Removals that the store is asked for at the same time."""

FIRST: Final = UUID(int=0)

TENANTS: Final = "SELECT id FROM tenant t WHERE EXISTS (SELECT FROM blob b WHERE b.tenant_id = t.id)"

ALL_TENANTS: Final = "SELECT id, name FROM tenant ORDER BY name"

IN_USE: Final = """(
    EXISTS (SELECT FROM file f WHERE f.tenant_id = $1 AND f.blob_id = b.id) OR EXISTS (
        SELECT FROM upload_file w JOIN upload u ON u.tenant_id = $1 AND u.id = w.upload_id
        WHERE w.tenant_id = $1 AND w.blob_id = b.id AND u.status IN ('OPEN', 'VERIFYING')
    )
)"""
"""Whether the bytes of a blob `b` are those of a file, or may be soon."""

MARK: Final = f"""
    WITH looked AS (SELECT id FROM blob WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3),
    marked AS (
        UPDATE blob b SET unreferenced_at = $4 FROM looked
        WHERE b.tenant_id = $1 AND b.id = looked.id AND b.unreferenced_at IS NULL AND b.doomed_at IS NULL
            AND NOT {IN_USE}
    )
    SELECT id FROM looked ORDER BY id DESC LIMIT 1
"""
"""Stamp those of some blobs that have no file; the last that was looked at."""

UNMARK: Final = f"""
    UPDATE blob b SET unreferenced_at = NULL
    WHERE b.tenant_id = $1 AND b.unreferenced_at IS NOT NULL AND b.doomed_at IS NULL AND {IN_USE}
"""
"""Those that have one again begin anew when they lose that."""

HOLD: Final = """
    SELECT id FROM blob WHERE tenant_id = $1 AND unreferenced_at <= $2 AND doomed_at IS NULL
    ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
"""
"""Some that have had no file for long. Of those that somebody holds, somebody makes a file."""

DOOM: Final = f"""
    UPDATE blob b SET doomed_at = $3 WHERE b.tenant_id = $1 AND b.id = ANY($2) AND NOT {IN_USE} RETURNING b.id
"""
"""A statement of its own, for it must see the files of those who held them a moment ago."""

SPARE: Final = "UPDATE blob SET unreferenced_at = NULL WHERE tenant_id = $1 AND id = ANY($2) AND doomed_at IS NULL"

DOOMED: Final = """
    SELECT id, digest, size FROM blob WHERE tenant_id = $1 AND doomed_at IS NOT NULL ORDER BY doomed_at LIMIT $2
"""
FORGET: Final = """
    DELETE FROM blob WHERE tenant_id = $1 AND id = ANY($2) AND doomed_at IS NOT NULL RETURNING size
"""

UNUSED: Final = f"""
    SELECT CASE
        WHEN b.doomed_at IS NOT NULL OR coalesce(b.unreferenced_at, $2) <= $3 THEN 'due' ELSE 'waiting'
    END AS state, count(*) AS count, sum(b.size)::bigint AS size
    FROM blob b WHERE b.tenant_id = $1 AND (b.doomed_at IS NOT NULL OR NOT {IN_USE}) GROUP BY state
"""
"""What a sweep would remove now, and what it would leave for a while."""


@dataclass(frozen=True)
class Amount:
    """So many blobs, and so many bytes together."""

    count: int = 0
    size: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.count + other.count, self.size + other.size)


async def tenants(database: Database) -> list[tuple[UUID, str]]:
    """All tenants and their names."""
    async with database.connection() as connection:
        return [(row["id"], row["name"]) for row in await connection.fetch(ALL_TENANTS)]


async def find(database: Database, _now: datetime) -> list[str]:
    """The tenants that have blobs. Whether some are of no use is found out one tenant after the other."""
    if database.blobs is None:
        return []
    async with database.connection() as connection:
        return [row["id"].hex for row in await connection.fetch(TENANTS)]


async def do(database: Database, tenant_hex: str, now: datetime, *, grace: timedelta) -> Amount:
    """All steps in a tenant; returns what was removed."""
    tenant = UUID(tenant_hex)
    await mark(database, tenant, now)
    await doom(database, tenant, now, before=now - grace)
    return await remove(database, tenant)


async def mark(database: Database, tenant: UUID, now: datetime) -> None:
    """Stamp the blobs that have no file, and take the stamp from those that have one again."""
    last: UUID | None = FIRST
    while last is not None:
        async with database.connection() as connection:
            last = await connection.fetchval(MARK, tenant, last, LOOKED_AT, now)
    async with database.connection() as connection:
        await connection.execute(UNMARK, tenant)


async def doom(database: Database, tenant: UUID, now: datetime, *, before: datetime) -> int:
    """Doom those that have had no file since before that; returns how many. Nobody makes a file of them any more."""
    total = 0
    while True:
        async with database.transaction() as connection:
            held, doomed = await _doom_some(connection, tenant, now, before)
        total += doomed
        if held < BATCH:
            return total


async def _doom_some(connection: Connection, tenant: UUID, now: datetime, before: datetime) -> tuple[int, int]:
    held = [row["id"] for row in await connection.fetch(HOLD, tenant, before, BATCH)]
    if not held:
        return 0, 0
    doomed = await connection.fetch(DOOM, tenant, held, now)
    if len(doomed) < len(held):
        await connection.execute(SPARE, tenant, held)
    return len(held), len(doomed)


async def remove(database: Database, tenant: UUID) -> Amount:
    """Remove the bytes of what is doomed, and then what is known of it.

    Raises:
        StoreUnavailable: not all could be removed; it is done again with the rest.
    """
    store, total, left = database.blobs, Amount(), True
    while store is not None and left:
        async with database.connection() as connection:
            rows = await connection.fetch(DOOMED, tenant, BATCH)
        keys = [Key(tenant, row["digest"].removeprefix("sha256:"), row["id"]) for row in rows]
        gone, failure = await _removed(store, keys)
        async with database.connection() as connection:
            sizes = [row["size"] for row in await connection.fetch(FORGET, tenant, gone)]
        total += Amount(len(sizes), sum(sizes))
        if failure:
            raise failure
        left = len(rows) == BATCH
    if total.count:
        log.info("bytes without a file are removed", tenant=tenant, blobs=total.count, bytes=total.size)
    return total


async def _removed(store: BlobStore, keys: Sequence[Key]) -> tuple[list[UUID], StoreUnavailable | None]:
    """The ids of the keys whose bytes are gone, and why others are not."""
    turns = asyncio.Semaphore(AT_ONCE)
    failures: list[StoreUnavailable] = []

    async def remove(key: Key) -> UUID | None:
        async with turns:
            if failures:
                return None
            try:
                await store.remove(key)
            except StoreUnavailable as error:
                failures.append(error)
                return None
            return key.id

    found = await asyncio.gather(*map(remove, keys))
    return [id_ for id_ in found if id_], next(iter(failures), None)


async def unused(database: Database, tenant: UUID, now: datetime, *, grace: timedelta) -> tuple[Amount, Amount]:
    """What a sweep would remove now, and what it would still leave. Nothing is changed."""
    async with database.connection() as connection:
        rows = await connection.fetch(UNUSED, tenant, now, now - grace)
    found = {row["state"]: Amount(row["count"], row["size"]) for row in rows}
    return found.get("due", Amount()), found.get("waiting", Amount())
