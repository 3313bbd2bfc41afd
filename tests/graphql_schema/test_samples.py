"""Samples, columns and pages of points, as a caller asks for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from db.engine import Database
from graphql_schema.errors import RequestErrors
from graphql_schema.executor import Context, execute
from graphql_schema.schema import documents
from tests.graph import Graph
from tests.statements import reads, sent

CREATE = """
    mutation ($name: String!) {
      createExperiment(input: {name: $name, startedAt: "2026-01-01T00:00:00Z"}) {
        experiment { id }
        userErrors { message }
      }
    }
"""
LOG = """
    mutation ($id: ID!, $points: [MetricPointInput!]!) {
      logMetrics(input: {objectId: $id, points: $points}) { pointCount userErrors { code path message } }
    }
"""
SAMPLE = """
    query (
      $id: ID!, $key: String!, $maxPoints: Int, $method: SampleMethod, $x: SampleAxis, $xKey: String,
      $range: SampleRange
    ) {
      node(id: $id) { ... on Entity { metric(key: $key) {
        sample(maxPoints: $maxPoints, method: $method, x: $x, xKey: $xKey, range: $range) {
          columns { steps wallTimes values strings bytes } x rawCount nonFiniteCount method isExact
        }
      } } }
    }
"""
PAGE = """
    query ($id: ID!, $key: String!, $first: Int, $last: Int, $after: Cursor, $before: Cursor) {
      node(id: $id) { ... on Entity { metric(key: $key) {
        points(first: $first, last: $last, after: $after, before: $before) {
          totalCount
          edges { cursor node { position } }
          nodes { position step wallTime value string bytes }
          pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        }
      } } }
    }
