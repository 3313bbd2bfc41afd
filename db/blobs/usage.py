"""What a namespace and all below it keep in the store, and whether there is room for more.

It is counted where it is asked for: a number that is kept beside the truth would be wrong one day. Files count from
the moment they are there until they are forgotten, deleted ones too; what is being uploaded counts with its whole size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg

from db.errors import QuotaExceeded
from db.read.sql import Statement
from db.transaction import Transaction
from db.verbs.entity import Home, Path

LIMITED: Final = """
    SELECT id, path, storage_quota, lineage FROM namespace
    WHERE tenant_id = $1 AND id = ANY($2) AND storage_quota IS NOT NULL ORDER BY cardinality(lineage)
"""
"""The namespaces from a root to one below it that have a quota."""

HOLD: Final = "SELECT pg_advisory_xact_lock(hashtextextended('quota of ' || $1::uuid::text, 0))"
"""Two who ask for the last room at once ask one after the other."""


def stored(tenant: str, namespace: str) -> str:
    """`SELECT` of `file_count`, `file_bytes` and `stored_bytes` of a namespace, all three being SQL."""
    return (
        "SELECT coalesce(sum(n), 0)::bigint AS file_count, coalesce(sum(n * size), 0) AS file_bytes,"
        " coalesce(sum(size), 0) AS stored_bytes FROM ("
        f"SELECT count(*) AS n, min(t901.size) AS size FROM artifact t902 JOIN file t901 ON t901.tenant_id = {tenant}"
        " AND t901.artifact_id = t902.id AND t901.blob_id IS NOT NULL"
        f" WHERE t902.tenant_id = {tenant} AND t902.namespace_id IN ({below(tenant, namespace)})"
        " GROUP BY t901.blob_id) blobs"
    )


def uploading(tenant: str, namespace: str, but: str = "NULL::uuid") -> str:
    """`SELECT` of `upload_bytes`: of uploads into a namespace that are under way, but for one."""
    return (
        f"SELECT coalesce(sum(t903.total_size), 0) AS upload_bytes FROM upload t903 WHERE t903.tenant_id = {tenant}"
        f" AND t903.status IN ('OPEN', 'VERIFYING') AND t903.id IS DISTINCT FROM {but}"
        f" AND t903.namespace_id IN ({below(tenant, namespace)})"
    )


def below(tenant: str, namespace: str) -> str:
    """`SELECT` of a namespace and all below it, deleted ones too."""
    return f"SELECT t904.id FROM namespace t904 WHERE t904.tenant_id = {tenant} AND {namespace} = ANY(t904.lineage)"


def of_namespace(statement: Statement, alias: str) -> str:
    """All of it for the row of a namespace."""
    tenant, namespace = statement.tenant, f"{alias}.id"
    return (
        f"SELECT *, {alias}.storage_quota AS quota_bytes FROM ({stored(tenant, namespace)}) stored"
        f" CROSS JOIN ({uploading(tenant, namespace)}) uploading"
    )


USED: Final = f"""
    SELECT (stored_bytes + upload_bytes)::bigint FROM ({stored("$1", "$2")}) stored
    CROSS JOIN ({uploading("$1", "$2", "$3::uuid")}) uploading
"""
"""What counts against a namespace's quota; bytes that several of its files consist of count once."""


async def require_room(tx: Transaction, home: Home, size: int, path: Path, *, excluding: UUID | None = None) -> None:
    """Hold the quotas of a namespace and of those above it until the commit, if there are any.

    `excluding` is an upload whose bytes are among those asked for.

    Raises:
        QuotaExceeded: so many bytes more are too many for one of them.
    """
    if not size:  # There is always room for nothing, even where there is too much.
        return
    limited: Sequence[asyncpg.Record] = await tx.fetch(LIMITED, list(home.lineage))
    for row in limited:
        await tx.connection.execute(HOLD, row["id"])
    for row in limited:
        used = await tx.fetchval(USED, row["id"], excluding)
        if used + size > row["storage_quota"]:
            raise _exceeded(tx, row, used, size, path)


def _exceeded(tx: Transaction, row: asyncpg.Record, used: int, size: int, path: Path) -> QuotaExceeded:
    """To who does not see the namespace with the quota, neither its path nor what is in it is told."""
    if tx.caller.role_on(row["lineage"]) is None:
        return QuotaExceeded(
            f"A namespace above this one has no room for {shown(size)} more. Delete files, or ask an admin for more.",
            path=path,
        )
    return QuotaExceeded(
        f"The namespace {row['path']!r} may keep {shown(row['storage_quota'])} and keeps {shown(used)}; {shown(size)}"
        " more do not fit. Delete files, or ask an admin of it for a larger quota.",
        path=path,
    )


def shown(size: int) -> str:
    """Bytes for people: exact below 10 kB, else to three digits."""
    number, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if size < 10_000 or number < 1_000:
            break
        number, unit = number / 1_000, larger
    return f"{number:.3g} {unit}" if unit != "bytes" else f"{size} bytes"
