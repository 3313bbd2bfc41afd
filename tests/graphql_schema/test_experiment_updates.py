"""`experimentUpdates`: a live list of experiments, told as what changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from db.engine import Database
from db.feed.feed import Feed
from graphql_schema import cursor
from graphql_schema.broadcast import Live
from graphql_schema.errors import RequestErrors
from graphql_schema.executor import Context, subscribe
from graphql_schema.schema import documents
from tests.graph import Callers, Graph
from tests.graphql_schema import following

FOLLOW = """
subscription (
  $namespace: String! = "lab", $filter: ExperimentFilter, $orderBy: [ExperimentOrder!], $first: Int, $after: Cursor,
  $every: Int! = 1000
) {
  live: experimentUpdates(
    namespace: $namespace, filter: $filter, orderBy: $orderBy, first: $first, after: $after, every: $every
  ) {
    __typename cursor catchingUp removed ids
    added { id name }
    updated { name status metric(key: "loss") { last sample(maxPoints: 10) { columns { values } } } }
  }
}
"""
MAKE = """
mutation ($name: String!, $namespace: String! = "lab") {
  createExperiment(input: {name: $name, namespace: $namespace}) { experiment { id } userErrors { message } }
}
"""
LOG = """
mutation ($id: ID!, $value: MetricValue!) {
  logMetrics(input: {objectId: $id, points: [{key: "loss", value: $value}]}) { userErrors { message } }
}
"""
FINISH = """
mutation ($id: ID!) { finishExperiment(input: {id: $id, status: COMPLETED}) { userErrors { message } } }
"""
DELETE = "mutation ($id: ID!) { deleteExperiment(input: {id: $id}) { deletedId userErrors { message } } }"
QUIET: dict[str, list[str]] = {"added": [], "updated": [], "removed": []}


async def frames(graph: Graph, **variables: Any) -> AsyncGenerator[dict[str, Any], None]:
    context = Context(graph.database, graph.caller, "test-request")
    async with aclosing(subscribe(documents.prepare(FOLLOW), variables, context)) as stream:
        async for frame in stream:
            found = orjson.loads(frame.json)["data"]["live"]
            assert found["cursor"] == frame.cursor
            yield found


async def make(graph: Graph, name: str, namespace: str = "lab") -> str:
    id_: str = (await graph.change(MAKE, name=name, namespace=namespace))["experiment"]["id"]
    return id_


def changes(frame: dict[str, Any]) -> dict[str, Any]:
    return {
        "added": [row["name"] for row in frame["added"]],
        "updated": [row["name"] for row in frame["updated"]],
        "removed": frame["removed"],
    }


async def test_rows_are_added_updated_and_removed(graphql: Graph) -> None:
    one = await make(graphql, "one")
    async with asyncio.timeout(20), aclosing(frames(graphql)) as stream:
        first = await anext(stream)
        assert first["__typename"] == "ExperimentUpdate"
        assert not first["catchingUp"]
        assert changes(first) == {**QUIET, "added": ["one"]}
        two = await make(graphql, "two")
        second = await anext(stream)
        assert changes(second) == {**QUIET, "added": ["two"]}
        assert second["ids"] == [two, one]
        await graphql.change(LOG, id=one, value=0.5)
        third = await anext(stream)
        assert third["updated"] == [
            {"name": "one", "status": "RUNNING", "metric": {"last": 0.5, "sample": {"columns": {"values": [0.5]}}}}
        ]
        await graphql.change(FINISH, id=two)
        assert changes(await anext(stream)) == {**QUIET, "updated": ["two"]}
        await graphql.change(DELETE, id=one)
        last = await anext(stream)
        assert changes(last) == {**QUIET, "removed": [one]}
        assert last["ids"] == [two]


async def test_a_filter_lets_rows_in_and_out(graphql: Graph) -> None:
    one, two = await make(graphql, "one"), await make(graphql, "two")
    await graphql.change(LOG, id=two, value=5)
    low = {"metrics": [{"key": "loss", "is": {"lt": 1}}]}
    async with asyncio.timeout(20), aclosing(frames(graphql, filter=low)) as stream:
        assert changes(await anext(stream)) == QUIET
        await graphql.change(LOG, id=one, value=0.5)  # it was out, and its stream is not followed
        assert changes(await anext(stream)) == {**QUIET, "added": ["one"]}
        await graphql.change(LOG, id=one, value=2)
        assert changes(await anext(stream)) == {**QUIET, "removed": [one]}


async def test_a_window_pushes_rows_out_in_its_order(graphql: Graph) -> None:
    ids = [await make(graphql, f"e{number}") for number in range(3)]
    by_loss = [{"metric": {"key": "loss", "aggregate": "LAST"}, "direction": "ASC"}]
    for number, id_ in enumerate(ids):
        await graphql.change(LOG, id=id_, value=number + 1)
    async with asyncio.timeout(20), aclosing(frames(graphql, orderBy=by_loss, first=2)) as stream:
        assert (await anext(stream))["ids"] == ids[:2]
        await graphql.change(LOG, id=ids[2], value=0)
        frame = await anext(stream)
        assert frame["ids"] == [ids[2], ids[0]]
        assert changes(frame) == {**QUIET, "added": ["e2"], "removed": [ids[1]]}


async def test_a_cursor_tells_what_was_known(graphql: Graph) -> None:
    one, two, three = [await make(graphql, name) for name in ("one", "two", "three")]
    async with asyncio.timeout(20), aclosing(frames(graphql)) as stream:
        after = (await anext(stream))["cursor"]
    async with asyncio.timeout(20), aclosing(frames(graphql, after=after)) as stream:
        assert changes(await anext(stream)) == QUIET
    await graphql.change(LOG, id=two, value=1)
    async with asyncio.timeout(20), aclosing(frames(graphql, after=after)) as stream:
        assert changes(await anext(stream)) == {**QUIET, "updated": ["two"]}
    await graphql.change(DELETE, id=three)
    await make(graphql, "four")
    async with asyncio.timeout(20), aclosing(frames(graphql, after=after)) as stream:
        frame = await anext(stream)
        assert frame["removed"] == [three]
        assert [row["name"] for row in frame["added"]] == ["four"]
        assert {row["name"] for row in frame["updated"]} == {"one", "two"}
    assert one in frame["ids"]


async def test_many_who_follow_the_same_share_one_evaluation(graphql: Graph) -> None:
    id_ = await make(graphql, "one")
    context = Context(graphql.database, graphql.caller, "test-request")
    streams = [subscribe(documents.prepare(FOLLOW), {}, context) for _ in range(20)]
    async with asyncio.timeout(20):
        first = await asyncio.gather(*(anext(stream) for stream in streams))
        assert len({frame.json for frame in first}) == 1
        await graphql.change(LOG, id=id_, value=1)
        second = await asyncio.gather(*(anext(stream) for stream in streams))
        assert len({frame.json for frame in second}) == 1
    for stream in streams:
        await stream.aclose()


async def test_only_what_one_may_see(graphql: Graph, caller_with: Callers) -> None:
    await make(graphql, "hidden", "lab/secret")
    await make(graphql, "shown", "lab/open")
    outsider = graphql.by(await caller_with("READER", "lab/open"))
    async with asyncio.timeout(20), aclosing(frames(outsider, namespace="lab/open")) as stream:
        assert changes(await anext(stream)) == {**QUIET, "added": ["shown"]}
    with pytest.raises(RequestErrors) as refusal:
        await anext(frames(outsider, namespace="lab/secret"))
    assert refusal.value.errors[0].code == "NOT_FOUND"


async def test_what_is_no_live_query_is_refused(graphql: Graph) -> None:
    await make(graphql, "one")
    namespace = (await graphql('{ namespace(by: {path: "lab"}) { feedCursor } }'))["namespace"]["feedCursor"]
    for arguments, argument in (
        ({"after": namespace}, "after"),
        ({"after": "x"}, "after"),
        ({"every": 10}, "every"),
        ({"first": 101}, "first"),
    ):
        with pytest.raises(RequestErrors) as refusal:
            await anext(frames(graphql, **arguments))
        (error,) = refusal.value.errors
        assert error.code == "BAD_USER_INPUT", arguments
        assert error.extensions["argument"] == argument
    async with aclosing(frames(graphql)) as stream:
        kind, epoch, seq, pairs = cursor.decode((await anext(stream))["cursor"])
    with pytest.raises(RequestErrors) as refusal:
        await anext(frames(graphql, after=cursor.encode([kind, epoch + 1, seq, pairs])))
    assert refusal.value.errors[0].code == "CURSOR_EXPIRED"


async def test_a_list_that_ends_while_its_rows_change_leaves_nothing_followed(
    graphql: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(graphql, "one")
    by_loss = [{"metric": {"key": "loss", "aggregate": "LAST"}, "direction": "ASC"}]
    listeners = graphql.database.committed.listeners
    before = [*listeners]
    async with asyncio.timeout(20), aclosing(frames(graphql, orderBy=by_loss)) as stream:
        await anext(stream)
        monkeypatch.setattr("db.feed.feed.MOVED", "SELECT no_such_column")
        await make(graphql, "two")
        with pytest.raises(RequestErrors, match="does not answer"):
            await anext(stream)
    assert listeners == before


async def test_a_cursor_of_another_process_may_be_ahead(graphql: Graph, dsn: str) -> None:
    """Which has seen what this one, who looks once a second, has not."""
    await make(graphql, "one")
    database = await Database.connect(dsn)
    live, other = Live(Feed(database), database), Graph(database, graphql.caller)
    async with asyncio.timeout(20), aclosing(following.frames(other, FOLLOW, live)) as behind:
        await anext(behind)
        await make(graphql, "two")
        async with aclosing(frames(graphql)) as ahead:
            newest = await anext(ahead)
        async with aclosing(following.frames(other, FOLLOW, live, after=newest["cursor"])) as resumed:
            frame = await anext(resumed)
    assert (changes(frame), frame["ids"]) == (QUIET, newest["ids"])
    await database.close()
