"""A database of the first schema, whose points were rows, comes through the migration whole."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, NullPool, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from db import migrate
from db.identifiers import new_id
from db.metrics.columns import NONE
from db.metrics.stream import stream_of
from db.metrics.tail import decode
from tests.postgres import connected

START = datetime(2026, 3, 1, tzinfo=UTC)
VALUES = [0.5, math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1 + 0.2]


def first_schema(connection: Connection) -> None:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(migrate.FOLDER))
    command.upgrade(config, "0001")


async def seeded(connection: Any) -> tuple[UUID, UUID]:
    tenant, actor, root, owner = (new_id() for _ in range(4))
    await connection.execute("INSERT INTO tenant VALUES ($1, 't', now())", tenant)
    await connection.execute(
        "INSERT INTO actor (tenant_id, id, kind, name, created_at) VALUES ($1, $2, 'USER', 'a', now())", tenant, actor
    )
    for id_, kind in ((root, "NAMESPACE"), (owner, "EXPERIMENT")):
        await connection.execute(
            "INSERT INTO object (tenant_id, id, kind, namespace_id, container_ids, name) VALUES ($1,$2,$3,$4,'{}','n')",
            *(tenant, id_, kind, root),
        )
    for key, kind in (("loss", "FLOAT"), ("note", "STRING"), ("long", "FLOAT")):
        await connection.execute(
            "INSERT INTO series (tenant_id, owner_id, key, namespace_id, kind, count, updated_at)"
            " VALUES ($1, $2, $3, $4, $5, 0, now())",
            *(tenant, owner, key, root, kind),
        )
    return tenant, owner


async def with_points(connection: Any, tenant: UUID, owner: UUID) -> None:
    add = (
        "INSERT INTO point (tenant_id, owner_id, key, position, step, wall_time, number, string)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    )
    moments = [START + timedelta(microseconds=3 * n) if n % 2 else None for n in range(len(VALUES))]
    rows: list[tuple[Any, ...]] = [
        (tenant, owner, "loss", n, n if n != 2 else None, moments[n], value, None) for n, value in enumerate(VALUES)
    ]
    rows += [(tenant, owner, "note", n, n, None, None, f"word {n}") for n in range(3)]
    rows += [(tenant, owner, "long", n, n, None, float(n), None) for n in range(10_050)]
    await connection.executemany(add, rows)


async def test_points_move_into_the_tail(empty_dsn: str) -> None:
    engine = create_async_engine(make_url(empty_dsn).set(drivername="postgresql+asyncpg"), poolclass=NullPool)
    async with engine.begin() as session:
        await session.run_sync(first_schema)
    async with connected(empty_dsn) as connection:
        tenant, owner = await seeded(connection)
        await with_points(connection, tenant, owner)
    await migrate.migrate(empty_dsn)
    async with connected(empty_dsn) as connection:
        ids = {row["key"]: row["id"] for row in await connection.fetch("SELECT key, id FROM series")}
        batches = await connection.fetch("SELECT seq, point_count, data FROM metric_batch ORDER BY seq")
        opaque = await connection.fetch(
            "SELECT series_id, position, seq, step, string FROM opaque_point ORDER BY position"
        )
        head = await connection.fetchval("SELECT seq FROM stream_head WHERE stream_id = $1", stream_of(owner))
    assert [(row["seq"], row["point_count"]) for row in batches] == [(1, 10_000), (2, 50), (3, len(VALUES)), (4, 3)]
    assert head == 4
    loss = decode(batches[2]["data"])
    assert loss.ids.tolist() == [ids["loss"]]
    assert [struct.pack(">d", value) for value in loss.columns.values] == [struct.pack(">d", v) for v in VALUES]
    assert loss.columns.steps.tolist() == [0, 1, NONE, 3, 4, 5, 6]
    start = int(START.timestamp()) * 1_000_000
    assert loss.columns.times.tolist() == [start + 3 * n if n % 2 else NONE for n in range(len(VALUES))]
    assert decode(batches[1]["data"]).columns.values.tolist() == [float(n) for n in range(10_000, 10_050)]
    assert [tuple(row) for row in opaque] == [(ids["note"], n, 4, n, f"word {n}") for n in range(3)]
