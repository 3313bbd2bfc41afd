"""Followers of the same thing share one execution, wherever they begin and however slowly they read."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import Any

import asyncpg
import orjson
import pytest

from db.feed import place
from db.feed.feed import Feed
from graphql_schema.broadcast import Live
from graphql_schema.errors import RequestErrors
from graphql_schema.executor import Context, subscribe
from graphql_schema.frame import Frame
from graphql_schema.schema import documents
from tests.graph import Callers, Graph
from tests.graphql_schema.following import frames, rows

FOLLOW = """
subscription ($namespace: String! = "lab", $after: Cursor, $actions: [AuditAction!]) {
  changes(namespace: $namespace, after: $after, actions: $actions) { cursor catchingUp changes { sequence objectName } }
}
"""
MODEL = """
mutation ($name: String!, $namespace: String! = "lab") {
  createModel(input: {name: $name, namespace: $namespace}) { model { id } userErrors { message } }
}
"""
HERE = '{ namespace(by: {path: "lab"}) { feedCursor } }'


@pytest.fixture
async def lab(graphql: Graph) -> Graph:
    await graphql.change(MODEL, name="first")
    return graphql


@pytest.fixture
def live(lab: Graph) -> Live:
    return Live(Feed(lab.database), lab.database)


async def here(graph: Graph) -> str:
    cursor: str = (await graph(HERE))["namespace"]["feedCursor"]
    return cursor


def raw(graph: Graph, live: Live, **variables: Any) -> AsyncGenerator[Frame, None]:
    context = Context(graph.database, graph.caller, "test-request", live)
    return subscribe(documents.prepare(FOLLOW), variables, context)


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that is read for one row: frames are, and so are tokens."""
    statements: list[str] = []
    fetchrow = asyncpg.Connection.fetchrow

    async def counted(connection: Any, query: str, *arguments: Any, **options: Any) -> Any:
        statements.append(query)
        return await fetchrow(connection, query, *arguments, **options)

    monkeypatch.setattr(asyncpg.Connection, "fetchrow", counted)
    return statements


async def opened(stack: AsyncExitStack, followers: list[AsyncGenerator[Frame, None]]) -> None:
    """Let all of them get their first frame."""
    for follower in followers:
        await stack.enter_async_context(aclosing(follower))
    await asyncio.gather(*(anext(follower) for follower in followers))


async def test_a_frame_is_read_and_written_once_for_all(lab: Graph, live: Live, executed: list[str]) -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        followers = [raw(lab, live) for _ in range(100)]
        await opened(stack, followers)
        executed.clear()
        await lab.change(MODEL, name="seen by all")
        got = await asyncio.gather(*(anext(follower) for follower in followers))
    assert len({id(frame.json) for frame in got}) == 1
    assert sum("audit_event" in statement for statement in executed) == 1


async def test_those_who_come_back_at_once_ask_once(lab: Graph, live: Live, executed: list[str]) -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        await opened(stack, [raw(lab, live) for _ in range(500)])
    assert executed.count(place.AT_PATH) == 1
    assert sum("audit_event" in statement for statement in executed) <= 2


async def test_where_somebody_begins_makes_no_difference(lab: Graph, live: Live, executed: list[str]) -> None:
    start = await here(lab)
    await lab.change(MODEL, name="missed")
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        followers = [raw(lab, live), raw(lab, live, after=start), raw(lab, live, after=await here(lab))]
        await opened(stack, followers)
        executed.clear()
        await lab.change(MODEL, name="seen by all")
        got = await asyncio.gather(*(anext(follower) for follower in followers))
    assert len({id(frame.json) for frame in got}) == 1
    assert sum("audit_event" in statement for statement in executed) == 1


async def test_other_variables_and_other_sight_are_not_shared(lab: Graph, live: Live, caller_with: Callers) -> None:
    reader = lab.by(await caller_with("READER", "lab/inner"))
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        followers = [raw(lab, live), raw(lab, live, actions=["DELETE"]), raw(reader, live, namespace="lab/inner")]
        followers.append(raw(lab, live, namespace="lab/inner"))
        await opened(stack, followers)
        await lab.change(MODEL, name="outside")
        assert names(await anext(followers[0])) == ["outside"]
        await lab.change(MODEL, name="inside", namespace="lab/inner")
        assert names(await anext(followers[0])) == ["inside"]
        assert names(await anext(followers[2])) == ["inside"]
        assert names(await anext(followers[3])) == ["inside"]


def names(frame: Frame) -> list[str]:
    return [change["objectName"] for change in orjson.loads(frame.json)["data"]["changes"]["changes"]]


