"""Answers kept for retries are forgotten after a month."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from db.engine import Database
from db.jobs import piece
from db.jobs.forgetting import deleted

KEPT: Final = timedelta(days=30)

OLD = "SELECT EXISTS (SELECT FROM idempotency_record WHERE created_at < $1)"

FORGET = """
    DELETE FROM idempotency_record WHERE (tenant_id, actor_id, key) IN (
        SELECT tenant_id, actor_id, key FROM idempotency_record WHERE created_at < $1
        ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
"""
"""The oldest of them, but for those that somebody is at."""


async def find(database: Database, now: datetime) -> list[str]:
    """One piece of work, if there is any."""
    async with database.connection() as connection:
        return [piece.ALL] if await connection.fetchval(OLD, now - KEPT) else []


async def forget(database: Database, _piece: str, now: datetime) -> int:
    """Delete the answers that nobody will ask for again; returns how many."""
    return await deleted(database, FORGET, now - KEPT)
