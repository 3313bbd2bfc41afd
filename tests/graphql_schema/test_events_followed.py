"""`events`: what outside systems report, followed without gap."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from tests.graph import Callers, Graph
from tests.graphql_schema.following import frames, refused, rows

FOLLOW = """
subscription ($namespace: String, $objectId: ID, $filter: EventFilter, $after: Cursor) {
  events(namespace: $namespace, objectId: $objectId, filter: $filter, after: $after) {
    cursor catchingUp events { name endedAt object { id } }
  }
}
"""
EXPERIMENT = """
mutation ($name: String!, $namespace: String! = "lab") {
  createExperiment(input: {name: $name, namespace: $namespace}) { experiment { id } userErrors { message } }
}
"""
LOG = """
mutation ($events: [EventInput!]!) {
  logEvents(input: {events: $events}) { events { id } userErrors { message } }
}
"""
HERE = '{ namespace(by: {path: "lab"}) { feedCursor } }'


async def log(graph: Graph, owner: str, *names: str, **fields: Any) -> None:
    events = [{"objectId": owner, "name": name, "source": "trainer", "externalId": name, **fields} for name in names]
    await graph.change(LOG, events=events)


async def here(graph: Graph) -> str:
    cursor: str = (await graph(HERE))["namespace"]["feedCursor"]
    return cursor


@pytest.fixture
async def run(graphql: Graph) -> str:
    """The id of an experiment in the namespace `lab`."""
    id_: str = (await graphql.change(EXPERIMENT, name="run"))["experiment"]["id"]
    return id_


async def test_events_of_a_namespace_come_in_their_order(graphql: Graph, run: str) -> None:
    start = await here(graphql)
    names = [f"e{number}" for number in range(5)]
    for name in names:
        await log(graphql, run, name)
    found = await rows(graphql, FOLLOW, 5, namespace="lab", after=start)
    assert [event["name"] for event in found] == names
    assert {event["object"]["id"] for event in found} == {run}


async def test_live(graphql: Graph, run: str) -> None:
    async with asyncio.timeout(10), aclosing(frames(graphql, FOLLOW, namespace="lab")) as stream:
        first = await anext(stream)
        await log(graphql, run, "live")
        second = await anext(stream)
    assert (first["events"], first["catchingUp"]) == ([], False)
    assert [event["name"] for event in second["events"]] == ["live"]


async def test_what_changes_beside_them_moves_the_cursor_and_shows_nothing(graphql: Graph, run: str) -> None:
    start = await here(graphql)
    await graphql.change(EXPERIMENT, name="other")
    async with asyncio.timeout(10), aclosing(frames(graphql, FOLLOW, namespace="lab", after=start)) as stream:
        frame = await anext(stream)
        await graphql.change(EXPERIMENT, name="another")
        await log(graphql, run, "seen")
        assert [event["name"] for event in (await anext(stream))["events"]] == ["seen"]
    assert frame["events"] == []
    assert frame["cursor"] != start


async def test_of_one_object_only_its_own(graphql: Graph, run: str) -> None:
    other = (await graphql.change(EXPERIMENT, name="other"))["experiment"]["id"]
    start = await here(graphql)
    await log(graphql, other, "of the other")
    await log(graphql, run, "own")
    [event] = await rows(graphql, FOLLOW, 1, objectId=run, after=start)
    assert event["name"] == "own"


async def test_filtered(graphql: Graph, run: str) -> None:
    start = await here(graphql)
    await log(graphql, run, "a", "b", "c")
    [event] = await rows(graphql, FOLLOW, 1, namespace="lab", after=start, filter={"name": {"eq": "b"}})
    assert event["name"] == "b"


async def test_an_end_comes_live_and_a_replay_shows_the_event_once(graphql: Graph, run: str) -> None:
    start, begin, end = await here(graphql), "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:05.000000Z"
    async with asyncio.timeout(10), aclosing(frames(graphql, FOLLOW, namespace="lab")) as stream:
        await anext(stream)
        await log(graphql, run, "span", at=begin)
        [begun] = (await anext(stream))["events"]
        await log(graphql, run, "moment")
        await anext(stream)
        await log(graphql, run, "span", at=begin, endedAt=end)
        [ended] = (await anext(stream))["events"]
    await log(graphql, run, "span", at=begin, endedAt=end)
    replayed = await rows(graphql, FOLLOW, 2, namespace="lab", after=start)
    assert (begun["endedAt"], ended["endedAt"]) == (None, end)
    assert [(event["name"], event["endedAt"]) for event in replayed] == [("moment", None), ("span", end)]


@pytest.mark.parametrize("variables", [{}, {"namespace": "lab", "objectId": "exp_" + "0" * 32}, {"objectId": "x"}])
async def test_one_of_the_two_says_what_to_follow(graphql: Graph, variables: dict[str, Any]) -> None:
    assert (await refused(graphql, FOLLOW, **variables))["extensions"]["code"] == "BAD_USER_INPUT"


async def test_what_is_not_yours_does_not_exist(graphql: Graph, run: str, caller_with: Callers) -> None:
    stranger = graphql.by(await caller_with("ADMIN", "elsewhere"))
    missing = await refused(stranger, FOLLOW, objectId="exp_" + "0" * 32)
    foreign = await refused(stranger, FOLLOW, objectId=run)
    wrong_type = await refused(graphql, FOLLOW, objectId=run.replace("exp_", "mod_"))
    assert foreign["extensions"] == missing["extensions"] == {"code": "NOT_FOUND", "argument": "objectId"}
    assert foreign["message"].replace(run, "") == missing["message"].replace("exp_" + "0" * 32, "")
    assert wrong_type["extensions"]["code"] == "NOT_FOUND"
    assert (await refused(stranger, FOLLOW, namespace="lab"))["extensions"]["code"] == "NOT_FOUND"
