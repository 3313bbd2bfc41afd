"""Compaction at once, so that what a turn put off is done when the next one begins."""

from __future__ import annotations

import asyncio
from typing import Final

from db.engine import Database
from db.metrics.compact import compact

OWNERS: Final = "SELECT DISTINCT tenant_id, owner_id FROM metric_batch"


async def compact_all(dsn: str) -> None:
    """Move all that is in the tail into segments, together with a server that does the same."""
    database = await Database.connect(dsn, size=2, statement_timeout=600.0)
    try:
        while True:
            async with database.connection() as connection:
                owners = await connection.fetch(OWNERS)
            if not owners:
                return
            for row in owners:
                await compact(database, row["tenant_id"], row["owner_id"])
            await asyncio.sleep(0.1)  # The server is at what is left.
    finally:
        await database.close()
