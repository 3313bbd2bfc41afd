"""Columns on common steps, wherever points lie: two statements, the same after compaction, damage in its place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import orjson
import pytest

from db.access import local_caller
from db.engine import Database
from db.identifiers import parse_id
from db.metrics.compact import compact
from graphql_schema import aligned
from graphql_schema.executor import Context, execute
from graphql_schema.schema import documents
from tests.graph import Graph
from tests.statements import sent

CREATE = """
mutation ($input: CreateExperimentInput!) {
    createExperiment(input: $input) { experiment { id } userErrors { message } }
}
"""
LOG = "mutation ($input: LogMetricsInput!) { logMetrics(input: $input) { userErrors { message } } }"
BOTH = """
query ($ids: [ID!]!, $keys: [String!]!, $points: Int! = 300) {
    compare(experimentIds: $ids, keys: $keys, maxPoints: $points) {
        metrics { key columns { steps stepWidth isExact values } }
    }
    aggregateMetrics(keys: $keys, maxPoints: $points, quantiles: [0.5]) {
        groups { metrics { key columns { steps stepWidth isExact count mean std min max quantiles } } }
    }
}
"""
LENGTH = 5000
KEYS = ["loss", "acc"]


@pytest.fixture
async def graphql(dsn: str) -> AsyncIterator[Graph]:
    """A graph with one connection, whose statements can be listened to."""
    database = await Database.connect(dsn, size=1)
    yield Graph(database, await local_caller(database))
    await database.close()


@pytest.fixture
async def runs(graphql: Graph) -> list[str]:
    """Three experiments with two long series each."""
    random, found = np.random.default_rng(5), []
    for number in range(3):
        made = await graphql.change(CREATE, input={"name": f"run {number}"})
        found.append(made["experiment"]["id"])
        steps = (np.arange(LENGTH) * (number + 1)).tolist()
        values = {key: random.normal(size=LENGTH).tolist() for key in KEYS}
        for start in range(0, LENGTH, 2500):
            some = slice(start, start + 2500)
            columns = {"steps": steps[some], "values": {key: column[some] for key, column in values.items()}}
            await graphql.change(LOG, input={"objectId": found[-1], "columns": columns})
    return found


async def compacted(graphql: Graph, runs: list[str]) -> None:
    for run in runs:
        await compact(graphql.database, graphql.caller.tenant_id, parse_id(run, ("exp",)))


async def test_two_statements(graphql: Graph, runs: list[str]) -> None:
    await compacted(graphql, runs[:2])
    await graphql(BOTH, ids=runs, keys=KEYS)
    async with sent(graphql.database) as statements:
        await graphql(BOTH, ids=runs, keys=KEYS)
    assert len(statements) == 2, statements


@pytest.mark.parametrize("exact", [aligned.READ_AT_ONCE, 10])
async def test_compaction_changes_nothing(
    graphql: Graph, runs: list[str], exact: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of series that are read as they are, and of those that are sampled."""
    monkeypatch.setattr(aligned, "READ_AT_ONCE", exact)
    before = await graphql(BOTH, ids=runs, keys=KEYS)
    await compacted(graphql, runs)
    assert await graphql(BOTH, ids=runs, keys=KEYS) == before


async def test_long_series_are_sampled(graphql: Graph, runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where steps are positions, stretches of a sample end where places do: the values are the very same."""
    exact: list[Any] = []
    sampled: list[Any] = []
    for found in (exact, sampled):
        answer = await graphql(BOTH, ids=runs, keys=["loss"], points=200)
        found.append(answer["compare"]["metrics"][0]["columns"])
        monkeypatch.setattr(aligned, "READ_AT_ONCE", 10)
    (one,), (other,) = exact, sampled
    assert (one["isExact"], one["stepWidth"], other["isExact"], other["stepWidth"]) == (False, 128, False, 128)
    assert one["values"][0] == other["values"][0]
    assert [len(column) for column in one["values"]] == [len(column) for column in other["values"]]


async def test_damage_stays_in_its_place(graphql: Graph, runs: list[str]) -> None:
    await compacted(graphql, runs)
    async with graphql.database.connection() as connection:
        await connection.execute(
            "UPDATE metric_segment SET data = '\\x01ff', parts = '\\x01ff', summary = '\\x01ff' WHERE series_id ="
            " (SELECT id FROM series WHERE owner_id = $1 AND key = 'acc')",
            parse_id(runs[0], ("exp",)),
        )
    context = Context(graphql.database, graphql.caller, "test-request")
    response = orjson.loads(await execute(documents.prepare(BOTH), {"ids": runs, "keys": KEYS}, context))
    paths: list[Any] = [error["path"] for error in response["errors"]]
    assert paths == [
        ["compare", "metrics", 1, "columns"],
        ["aggregateMetrics", "groups", 0, "metrics", 1, "columns"],
    ]
    loss, acc = response["data"]["compare"]["metrics"]
    assert (len(loss["columns"]["values"]), acc["columns"]) == (3, None)
