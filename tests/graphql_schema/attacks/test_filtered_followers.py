"""Who follows little of a busy stream is told of its cursor all the same, and holds no connection meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from graphql_schema.executor import Context, subscribe
from graphql_schema.schema import documents
from tests.graph import Graph

FOLLOW = """
subscription ($after: Cursor) {
  changes(namespace: "lab", after: $after, types: [DATASET]) { cursor catchingUp changes { objectName } }
}
"""
MODEL = """
mutation ($name: String!) {
  createModel(input: {name: $name, namespace: "lab"}) { created userErrors { message } }
}
"""
HERE = '{ namespace(by: {path: "lab"}) { feedCursor } }'


async def frames(graph: Graph, **variables: Any) -> AsyncGenerator[dict[str, Any], None]:
    context = Context(graph.database, graph.caller, "test-request")
    async with aclosing(subscribe(documents.prepare(FOLLOW), variables, context)) as stream:
        async for frame in stream:
            yield orjson.loads(frame.json)["data"]["changes"]


async def here(graph: Graph) -> str:
    cursor: str = (await graph(HERE))["namespace"]["feedCursor"]
    return cursor


async def busy(graph: Graph) -> None:
    for number in range(1_000):
        await graph.change(MODEL, name=f"m{number}")


async def test_a_backlog_that_is_hidden_ends_with_a_frame(graphql: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphql_schema.broadcast.MOST", 2)
    await graphql.change(MODEL, name="first")
    start = await here(graphql)
    for number in range(5):
        await graphql.change(MODEL, name=f"m{number}")
    async with asyncio.timeout(5), aclosing(frames(graphql, after=start)) as stream:
        frame = await anext(stream)
    assert frame == {"cursor": await here(graphql), "catchingUp": False, "changes": []}


async def test_heartbeats_come_while_others_keep_the_stream_busy(
    graphql: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphql_schema.broadcast.HEARTBEAT_INTERVAL", 0.3)
    await graphql.change(MODEL, name="first")
    noise = asyncio.create_task(busy(graphql))
    try:
        async with asyncio.timeout(5), aclosing(frames(graphql)) as stream:
            beats = [await anext(stream) for _ in range(4)]
    finally:
        noise.cancel()
    assert len({beat["cursor"] for beat in beats}) == 4
    assert all(beat["changes"] == [] for beat in beats)


async def test_followers_hold_no_connection_while_they_wait(graphql: Graph) -> None:
    await graphql.change(MODEL, name="first")
    followers = [frames(graphql) for _ in range(30)]
    await asyncio.gather(*(anext(follower) for follower in followers))
    assert graphql.database.in_use == 0
    waiting = [asyncio.ensure_future(anext(follower)) for follower in followers]
    await asyncio.sleep(0.5)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    for follower in followers:
        await follower.aclose()
    assert graphql.database.in_use == 0
    await graphql.change(MODEL, name="second")
