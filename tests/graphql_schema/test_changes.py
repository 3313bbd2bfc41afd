"""`changes`: a namespace's audit events, followed without gap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from graphql_schema import cursor
from graphql_schema.errors import RequestErrors
from graphql_schema.executor import Context, subscribe
from graphql_schema.schema import documents
from tests.graph import Callers, Graph

FOLLOW = """
subscription ($namespace: String! = "lab", $after: Cursor, $actions: [AuditAction!], $types: [ObjectKind!]) {
  changes(namespace: $namespace, after: $after, actions: $actions, types: $types) {
    cursor catchingUp changes { sequence action kind objectName object { id } }
  }
}
"""
MODEL = """
mutation ($name: String!, $namespace: String! = "lab") {
  createModel(input: {name: $name, namespace: $namespace}) { model { id } userErrors { message } }
}
"""
HERE = '{ namespace(by: {path: "lab"}) { feedCursor } }'
DELETE = "mutation ($id: ID!) { deleteModel(input: {id: $id}) { deletedId userErrors { message } } }"


async def frames(graph: Graph, **variables: Any) -> AsyncGenerator[dict[str, Any], None]:
    context = Context(graph.database, graph.caller, "test-request")
    async with aclosing(subscribe(documents.prepare(FOLLOW), variables, context)) as stream:
        async for frame in stream:
            yield orjson.loads(frame.json)["data"]["changes"]


async def until(graph: Graph, count: int, **variables: Any) -> list[dict[str, Any]]:
    """The first `count` changes, with their frames' cursors."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(10), aclosing(frames(graph, **variables)) as stream:
        async for frame in stream:
            found += [{**change, "cursor": frame["cursor"]} for change in frame["changes"]]
            if len(found) >= count:
                break
    return found


async def refused(graph: Graph, **variables: Any) -> dict[str, Any]:
    with pytest.raises(RequestErrors) as refusal:
        await until(graph, 1, **variables)
    (error,) = refusal.value.errors
    return error.formatted()


@pytest.fixture
async def lab(graphql: Graph) -> Graph:
    await graphql.change(MODEL, name="first")
    return graphql


async def test_query_then_follow_has_no_gap(lab: Graph) -> None:
    here = (await lab(HERE))["namespace"]["feedCursor"]
    for name in ("second", "third"):
        await lab.change(MODEL, name=name)
    changes = await until(lab, 2, after=here)
    assert [change["objectName"] for change in changes] == ["second", "third"]
    assert changes[1]["sequence"] == changes[0]["sequence"] + 1


async def test_every_cursor_resumes_behind_its_frame(lab: Graph) -> None:
    here = (await lab(HERE))["namespace"]["feedCursor"]
    names = [f"m{number}" for number in range(5)]
    seen: list[str] = []
    for name in names:
        await lab.change(MODEL, name=name)
        [change] = await until(lab, 1, after=here)
        seen.append(change["objectName"])
        here = change["cursor"]
    assert seen == names


async def test_without_a_cursor_it_follows_from_now_on(lab: Graph) -> None:
    async with asyncio.timeout(10), aclosing(frames(lab)) as stream:
        first = await anext(stream)
        assert (first["changes"], first["catchingUp"]) == ([], False)
        await lab.change(MODEL, name="live")
        assert [change["objectName"] for change in (await anext(stream))["changes"]] == ["live"]


async def test_a_late_commit_is_not_skipped(lab: Graph) -> None:
    """Writers that begin in one order and commit in another: numbers are dense in the order of commits."""
    here = (await lab(HERE))["namespace"]["feedCursor"]
    names = [f"n{number}" for number in range(40)]
    reader = asyncio.create_task(until(lab, 40, after=here))
    await asyncio.gather(*(lab.change(MODEL, name=name) for name in names))
    changes = await reader
    assert sorted(change["objectName"] for change in changes) == sorted(names)
    numbers = [change["sequence"] for change in changes]
    assert numbers == list(range(numbers[0], numbers[0] + 40))


