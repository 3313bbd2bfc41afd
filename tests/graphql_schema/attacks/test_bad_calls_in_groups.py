"""Calls that spoil the transaction they share: each is refused by itself, and the others hardly notice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from db import server_role
from db.access import local_caller
from db.engine import Database
from db.metrics import append, lane, lot
from db.metrics.append import KEEP
from graphql_schema.errors import RequestErrors
from tests.graph import Graph
from tests.statements import sent

LOG = """
    mutation ($input: LogMetricsInput!) {
        logMetrics(input: $input) { pointCount replayed userErrors { code path message } }
    }
"""
BEGIN = 'mutation { createExperiment(input: {name: "shared"}) { experiment { id } userErrors { message } } }'
COUNTS = "query ($id: ID!) { node(id: $id) { ... on Experiment { metrics { nodes { key kind count } } } } }"


async def log(graph: Graph, id_: str, columns: Any, **more: Any) -> Any:
    return (await graph(LOG, input={"objectId": id_, "columns": columns, **more}))["logMetrics"]


@pytest.fixture
async def narrow(dsn: str) -> Any:
    """The graph over one connection."""
    database = await Database.connect(dsn, role=server_role.NAME, size=1)
    yield Graph(database, await local_caller(database))
    await database.close()


async def test_a_thousand_bad_calls_among_good_ones_cost_no_transaction_each(narrow: Graph) -> None:
    id_ = (await narrow.change(BEGIN))["experiment"]["id"]
    await log(narrow, id_, {"strings": {"words": ["x"]}})
    good, bad = {"values": {"loss": [1.0]}}, {"values": {"loss": [2.0], "words": [1.0]}}

    async with sent(narrow.database) as statements:
        answers = await asyncio.gather(*(log(narrow, id_, columns) for columns in [good, bad, bad, good] * 250))

    for answer, is_good in zip(answers, [True, False, False, True] * 250, strict=True):
        if is_good:
            assert answer == {"pointCount": 1, "replayed": False, "userErrors": []}
        else:
            (error,) = answer["userErrors"]
            assert (error["code"], error["path"]) == ("INVALID", ["input", "columns", "values", "words"])
    assert statements.count(KEEP) <= 6
    (node,) = (await narrow(COUNTS, id=id_)).values()
    assert {one["key"]: one["count"] for one in node["metrics"]["nodes"]} == {"loss": 500, "words": 1}


async def test_calls_that_contradict_each_other(graphql: Graph) -> None:
    """Of two kinds for a new series one is kept, whichever came first; nobody else is refused."""
    id_ = (await graphql.change(BEGIN))["experiment"]["id"]
    kinds = [{"values": {"new": [1.0]}}, {"strings": {"new": ["x"]}}, {"values": {"other": [1.0]}}]

    answers = await asyncio.gather(*(log(graphql, id_, kinds[number % 3]) for number in range(60)))

    refused = [number % 3 for number, answer in enumerate(answers) if answer["userErrors"]]
    assert refused in ([0] * 20, [1] * 20)


async def test_a_refused_call_may_come_again_and_a_stored_one_is_a_replay(graphql: Graph) -> None:
    """What is refused beside others is not marked as brought; what was brought is not looked at again."""
    id_ = (await graphql.change(BEGIN))["experiment"]["id"]
    await log(graphql, id_, {"strings": {"words": ["x"]}}, writer="w", sequence=0)
    bad = {"values": {"words": [1.0]}}

    first, refused, replayed, other = await asyncio.gather(
        log(graphql, id_, {"values": {"loss": [1.0]}}),
        log(graphql, id_, bad, writer="w", sequence=1),
        log(graphql, id_, bad, writer="w", sequence=0),
        log(graphql, id_, {"values": {"loss": [1.0]}}, writer="w", sequence=2),
    )
    again = await log(graphql, id_, {"values": {"loss": [1.0]}}, writer="w", sequence=1)

    assert [first["pointCount"], other["pointCount"], again["pointCount"]] == [1, 1, 1]
    assert [error["code"] for error in refused["userErrors"]] == ["INVALID"]
    assert replayed == {"pointCount": 0, "replayed": True, "userErrors": []}
    assert again["replayed"] is False


async def test_calls_that_nobody_waits_for_are_not_tried_again(dsn: str) -> None:
    """Else a lock that is held too long would be waited for once for each of them, one after the other."""
    database = await Database.connect(dsn, role=server_role.NAME, statement_timeout=0.3)
    graph = Graph(database, await local_caller(database))
    id_ = (await graph.change(BEGIN))["experiment"]["id"]
    loss = {"values": {"loss": [1.0]}}
    await log(graph, id_, loss)

    async with database.connection() as other, other.transaction():
        await other.execute("SET LOCAL statement_timeout = 0; LOCK TABLE series IN SHARE MODE")
        calls = [asyncio.wait_for(log(graph, id_, loss), 0.5) for _ in range(64)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        await asyncio.sleep(0.5)
    assert all(isinstance(outcome, Exception) for outcome in outcomes)

    async with asyncio.timeout(2):
        assert (await log(graph, id_, loss))["pointCount"] == 1
    (node,) = (await graph(COUNTS, id=id_)).values()
    assert node["metrics"]["nodes"] == [{"key": "loss", "kind": "FLOAT", "count": 2}]
    await database.close()


async def test_a_writer_cannot_make_everybody_wait_by_leaving_gaps(
    graphql: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its calls looks through all gaps, with the others of its group behind it."""
    monkeypatch.setattr(append, "MOST_RANGES", 5)
    id_ = (await graphql.change(BEGIN))["experiment"]["id"]
    loss = {"values": {"loss": [1.0]}}

    sparse = [log(graphql, id_, loss, writer="clock", sequence=10 * number) for number in range(20)]
    others = [log(graphql, id_, loss, writer="rank-0", sequence=number) for number in range(20)]
    answers = await asyncio.gather(*sparse, *others, *(log(graphql, id_, loss) for _ in range(20)))

    assert [answer["pointCount"] for answer in answers[20:]] == [1] * 40
    stored = [number for number, answer in enumerate(answers[:20]) if answer["pointCount"]]
    assert len(stored) == 5
    refusals = [error for answer in answers for error in answer["userErrors"]]
    assert {(error["code"], *error["path"]) for error in refusals} == {("CONFLICT", "input", "sequence")}
    assert len(refusals) == 15
    replayed, beside = [
        await log(graphql, id_, loss, writer="clock", sequence=10 * stored[0] + more) for more in (0, 1)
    ]
    assert (replayed["replayed"], beside["pointCount"]) == (True, 1)


