"""What arrived between two numbers of the feed is the same points in the same order, wherever they are stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, TypeAlias
from uuid import uuid4

import asyncpg
import numpy as np
import pytest

from db.engine import Database
from db.errors import CursorExpired
from db.metrics import span
from db.metrics.columns import NONE, Columns
from db.metrics.span import Arrived, Between
from tests.db.metrics.layout import NOW, TENANT, Layout, columns, part

COUNT = 10_000
CALL = 50
Connection: TypeAlias = "asyncpg.Connection[Any]"

NAME = """
    INSERT INTO series (tenant_id, owner_id, key, leg, namespace_id, kind, count, updated_at, id)
    VALUES ($1, $2, $3, $4, $2, $5, 0, $6, $7)
"""


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    async with database.connection() as connection:
        await connection.execute("INSERT INTO tenant VALUES ($1, 'span', $2)", TENANT, NOW)
        yield connection


async def owner(connection: Connection, *names: tuple[int, str, str]) -> Layout:
    """An object with series of these ids, keys and kinds."""
    layout = Layout(connection)
    await connection.execute(
        "INSERT INTO object (tenant_id, id, kind, namespace_id, container_ids, name)"
        " VALUES ($1, $2, 'EXPERIMENT', $2, '{}', $3)",
        TENANT,
        layout.owner,
        uuid4().hex,
    )
    for id_, key, kind in names:
        await connection.execute(NAME, TENANT, layout.owner, key, 0, kind, NOW, id_)
    return layout


async def between(connection: Connection, layout: Layout, after: int, upto: int, **more: Any) -> list[Arrived]:
    [found] = await span.read(connection, TENANT, [Between(layout.owner, after, upto)], **more)
    return found


def walk() -> Columns:
    values = np.random.default_rng(0).standard_normal(COUNT)
    return columns(values, steps=np.where(np.arange(COUNT) % 5 == 0, NONE, np.arange(COUNT)), times=np.arange(COUNT))


@pytest.mark.parametrize("compacted", [0, 70, 4096, 8192, 9999, COUNT])
async def test_any_stretch_of_numbers(connection: Connection, compacted: int) -> None:
    layout = await owner(connection, (1, "loss", "FLOAT"))
    points, last = walk(), COUNT // CALL
    await layout.put(1, points, compacted=compacted, call=CALL)
    for after, upto in [(0, last), (0, 1), (1, 2), (10, 90), (81, 82), (last - 1, last), (0, last + 9)]:
        [found] = await between(connection, layout, after, upto)
        wanted = part(points, after * CALL, upto * CALL)
        assert (found.series_id, found.key, found.leg, found.kind) == (1, "loss", 0, "FLOAT")
        assert isinstance(found.values, np.ndarray)
        assert found.values.tobytes() == wanted.values.tobytes()
        assert found.steps.tobytes() == wanted.steps.tobytes()
        assert found.times.tobytes() == wanted.times.tobytes()
        assert found.seqs.tolist() == [after + 1 + number // CALL for number in range(len(wanted))]
    for after, upto in [(last, last), (last, last + 5), (3, 3)]:
        assert await between(connection, layout, after, upto) == []


async def test_many_objects_and_series(connection: Connection) -> None:
    names = [(1, "a", "FLOAT"), (2, "b/x", "FLOAT"), (3, "b/y", "STRING"), (4, "c", "BYTES")]
    first, second = await owner(connection, *names), await owner(connection, (1, "a", "FLOAT"))
    await first.batch(1, [(1, columns([1.0])), (2, columns([2.0, 3.0]))])
    await first.batch(2, [(2, columns([4.0])), (77, columns([5.0]))])  # of a series that was deleted
    await first.opaque(3, ["x", "y", "z"], first_seq=2)
    await first.opaque(4, [b"\0"], first_seq=9, step=0)
    await second.put(1, columns(np.arange(9.0)), call=3)
    spans = [Between(first.owner, 1, 3), Between(second.owner, 2, 3), Between(first.owner, 0, 9)]
    some, other, everything = await span.read(connection, TENANT, spans)
    assert [(one.key, one.seqs.tolist(), list(one.values)) for one in some] == [
        ("b/x", [2], [4.0]),
        ("b/y", [2, 3], ["x", "y"]),
    ]
    assert [(one.key, one.seqs.tolist(), list(one.values)) for one in other] == [("a", [3, 3, 3], [6.0, 7.0, 8.0])]
    assert [(one.key, one.kind, len(one)) for one in everything] == [
        ("a", "FLOAT", 1),
        ("b/x", "FLOAT", 3),
        ("b/y", "STRING", 3),
        ("c", "BYTES", 1),
    ]
    assert everything[2].steps.tolist() == [0, 1, 2]
    assert everything[3].steps.tolist() == [NONE]
    assert np.diff(everything[2].times).tolist() == [1, 1]


async def test_some_keys(connection: Connection) -> None:
    layout = await owner(connection, (1, "a", "FLOAT"), (2, "b/x", "FLOAT"), (3, "b/y", "FLOAT"), (4, "%", "FLOAT"))
    await layout.batch(1, [(number, columns([1.0])) for number in (1, 2, 3, 4)])

    async def keys(**more: Any) -> list[str]:
        return [one.key for one in await between(connection, layout, 0, 1, **more)]

    assert await keys() == ["%", "a", "b/x", "b/y"]
    assert await keys(keys=["a", "b/y", "z"]) == ["a", "b/y"]
    assert await keys(keys=[]) == []
    assert await keys(prefix="b/") == ["b/x", "b/y"]
    assert await keys(keys=["a"], prefix="%") == ["%", "a"]


async def test_points_that_were_rolled_up(connection: Connection) -> None:
    layout = await owner(connection, (1, "loss", "FLOAT"))
    await layout.put(1, walk(), compacted=COUNT, call=CALL, rolled=[0])
    with pytest.raises(CursorExpired):
        await between(connection, layout, 0, 5)
    [found] = await between(connection, layout, 82, 200)
    assert len(found) == COUNT - 82 * CALL


async def test_nothing_is_asked(connection: Connection) -> None:
    assert await span.read(connection, TENANT, []) == []
