"""`metricBatches`: points as they are logged, once each, whatever is compacted and whoever reads when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from uuid import UUID

import orjson
import pytest

from db.metrics import compact
from graphql_schema import cursor
from graphql_schema.errors import RequestErrors
from graphql_schema.executor import Context, subscribe
from graphql_schema.schema import documents
from tests.graph import Callers, Graph

FOLLOW = """
subscription (
  $ids: [ID!]!, $keys: [String!], $prefix: String, $after: Cursor, $every: Int! = 0, $coalesce: Coalescing! = ALL
) {
  metricBatches(
    objectIds: $ids, keys: $keys, keyPrefix: $prefix, after: $after, every: $every, coalesce: $coalesce
  ) {
    cursor catchingUp
    series { __typename objectId key kind leg rawCount points: columns { steps wallTimes values strings bytes } }
  }
}
"""
LOG = (
    "mutation ($input: LogMetricsInput!) { logMetrics(input: $input) { pointCount userErrors { message code path } } }"
)
MAKE = """
mutation ($name: String!, $namespace: String! = "lab") {
  createExperiment(input: {name: $name, namespace: $namespace}) { experiment { id } userErrors { message } }
}
"""
FINISH = """
mutation ($id: ID!) { finishExperiment(input: {id: $id, status: COMPLETED}) { userErrors { message } } }
"""
DELETE = "mutation ($id: ID!) { deleteExperiment(input: {id: $id}) { deletedId userErrors { message } } }"
HERE = "query ($ids: [ID!]!) { feedCursor(objectIds: $ids) }"
ONE = {"key": "loss", "step": 1, "value": 0.5}


async def frames(graph: Graph, **variables: Any) -> AsyncGenerator[dict[str, Any], None]:
    context = Context(graph.database, graph.caller, "test-request")
    async with aclosing(subscribe(documents.prepare(FOLLOW), variables, context)) as stream:
        async for frame in stream:
            found = orjson.loads(frame.json)["data"]["metricBatches"]
            assert found["cursor"] == frame.cursor
            yield found


async def until(graph: Graph, count: int, **variables: Any) -> list[dict[str, Any]]:
    """The frames until `count` points came."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(10), aclosing(frames(graph, **variables)) as stream:
        async for frame in stream:
            found.append(frame)
            if sum(series["rawCount"] for frame in found for series in frame["series"]) >= count:
                break
    return found


async def to_the_end(graph: Graph, **variables: Any) -> list[dict[str, Any]]:
    async with asyncio.timeout(10), aclosing(frames(graph, **variables)) as stream:
        return [frame async for frame in stream]


async def refused(graph: Graph, **variables: Any) -> dict[str, Any]:
    with pytest.raises(RequestErrors) as refusal:
        await until(graph, 1, **variables)
    (error,) = refusal.value.errors
    return error.formatted()


def values(found: list[dict[str, Any]], key: str) -> list[Any]:
    return [
        value
        for frame in found
        for series in frame["series"]
        if series["key"] == key
        for value in series["points"]["values"]
    ]


async def experiment(graph: Graph, name: str = "e", namespace: str = "lab") -> str:
    made = await graph.change(MAKE, name=name, namespace=namespace)
    id_: str = made["experiment"]["id"]
    return id_


async def log(graph: Graph, id_: str, *points: dict[str, Any]) -> None:
    await graph.change(LOG, input={"objectId": id_, "points": list(points)})


async def test_points_come_as_they_are_logged(graphql: Graph) -> None:
    id_ = await experiment(graphql)
    here = (await graphql(HERE, ids=[id_]))["feedCursor"]
    await log(graphql, id_, {**ONE, "wallTime": "2026-03-01T00:00:00.5Z"}, {"key": "note", "string": "ü"})
    await log(graphql, id_, {"key": "loss", "value": "NaN"}, {"key": "raw", "bytes": "AAE="})
    (frame,) = await until(graphql, 4, ids=[id_], after=here)
    assert not frame["catchingUp"]
    none = {"steps": None, "wallTimes": None, "values": None, "strings": None, "bytes": None}
    assert [(series["key"], series["kind"], series["leg"]) for series in frame["series"]] == [
        ("loss", "FLOAT", 0),
        ("note", "STRING", 0),
        ("raw", "BYTES", 0),
    ]
    assert [series["points"] for series in frame["series"]] == [
        {**none, "steps": [1, None], "wallTimes": [1772323200500000, None], "values": [0.5, "NaN"]},
        {**none, "strings": ["ü"]},
        {**none, "bytes": ["AAE="]},
    ]
    assert {series["objectId"] for series in frame["series"]} == {id_}


