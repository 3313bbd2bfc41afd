"""What a start writes before the first request, and the rights of the role that the server works as."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from db import migrate, server_role
from db.embedded import EmbeddedPostgres
from db.engine import Database
from db.jobs import names as jobs
from db.tables.row import metadata
from tests.postgres import Postgres, connected, in_memory

TENANT = UUID(int=1)
STREAM = UUID(int=2)
NEW_HEAD = "INSERT INTO stream_head (tenant_id, stream_id, seq) VALUES ($1, $2, 7)"
ROWS = "SELECT array_agg(row ORDER BY row::text)::text FROM ({}) AS row"
EVERYTHING = ROWS.format(
    " UNION ALL ".join(f'SELECT it.ctid::text, it::text FROM "{name}" AS it' for name in metadata.tables)
)


async def start(dsn: str) -> str | None:
    await migrate.migrate(dsn)
    await migrate.prepare_installation(dsn)
    return await migrate.server_role(dsn)


# --- First rows and epochs ---


async def test_the_first_start_makes_a_tenant_and_its_admin(dsn: str) -> None:
    async with connected(dsn) as connection:
        found = await connection.fetchrow("""
            SELECT tenant.name AS tenant, actor.kind, actor.name, role, namespace_id
            FROM tenant JOIN actor ON tenant_id = tenant.id
            JOIN role_grant ON role_grant.tenant_id = tenant.id AND actor_id = actor.id
        """)
        assert tuple(found) == ("default", "USER", "local", "ADMIN", None)
        system = await connection.fetchval("SELECT system_identifier::text FROM pg_control_system()")
        installation = await connection.fetchrow("SELECT * FROM installation")
        assert tuple(installation) == (1, system, 1, 1)


async def test_a_restart_writes_nothing(dsn: str) -> None:
    async with connected(dsn) as connection:
        rights = "SELECT array_agg(xmin::text ORDER BY oid) FROM pg_class WHERE relacl IS NOT NULL"
        before = [await connection.fetchval(EVERYTHING), await connection.fetchval(rights)]
        await start(dsn)
        assert before == [await connection.fetchval(EVERYTHING), await connection.fetchval(rights)]


async def test_what_an_admin_took_away_stays_away(dsn: str) -> None:
    async with connected(dsn) as connection:
        await connection.execute("DELETE FROM role_grant")
        await start(dsn)
        assert await connection.fetchval("SELECT count(*) FROM role_grant") == 0


@pytest.mark.parametrize("change", ["system_identifier = '1'", "timeline = 17"])
async def test_another_postgresql_means_another_epoch(dsn: str, change: str) -> None:
    async with connected(dsn) as connection:
        await connection.execute(NEW_HEAD, TENANT, STREAM)
        before = await connection.fetchrow("SELECT * FROM installation")
        await connection.execute(f"UPDATE installation SET {change}")
        await start(dsn)
        after = await connection.fetchrow("SELECT * FROM installation")
        assert after["epoch"] > before["epoch"]
        assert dict(after) == {**before, "epoch": after["epoch"]}
        assert tuple(await connection.fetchrow("SELECT epoch, seq FROM stream_head")) == (after["epoch"], 7)
        await start(dsn)
        assert await connection.fetchrow("SELECT * FROM installation") == after


async def test_one_backup_restored_twice_gives_two_epochs(dsn: str) -> None:
    async with connected(dsn) as connection:
        epochs = []
        for pause in (0, 1):
            await asyncio.sleep(pause)
            await connection.execute("UPDATE installation SET system_identifier = '1', epoch = 1")
            await start(dsn)
            epochs.append(await connection.fetchval("SELECT epoch FROM installation"))
        assert epochs[0] != epochs[1]


async def test_a_new_epoch_waits_for_writers_and_misses_none(dsn: str) -> None:
    async with connected(dsn) as connection, connected(dsn) as writer:
        await connection.execute("UPDATE installation SET system_identifier = '1'")
        async with writer.transaction():
            await writer.execute(NEW_HEAD, TENANT, STREAM)
            starting = asyncio.create_task(start(dsn))
            await asyncio.sleep(0.3)
            assert not starting.done()
        await starting
        epoch = await connection.fetchval("SELECT epoch FROM installation")
        assert await connection.fetch("SELECT epoch FROM stream_head") == [(epoch,)]


def test_a_standby_that_takes_over_is_another_postgresql(tmp_path: Path) -> None:
    async def promote(dsn: str) -> None:
        async with connected(dsn) as connection:
            assert await connection.fetchval("SELECT pg_promote()")

    async def installation(dsn: str) -> tuple[int, int]:
        async with connected(dsn) as connection:
            timeline, epoch = await connection.fetchrow("SELECT timeline, epoch FROM installation")
            return timeline, epoch

    with EmbeddedPostgres(tmp_path) as postgres:
        asyncio.run(start(postgres.dsn()))
        assert asyncio.run(installation(postgres.dsn())) == (1, 1)
    (tmp_path / "postgres" / "standby.signal").touch()
    with EmbeddedPostgres(tmp_path) as postgres:
        asyncio.run(promote(postgres.dsn()))
        asyncio.run(start(postgres.dsn()))
        timeline, epoch = asyncio.run(installation(postgres.dsn()))
    assert timeline == 2
    assert epoch > 1


# --- The server's role ---


@pytest.fixture(scope="module")
async def server(postgres: Postgres) -> AsyncIterator[Database]:
    """One database for all that is refused there."""
    async with postgres.new_database() as dsn:
        database = await Database.connect(dsn, role=server_role.NAME)
        yield database
        await database.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET actor_name = 'somebody else'",
        "DELETE FROM audit_event",
        "TRUNCATE audit_event",
        "ALTER TABLE audit_event DISABLE TRIGGER ALL",
        "UPDATE tag_change SET tag = 'other'",
        "DELETE FROM tag_change",
        "UPDATE installation SET epoch = 1",
        "UPDATE alembic_version SET version_num = '0000'",
        "CREATE TABLE mine (id int)",
        "CREATE ROLE mine",
        "SELECT pg_read_file('postgresql.conf')",
        "COPY tenant TO PROGRAM 'cat'",
    ],
)
async def test_the_server_cannot(server: Database, statement: str) -> None:
    async with server.connection() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
        await connection.execute("RESET ROLE")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_the_server_can_write_what_it_should(database: Database) -> None:
    async with database.connection() as connection:
        tenant = await connection.fetchval("SELECT id FROM tenant")
        await connection.execute(NEW_HEAD, tenant, STREAM)
        await connection.execute("UPDATE stream_head SET seq = seq + 1")
        await connection.execute(
            """
            INSERT INTO audit_event (tenant_id, stream_id, seq, id, at, action, kind, object_id,
                object_name, actor_id, actor_name)
            VALUES ($1, $2, 8, $2, now(), 'CREATE', 'MODEL', $2, 'm', $2, 'a')
            """,
            tenant,
            STREAM,
        )
        assert await connection.fetchval("SELECT actor_name FROM audit_event") == "a"
        await connection.execute("DELETE FROM stream_head")


async def test_rights_are_exactly_those(dsn: str) -> None:
    async with connected(dsn) as connection:
        held = await connection.fetch(
            """
            SELECT relname, array_agg(privilege_type) FROM pg_class, aclexplode(relacl)
            WHERE grantee = 'modelbox_server'::regrole GROUP BY relname
            """
        )
    everything = {"SELECT", "INSERT", "UPDATE", "DELETE"}
    exceptions = {
        "audit_event": {"SELECT", "INSERT"},
        "tag_change": {"SELECT", "INSERT"},
        "installation": {"SELECT"},
        "alembic_version": {"SELECT"},
    }
    tables = dict.fromkeys((*metadata.tables, *jobs.TABLES), everything)
    sequences = {name: {"USAGE"} for name in jobs.SEQUENCES}
    assert {name: set(rights) for name, rights in held} == tables | sequences | exceptions


@pytest.mark.parametrize(
    "change",
    [
        "REVOKE ALL ON event FROM modelbox_server",  # as a later migration's table is born
        "REVOKE ALL ON SEQUENCE pgqueuer_id_seq FROM modelbox_server",
        "GRANT UPDATE ON audit_event TO modelbox_server",
    ],
)
async def test_rights_are_put_right(dsn: str, change: str) -> None:
    async with connected(dsn) as connection:
        await connection.execute(change)
    assert await migrate.server_role(dsn) is None
    assert await start(dsn) == server_role.NAME


# --- Users with fewer rights than a superuser, each in a PostgreSQL of their own ---


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that has never seen ModelBox."""
    with in_memory() as memory, EmbeddedPostgres(memory or tmp_path_factory.mktemp("bare")) as postgres:
        yield postgres


