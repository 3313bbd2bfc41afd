"""Who rewrites the stored points of an object (compaction, roll-up, the deletion of a series) does so alone."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import asyncpg

KEY: Final = "hashtextextended('points of ' || $1::uuid::text, 0)"
HOLD: Final = f"SELECT pg_advisory_xact_lock({KEY})"
TRY: Final = f"SELECT pg_try_advisory_xact_lock({KEY})"


async def alone(connection: asyncpg.Connection[Any], owner_id: UUID) -> None:
    """Wait until nobody else rewrites the object's points; then nobody does until this transaction ends."""
    await connection.execute(HOLD, owner_id)


async def is_alone(connection: asyncpg.Connection[Any], owner_id: UUID) -> bool:
    """The same without waiting: False if somebody does."""
    return bool(await connection.fetchval(TRY, owner_id))
