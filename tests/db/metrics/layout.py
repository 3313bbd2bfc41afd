"""Puts points into the tables of the metric storage, in part as segments and in part as the tail."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import numpy as np

from db.metrics import segment, summary, tail
from db.metrics.columns import NONE, Columns, Ints
from db.metrics.segment import SIZE

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TENANT = UUID(int=1)

SEGMENT = """
    INSERT INTO metric_segment (tenant_id, owner_id, series_id, position, leg, count, first_seq, last_seq,
        min_step, max_step, min_time, max_time, recorded_until, summary, parts, data)
    VALUES ($1, $2, $3, $4, 0, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
"""

BATCH = """
    INSERT INTO metric_batch (tenant_id, owner_id, seq, leg, recorded_at, point_count, data)
    VALUES ($1, $2, $3, 0, $4, $5, $6)
"""

OPAQUE = """
    INSERT INTO opaque_point (tenant_id, owner_id, series_id, position, leg, seq, step, wall_time, string, "binary")
    VALUES ($1, $2, $3, $4, 0, $5, $6, $7, $8, $9)
"""


def columns(values: Any, *, steps: Any = None, times: Any = None) -> Columns:
    """Points with these values, with steps 0, 1, 2 … unless others are given (`NONE` for none)."""
    values = np.asarray(values, np.float64)
    numbers = np.arange(len(values), dtype=np.int64)
    return Columns(
        numbers if steps is None else np.broadcast_to(np.asarray(steps, np.int64), len(values)).copy(),
        np.broadcast_to(np.asarray(NONE if times is None else times, np.int64), len(values)).copy(),
        values,
    )


def part(of: Columns, begin: int, end: int | None = None) -> Columns:
    """The points from `begin` to before `end`."""
    return Columns(of.steps[begin:end], of.times[begin:end], of.values[begin:end])


class Layout:
    """The points of one object."""

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self.connection = connection
        self.owner = uuid4()

    async def put(
        self,
        series: int,
        points: Columns,
        *,
        compacted: int = 0,
        call: int = 1000,
        rolled: Collection[int] = (),
        first_seq: int = 1,
    ) -> None:
        """A series whose first `compacted` points are in segments and whose others are in rows of the tail.

        Each row holds `call` points. The segments at the positions `rolled` are rolled up.
        """
        seqs = first_seq + np.arange(len(points), dtype=np.int64) // call
        for at in range(0, compacted, SIZE):
            end = min(at + SIZE, compacted)
            await self.segment(series, at, part(points, at, end), seqs[at:end], is_rolled=at in rolled)
        for seq in np.unique(seqs[compacted:]).tolist():
            here = np.flatnonzero(seqs == seq)
            here = here[here >= compacted]
            await self.batch(seq, [(series, part(points, int(here[0]), int(here[-1]) + 1))])

    async def segment(self, series: int, at: int, points: Columns, seqs: Ints, *, is_rolled: bool = False) -> None:
        whole = summary.summarise(points, SIZE)
        [ends] = whole
        await self.connection.execute(
            SEGMENT,
            TENANT,
            self.owner,
            series,
            at,
            len(points),
            int(seqs[0]),
            int(seqs[-1]),
            *(
                None if ends[name] == NONE else int(ends[name])
                for name in ("min_step", "max_step", "min_time", "max_time")
            ),
            NOW,
            summary.pack(whole),
            summary.pack(summary.summarise(points)),
            None if is_rolled else segment.encode(points, seqs),
        )

    async def batch(self, seq: int, series: Sequence[tuple[int, Columns]]) -> None:
        """A row of the tail."""
        data = tail.encode(
            np.array([one for one, _ in series], np.int64),
            np.array([len(points) for _, points in series], np.int64),
            Columns(
                *(
                    np.concatenate([np.empty(0, dtype), *(getattr(points, name) for _, points in series)])
                    for name, dtype in (("steps", np.int64), ("times", np.int64), ("values", np.float64))
                )
            ),
        )
        count = sum(len(points) for _, points in series)
        await self.connection.execute(BATCH, TENANT, self.owner, seq, NOW, count, data)

    async def opaque(self, series: int, values: Sequence[str | bytes], *, first_seq: int = 1, step: int = 1) -> None:
        """A series of strings or bytes: a number of the feed each, steps 0, `step`, 2 × `step` …; no steps at 0."""
        for position, value in enumerate(values):
            string, binary = (value, None) if isinstance(value, str) else (None, value)
            at = NOW + timedelta(microseconds=position)
            number = position * step if step else None
            await self.connection.execute(
                OPAQUE, TENANT, self.owner, series, position, first_seq + position, number, at, string, binary
            )
