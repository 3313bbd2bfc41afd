"""The schema as migrated, held against the one declared; what is refused; several starts at once."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Index, NullPool, UniqueConstraint, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from db import migrate
from db.embedded import EmbeddedPostgres
from db.embedded_folder import WHEEL, WHEEL_VERSIONS
from db.jobs import names as jobs
from db.tables.row import metadata
from tests.postgres import Postgres, connected

# Columns in their order, constraints and indexes as PostgreSQL prints them, sequences.
CATALOG = """
WITH ours AS (
    SELECT * FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE ALL (ARRAY['alembic_version%', 'pgqueuer%'])
)
SELECT relname || '.' || row_number() OVER (PARTITION BY relname ORDER BY attnum) AS name,
    concat_ws(' ', attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'NOT NULL' END,
        attidentity, attgenerated, pg_get_expr(adbin, adrelid)) AS definition
FROM ours
JOIN pg_attribute ON attrelid = ours.oid AND attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'p', 'S')
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
UNION ALL
SELECT relname || '.' || conname, pg_get_constraintdef(pg_constraint.oid)
FROM ours JOIN pg_constraint ON conrelid = ours.oid
UNION ALL
SELECT relname, pg_get_indexdef(indexrelid) FROM pg_index JOIN ours ON ours.oid = indexrelid
"""
WAITING = """
SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted
"""


async def catalog(dsn: str) -> dict[str, str]:
    async with connected(dsn) as connection:
        return {row["name"]: row["definition"] for row in await connection.fetch(CATALOG)}


async def tables(dsn: str) -> set[str]:
    async with connected(dsn) as connection:
        names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row["tablename"] for row in names}


def engine_for(dsn: str) -> AsyncEngine:
    return create_async_engine(make_url(dsn).set(drivername="postgresql+asyncpg"), poolclass=NullPool)


def steps() -> ScriptDirectory:
    return ScriptDirectory(str(migrate.FOLDER))


async def test_migrations_make_what_is_declared(dsn: str, empty_dsn: str) -> None:
    async with engine_for(empty_dsn).begin() as connection:
        await connection.run_sync(metadata.create_all)
    migrated, declared = await catalog(dsn), await catalog(empty_dsn)
    assert migrated == declared
    assert "WHERE (deleted_at IS NULL)" in migrated["uq_model_name"]
    assert migrated["role_grant.ck_role_grant_role_known"].startswith("CHECK")


async def test_alembic_finds_nothing_to_migrate(dsn: str) -> None:
    def ours(name: str | None, kind: str, _parents: Any) -> bool:
        return kind != "table" or name not in jobs.TABLES

    def differences(connection: Connection) -> Any:
        options = {"compare_server_default": True, "include_name": ours}
        context = MigrationContext.configure(connection, opts=options)
        return compare_metadata(context, metadata)

    async with engine_for(dsn).connect() as connection:
        assert await connection.run_sync(differences) == []


def test_migrations_form_one_line_in_the_order_of_their_files() -> None:
    newest_first = [step.revision for step in steps().walk_revisions()]
    assert migrate.known_revisions() == newest_first[::-1]


def finds_links(index: Index) -> bool:
    """It knows all rows, or all that have a value in its last column: which of them name another is asked of those."""
    where = index.dialect_options["postgresql"]["where"]
    return where is None or str(where) == f"{list(index.columns.keys())[-1]} IS NOT NULL"


def test_every_link_is_indexed_where_it_stands() -> None:
    """Else a row that is purged costs a scan of each table that might name it. Actors are never removed."""
    for table in metadata.tables.values():
        keys = [list(index.columns.keys()) for index in table.indexes if finds_links(index)]
        keys.append(list(table.primary_key.columns.keys()))
        keys += [list(c.columns.keys()) for c in table.constraints if isinstance(c, UniqueConstraint)]
        for link in table.foreign_key_constraints:
            names = list(link.column_keys)
            found = any(key[: len(names)] == names for key in keys)
            assert found or link.referred_table.name == "actor", f"{table.name}: {names}"


def test_every_table_has_a_place_on_citus() -> None:
    everywhere: set[str] = set()
    by_tenant: set[str] = set()
    dropped: set[str] = set()
    for step in steps().walk_revisions():
        everywhere |= set(getattr(step.module, "EVERYWHERE", ()))
        by_tenant |= set(getattr(step.module, "BY_TENANT", ()))
        dropped |= set(getattr(step.module, "DROPPED", ()))
    by_tenant -= dropped
    assert everywhere | by_tenant == set(metadata.tables)
    assert not everywhere & by_tenant
    for name in by_tenant:
        assert "tenant_id" in metadata.tables[name].primary_key.columns, name
    for name in everywhere:  # Citus refuses a link from what is everywhere to what is in one place.
        targets = {link.referred_table.name for link in metadata.tables[name].foreign_key_constraints}
        assert targets <= everywhere, name


# Citus cannot be had here; these functions of its names note what they are asked, and when.
STAND_IN_FOR_CITUS = """
CREATE SCHEMA noted;
CREATE TABLE noted.call (called text, with_name text, links int);
CREATE FUNCTION create_reference_table(it regclass) RETURNS void LANGUAGE sql AS $$
    INSERT INTO noted.call SELECT 'everywhere', it, count(*) FROM pg_constraint
    WHERE contype = 'f' AND it IN (conrelid, confrelid) $$;