"""


async def a_run(graphql: Graph, *points: dict[str, Any], name: str = "run") -> str:
    id_: str = (await graphql.change(CREATE, name=name))["experiment"]["id"]
    await graphql.change(LOG, id=id_, points=list(points))
    return id_


def floats(values: Sequence[Any], key: str = "loss") -> list[dict[str, Any]]:
    """One point each, a step apart."""
    return [{"key": key, "step": step, "value": value} for step, value in enumerate(values)]


async def sample(graphql: Graph, id_: str, key: str = "loss", **asked: Any) -> Any:
    return (await graphql(SAMPLE, id=id_, key=key, **asked))["node"]["metric"]["sample"]


async def test_a_short_series_is_all_there(graphql: Graph) -> None:
    id_ = await a_run(graphql, *floats([0.5, "NaN", -0.0, 1e308]))
    found = await sample(graphql, id_)
    assert found.pop("columns") == {
        "steps": [0, 1, 2, 3],
        "wallTimes": None,
        "values": [0.5, "NaN", -0.0, 1e308],
        "strings": None,
        "bytes": None,
    }
    assert found == {"x": [0, 1, 2, 3], "rawCount": 4, "nonFiniteCount": 1, "method": "MINMAX", "isExact": True}


async def test_a_long_series_keeps_its_extremes(graphql: Graph) -> None:
    values = [math.sin(number / 50) for number in range(1_000)]
    values[123], values[777] = 9.0, -9.0
    id_ = await a_run(graphql, *floats(values))
    found = await sample(graphql, id_, maxPoints=20)
    assert (found["rawCount"], found["isExact"], found["method"]) == (1_000, False, "MINMAX")
    assert len(found["columns"]["values"]) <= 20
    assert {9.0, -9.0} <= set(found["columns"]["values"])
    assert found["x"] == sorted(found["x"]) == found["columns"]["steps"]


@pytest.mark.parametrize("method", ["MINMAX", "LTTB", "LAST", "MEAN"])
async def test_no_more_points_than_asked_for(graphql: Graph, method: str) -> None:
    id_ = await a_run(graphql, *floats([*range(500)]))
    for most in (2, 3, 10, 499, 500):
        found = await sample(graphql, id_, maxPoints=most, method=method)
        assert 0 < len(found["x"]) == len(found["columns"]["values"]) <= most
        assert found["method"] == method


async def test_times_since_the_start_of_the_experiment(graphql: Graph) -> None:
    at = ["2026-01-01T00:00:01.5Z", "2025-12-31T23:59:59Z"]
    id_ = await a_run(graphql, *({"key": "loss", "wallTime": moment, "value": 1} for moment in at))
    assert (await sample(graphql, id_, x="RELATIVE_TIME"))["x"] == [-1.0, 1.5]
    assert (await sample(graphql, id_, x="WALL_TIME"))["x"] == [1767225599.0, 1767225601.5]
    assert (await sample(graphql, id_, x="RELATIVE_TIME", range={"from": 0}))["x"] == [1.5]


async def test_another_metric_as_the_axis(graphql: Graph) -> None:
    id_ = await a_run(graphql, *floats([3, 1, 2]), *floats([30, 10], "tokens"), {"key": "name", "string": "x"})
    found = await sample(graphql, id_, x="METRIC", xKey="tokens")
    assert (found["x"], found["columns"]["values"], found["rawCount"]) == ([10.0, 30.0], [1.0, 3.0], 2)
    assert await sample(graphql, id_, x="METRIC", xKey="none") is None
    assert await sample(graphql, id_, x="METRIC", xKey="name") is None


async def test_of_strings_and_bytes_there_is_no_sample(graphql: Graph) -> None:
    id_ = await a_run(graphql, {"key": "note", "step": 1, "string": 'it\'s; "x"'}, {"key": "blob", "bytes": "AP8="})
    query = """
        query ($id: ID!) { node(id: $id) { ... on Entity { metrics { nodes {
          key sample { rawCount } columns { steps wallTimes values strings bytes }
          points { nodes { step value string bytes } }
        } } } } }
    """
    blob, note = (await graphql(query, id=id_))["node"]["metrics"]["nodes"]
    nothing = {"steps": None, "wallTimes": None, "values": None, "strings": None, "bytes": None}
    assert (blob["sample"], blob["columns"]) == (None, {**nothing, "bytes": ["AP8="]})
    assert (note["sample"], note["columns"]) == (None, {**nothing, "steps": [1], "strings": ['it\'s; "x"']})
    assert blob["points"]["nodes"] == [{"step": None, "value": None, "string": None, "bytes": "AP8="}]
    assert note["points"]["nodes"] == [{"step": 1, "value": None, "string": 'it\'s; "x"', "bytes": None}]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"maxPoints": 1}, "maxPoints"),
    ({"maxPoints": 10_001}, "maxPoints"),
    ({"x": "METRIC"}, "xKey"),
    ({"xKey": "loss"}, "xKey"),
    ({"range": {"from": 2, "to": 1}}, "range"),
    ({"range": {"from": "NaN"}}, "range"),
]


@pytest.mark.parametrize(("asked", "argument"), REFUSED, ids=str)
async def test_an_argument_that_cannot_be_used(graphql: Graph, asked: dict[str, Any], argument: str) -> None:
    # Once for a plan of good values of the same shape, which is kept.
    await graphql(SAMPLE, id="exp_" + "0" * 32, key="loss", range={"from": 1, "to": 2})
    with pytest.raises(RequestErrors) as refused:
        await graphql(SAMPLE, id="exp_" + "0" * 32, key="loss", **asked)
    [error] = refused.value.errors
    assert (error.code, error.extensions["argument"]) == ("BAD_USER_INPUT", argument)


async def test_pages_in_both_directions(graphql: Graph) -> None:
    id_ = await a_run(graphql, *floats([*range(7)]))

    async def page(**asked: Any) -> tuple[list[int], dict[str, Any]]:
        found = (await graphql(PAGE, id=id_, key="loss", **asked))["node"]["metric"]["points"]
        assert found["totalCount"] == 7
        assert [edge["node"]["position"] for edge in found["edges"]] == [node["position"] for node in found["nodes"]]
        return [node["position"] for node in found["nodes"]], found["pageInfo"]

    first, info = await page(first=3)
    assert (first, info["hasNextPage"], info["hasPreviousPage"]) == ([0, 1, 2], True, False)
    second, info = await page(first=4, after=info["endCursor"])
    assert (second, info["hasNextPage"], info["hasPreviousPage"]) == ([3, 4, 5, 6], False, True)
    third, more = await page(last=2, before=info["startCursor"])
    assert (third, more["hasNextPage"], more["hasPreviousPage"]) == ([1, 2], True, True)
    between, last = await page(first=2, after=more["startCursor"], before=info["endCursor"])
    assert (between, last["hasNextPage"], last["hasPreviousPage"]) == ([2, 3], True, True)
    nothing, end = await page(first=1, after=info["endCursor"])
    assert (nothing, end["startCursor"], end["hasNextPage"]) == ([], None, False)


async def test_a_failed_hole_is_null_with_its_place(graphql: Graph, dsn: str) -> None:
    """One damaged batch makes nothing else unreadable."""
    id_ = await a_run(graphql, *floats([1, 2]))
    other = await a_run(graphql, *floats([3]), name="other")
    owner = await Database.connect(dsn)
    async with owner.connection() as connection:
        damage = "UPDATE metric_batch SET data = 'no batch' WHERE owner_id = $1::uuid"
        await connection.execute(damage, id_.removeprefix("exp_"))
    await owner.close()
    query = """
        query ($ids: [ID!]!) { found: nodes(ids: $ids) { ... on Entity { metrics { nodes {
          key curve: sample { columns { values } }
        } } } } }
    """
    context = Context(graphql.database, graphql.caller, "test-request")
    response = orjson.loads(await execute(documents.prepare(query), {"ids": [other, id_]}, context))
    one, two = ([series["curve"] for series in node["metrics"]["nodes"]] for node in response["data"]["found"])
    assert (one, two) == ([{"columns": {"values": [3.0]}}], [None])
    [error] = response["errors"]
    assert error["path"] == ["found", 1, "metrics", "nodes", 0, "curve"]
    assert error["extensions"]["code"] == "INTERNAL_SERVER_ERROR"


async def test_stored_text_makes_no_hole(graphql: Graph) -> None:
    id_ = await a_run(graphql, *floats([1]), {"key": "0,ff,1;", "value": 2})
    query = "query ($id: ID!) { node(id: $id) { ... on Entity { metrics { nodes { key sample { x } } } } } }"
    nodes = (await graphql(query, id=id_))["node"]["metrics"]["nodes"]
    assert nodes == [{"key": "0,ff,1;", "sample": {"x": [0]}}, {"key": "loss", "sample": {"x": [0]}}]


async def test_a_payload_shows_what_was_just_logged(graphql: Graph) -> None:
    id_ = await a_run(graphql, *floats([1]))
    mutation = """
        mutation ($id: ID!) {
          logMetrics(input: {objectId: $id, points: [{key: "loss", step: 1, value: 2}]}) {
            series { sample { x columns { values } } points(last: 1) { nodes { value } } }
            userErrors { message }
          }
        }
    """
    [series] = (await graphql.change(mutation, id=id_))["series"]
    assert series["sample"] == {"x": [0, 1], "columns": {"values": [1.0, 2.0]}}
    assert series["points"]["nodes"] == [{"value": 2.0}]


async def test_series_by_a_glob(graphql: Graph) -> None:
    keys = ["train/loss", "train/acc", "val/loss", "val.loss"]
    id_ = await a_run(graphql, *({"key": key, "value": 1} for key in keys))
    query = """
        query ($id: ID!, $glob: String!) {
          node(id: $id) { ... on Entity { metrics(keyPattern: $glob) { nodes { key } } } }
        }
    """
    for glob, wanted in (
        ("*/loss", ["train/loss", "val/loss"]),
        ("val?loss", ["val.loss", "val/loss"]),
        ("train/*", ["train/acc", "train/loss"]),
        ("loss", []),
    ):
        nodes = (await graphql(query, id=id_, glob=glob))["node"]["metrics"]["nodes"]
        assert [node["key"] for node in nodes] == wanted


# --- What it costs ---

RUNS, CURVES = 100, 3
LOG_MANY = """
    mutation ($batches: [MetricBatchInput!]!) {
      logMetrics(input: {batches: $batches}) { pointCount userErrors { code path message } }
    }
