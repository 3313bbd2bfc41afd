"""Answers kept for retries are forgotten after a month."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from db.engine import Database

KEPT: Final = timedelta(days=30)
BATCH: Final = 1_000

FORGET = """
    DELETE FROM idempotency_record WHERE (tenant_id, actor_id, key) IN (
        SELECT tenant_id, actor_id, key FROM idempotency_record WHERE created_at < $1
        ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
"""
"""The oldest of them, but for those that another process is at."""


async def forget(database: Database, now: datetime) -> int:
    """Delete a batch of answers that nobody will ask for again; returns how many."""
    async with database.connection() as connection:
        done: str = await connection.execute(FORGET, now - KEPT, BATCH)
    return int(done.rpartition(" ")[2])
