"""What a process does unasked, for as long as the server serves: its own ticks, and its part of the common jobs."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import structlog

from db.errors import Unavailable
from db.jobs.queue import Queue

log = structlog.get_logger("modelbox.background")

AGAIN_SECONDS: Final = 2.0
"""Until a process that lost its connection to the queue asks for another."""


@dataclass(frozen=True)
class Tick:
    """What every process does for itself, again and again. It is told the time."""

    name: str
    work: Callable[[datetime], Awaitable[Any]]
    seconds: float


@contextlib.asynccontextmanager
async def running(ticks: Sequence[Tick], queue: Queue) -> AsyncIterator[None]:
    """Do all that while the block runs; what is under way at its end is cancelled, and rolled back."""
    looks = [Tick(f"look for {work.name}", partial(queue.look, work), work.seconds) for work in queue.works]
    tasks = [asyncio.create_task(_repeat(tick)) for tick in (*ticks, *looks)]
    tasks.append(asyncio.create_task(_take_part(queue)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(tick: Tick) -> None:
    while True:
        # Processes that began together should not all come at the same moment.
        await asyncio.sleep(tick.seconds * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        try:
            await tick.work(datetime.now(UTC))
        except Unavailable:
            continue  # /readyz says so; there will be another tick.
        except Exception:
            log.exception("tick failed", tick=tick.name)


async def _take_part(queue: Queue) -> None:
    while True:
        try:
            await queue.serve()
        except Unavailable:
            pass
        except Exception:
            log.exception("the queue of jobs failed")
        await asyncio.sleep(AGAIN_SECONDS * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
