"""The seeded database: an embedded PostgreSQL in a folder of its own, kept from run to run."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg

from benchmarks import seed
from benchmarks.seed import BEGIN, Seed
from db import access, migrate
from db.embedded import DATABASE, EmbeddedPostgres

FOLDER = Path(".modelbox-bench")
TENANT = UUID("01900000-0000-7000-8000-000000000001")
ACTOR = UUID("01900000-0000-7000-8000-000000000002")
TOKEN = "mbx_benchmark000_this-database-holds-no-secrets"


@dataclass(frozen=True)
class Store:
    """A running, seeded database."""

    dsn: str
    seed: Seed
    pid: int


@contextmanager
def seeded(scale: float, number: int) -> Iterator[Store]:
    """The store of that scale and seed; written anew when its tables or its rows would differ."""
    with EmbeddedPostgres(FOLDER / f"scale-{scale:g}") as server:
        asyncio.run(_prepare(server, scale, number))
        assert server.pid
        yield Store(server.dsn(), Seed(TENANT, ACTOR, scale, number), server.pid)


async def _prepare(server: EmbeddedPostgres, scale: float, number: int) -> None:
    wanted = _fingerprint(scale, number)
    admin = await asyncpg.connect(server.dsn("postgres"))
    try:
        described = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1"
        if await admin.fetchval(described, DATABASE) == wanted:
            return
        await admin.execute(f'DROP DATABASE IF EXISTS "{DATABASE}" WITH (FORCE)')
        await admin.execute(f'CREATE DATABASE "{DATABASE}"')
        await _write(server.dsn(), Seed(TENANT, ACTOR, scale, number))
        await admin.execute(f"COMMENT ON DATABASE \"{DATABASE}\" IS '{wanted}'")
        await admin.execute("CHECKPOINT")
    finally:
        await admin.close()


def _fingerprint(scale: float, number: int) -> str:
    """Of all that decides the rows: the parameters, this code, and the migrations."""
    files = [Path(__file__), Path(seed.__file__), *sorted(migrate.FOLDER.rglob("*.py"))]
    parts = [repr((scale, number)), *(file.read_text() for file in files)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


async def _write(dsn: str, rows: Seed) -> None:
    began = time.monotonic()
    await migrate.migrate(dsn)
    connection = await asyncpg.connect(dsn)
    try:
        # Links hold by construction; checking them takes longer than writing the rows.
        await connection.execute("SET session_replication_role = replica; SET synchronous_commit = off")
        await _write_identities(connection, rows)
        for table in rows.tables():
            await connection.copy_records_to_table(table.name, columns=table.columns, records=table.records)
            print(f"  {table.name:<14} written after {time.monotonic() - began:5.1f} s")
        await migrate.prepare_installation(dsn)
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close()
    print(f"Seeded in {time.monotonic() - began:.0f} s.")


async def _write_identities(connection: asyncpg.Connection, rows: Seed) -> None:
    """The organisation, and a program that may read all of its namespaces."""
    await connection.execute("INSERT INTO tenant (id, name, created_at) VALUES ($1, 'default', $2)", TENANT, BEGIN)
    await connection.execute(
        "INSERT INTO actor (tenant_id, id, kind, name, created_at) VALUES ($1, $2, 'SERVICE_ACCOUNT', 'benchmark', $3)",
        TENANT,
        ACTOR,
        BEGIN,
    )
    roots = [rows.id("namespace", number) for number in range(len(seed.ROOTS))]
    await connection.executemany(
        "INSERT INTO role_grant (tenant_id, id, actor_id, namespace_id, role, created_at)"
        " VALUES ($1, $2, $3, $4, 'READER', $5)",
        [(TENANT, rows.id("grant", number), ACTOR, root, BEGIN) for number, root in enumerate(roots)],
    )
    await connection.execute(
        "INSERT INTO token (prefix, id, tenant_id, actor_id, digest, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        access.prefix_of(TOKEN),
        rows.id("actor", 0),
        TENANT,
        ACTOR,
        access.digest_of(TOKEN),
        BEGIN,
    )