async def test_who_follows_gets_what_comes_then(graphql: Graph) -> None:
    id_ = await experiment(graphql)
    await log(graphql, id_, ONE)
    async with asyncio.timeout(10), aclosing(frames(graphql, ids=[id_])) as stream:
        first = await anext(stream)
        assert first["series"] == []
        for number in range(3):
            await log(graphql, id_, {"key": "loss", "step": number, "value": number})
            frame = await anext(stream)
            assert values([frame], "loss") == [number]


async def test_several_objects_are_one_stream(graphql: Graph) -> None:
    ids = [await experiment(graphql, f"e{number}") for number in range(3)]
    here = (await graphql(HERE, ids=ids))["feedCursor"]
    for number in range(9):
        await log(graphql, ids[number % 3], {"key": "loss", "value": number})
    found = await until(graphql, 9, ids=ids, after=here)
    for number, id_ in enumerate(ids):
        mine = [series for frame in found for series in frame["series"] if series["objectId"] == id_]
        assert [value for series in mine for value in series["points"]["values"]] == [number, number + 3, number + 6]


async def test_every_cursor_resumes_behind_its_frame_also_over_segments(graphql: Graph) -> None:
    id_ = await experiment(graphql)
    here = (await graphql(HERE, ids=[id_]))["feedCursor"]
    for number in range(30):
        await log(graphql, id_, *({"key": "loss", "step": number, "value": number + part / 4} for part in range(4)))
        if number in (9, 19):
            await compact.compact(graphql.database, graphql.caller.tenant_id, UUID(id_[4:]))
    kind, epoch, [[stream, seq]] = cursor.decode(here)
    for begin in range(31):
        after = cursor.encode([kind, epoch, [[stream, seq + begin]]])
        rest = (30 - begin) * 4
        found = values(await until(graphql, rest, ids=[id_], after=after), "loss") if rest else []
        assert found == [number + part / 4 for number in range(begin, 30) for part in range(4)]


async def test_a_backlog_is_told_in_frames_of_whole_calls(graphql: Graph) -> None:
    id_ = await experiment(graphql)
    here = (await graphql(HERE, ids=[id_]))["feedCursor"]
    for call in range(6):
        table = {"values": {"loss": [call * 9_000 + row for row in range(9_000)]}}
        await graphql.change(LOG, input={"objectId": id_, "columns": table})
    found = await until(graphql, 54_000, ids=[id_], after=here)
    assert values(found, "loss") == list(range(54_000))
    sizes = [sum(series["rawCount"] for series in frame["series"]) for frame in found]
    assert all(size % 9_000 == 0 and size <= 29_000 for size in sizes)
    assert [frame["catchingUp"] for frame in found] == [True] * (len(found) - 1) + [False]


async def test_only_some_series(graphql: Graph) -> None:
    id_ = await experiment(graphql)
    here = (await graphql(HERE, ids=[id_]))["feedCursor"]
    await log(graphql, id_, *({"key": key, "value": 1} for key in ("train/loss", "train/lr", "val/loss")))
    for arguments, expected in (
        ({"keys": ["val/loss", "train/lr"]}, ["train/lr", "val/loss"]),
        ({"prefix": "train/"}, ["train/loss", "train/lr"]),
    ):
        (frame,) = await until(graphql, 2, ids=[id_], after=here, **arguments)
        assert [series["key"] for series in frame["series"]] == expected


