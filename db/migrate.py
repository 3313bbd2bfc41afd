"""Bringing a database to the schema of this code, and what an installation needs before its first request.

Several processes may start at once: one advisory lock puts them in a row, and who comes later finds
nothing to do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import asyncpg

from db import server_role as roles
from db.identifiers import new_id

if TYPE_CHECKING:
    from sqlalchemy import Connection

FOLDER = Path(__file__).with_name("migrations")
OLDEST = 150000  # PostgreSQL 15: unique indexes that take nulls as equal
LOCK = 0x6D6F64656C626F78  # "modelbox"; any number of our own
_ALONE = asyncio.Lock()  # Alembic keeps the migration under way in a variable of the whole process.
TENANT = "default"
ACTOR = "local"

# The timeline now: that of `pg_control_checkpoint()` lags behind a standby's promotion.
IDENTITY = """
SELECT system_identifier::text,
    ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int AS timeline
FROM pg_control_system()
"""
# One more would be taken twice when one backup is restored twice; the clock's seconds are not.
NEW_EPOCH = """
UPDATE installation
SET system_identifier = $1, timeline = $2, epoch = greatest(epoch + 1, extract(epoch FROM now())::bigint)
RETURNING epoch
"""
HAS_ACTOR = "SELECT EXISTS (SELECT FROM actor WHERE tenant_id = $1 AND kind = 'USER' AND name = $2)"
NEW_ACTOR = "INSERT INTO actor (tenant_id, id, kind, name, created_at) VALUES ($1, $2, 'USER', $3, $4)"
NEW_ADMIN = """
INSERT INTO role_grant (tenant_id, id, actor_id, role, created_at) VALUES ($1, $2, $3, 'ADMIN', $4)
"""


class MigrationRefused(Exception):
    """The database cannot be brought to the schema of this code."""


class SchemaTooNew(MigrationRefused):
    """A newer ModelBox has migrated this database."""


class ServerTooOld(MigrationRefused):
    """This PostgreSQL lacks what the schema needs."""


class OwnerNeeded(MigrationRefused):
    """The user of the connection may not do this to the database."""


def known_revisions() -> list[str]:
    """The revisions of the schema, oldest first: the numbers that the files of migrations begin with."""
    return sorted(path.name.split("_")[0] for path in (FOLDER / "versions").glob("[0-9]*_*.py"))


async def migrate(dsn: str) -> None:
    """Bring the database to the newest schema: all steps in one transaction, or none.

    Raises:
        SchemaTooNew: the database is ahead of this code.
        ServerTooOld: it is older than PostgreSQL 15.
        OwnerNeeded: the user of the connection may not change the schema.
    """
    async with _connection(dsn) as connection:
        if await is_current(connection):
            return
    with _owner_only():
        await _upgrade(dsn)


async def prepare_installation(dsn: str) -> None:
    """Note which PostgreSQL this is, and make the first tenant, its user and the server's role.

    It follows `migrate`. A PostgreSQL that is not the one of the last start (a restored backup, a
    standby that took over) may lack what subscribers were told, so their cursors must not be
    continued: the epoch of all streams changes.

    Raises:
        OwnerNeeded: something is to be written that the user of the connection may not write.
    """
    with _owner_only():
        async with _connection(dsn) as connection, connection.transaction(isolation="read_committed"):
            await _line_up(connection)
            await _note_identity(connection)
            await _make_first_tenant(connection)
            await roles.grant(connection)


async def is_migrated(connection: asyncpg.Connection[Any]) -> bool:
    """Whether the schema has all that this code needs. A newer one has: steps expand before they contract."""
    try:
        return await is_current(connection)
    except SchemaTooNew:
        return True


async def server_role(dsn: str) -> str | None:
    """The role that a server should work as; None if this user cannot take on a complete one."""
    async with _connection(dsn) as connection:
        return roles.NAME if await roles.is_usable(connection) else None


@contextlib.asynccontextmanager
async def _connection(dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    # No statement is prepared for the next one: there is none, and a pooler may stand between.
    connection = await asyncpg.connect(dsn, statement_cache_size=0)
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.contextmanager
def _owner_only() -> Iterator[None]:
    try:
        yield
    except asyncpg.InsufficientPrivilegeError as error:
        raise OwnerNeeded(
            f"The user of this connection may not prepare the database: {error}. Run `modelbox-server "
            "migrate` once with MODELBOX_DATABASE_URL naming the owner of the tables."
        ) from error


async def _line_up(connection: asyncpg.Connection[Any]) -> None:
    """Wait for whoever migrates or prepares this database now, and then keep others waiting."""
    await connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)


async def is_current(connection: asyncpg.Connection[Any]) -> bool:
    """Whether nothing is left to be done.

    Raises:
        SchemaTooNew: the database is ahead of this code.
        ServerTooOld: it is older than PostgreSQL 15.
    """
    version = connection.get_server_version()
    if version.major * 10000 < OLDEST:
        raise ServerTooOld(
            f"This is PostgreSQL {version.major}; ModelBox needs {OLDEST // 10000} or newer. Upgrade it, or "
            "name another database with MODELBOX_DATABASE_URL."
        )
    if await connection.fetchval("SELECT to_regclass('alembic_version') IS NULL"):
        return False
    stored = {row["version_num"] for row in await connection.fetch("SELECT version_num FROM alembic_version")}
    known = known_revisions()
    if unknown := stored.difference(known):
        raise SchemaTooNew(
            f"A newer ModelBox has migrated this database to schema {max(unknown)}; this one knows schemas "
            f"up to {known[-1]}. Start that version, or restore a backup from before the upgrade."
        )
    return stored == {known[-1]}


async def _upgrade(dsn: str) -> None:
    # Imported here because a start that finds nothing to do should not wait for it.
    from sqlalchemy import NullPool, text  # noqa: PLC0415
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415

    async def connect() -> asyncpg.Connection[Any]:
        return await asyncpg.connect(dsn, statement_cache_size=0)

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, poolclass=NullPool, isolation_level="READ COMMITTED"
    )
    try:
        async with _ALONE, engine.begin() as session:
            # SQLAlchemy begins the transaction at its own first statement, not at the driver's.
            await session.execute(text("SET LOCAL statement_timeout = 0"))
            connection = cast(Any, (await session.get_raw_connection()).driver_connection)
            await _line_up(connection)
            if not await is_current(connection):
                await session.run_sync(_take_steps)
                await roles.refresh(connection)
    except DBAPIError as error:
        # One kind of error leaves this module: the driver's, which SQLAlchemy has wrapped twice.
        cause = error.orig.__cause__ if error.orig else None
        raise (cause if isinstance(cause, asyncpg.PostgresError) else error) from None


def _take_steps(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    command.upgrade(config, "head")


async def _note_identity(connection: asyncpg.Connection[Any]) -> None:
    here = await connection.fetchrow(IDENTITY)
    stored = await connection.fetchrow("SELECT system_identifier, timeline FROM installation")
    if stored is None:
        await connection.execute("INSERT INTO installation VALUES (1, $1, $2, 1)", *here)
    elif stored != here:
        # Whoever writes to a stream holds this table until commit: none is between two epochs.
        await connection.execute("LOCK TABLE stream_head IN SHARE ROW EXCLUSIVE MODE")
        epoch = await connection.fetchval(NEW_EPOCH, *here)
        await connection.execute("UPDATE stream_head SET epoch = $1", epoch)


async def _make_first_tenant(connection: asyncpg.Connection[Any]) -> None:
    now = datetime.now(UTC)
    tenant = await connection.fetchval("SELECT id FROM tenant WHERE name = $1", TENANT)
    if tenant is None:
        tenant = new_id()
        await connection.execute("INSERT INTO tenant VALUES ($1, $2, $3)", tenant, TENANT, now)
    if await connection.fetchval(HAS_ACTOR, tenant, ACTOR):
        return
    # The grant is made with the actor only: what an admin takes away stays away.
    actor = new_id()
    await connection.execute(NEW_ACTOR, tenant, actor, ACTOR, now)
    await connection.execute(NEW_ADMIN, tenant, new_id(), actor, now)
