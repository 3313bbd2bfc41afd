"""A plan that was kept for some variables answers others as a plan made for them alone would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from graphql_schema.documents import Documents
from graphql_schema.errors import RequestErrors
from graphql_schema.executor import Context, execute
from graphql_schema.schema import graphql_schema, registry
from tests.graph import Graph

Variables = Mapping[str, Any]
MAKE = """
mutation ($runs: JSON) {
  a: createExperiment(input: {name: "a", namespace: "x", hyperparameters: {lr: 0.1, opt: "adam"}, metadata: {k: 1}}) {
    experiment { id }
  }
  b: createExperiment(input: {name: "b", namespace: "x", hyperparameters: {lr: 0.2, opt: "sgd"}, owner: "me"}) {
    experiment { id }
  }
  c: createExperiment(input: {name: "c", namespace: "x/y", labels: ["one", "two"], metadata: $runs, description: "d"}) {
    experiment { id }
  }
  m: createModel(input: {name: "m", namespace: "x", task: "t"}) { model { id } }
}
"""
LOG = """
mutation ($a: ID!, $b: ID!, $m: ID!) {
  a: logMetrics(input: {objectId: $a, points: [{key: "l", value: 3}, {key: "l", value: 1}]}) { pointCount }
  b: logMetrics(input: {objectId: $b, points: [{key: "l", value: 2}, {key: "k", value: "NaN"}]}) { pointCount }
  v: createModelVersion(input: {modelId: $m, uniqueTags: ["prod"]}) { modelVersion { id } }
}
"""
PARTS = """
query ($x: Boolean!, $y: Boolean! = false) {
  experiments { nodes { name @include(if: $x) id @skip(if: $x) ... @include(if: $y) { owner } } }
}
"""
MOMENT = """
query ($x: DateTime) {
  model(by: {name: {namespace: "x", name: "m"}}) { versionByTag(tag: "prod", asOf: $x) { version } }
}
"""
RUNS = "experiments(%s) { nodes { name } totalCount pageInfo { hasNextPage startCursor endCursor } }"


def runs(variables: str, arguments: str) -> str:
    return f"query ({variables}) {{ {RUNS % arguments} }}"


SAME: tuple[Variables, ...] = ({"x": 1}, {"x": 2}, {"x": 3}, {"x": None}, {})
NUMBER: tuple[Variables, ...] = (
    {"eq": 1}, {"eq": 3}, {"eq": None}, {}, {"isNull": True}, {"isNull": False}, {"isNull": None}, {"in": [1, 2]},
    {"in": []}, {"ne": 1}, {"lt": "NaN"}, {"gt": 1, "lt": 3}, {"eq": "NaN"},
)  # fmt: skip
TEXT: tuple[Variables, ...] = (
    {"eq": "a"}, {"eq": "b"}, {"eq": None}, {"in": ["a", "c"]}, {"in": []}, {"matches": "?"}, {"matches": "a*"},
    {"startsWith": ""}, {"contains": "b"}, {"isNull": True}, {"isNull": False}, {"ne": "a"}, {},
)  # fmt: skip
ORDER: tuple[list[Variables] | None, ...] = (
    [],
    [{"field": "NAME"}],
    [{"field": "NAME", "direction": "DESC"}],
    [{"field": "OWNER", "direction": "DESC"}, {"field": "NAME"}],
    [{"field": "NAME"}, {"field": "OWNER"}],
    [{"metric": {"key": "l"}}],
    [{"metric": {"key": "l", "aggregate": "MAX"}}],
    [{"metric": {"key": "k"}, "direction": "DESC"}],
    [{"hyperparameter": {"path": ["lr"]}, "direction": "DESC"}],
    [{"hyperparameter": {"path": ["opt"], "type": "TEXT"}}],
    [{"field": "NAME", "metric": None}],
    [{"field": None, "metric": {"key": "l"}}],
    [{"field": "NAME", "metric": {"key": "l"}}],
    None,
)
AGGREGATES = ("LAST", "MIN", "MAX", "MEAN")

CASES: Mapping[str, tuple[str, tuple[Variables, ...]]] = {
    "pages": (runs("$x: Int", "first: $x"), SAME),
    "ends": (runs("$x: Int, $y: Int", "first: $x, last: $y"), ({"x": 1}, {"y": 1}, {"x": 1, "y": 1}, {"y": 2}, {})),
    "numbers": (
        runs("$x: NumberFilter!", 'filter: {metrics: [{key: "l", is: $x}]}'),
        tuple({"x": each} for each in NUMBER),
    ),
    "parameters": (
        runs("$x: NumberFilter", 'filter: {hyperparameters: [{path: ["lr"], number: $x}]}'),
        ({}, *({"x": each} for each in NUMBER), {"x": None}),
    ),
    "texts": (runs("$x: StringFilter", "filter: {name: $x}"), ({}, *({"x": each} for each in TEXT), {"x": None})),
    "leaves": (
        runs("$x: StringFilter", 'filter: {hyperparameters: [{path: ["opt"], text: $x}]}'),
        ({}, *({"x": each} for each in TEXT), {"x": None}),
    ),
    "paths": (
        runs("$x: [String!]!", "filter: {metadata: [{path: $x}]}"),
        ({"x": ["k"]}, {"x": ["r", "0"]}, {"x": []}, {"x": "k"}, {"x": ["r"]}),
    ),
    "aggregates": (
        runs("$x: MetricAggregate! = MIN", 'filter: {metrics: [{key: "l", aggregate: $x, is: {lt: 2}}]}'),
        ({}, *({"x": each} for each in AGGREGATES)),
    ),
    "keys": (
        runs("$x: String!, $y: MetricAggregate", "orderBy: [{metric: {key: $x, aggregate: $y}, direction: DESC}]"),
        tuple({"x": key, "y": each} for key in ("l", "k", "none") for each in (*AGGREGATES, None)),
    ),
    "orders": (runs("$x: [ExperimentOrder!]", "orderBy: $x, first: 2"), ({}, *({"x": each} for each in ORDER))),
    "directions": (
        runs("$x: Direction! = ASC, $y: ExperimentOrderField", "orderBy: [{field: $y, direction: $x}]"),
        ({"y": "NAME"}, {"x": "DESC", "y": "NAME"}, {"x": "DESC", "y": "OWNER"}, {"y": None}, {"x": "ASC"}),
    ),
    "logic": (
        runs("$x: ExperimentFilter! = {}", 'filter: {or: [$x, {name: {eq: "c"}}], not: $x}'),
        (
            {},
            {"x": {"name": {"eq": "a"}}},
            {"x": {"and": []}},
            {"x": {"or": []}},
            {"x": {"or": [{"name": {"eq": "a"}}, {"name": {"eq": "b"}}]}},
            {"x": {"not": {"name": {"eq": "a"}}}},
            {"x": {"not": {}}},
            {"x": {"status": {"in": ["RUNNING"]}}},
            {"x": {"status": {"in": []}}},
            {"x": {"status": {"eq": "FAILED"}}},
            {"x": {"labels": {"all": ["one"]}}},
            {"x": {"labels": {"any": []}}},
            {"x": {"labels": {"all": []}}},
        ),
    ),
    "deep": (
        runs("$x: String!, $y: Boolean! = true", "namespace: $x, descendants: $y"),
        ({"x": "x"}, {"x": "x", "y": False}, {"x": "x/y"}, {"x": "no"}),
    ),
    "parts": (
        PARTS,
        ({"x": True}, {"x": False}, {"x": True, "y": True}, {"x": False, "y": True}),
    ),
    "metadata": (
        "query ($x: [String!]) { experiments { nodes { metadata(keys: $x) metrics(keys: $x) { nodes { key } } } } }",
        ({}, {"x": None}, {"x": []}, {"x": ["k"]}, {"x": ["k", "l"]}),
    ),
    "moments": (
        MOMENT,
        ({}, {"x": None}, {"x": "2000-01-01T00:00:00Z"}, {"x": "9999-01-01T00:00:00Z"}),
    ),
    "introspection": (
        "query ($x: String!) { __type(name: $x) { name kind } }",
        ({"x": "Model"}, {"x": "Role"}, {"x": "None"}),
    ),
}


async def response(graph: Graph, documents: Documents, query: str, variables: Variables) -> Any:
    context = Context(graph.database, graph.caller, "test-request")
    try:
        return orjson.loads(await execute(documents.prepare(query), variables, context))
    except RequestErrors as refusal:
        return [error.formatted() for error in refusal.errors]


@pytest.fixture
async def lab(graphql: Graph) -> Graph:
    made = await graphql(MAKE, runs={"r": [1, {"s": None}]})
    ids = {key: next(iter(made[key].values()))["id"] for key in "abcm"}
    await graphql(LOG, a=ids["a"], b=ids["b"], m=ids["m"])
    return graphql


async def require_equal(graph: Graph, query: str, asked: list[Variables]) -> None:
    alone = [await response(graph, Documents(graphql_schema, registry), query, each) for each in asked]
    shared = Documents(graphql_schema, registry)
    for each, expected in [*zip(asked, alone, strict=True), *reversed(list(zip(asked, alone, strict=True)))]:
        assert await response(graph, shared, query, each) == expected, each


@pytest.mark.parametrize("case", CASES)
async def test_kept_plans_answer_as_fresh_ones(lab: Graph, case: str) -> None:
    query, asked = CASES[case]
    await require_equal(lab, query, list(asked))


async def test_kept_plans_of_ids_and_cursors(lab: Graph) -> None:
    found = await lab("{ experiments { nodes { id } } models { nodes { id versions { nodes { id } } } } }")
    runs_ = [node["id"] for node in found["experiments"]["nodes"]]
    model = found["models"]["nodes"][0]
    version = model["versions"]["nodes"][0]["id"]
    missing = [f"{each.partition('_')[0]}_{'0' * 32}" for each in (model["id"], version)]
    ids = [*runs_, model["id"], version, *missing, "mod_1", "x", ""]
    await require_equal(lab, "query ($x: ID!) { node(id: $x) { __typename id } }", [{"x": each} for each in ids])
    await require_equal(lab, "query ($x: ID!) { model(by: {id: $x}) { id } }", [{"x": each} for each in ids])
    lists = [[], runs_, [model["id"]], [version, model["id"]], [model["id"], version, runs_[0]], missing, ids[:1] * 101]
    await require_equal(
        lab, "query ($x: [ID!]!) { nodes(ids: $x) { __typename id ... on Model { task } } }", [{"x": e} for e in lists]
    )


async def test_kept_plans_of_cursors_with_other_nulls(lab: Graph) -> None:
    order = '[{field: OWNER, direction: DESC}, {metric: {key: "l"}}]'
    page = (await lab(f"{{ experiments(orderBy: {order}) {{ edges {{ cursor }} }} }}"))["experiments"]["edges"]
    other = (await lab("{ experiments { edges { cursor } } models { edges { cursor } } }"))["models"]["edges"]
    cursors = [*(edge["cursor"] for edge in [*page, *other]), "bm9uZQ", None]
    for argument in ("after", "before"):
        await require_equal(
            lab, runs("$x: Cursor", f"{argument}: $x, orderBy: {order}"), [{}, *({"x": each} for each in cursors)]
        )
