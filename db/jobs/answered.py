"""Answers kept for retries are forgotten after a month."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from db.engine import Database

KEPT: Final = timedelta(days=30)
BATCH: Final = 1_000

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
        return ["all"] if await connection.fetchval(OLD, now - KEPT) else []


async def forget(database: Database, _piece: str, now: datetime) -> int:
    """Delete the answers that nobody will ask for again; returns how many."""
    total = 0
    while True:
        async with database.connection() as connection:
            done: str = await connection.execute(FORGET, now - KEPT, BATCH)
        count = int(done.rpartition(" ")[2])
        total += count
        if count < BATCH:
            return total