async def test_more_calls_than_may_wait_are_refused_at_once(graphql: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "MOST_WAITING", 10)
    id_ = (await graphql.change(BEGIN))["experiment"]["id"]

    calls = [log(graphql, id_, {"values": {"loss": [1.0]}}) for _ in range(100)]
    answers = await asyncio.gather(*calls, return_exceptions=True)

    refused = [answer for answer in answers if isinstance(answer, RequestErrors)]
    assert {error.code for refusal in refused for error in refusal.errors} == {"SERVICE_UNAVAILABLE"}
    assert len(refused) >= 80
    (node,) = (await graphql(COUNTS, id=id_)).values()
    assert node["metrics"]["nodes"][0]["count"] == len(answers) - len(refused)


async def test_what_is_not_finite_in_uneven_series_spoils_no_group(graphql: Graph) -> None:
    """Two series with one finite value each, and one that is not."""
    id_ = (await graphql.change(BEGIN))["experiment"]["id"]
    uneven = {"values": {"a": [1.0, "NaN"], "b": [2.0, None]}}

    answers = await asyncio.gather(*(log(graphql, id_, uneven) for _ in range(20)))

    assert answers == [{"pointCount": 3, "replayed": False, "userErrors": []}] * 20


async def test_a_fault_of_ours_is_that_of_one_call(graphql: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    gathered = lot.gathered

    def faulty(given: Any) -> Any:
        if any("fault" in batch.batch.keys for batch in given):
            raise ValueError("a fault")
        return gathered(given)

    monkeypatch.setattr(append, "gathered", faulty)
    id_ = (await graphql.change(BEGIN))["experiment"]["id"]
    calls = [log(graphql, id_, {"values": {key: [1.0]}}) for key in ["loss"] * 9 + ["fault"] + ["loss"] * 9]
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(answers.pop(9), ValueError)
    assert [answer["pointCount"] for answer in answers if isinstance(answer, dict)] == [1] * 18