async def test_no_seam_wherever_and_whenever_they_begin(
    lab: Graph, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Followers that begin anywhere, while others write, with hardly any frame kept, and read at their own pace."""
    monkeypatch.setattr("graphql_schema.broadcast.KEPT_FRAMES", 2)
    monkeypatch.setattr("graphql_schema.broadcast.MOST", 7)
    cursors, count, dice = [await here(lab)], 150, random.Random(3)

    async def write() -> None:
        for number in range(count):
            await lab.change(MODEL, name=f"m{number:03}")
            cursors.append(await here(lab))

    async def follow() -> None:
        await asyncio.sleep(dice.uniform(0, 0.5))
        begin = dice.randrange(len(cursors))
        found: list[str] = []
        async with aclosing(frames(lab, FOLLOW, live, after=cursors[begin])) as stream:
            async for frame in stream:
                found += [change["objectName"] for change in frame["changes"]]
                if len(found) >= count - begin:
                    break
                if dice.random() < 0.2:
                    await asyncio.sleep(dice.uniform(0, 0.05))
        assert found == [f"m{number:03}" for number in range(begin, count)]

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(write())
        for _ in range(40):
            group.create_task(follow())


async def test_who_falls_behind_reads_on_alone_and_loses_nothing(
    lab: Graph, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphql_schema.broadcast.KEPT_FRAMES", 1)
    async with asyncio.timeout(20), aclosing(frames(lab, FOLLOW, live)) as slow, AsyncExitStack() as stack:
        await anext(slow)
        quick = raw(lab, live)
        await opened(stack, [quick])
        for number in range(10):
            await lab.change(MODEL, name=f"m{number}")
            await anext(quick)
        found: list[str] = []
        while len(found) < 10:
            found += [change["objectName"] for change in (await anext(slow))["changes"]]
    assert found == [f"m{number}" for number in range(10)]


async def test_who_falls_far_behind_is_told_where_to_go_on(
    lab: Graph, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphql_schema.broadcast.KEPT_FRAMES", 1)
    monkeypatch.setattr("graphql_schema.follower.FAR_BEHIND", 3)
    async with asyncio.timeout(20), AsyncExitStack() as stack:
        slow, quick = raw(lab, live), raw(lab, live)
        await opened(stack, [slow, quick])
        for number in range(5):
            await lab.change(MODEL, name=f"m{number}")
            await anext(quick)
        with pytest.raises(RequestErrors) as refusal:
            await anext(slow)
    (error,) = refusal.value.errors
    assert error.code == "LAGGED"
    found = await rows(lab, FOLLOW, 5, live, after=error.extensions["cursor"])
    assert [change["objectName"] for change in found] == [f"m{number}" for number in range(5)]


async def test_a_long_backlog_is_no_lag(lab: Graph, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphql_schema.follower.FAR_BEHIND", 3)
    monkeypatch.setattr("graphql_schema.broadcast.MOST", 2)
    start = await here(lab)
    for number in range(9):
        await lab.change(MODEL, name=f"m{number}")
    assert len(await rows(lab, FOLLOW, 9, live, after=start)) == 9


async def test_nothing_is_left_of_who_has_left(lab: Graph, live: Live) -> None:
    before = len(asyncio.all_tasks())
    async with AsyncExitStack() as stack:
        await opened(stack, [raw(lab, live) for _ in range(5)])
    await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) == before
    assert lab.database.committed.listeners == []


async def test_a_new_epoch_ends_those_who_are_live(lab: Graph, live: Live) -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        followers = [raw(lab, live) for _ in range(3)]
        await opened(stack, followers)
        async with lab.database.connection() as connection:
            await connection.execute("UPDATE stream_head SET epoch = epoch + 1")
        for follower in followers:
            with pytest.raises(RequestErrors) as refusal:
                await anext(follower)
            assert refusal.value.errors[0].code == "CURSOR_EXPIRED"
        await opened(stack, [raw(lab, live)])


async def test_heartbeats_are_shared(lab: Graph, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphql_schema.broadcast.HEARTBEAT_INTERVAL", 0.05)
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        followers = [raw(lab, live) for _ in range(5)]
        await opened(stack, followers)
        beats = [await asyncio.gather(*(anext(follower) for follower in followers)) for _ in range(3)]
    assert len({id(frame.json) for beat in beats for frame in beat}) == 1


async def test_a_pause_of_the_database_is_survived(lab: Graph, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphql_schema.broadcast.AWAY_INTERVAL", 0.05)
    monkeypatch.setattr("db.feed.feed.PATIENCE", 0.05)
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        follower = raw(lab, live)
        await opened(stack, [follower])
        for number in range(3):
            async with lab.database.connection() as connection:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename = current_user"
                )
            await lab.change(MODEL, name=f"m{number}")
            assert names(await anext(follower)) == [f"m{number}"]
