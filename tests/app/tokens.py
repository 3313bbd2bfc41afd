"""Tokens of the local user, as rows."""

from __future__ import annotations

import contextlib
import secrets
import uuid
from collections.abc import AsyncIterator

from db import access
from db.engine import Database

INSERT = """
    INSERT INTO token (prefix, id, tenant_id, actor_id, digest, created_at)
    VALUES ($1, $2, $3, $4, $5, now())
"""


async def new_token(database: Database) -> str:
    """A token of the local user that does not expire."""
    caller = await access.local_caller(database)
    token = f"{access.TOKEN_SIGN}_{secrets.token_hex(6)}_{secrets.token_hex(16)}"
    row = (access.prefix_of(token), uuid.uuid4(), caller.tenant_id, caller.actor_id, access.digest_of(token))
    async with database.connection() as connection:
        await connection.execute(INSERT, *row)
    return token


@contextlib.asynccontextmanager
async def stored_token(database: Database) -> AsyncIterator[str]:
    """A token that is revoked at the end: while one is stored, nobody is the local user without."""
    token = await new_token(database)
    try:
        yield token
    finally:
        await revoke(database, token)


async def revoke(database: Database, token: str) -> None:
    """The token is good no longer."""
    async with database.connection() as connection:
        await connection.execute("UPDATE token SET revoked_at = now() WHERE prefix = $1", access.prefix_of(token))
