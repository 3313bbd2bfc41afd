"""The role that a server works as, so that not even a fault of ours can rewrite the audit trail.

It is a role of the whole PostgreSQL, without a password: who owns the tables takes it on with SET
ROLE, and an operator may give it a way to sign in. Its rights are brought up to date in the
transaction of each migration and at each start, which is why none are given by default: a later
table is born without.
"""

from __future__ import annotations

import contextlib
from typing import Any

import asyncpg

import db.tables  # noqa: F401 - its import declares the tables in the metadata
from db.jobs import names as jobs
from db.tables.row import metadata

NAME = "modelbox_server"
READ_ONLY = ("installation", "alembic_version")
APPEND_ONLY = ("audit_event", "tag_change")

ABOUT = """
SELECT role.oid IS NOT NULL AS exists, coalesce(role.rolsuper, false) AS mighty, may_create,
    coalesce(pg_has_role(role.oid, $2), false) AS open,
    coalesce(has_schema_privilege(role.oid, current_schema(), 'USAGE'), false) AS admitted
FROM (SELECT rolsuper OR rolcreaterole AS may_create FROM pg_roles WHERE rolname = current_user) AS us
LEFT JOIN pg_roles AS role ON role.rolname = $1
"""
# The tables and sequences, whether we may grant rights on them to another than the owner, and what the role holds.
TABLES = """
SELECT relname AS name, CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
    pg_has_role(relowner, 'USAGE') AND pg_get_userbyid(relowner) <> $1 AS ours,
    ARRAY(
        SELECT privilege_type FROM aclexplode(relacl)
        JOIN pg_roles ON pg_roles.oid = grantee WHERE rolname = $1
    ) AS held
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = current_schema() AND relkind IN ('r', 'p', 'S') AND relname = ANY($2)
"""


async def grant(connection: asyncpg.Connection[Any]) -> None:
    """Make the role if need be and we may, give it its rights, and let us take it on."""
    about = await _about(connection)
    if not about["exists"] and not (about["may_create"] and await _create(connection)):
        return
    await refresh(connection)
    if not (await _about(connection))["open"]:
        with contextlib.suppress(asyncpg.InsufficientPrivilegeError, asyncpg.UniqueViolationError):
            async with connection.transaction():
                await connection.execute(f"GRANT {NAME} TO CURRENT_USER")


async def refresh(connection: asyncpg.Connection[Any]) -> None:
    """Give an existing role its rights on our tables, and take away what it should not have."""
    about = await _about(connection)
    if not about["exists"]:
        return
    if not about["admitted"]:
        schema = await connection.fetchval("SELECT quote_ident(current_schema())")
        await connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {NAME}")
    for table in await _tables(connection):
        wanted = rights(table["name"])
        if table["ours"] and set(table["held"]) != wanted:
            what = f'{table["kind"]} "{table["name"]}"'
            await connection.execute(
                f"REVOKE ALL ON {what} FROM {NAME};GRANT {', '.join(sorted(wanted))} ON {what} TO {NAME}"
            )


async def is_usable(connection: asyncpg.Connection[Any]) -> bool:
    """Whether we may take on the role, and it has all its rights and no more."""
    about = await _about(connection)
    if not (about["open"] and about["admitted"]) or about["mighty"]:
        return False
    tables = await _tables(connection)
    return bool(tables) and all(set(table["held"]) == rights(table["name"]) for table in tables)


def rights(table: str) -> set[str]:
    """What the role may do with a table or a sequence."""
    if table in jobs.SEQUENCES:
        return {"USAGE"}
    if table in READ_ONLY:
        return {"SELECT"}
    return {"SELECT", "INSERT"} if table in APPEND_ONLY else {"SELECT", "INSERT", "UPDATE", "DELETE"}


async def _about(connection: asyncpg.Connection[Any]) -> asyncpg.Record:
    # Since PostgreSQL 16 a member may be forbidden to take on the role.
    mode = "SET" if connection.get_server_version().major >= 16 else "MEMBER"
    return await connection.fetchrow(ABOUT, NAME, mode)


async def _tables(connection: asyncpg.Connection[Any]) -> list[asyncpg.Record]:
    names = [*metadata.tables, "alembic_version", *jobs.TABLES, *jobs.SEQUENCES]
    return list(await connection.fetch(TABLES, NAME, names))


async def _create(connection: asyncpg.Connection[Any]) -> bool:
    try:
        async with connection.transaction():
            await connection.execute(f"CREATE ROLE {NAME} LOGIN")
    except asyncpg.InsufficientPrivilegeError:
        return False
    except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        return True  # just made by the start of a server on another database of this PostgreSQL
    return True
