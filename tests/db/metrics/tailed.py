"""An object of a test's own whose tail grows as calls would make it grow, beside a plain list of what was logged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np

from db.access import local_caller
from db.engine import Database
from db.identifiers import new_id
from db.metrics import compact, read, rewriting, segment, tail
from db.metrics.columns import Columns
from db.metrics.read import Whole
from db.metrics.segment import SIZE

NOW = datetime(2026, 1, 1, tzinfo=UTC)

NEW_NAMESPACE = """
    WITH home AS (
        INSERT INTO object (tenant_id, id, kind, namespace_id, container_ids, name)
        VALUES ($1, $2, 'NAMESPACE', $2, '{}', 'n')
    )
    INSERT INTO namespace (tenant_id, id, namespace_id, created_at, created_by, updated_at, root_id, name, path,
        lineage, visible)
    VALUES ($1, $2, $2, now(), $3, now(), $2, $2::text, $2::text, ARRAY[$2::uuid], true)
"""
NEW_OBJECT = """
    INSERT INTO object (tenant_id, id, kind, namespace_id, container_ids, name)
    VALUES ($1, $2, 'MODEL', $3, '{}', 'm')
"""
NEW_SERIES = """
    INSERT INTO series (tenant_id, owner_id, key, namespace_id, kind, count, updated_at, id)
    VALUES ($1, $2, $3, $4, 'FLOAT', 0, now(), $5)
"""
NEW_BATCH = """
    INSERT INTO metric_batch (tenant_id, owner_id, seq, leg, recorded_at, actor_id, point_count, data)
    VALUES ($1, $2, $3, 0, $4, $5, $6, $7)
"""
SEGMENTS = "SELECT * FROM metric_segment WHERE tenant_id = $1 AND owner_id = $2 ORDER BY series_id, position"
LENGTH = "SELECT count(*) FROM metric_batch WHERE tenant_id = $1 AND owner_id = $2"
FORGET = "DELETE FROM series WHERE tenant_id = $1 AND owner_id = $2 AND id = $3"
FORGET_SEGMENTS = "DELETE FROM metric_segment WHERE tenant_id = $1 AND owner_id = $2 AND series_id = $3"


@dataclass
class Tailed:
    """The object; `logged` holds (step, time, the value's bits, number in the feed) of each point of each series."""

    database: Database
    tenant_id: UUID
    actor_id: UUID
    namespace_id: UUID
    owner_id: UUID = field(default_factory=new_id)
    logged: dict[int, list[tuple[int, int, int, int]]] = field(default_factory=dict)
    seq: int = 0

    @classmethod
    async def made(cls, database: Database) -> Tailed:
        """A new one in a namespace of its own."""
        caller = await local_caller(database)
        owner = cls(database, caller.tenant_id, caller.actor_id, new_id())
        async with database.transaction() as connection:
            await connection.execute(NEW_NAMESPACE, owner.tenant_id, owner.namespace_id, owner.actor_id)
            await connection.execute(NEW_OBJECT, owner.tenant_id, owner.owner_id, owner.namespace_id)
        return owner

    async def add_series(self, *ids: int) -> None:
        async with self.database.transaction() as connection:
            for id_ in ids:
                values = (self.tenant_id, self.owner_id, f"k{id_}", self.namespace_id, id_)
                await connection.execute(NEW_SERIES, *values)
                self.logged[id_] = []

    async def append(self, points: Mapping[int, Columns], actor_id: UUID | None = None) -> None:
        """A call."""
        self.seq += 1
        series = sorted(points)
        flat = Columns(
            np.concatenate([np.empty(0, np.int64), *(points[id_].steps for id_ in series)]),
            np.concatenate([np.empty(0, np.int64), *(points[id_].times for id_ in series)]),
            np.concatenate([np.empty(0, np.float64), *(points[id_].values for id_ in series)]),
        )
        data = tail.encode(np.array(series, np.int64), np.array([len(points[id_]) for id_ in series], np.int64), flat)
        at = NOW + timedelta(seconds=self.seq)
        arguments = (self.tenant_id, self.owner_id, self.seq, at, actor_id or self.actor_id, len(flat), data)
        async with self.database.connection() as connection:
            await connection.execute(NEW_BATCH, *arguments)
        for id_ in series:
            self.logged[id_] += rows_of(points[id_], np.full(len(points[id_]), self.seq))

    async def forget(self, id_: int) -> None:
        """Delete a series, as `deleteSeries` does: what the tail has of it stays for a while."""
        async with self.database.transaction() as connection:
            await rewriting.alone(connection, self.owner_id)
            await connection.execute(FORGET, self.tenant_id, self.owner_id, id_)
            await connection.execute(FORGET_SEGMENTS, self.tenant_id, self.owner_id, id_)
        del self.logged[id_]

    async def compact(self) -> int:
        return await compact.compact(self.database, self.tenant_id, self.owner_id)

    async def read(self) -> dict[int, list[tuple[int, int, int]]]:
        """What a reader sees."""
        asked = [Whole(self.owner_id, id_, "FLOAT") for id_ in sorted(self.logged)]
        async with (
            self.database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            found = await read.read(connection, self.tenant_id, asked)
        seen = {}
        for request, points in zip(asked, found, strict=True):
            if isinstance(points, Exception):
                raise points
            assert points.positions.tolist() == list(range(len(points)))
            given = Columns(points.steps, points.times, np.asarray(points.values))
            seen[request.series_id] = [row[:3] for row in rows_of(given, np.zeros(len(points)))]
        return seen

    async def length(self) -> int:
        """Rows in the tail."""
        async with self.database.connection() as connection:
            return int(await connection.fetchval(LENGTH, self.tenant_id, self.owner_id))

    async def segments(self) -> list[Any]:
        async with self.database.connection() as connection:
            return list(await connection.fetch(SEGMENTS, self.tenant_id, self.owner_id))

    async def check(self) -> None:
        """Readers see what was logged, and segments are aligned and say of themselves what is true."""
        assert await self.read() == {id_: [row[:3] for row in rows] for id_, rows in self.logged.items()}
        ends = dict.fromkeys(self.logged, 0)
        for row in await self.segments():
            id_, begin = row["series_id"], row["position"]
            assert begin % SIZE == 0
            assert begin == ends[id_], "segments follow each other, and only the last may hold fewer points"
            ends[id_] += row["count"]
            columns, seqs = segment.decode(row["data"])
            wanted = self.logged[id_][begin : begin + row["count"]]
            assert rows_of(columns, seqs) == wanted
            assert (row["first_seq"], row["last_seq"]) == (wanted[0][3], wanted[-1][3])
            assert row["recorded_until"] == NOW + timedelta(seconds=wanted[-1][3])


def rows_of(columns: Columns, seqs: Any) -> list[tuple[int, int, int, int]]:
    bits = columns.values.view(np.int64)
    lists = (columns.steps.tolist(), columns.times.tolist(), bits.tolist(), seqs.tolist())
    return list(zip(*lists, strict=True))
