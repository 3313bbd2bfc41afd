"""Rows whose time is over are deleted bit by bit."""

from __future__ import annotations

from typing import Any, Final

from db.engine import Database

BATCH: Final = 1_000


async def deleted(database: Database, statement: str, *arguments: Any) -> int:
    """Run a `DELETE` of at most `BATCH` rows, which is its last argument, until nothing is left; how many it was."""
    total = 0
    while True:
        async with database.connection() as connection:
            done: str = await connection.execute(statement, *arguments, BATCH)
        count = int(done.rpartition(" ")[2])
        total += count
        if count < BATCH:
            return total
