"""What a process does unasked: each piece of work on its own tick, for as long as the server serves."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from db.errors import Unavailable

if TYPE_CHECKING:
    from db.engine import Database

log = structlog.get_logger("modelbox.background")


@dataclass(frozen=True)
class Job:
    """Work that is found from what is stored. Any process may do it, and several at once."""

    name: str
    work: Callable[[Database, datetime], Awaitable[Any]]
    seconds: float


@contextlib.asynccontextmanager
async def running(jobs: Sequence[Job], database: Database) -> AsyncIterator[None]:
    """Do the jobs while the block runs; what is under way at its end is cancelled, and rolled back."""
    tasks = [asyncio.create_task(_repeat(job, database)) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(job: Job, database: Database) -> None:
    while True:
        # Processes that began together should not all come at the same moment.
        await asyncio.sleep(job.seconds * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        try:
            await job.work(database, datetime.now(UTC))
        except Unavailable:
            continue  # /readyz says so; there will be another tick.
        except Exception:
            log.exception("job failed", job=job.name)