@pytest.mark.parametrize(
    ("coalesce", "expected"),
    [("LAST", [3.0]), ("MIN", [-2.0]), ("MAX", [7.0]), ("MINMAX", [7.0, -2.0]), ("ALL", [1.0, 7.0, "NaN", -2.0, 3.0])],
)
async def test_points_are_coalesced(graphql: Graph, coalesce: str, expected: list[Any]) -> None:
    id_ = await experiment(graphql)
    here = (await graphql(HERE, ids=[id_]))["feedCursor"]
    await log(graphql, id_, *({"key": "loss", "value": value} for value in (1, 7, "NaN", -2, 3)))
    (frame,) = await until(graphql, 5, ids=[id_], after=here, coalesce=coalesce)
    assert values([frame], "loss") == expected
    assert frame["series"][0]["rawCount"] == 5


async def test_frames_come_no_faster_than_asked(graphql: Graph) -> None:
    id_ = await experiment(graphql)
    async with asyncio.timeout(10), aclosing(frames(graphql, ids=[id_], every=400)) as stream:
        await anext(stream)
        for number in range(20):
            await log(graphql, id_, {"key": "loss", "value": number})
        found: list[dict[str, Any]] = []
        while len(values(found, "loss")) < 20:
            found.append(await anext(stream))
    assert values(found, "loss") == list(range(20))
    assert len(found) <= 4


async def test_ended_experiments_are_told_to_the_end(graphql: Graph) -> None:
    ids = [await experiment(graphql, name) for name in ("one", "two")]
    here = (await graphql(HERE, ids=ids))["feedCursor"]
    for id_ in ids:
        await log(graphql, id_, ONE)
    following = asyncio.create_task(to_the_end(graphql, ids=ids, after=here))
    await graphql.change(FINISH, id=ids[0])
    await asyncio.sleep(0.2)
    assert not following.done()
    await log(graphql, ids[1], {**ONE, "step": 2})
    await graphql.change(FINISH, id=ids[1])
    assert sum(series["rawCount"] for frame in await following for series in frame["series"]) == 3
    assert values(await to_the_end(graphql, ids=ids, after=here), "loss") == [0.5] * 3


async def test_a_deleted_object_ends_it(graphql: Graph) -> None:
    id_ = await experiment(graphql)
    async with asyncio.timeout(10), aclosing(frames(graphql, ids=[id_])) as stream:
        await anext(stream)
        await graphql.change(DELETE, id=id_)
        with pytest.raises(RequestErrors) as refusal:
            await anext(stream)
    assert refusal.value.errors[0].code == "NOT_FOUND"


async def test_what_cannot_be_followed_is_refused(graphql: Graph, caller_with: Callers) -> None:
    id_ = await experiment(graphql)
    other = await experiment(graphql, "other", "elsewhere")
    outsider = graphql.by(await caller_with("READER", "elsewhere"))
    here = (await graphql(HERE, ids=[other]))["feedCursor"]
    assert (await refused(outsider, ids=[id_]))["extensions"]["code"] == "NOT_FOUND"
    assert (await refused(outsider, ids=[other, id_]))["extensions"]["code"] == "NOT_FOUND"
    for arguments, argument in (
        ({"ids": []}, "objectIds"),
        ({"ids": [id_, id_]}, "objectIds"),
        ({"ids": ["exp_no"]}, "objectIds"),
        ({"ids": [id_] * 101}, "objectIds"),
        ({"ids": [id_], "every": -1}, "every"),
        ({"ids": [id_], "every": 60_001}, "every"),
        ({"ids": [id_], "keys": ["a"], "prefix": "b"}, "keyPrefix"),
        ({"ids": [id_], "after": here}, "after"),
    ):
        error = await refused(graphql, **arguments)
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert error["extensions"]["argument"] == argument


async def test_the_cursor_of_what_is_hidden_tells_nothing(graphql: Graph, caller_with: Callers) -> None:
    id_ = await experiment(graphql)
    await log(graphql, id_, ONE)
    outsider = graphql.by(await caller_with("READER", "elsewhere"))
    _, _, pairs = cursor.decode((await outsider(HERE, ids=[id_]))["feedCursor"])
    assert pairs == []
