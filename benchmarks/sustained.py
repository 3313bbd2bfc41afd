"""Whether compaction keeps up: points arrive at half of the measured peak, and the tail is watched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from benchmarks import writers
from benchmarks.points import Shape
from benchmarks.trackers import Tracker
from benchmarks.writers import Written

TAIL: Final = """
    SELECT count(*), coalesce(sum(point_count), 0)::bigint, pg_total_relation_size('metric_batch') FROM metric_batch
"""
LOOK: Final = 1.0


@dataclass(frozen=True)
class Look:
    """The tail at a moment."""

    second: float
    rows: int
    points: int
    size: int


@dataclass(frozen=True)
class Sustained:
    """What was to arrive and what did, in points a second, and the tail meanwhile."""

    wanted: float
    arrived: float
    written: Written
    looks: Sequence[Look]

    def largest(self, third: int) -> int:
        """The most points that the tail held in the first, second or last third (0, 1, 2)."""
        length = len(self.looks) // 3
        return max(look.points for look in self.looks[third * length : (third + 1) * length])

    @property
    def growth(self) -> float:
        """The largest tail of the last third by that of the second."""
        return self.largest(2) / max(1, self.largest(1))


async def sustain(dsn: str, tracker: Tracker, shape: Shape, *, calls_a_second: float, seconds: float) -> Sustained:
    """Write at that rate for so long."""
    tracker.pace = calls_a_second
    connection = await asyncpg.connect(dsn)
    process = writers.begin(tracker.task(shape, seconds, rate=calls_a_second))
    looks, began = [], time.monotonic()
    try:
        while process.poll() is None and time.monotonic() < began + seconds:
            await asyncio.sleep(LOOK)
            looks.append(Look(time.monotonic() - began, *await connection.fetchrow(TAIL)))
    finally:
        written = writers.result(process)
        await connection.close()
    tracker.move(written.made, written.throughput)
    return Sustained(calls_a_second * shape.points, written.throughput * shape.points, written, looks)