CREATE FUNCTION create_distributed_table(it regclass, by text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO noted.call SELECT by, it, count(*) FROM pg_constraint
    WHERE contype = 'f' AND it IN (conrelid, confrelid) $$;
SET allow_system_table_mods = on;
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
SELECT 99999, 'citus', 10, 'noted'::regnamespace, false, '13';
"""


async def test_tables_are_placed_before_they_are_linked(empty_dsn: str) -> None:
    async with connected(empty_dsn) as connection:
        await connection.execute(STAND_IN_FOR_CITUS)
        await migrate.migrate(empty_dsn)
        calls = await connection.fetch("SELECT called, with_name, links FROM noted.call")
    dropped = {name for step in steps().walk_revisions() for name in getattr(step.module, "DROPPED", ())}
    assert {call["with_name"] for call in calls} == {*metadata.tables, *dropped}
    assert {call["called"] for call in calls} == {"everywhere", "tenant_id"}
    assert {call["links"] for call in calls} == {0}


async def test_a_newer_schema_is_refused(dsn: str) -> None:
    async with connected(dsn) as connection:
        await connection.execute("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(migrate.SchemaTooNew, match=r"9999.* this one knows schemas up to 0"):
            await migrate.migrate(dsn)
        assert await connection.fetchval("SELECT version_num FROM alembic_version") == "9999"


async def test_an_older_postgresql_is_refused(empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "OLDEST", 990000)
    with pytest.raises(migrate.ServerTooOld, match="PostgreSQL 18; ModelBox needs 99 or newer"):
        await migrate.migrate(empty_dsn)
    assert await tables(empty_dsn) == set()


async def test_a_migration_that_fails_leaves_nothing(empty_dsn: str) -> None:
    async with connected(empty_dsn) as connection:
        await connection.execute("CREATE TABLE point (of int)")
        with pytest.raises(asyncpg.DuplicateTableError):
            await migrate.migrate(empty_dsn)
        assert await tables(empty_dsn) == {"point"}
        await connection.execute("DROP TABLE point")
    await migrate.migrate(empty_dsn)
    assert await tables(empty_dsn) == {*metadata.tables, *jobs.TABLES, "alembic_version"}


async def test_no_timeout_ends_a_migration_that_waits(empty_dsn: str) -> None:
    async with connected(empty_dsn) as other:
        database = await other.fetchval("SELECT quote_ident(current_database())")
        await other.execute(
            f"ALTER DATABASE {database} SET statement_timeout = 50;"
            f"ALTER DATABASE {database} SET lock_timeout = 50;"
            f"ALTER DATABASE {database} SET default_transaction_isolation = 'serializable'"
        )
        async with other.transaction():
            await other.execute("SELECT pg_advisory_xact_lock($1)", migrate.LOCK)
            waiting = asyncio.create_task(migrate.migrate(empty_dsn))
            await asyncio.sleep(0.3)
            assert not waiting.done()
        await waiting
    assert "tenant" in await tables(empty_dsn)


START = """
import asyncio, sys
from db import migrate

async def start():
    await migrate.migrate(sys.argv[1])
    await migrate.prepare_installation(sys.argv[1])

asyncio.run(start())
sys.exit("alembic" in sys.modules)
"""


async def started(dsn: str) -> int:
    """A process that starts on a database; tells whether it loaded Alembic."""
    root = migrate.FOLDER.parents[1]
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", START, dsn, cwd=root)
    return await process.wait()


async def test_several_processes_start_at_once(empty_dsn: str) -> None:
    async with connected(empty_dsn) as connection:
        async with connection.transaction():  # holds all of them until each has seen an empty database
            await connection.execute("SELECT pg_advisory_xact_lock($1)", migrate.LOCK)
            starting = [asyncio.create_task(started(empty_dsn)) for _ in range(3)]
            while await connection.fetchval(WAITING) < 3:  # noqa: ASYNC110 - PostgreSQL has no event for it
                await asyncio.sleep(0.02)
        assert sorted(await asyncio.gather(*starting)) == [0, 0, 1]  # Only the first had steps to take.
        for table in ("alembic_version", "installation", "tenant", "actor", "role_grant"):
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 1, table


async def test_a_start_that_finds_nothing_to_do_loads_no_migrations(dsn: str) -> None:
    assert await started(dsn) == 0


def test_the_oldest_programs_at_hand_can_be_migrated(tmp_path: Path) -> None:
    wheel = importlib.util.find_spec(WHEEL)
    assert wheel is not None
    assert wheel.origin is not None
    programs = Path(wheel.origin).parent / WHEEL_VERSIONS[min(WHEEL_VERSIONS)] / "bin"
    with EmbeddedPostgres(tmp_path, programs) as postgres:
        dsn = postgres.dsn()
        asyncio.run(migrate.migrate(dsn))
        asyncio.run(migrate.prepare_installation(dsn))
        assert asyncio.run(migrate.server_role(dsn)) == "modelbox_server"


async def test_a_copied_database_is_its_own(postgres: Postgres, dsn: str) -> None:
    async with postgres.new_database() as other:
        assert other != dsn
        async with connected(other) as connection:
            await connection.execute("DELETE FROM role_grant")
    async with connected(dsn) as connection:
        assert await connection.fetchval("SELECT count(*) FROM role_grant") == 1
