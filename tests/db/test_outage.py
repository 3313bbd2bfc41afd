"""The way to PostgreSQL is cut at each message that PostgreSQL sends, be it the answer to COMMIT.

Whoever asks is told that the database is away, or gets the answer; nothing else. What was sent again is stored once.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from db.access import local_caller
from db.engine import Database
from db.errors import Unavailable
from graphql_schema.errors import RequestErrors
from tests.db.relay import Cut, Relay, relayed
from tests.graph import Graph

MAKE = (
    "mutation ($name: String!) { createExperiment(input: {name: $name}) { experiment { id } userErrors { message } } }"
)
LOG = """
mutation ($input: LogMetricsInput!) {
  logMetrics(input: $input) { pointCount replayed object { id } series { count } userErrors { code } }
}
"""
RENAME = """
mutation ($id: ID!, $name: String!, $key: String!) {
  updateExperiment(input: {id: $id, patch: {name: $name}, idempotencyKey: $key}) {
    experiment { name } userErrors { code }
  }
}
"""
READ = """
query ($id: ID!) { node(id: $id) { ... on Entity { metrics(first: 9) { nodes { key count columns { values } } } } } }
"""
CUTS = pytest.mark.parametrize("cut", Cut)

Act = Callable[[int], Awaitable[Any]]


@pytest.fixture
async def cut_off(dsn: str) -> AsyncIterator[tuple[Relay, str]]:
    async with relayed(dsn) as pair:
        yield pair


@pytest.fixture
async def graphql(cut_off: tuple[Relay, str]) -> AsyncIterator[Graph]:
    """The graph over a database that may be cut off."""
    database = await Database.connect(cut_off[1], size=2)
    yield Graph(database, await local_caller(database))
    await database.close()


async def tried(act: Act, number: int) -> Any:
    """What it comes to; None when the database was away."""
    try:
        return await act(number)
    except Unavailable:
        return None
    except RequestErrors as refused:
        if [error.code for error in refused.errors] != ["SERVICE_UNAVAILABLE"]:
            raise
        return None


async def through_all_cuts(relay: Relay, cut: Cut, act: Act) -> int:
    """Do it again and again, each time cut off one message later, until it comes to its end uncut; how often it was."""
    for number in itertools.count():
        relay.arm(number, cut)
        done = await tried(act, number)
        if relay.disarmed():
            assert done is not None
            return number
        while done is None:
            done = await tried(act, number)
    raise AssertionError("unreachable")


async def experiment(graphql: Graph, name: str = "run") -> str:
    return str((await graphql.change(MAKE, name=name))["experiment"]["id"])


async def stored(graphql: Graph, id_: str) -> dict[str, list[float]]:
    found = await graphql(READ, id=id_)
    return {series["key"]: series["columns"]["values"] for series in found["node"]["metrics"]["nodes"]}


@CUTS
async def test_who_reads(graphql: Graph, cut_off: tuple[Relay, str], cut: Cut) -> None:
    id_ = await experiment(graphql)
    points = [{"key": "loss", "value": 1.5}]
    await graphql.change(LOG, input={"objectId": id_, "points": points})

    async def read(_number: int) -> Any:
        found = await stored(graphql, id_)
        assert found == {"loss": [1.5]}
        return found

    assert await through_all_cuts(cut_off[0], cut, read) > 5


@CUTS
async def test_who_logs_as_a_writer(graphql: Graph, cut_off: tuple[Relay, str], cut: Cut) -> None:
    id_ = await experiment(graphql)

    async def log(number: int) -> Any:
        points = [{"key": "loss", "value": number}]
        return await graphql.change(LOG, input={"objectId": id_, "points": points, "writer": "w", "sequence": number})

    times = await through_all_cuts(cut_off[0], cut, log)
    assert times > 20
    assert await stored(graphql, id_) == {"loss": [float(number) for number in range(times + 1)]}


@CUTS
async def test_who_changes_under_a_key(graphql: Graph, cut_off: tuple[Relay, str], cut: Cut) -> None:
    id_ = await experiment(graphql)

    async def rename(number: int) -> Any:
        return await graphql.change(RENAME, id=id_, name=f"run-{number}", key=f"key-{number}")

    assert await through_all_cuts(cut_off[0], cut, rename) > 20


@pytest.mark.parametrize("cut", [Cut.NOTHING, Cut.CRASH])
async def test_a_group_whose_commit_is_in_doubt_is_not_done_again(
    graphql: Graph, cut_off: tuple[Relay, str], cut: Cut
) -> None:
    """Their senders were told so, and gave nothing by which a replay could be told."""
    ids = [await experiment(graphql, f"run-{n}") for n in range(2)]
    values = itertools.count()

    async def log(_number: int) -> Any:
        points = [{"objectId": id_, "points": [{"key": "loss", "value": next(values)}]} for id_ in ids * 4]
        calls = [graphql.change(LOG, input=input_) for input_ in points]
        done = await asyncio.gather(*calls, return_exceptions=True)
        for one in done:
            if isinstance(one, BaseException):
                raise one
        return done

    await through_all_cuts(cut_off[0], cut, log)
    for id_ in ids:
        kept = (await stored(graphql, id_))["loss"]
        assert len(set(kept)) == len(kept)


@CUTS
async def test_a_connection_that_is_just_being_made(cut_off: tuple[Relay, str], cut: Cut) -> None:
    async def connect(_number: int) -> Any:
        database = await Database.connect(cut_off[1], size=1)
        await database.close()
        return database

    assert await through_all_cuts(cut_off[0], cut, connect) > 10
