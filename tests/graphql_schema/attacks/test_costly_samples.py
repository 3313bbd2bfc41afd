"""Small requests that ask for much work on points: done once, in bounded time, or refused in their places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson
import pytest

from db.metrics import read
from db.metrics.compact import compact
from graphql_schema.executor import Context, execute
from graphql_schema.schema import documents
from tests.graph import Graph

LOG = "mutation ($input: LogMetricsInput!) { logMetrics(input: $input) { pointCount userErrors { message } } }"
BEGIN = 'mutation { createExperiment(input: {name: "long"}) { experiment { id } userErrors { message } } }'
ALIASES = " ".join(f"a{number}: sample(maxPoints: 2, method: MEAN) {{ rawCount }}" for number in range(29))
EVERYWHERE = f"""
    query ($ids: [ID!]!) {{ compare(experimentIds: $ids, keys: ["loss"]) {{
        metrics {{ series {{ series {{ {ALIASES} }} }} }}
    }} }}
"""
SOME_TIMES = """
    query ($id: ID!) { node(id: $id) { ... on Experiment { metric(key: "loss") {
        count
        all: sample(x: WALL_TIME, range: {from: 0}) { rawCount }
        few: sample(x: WALL_TIME, maxPoints: 2, range: {from: 0, to: 1e10}) { rawCount }
        plain: sample { rawCount }
    } } } }
"""
ROWS = 10_000


async def asked(graph: Graph, query: str, **variables: Any) -> Any:
    context = Context(graph.database, graph.caller, "test-request")
    return orjson.loads(await execute(documents.prepare(query), variables, context))


@pytest.fixture
async def long(graphql: Graph) -> str:
    """An experiment with compacted points of which every second has a time: figures do not tell where those lie."""
    id_: str = (await graphql.change(BEGIN))["experiment"]["id"]
    columns = {
        "steps": list(range(ROWS)),
        "wallTimes": [10**15 + row if row % 2 else None for row in range(ROWS)],
        "values": {"loss": [0.5] * ROWS},
    }
    for _ in range(4):
        await graphql.change(LOG, input={"objectId": id_, "columns": columns})
    await compact(graphql.database, graphql.caller.tenant_id, UUID(id_.partition("_")[2]))
    return id_


async def test_a_sample_that_is_asked_for_in_thousands_of_places_is_taken_once(
    graphql: Graph, long: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    results = read._results

    async def counted(connection: Any, tenant_id: UUID, requests: Sequence[Any]) -> list[Any]:
        taken.append(len(requests))
        return await results(connection, tenant_id, requests)

    monkeypatch.setattr(read, "_results", counted)

    answer = await asked(graphql, EVERYWHERE, ids=[long] * 100)

    (metric,) = answer["data"]["compare"]["metrics"]
    assert len(metric["series"]) == 100
    assert {found["rawCount"] for each in metric["series"] for found in each["series"].values()} == {4 * ROWS}
    assert taken == [1]


async def test_what_takes_too_long_is_refused_in_its_place(
    graphql: Graph, long: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "PATIENCE", -1.0)

    answer = await asked(graphql, SOME_TIMES, id=long)

    assert answer["data"]["node"]["metric"] == {"count": 4 * ROWS, "all": None, "few": None, "plain": None}
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"LIMIT_EXCEEDED"}


async def test_only_so_many_points_are_read_where_figures_do_not_suffice(
    graphql: Graph, long: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (await graphql(SOME_TIMES, id=long))["node"]["metric"]
    assert (whole["all"], whole["few"]) == ({"rawCount": 2 * ROWS}, {"rawCount": 2 * ROWS})
    monkeypatch.setattr(read, "MOST_AGAIN", 2)

    answer = await asked(graphql, SOME_TIMES, id=long)

    found = answer["data"]["node"]["metric"]
    assert found["few"] is None
    assert found["plain"] == {"rawCount": 4 * ROWS}
    assert ["node", "metric", "few"] in [error["path"] for error in answer["errors"]]
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"LIMIT_EXCEEDED"}