async def test_a_long_backlog_says_that_it_catches_up(lab: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphql_schema.broadcast.MOST", 2)
    here = (await lab(HERE))["namespace"]["feedCursor"]
    for name in ("a", "b", "c"):
        await lab.change(MODEL, name=name)
    async with asyncio.timeout(10), aclosing(frames(lab, after=here)) as stream:
        behind, level = await anext(stream), await anext(stream)
    assert (len(behind["changes"]), behind["catchingUp"]) == (2, True)
    assert (len(level["changes"]), level["catchingUp"]) == (1, False)


async def test_filters_move_the_cursor_past_what_they_hide(lab: Graph) -> None:
    here = (await lab(HERE))["namespace"]["feedCursor"]
    gone = (await lab.change(MODEL, name="gone"))["model"]["id"]
    await lab.change(DELETE, id=gone)
    [change] = await until(lab, 1, after=here, actions=["DELETE"], types=["MODEL"])
    assert (change["objectName"], change["object"]) == ("gone", None)


async def test_a_heartbeat_carries_the_cursor(lab: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphql_schema.broadcast.HEARTBEAT_INTERVAL", 0.01)
    async with asyncio.timeout(10), aclosing(frames(lab)) as stream:
        beats = [await anext(stream) for _ in range(3)]
    assert all(beat["changes"] == [] for beat in beats)
    assert {beat["cursor"] for beat in beats} == {(await lab(HERE))["namespace"]["feedCursor"]}


async def test_only_the_namespace_and_what_is_below_it(lab: Graph) -> None:
    await lab.change(MODEL, name="beside", namespace="lab/other")
    await lab.change(MODEL, name="below", namespace="lab/mine/deep")
    here = cursor.encode(["f", 1, [[cursor.decode((await lab(HERE))["namespace"]["feedCursor"])[2][0][0], 0]]])
    changes = await until(lab, 3, namespace="lab/mine", after=here)
    assert [change["objectName"] for change in changes] == ["lab/mine", "lab/mine/deep", "below"]


async def test_what_is_not_yours_does_not_exist(lab: Graph, caller_with: Callers) -> None:
    stranger = lab.by(await caller_with("ADMIN", "elsewhere"))
    missing = await refused(stranger, namespace="nowhere")
    foreign = await refused(stranger, namespace="lab")
    assert foreign["extensions"] == missing["extensions"] == {"code": "NOT_FOUND", "argument": "namespace"}
    assert foreign["message"].replace("lab", "nowhere") == missing["message"]


@pytest.mark.parametrize(
    "after",
    ["garbage", cursor.encode(["f", 1, [["00" * 16, 1]]]), cursor.encode(["x"]), cursor.encode(["f", 1, [["zz", 1]]])],
)
async def test_a_cursor_of_another_stream_is_refused(lab: Graph, after: str) -> None:
    error = await refused(lab, after=after)
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": "after"}


async def test_another_epoch_or_what_is_past_retention_ends_the_stream(lab: Graph) -> None:
    here = (await lab(HERE))["namespace"]["feedCursor"]
    async with lab.database.connection() as connection:
        await connection.execute("UPDATE stream_head SET min_seq = 1000, seq = 2000")
    assert (await refused(lab, after=here))["extensions"]["code"] == "CURSOR_EXPIRED"
    async with lab.database.connection() as connection:
        await connection.execute("UPDATE stream_head SET min_seq = 0, epoch = epoch + 1")
    assert (await refused(lab, after=here))["extensions"]["code"] == "CURSOR_EXPIRED"


async def test_frames_come_no_faster_than_asked(lab: Graph) -> None:
    paced = FOLLOW.replace("changes(", "changes(every: 400, ")
    context = Context(lab.database, lab.caller, "test-request")
    names: list[str] = []
    count = 0
    async with asyncio.timeout(20), aclosing(subscribe(documents.prepare(paced), {}, context)) as stream:
        await anext(stream)
        for number in range(20):
            await lab.change(MODEL, name=f"m{number}")
        while len(names) < 20:
            frame = orjson.loads((await anext(stream)).json)["data"]["changes"]
            names += [change["objectName"] for change in frame["changes"]]
            count += 1
    assert names == [f"m{number}" for number in range(20)]
    assert count <= 5


@pytest.mark.parametrize("every", [-1, 60_001])
async def test_no_such_pace(lab: Graph, every: int) -> None:
    paced = FOLLOW.replace("changes(", f"changes(every: {every}, ")
    context = Context(lab.database, lab.caller, "test-request")
    with pytest.raises(RequestErrors) as refusal:
        await anext(subscribe(documents.prepare(paced), {}, context))
    assert refusal.value.errors[0].extensions == {"argument": "every"}
