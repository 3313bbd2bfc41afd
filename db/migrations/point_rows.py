"""The move of points from the rows of the first schema into the tail, and of strings and bytes into their own table."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Final
from uuid import UUID

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection, Row

from db.metrics.columns import NONE, Columns
from db.metrics.stream import stream_of
from db.metrics.tail import encode

CHUNK: Final = 10_000

OWNERS = sa.text("SELECT DISTINCT tenant_id, owner_id FROM series ORDER BY 1, 2")
SERIES = sa.text("SELECT key, leg, kind FROM series WHERE tenant_id = :tenant AND owner_id = :owner ORDER BY key, leg")
NAME = sa.text(
    "UPDATE series SET id = :id WHERE tenant_id = :tenant AND owner_id = :owner AND key = :key AND leg = :leg"
)
POINTS = sa.text("""
    SELECT position, step, wall_time, (extract(epoch FROM wall_time) * 1000000)::bigint AS time,
        number, string, "binary"
    FROM point
    WHERE tenant_id = :tenant AND owner_id = :owner AND key = :key AND leg = :leg AND position > :after
    ORDER BY position LIMIT :limit
""")
KEEP_BATCH = sa.text("""
    INSERT INTO metric_batch (tenant_id, owner_id, seq, leg, recorded_at, point_count, data)
    VALUES (:tenant, :owner, :seq, :leg, now(), :count, :data)
""")
KEEP_OPAQUE = sa.text("""
    INSERT INTO opaque_point
        (tenant_id, owner_id, series_id, position, leg, seq, step, wall_time, string, "binary")
    VALUES (:tenant, :owner, :series, :position, :leg, :seq, :step, :wall_time, :string, :binary)
""")
KEEP_HEAD = sa.text("""
    INSERT INTO stream_head (tenant_id, stream_id, seq, epoch, min_seq)
    VALUES (:tenant, :stream, :seq, coalesce((SELECT epoch FROM installation LIMIT 1), 1), 0)
""")


def move(connection: Connection) -> None:
    """Name every series, and move its points."""
    for tenant, owner in connection.execute(OWNERS).all():
        seq = 0
        who = {"tenant": tenant, "owner": owner}
        for key, leg, kind in connection.execute(SERIES, who).all():
            place = {**who, "key": key, "leg": leg}
            series = secrets.randbits(62)
            connection.execute(NAME, {**place, "id": series})
            for rows in _chunks(connection, place):
                seq += 1
                opaque = kind != "FLOAT"
                data = encode(*_columns(series, () if opaque else rows))
                connection.execute(KEEP_BATCH, {**who, "seq": seq, "leg": leg, "count": len(rows), "data": data})
                if opaque:
                    connection.execute(KEEP_OPAQUE, [_opaque(row, who, series, leg, seq) for row in rows])
        if seq:
            connection.execute(KEEP_HEAD, {"tenant": tenant, "stream": stream_of(UUID(str(owner))), "seq": seq})


def _chunks(connection: Connection, place: dict[str, Any]) -> Iterator[Sequence[Row[Any]]]:
    after = -1
    while rows := connection.execute(POINTS, {**place, "after": after, "limit": CHUNK}).all():
        yield rows
        after = rows[-1].position


def _columns(series: int, rows: Sequence[Row[Any]]) -> tuple[Any, Any, Columns]:
    steps = np.array([NONE if row.step is None else row.step for row in rows], np.int64)
    times = np.array([NONE if row.time is None else row.time for row in rows], np.int64)
    values = np.array([row.number for row in rows], np.float64)
    count = 1 if rows else 0
    ids, counts = np.full(count, series, np.int64), np.full(count, len(rows), np.int64)
    return ids, counts, Columns(steps, times, values)


def _opaque(row: Row[Any], who: dict[str, Any], series: int, leg: int, seq: int) -> dict[str, Any]:
    kept = {name: getattr(row, name) for name in ("position", "step", "wall_time", "string", "binary")}
    return {**who, "series": series, "leg": leg, "seq": seq, **kept}
