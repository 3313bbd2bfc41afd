"""What the queue keeps of each job is forgotten in time: three rows of every one, for ever, would outgrow the rest."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from db.engine import Database
from db.jobs import piece
from db.jobs.forgetting import deleted

KEPT: Final = timedelta(hours=1)
FAILED_KEPT: Final = timedelta(days=30)
"""Those with a traceback, which somebody may want to read."""

OLD = "created < CASE WHEN traceback IS NULL THEN $1::timestamptz ELSE $2::timestamptz END AND created < $1"
ANY_OLD = f"SELECT EXISTS (SELECT FROM pgqueuer_log WHERE {OLD})"
FORGET = f"""
    DELETE FROM pgqueuer_log WHERE id IN (
        SELECT id FROM pgqueuer_log WHERE {OLD} ORDER BY created LIMIT $3 FOR UPDATE SKIP LOCKED
    )
"""


async def find(database: Database, now: datetime) -> list[str]:
    """One piece of work, if there is any."""
    async with database.connection() as connection:
        return [piece.ALL] if await connection.fetchval(ANY_OLD, now - KEPT, now - FAILED_KEPT) else []


async def forget(database: Database, _piece: str, now: datetime) -> int:
    """Delete the records whose time is over; returns how many."""
    return await deleted(database, FORGET, now - KEPT, now - FAILED_KEPT)