@pytest.fixture
async def superuser(bare: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Leaves no role and no database behind."""
    async with connected(bare.dsn("postgres")) as connection:
        yield connection
        for table, column, thing in (("database", "datname", "database"), ("roles", "rolname", "role")):
            own = f"SELECT {column} FROM pg_{table} WHERE {column} ~ '^(owner|modelbox_server)'"
            for row in await connection.fetch(own):
                await connection.execute(f'DROP {thing} "{row[0]}"')


_numbers = itertools.count(1)


async def owned(superuser: asyncpg.Connection[Any], bare: EmbeddedPostgres, *words: str) -> str:
    """A database of a new user's own, as that user."""
    name = f"owner{next(_numbers)}"
    await superuser.execute(f"CREATE ROLE {name} LOGIN {' '.join(words)}")
    await superuser.execute(f"CREATE DATABASE {name} OWNER {name}")
    return as_user(bare.dsn(name), name)


def as_user(dsn: str, user: str) -> str:
    parts = urlsplit(dsn)
    return parts._replace(netloc=f"{user}@").geturl()


async def test_an_owner_who_may_create_roles_makes_it(
    superuser: asyncpg.Connection[Any], bare: EmbeddedPostgres
) -> None:
    dsn = await owned(superuser, bare, "CREATEROLE")
    assert await start(dsn) == server_role.NAME
    database = await Database.connect(dsn, role=server_role.NAME)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT name FROM tenant") == "default"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM audit_event")
    await database.close()
    assert await start(dsn) == server_role.NAME