"""
SPARKLINES = """
    { experiments(first: 100) { nodes {
        name
        a: metric(key: "k0") { sample(maxPoints: 20) { x columns { values } } }
        b: metric(key: "k1") { sample(maxPoints: 20, method: LTTB) { x columns { values } } }
        c: metric(key: "k2") { last sample(maxPoints: 20, x: METRIC, xKey: "k0") { x columns { values } } }
    } } }
"""
MANY_KEYS = """
    query ($keys: [String!]) { experiments(first: 100) { nodes {
        metrics(keys: $keys) { nodes { key sample(maxPoints: 20) { x } points(first: 2) { nodes { value } } } }
    } } }
"""


async def test_a_page_of_sparklines_is_two_statements(graphql: Graph, dsn: str) -> None:
    ids = [(await graphql.change(CREATE, name=f"run {n}"))["experiment"]["id"] for n in range(RUNS)]
    rows = {"steps": [*range(30)], "values": {f"k{key}": [*range(key, key + 30)] for key in range(CURVES)}}
    batches = [{"objectId": id_, "columns": rows} for id_ in ids]
    assert (await graphql.change(LOG_MANY, batches=batches))["pointCount"] == RUNS * CURVES * 30
    single = await Database.connect(dsn, size=1)
    asking = Graph(single, graphql.caller)
    for query, variables in ((SPARKLINES, {}), (MANY_KEYS, {"keys": ["k0", "k1", "k2"]})):
        await asking(query, **variables)
        async with sent(single) as statements:
            data = await asking(query, **variables)
        assert len(reads(statements)) == 2, statements
        assert len(data["experiments"]["nodes"]) == RUNS
    await single.close()
    assert all(len(node["metrics"]["nodes"]) == CURVES for node in data["experiments"]["nodes"])
    assert all(
        len(one["sample"]["x"]) <= 20 for node in data["experiments"]["nodes"] for one in node["metrics"]["nodes"]
    )


async def test_what_has_no_hole_stays_one_statement(graphql: Graph, dsn: str) -> None:
    id_ = await a_run(graphql, *floats([1, 2]))
    single = await Database.connect(dsn, size=1)
    query = "query ($id: ID!) { node(id: $id) { ... on Entity { metrics { nodes { key last } } } } }"
    asking = Graph(single, graphql.caller)
    await asking(query, id=id_)
    async with sent(single) as statements:
        await asking(query, id=id_)
    await single.close()
    assert len(statements) == 1, statements


async def test_how_many_points_there_are_is_known_without_reading_them(graphql: Graph, dsn: str) -> None:
    id_ = await a_run(graphql, *floats([1, 2]))
    single = await Database.connect(dsn, size=1)
    query = 'query ($id: ID!) { node(id: $id) { ... on Entity { metric(key: "loss") { points { totalCount } } } } }'
    asking = Graph(single, graphql.caller)
    await asking(query, id=id_)
    async with sent(single) as statements:
        data = await asking(query, id=id_)
    await single.close()
    assert (data["node"]["metric"]["points"]["totalCount"], len(reads(statements))) == (2, 1)


async def test_samples_cost_by_their_size(graphql: Graph) -> None:
    query = (
        "query ($n: Int!) { experiments(first: 100) { nodes { metrics { nodes { sample(maxPoints: $n) { x } } } } } }"
    )
    await graphql(query, n=900)
    with pytest.raises(RequestErrors) as refused:
        await graphql(query, n=1_000)
    assert [error.code for error in refused.value.errors] == ["LIMIT_EXCEEDED"]


async def test_all_statements_together_take_no_longer_than_one_may(graphql: Graph, dsn: str) -> None:
    id_ = await a_run(graphql, *floats([1]))
    hurried = await Database.connect(dsn)
    hurried.longest_read = 0.001
    context = Context(hurried, graphql.caller, "test-request")
    variables = {"id": id_, "key": "loss"}
    with pytest.raises(RequestErrors) as refusal:
        await execute(documents.prepare(SAMPLE), variables, context)
    assert [error.code for error in refusal.value.errors] == ["LIMIT_EXCEEDED"]
    hurried.longest_read = 10
    assert b'"rawCount":1' in await execute(documents.prepare(SAMPLE), variables, context)
    await hurried.close()
