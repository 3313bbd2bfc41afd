"""What a pool's connection sends to PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from db.engine import Database


@contextlib.asynccontextmanager
async def sent(database: Database) -> AsyncIterator[list[str]]:
    """The statements that are sent meanwhile, in order, but those that only begin and end a transaction.

    `database` has one connection, so that none goes past.
    """
    assert database.size == 1, "another connection would send unseen"
    found: list[str] = []

    def note(statement: Any) -> None:
        if not statement.query.startswith(("BEGIN", "COMMIT")):
            found.append(statement.query)

    async with database.connection() as connection:
        connection.add_query_logger(note)
    try:
        yield found
    finally:
        await asyncio.sleep(0)  # asyncpg tells its loggers a moment later
        async with database.connection() as connection:
            connection.remove_query_logger(note)


def reads(statements: Sequence[str]) -> list[str]:
    """All but those that begin and end a transaction."""
    return [text for text in statements if not text.startswith(("BEGIN", "COMMIT"))]