async def test_an_owner_who_may_not_works_without(superuser: asyncpg.Connection[Any], bare: EmbeddedPostgres) -> None:
    dsn = await owned(superuser, bare)
    assert await start(dsn) is None
    assert await start(dsn) is None
    await superuser.execute("CREATE ROLE modelbox_server LOGIN")
    assert await start(dsn) is None, "they may not take on a role that they are no member of"
    await superuser.execute(f"GRANT modelbox_server TO {urlsplit(dsn).username}")
    assert await start(dsn) == server_role.NAME


async def test_a_mighty_role_of_that_name_is_not_taken_on(
    superuser: asyncpg.Connection[Any], bare: EmbeddedPostgres
) -> None:
    await superuser.execute("CREATE ROLE modelbox_server SUPERUSER")
    assert await start(await owned(superuser, bare, "SUPERUSER")) is None


async def test_an_owner_of_that_name_is_not_taken_on(
    superuser: asyncpg.Connection[Any], bare: EmbeddedPostgres
) -> None:
    await superuser.execute("CREATE ROLE modelbox_server LOGIN")
    await superuser.execute("CREATE DATABASE modelbox_server OWNER modelbox_server")
    assert await start(as_user(bare.dsn("modelbox_server"), "modelbox_server")) is None


async def test_a_server_may_sign_in_as_the_role(superuser: asyncpg.Connection[Any], bare: EmbeddedPostgres) -> None:
    owner = await owned(superuser, bare, "CREATEROLE")
    limited = as_user(owner, server_role.NAME)
    if await superuser.fetchval("SELECT true FROM pg_roles WHERE rolname = 'modelbox_server'") is None:
        await superuser.execute("CREATE ROLE modelbox_server LOGIN")
    with pytest.raises(migrate.OwnerNeeded, match="permission denied"):
        await start(limited)
    await start(owner)
    assert await start(limited) == server_role.NAME
    async with connected(owner) as connection:
        await connection.execute("UPDATE installation SET timeline = 17")
    with pytest.raises(migrate.OwnerNeeded, match="modelbox-server migrate"):
        await start(limited)


async def test_first_starts_on_several_databases_at_once(
    superuser: asyncpg.Connection[Any], bare: EmbeddedPostgres
) -> None:
    databases = [await owned(superuser, bare, "SUPERUSER") for _ in range(4)]
    assert await asyncio.gather(*map(start, databases)) == [server_role.NAME] * 4
