"""What tables of experiments are built from: keys, paths and words, with counts."""

from __future__ import annotations

from typing import Any

import pytest

from graphql_schema.errors import RequestErrors
from tests.graph import Callers, Graph

CREATE = """
mutation ($input: CreateExperimentInput!) {
    createExperiment(input: $input) { experiment { id } userErrors { message } }
}
"""
LOG = "mutation ($input: LogMetricsInput!) { logMetrics(input: $input) { userErrors { message } } }"
FACETS = """
query ($namespace: String, $filter: ExperimentFilter, $prefix: String) {
    facets: experimentFacets(namespace: $namespace, filter: $filter) {
        experimentCount isComplete
        metricKeys(prefix: $prefix) { key kind experimentCount minLast maxLast }
        hyperparameters { path kind experimentCount min max texts { value experimentCount } }
        statuses { value experimentCount }
        frameworks { value experimentCount }
        labels { value experimentCount }
        groups { value experimentCount }
        owners { value experimentCount }
    }
}
"""
RUNS: list[dict[str, Any]] = [
    {
        "name": "one",
        "namespace": "vision",
        "hyperparameters": {"lr": 0.1, "optimizer": {"name": "adam"}, "seed": 1, "amp": True, "gone": None},
        "framework": "PYTORCH",
        "labels": ["sweep", "good"],
        "group": "g",
        "owner": "ada",
    },
    {
        "name": "two",
        "namespace": "vision/deep",
        "hyperparameters": {"lr": 0.01, "optimizer": {"name": "adam"}, "seed": "first", "layers": [64, 32]},
        "framework": "PYTORCH",
        "labels": ["sweep"],
        "group": "g",
    },
    {"name": "three", "namespace": "text", "hyperparameters": {"lr": 1}, "framework": "JAX"},
]
POINTS: list[list[dict[str, Any]]] = [
    [{"key": "train/loss", "value": 0.5}, {"key": "val/acc", "value": 0.9}, {"key": "note", "string": "x"}],
    [{"key": "train/loss", "value": "NaN"}, {"key": "note", "value": 3.0}],
    [{"key": "train/loss", "value": -0.25}],
]


@pytest.fixture
async def runs(graphql: Graph) -> None:
    """Three experiments with a few series."""
    for run, points in zip(RUNS, POINTS, strict=True):
        made = await graphql.change(CREATE, input=run)
        await graphql.change(LOG, input={"objectId": made["experiment"]["id"], "points": points})


def counted(**values: int) -> list[dict[str, Any]]:
    return [{"value": value, "experimentCount": count} for value, count in values.items()]


@pytest.mark.usefixtures("runs")
async def test_facets_of_a_namespace(graphql: Graph) -> None:
    facets = (await graphql(FACETS, namespace="vision"))["facets"]
    assert facets["experimentCount"] == 2
    assert facets["isComplete"] is True
    assert facets["metricKeys"] == [
        {"key": "train/loss", "kind": "FLOAT", "experimentCount": 2, "minLast": 0.5, "maxLast": 0.5},
        {"key": "note", "kind": "FLOAT", "experimentCount": 1, "minLast": 3.0, "maxLast": 3.0},
        {"key": "note", "kind": "STRING", "experimentCount": 1, "minLast": None, "maxLast": None},
        {"key": "val/acc", "kind": "FLOAT", "experimentCount": 1, "minLast": 0.9, "maxLast": 0.9},
    ]
    assert facets["statuses"] == counted(RUNNING=2)
    assert facets["frameworks"] == counted(PYTORCH=2)
    assert facets["labels"] == counted(sweep=2, good=1)
    assert facets["groups"] == counted(g=2)
    assert facets["owners"] == counted(ada=1)


@pytest.mark.usefixtures("runs")
async def test_facets_of_hyperparameters(graphql: Graph) -> None:
    found = (await graphql(FACETS, namespace="vision"))["facets"]["hyperparameters"]
    assert [(one["path"], one["kind"], one["experimentCount"], one["min"], one["max"]) for one in found] == [
        (["lr"], "NUMBER", 2, 0.01, 0.1),
        (["optimizer", "name"], "TEXT", 2, None, None),
        (["seed"], "MIXED", 2, 1.0, 1.0),
        (["amp"], "TEXT", 1, None, None),
        (["layers", "0"], "NUMBER", 1, 64.0, 64.0),
        (["layers", "1"], "NUMBER", 1, 32.0, 32.0),
    ]
    texts = {one["path"][0]: one["texts"] for one in found}
    assert texts["optimizer"] == counted(adam=2)
    assert texts["seed"] == counted(first=1)
    assert texts["amp"] == counted(true=1)
    assert texts["lr"] == []


@pytest.mark.usefixtures("runs")
async def test_facets_of_what_a_filter_lets_through(graphql: Graph) -> None:
    chosen = {"metrics": [{"key": "train/loss", "is": {"lt": 0}}]}
    facets = (await graphql(FACETS, filter=chosen, prefix="train/"))["facets"]
    assert (facets["experimentCount"], facets["frameworks"]) == (1, counted(JAX=1))
    assert [(one["key"], one["minLast"]) for one in facets["metricKeys"]] == [("train/loss", -0.25)]


async def test_facets_of_nothing(graphql: Graph) -> None:
    facets = (await graphql(FACETS, namespace="nowhere"))["facets"]
    assert facets.pop("isComplete") is True
    assert facets.pop("experimentCount") == 0
    assert all(found == [] for found in facets.values())


@pytest.mark.usefixtures("runs")
async def test_facets_of_what_one_may_see(graphql: Graph, caller_with: Callers) -> None:
    reader = await caller_with("READER", "text")
    facets = (await graphql.by(reader)(FACETS))["facets"]
    assert (facets["experimentCount"], facets["labels"]) == (1, [])
    hidden = (await graphql.by(reader)(FACETS, namespace="vision"))["facets"]
    assert hidden["experimentCount"] == 0


async def test_the_most_frequent_texts(graphql: Graph) -> None:
    for number in range(25):
        hyperparameters = {"name": f"n{number % 22:02}"}
        await graphql.change(CREATE, input={"name": f"run {number}", "hyperparameters": hyperparameters})
    (found,) = (await graphql(FACETS))["facets"]["hyperparameters"]
    names = [one["value"] for one in found["texts"]]
    assert names == [f"n{number:02}" for number in range(20)]
    assert [one["experimentCount"] for one in found["texts"]] == [2, 2, 2] + [1] * 17


@pytest.mark.usefixtures("runs")
async def test_more_than_are_looked_at(graphql: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.read.facets.LOOKED_AT", 2)
    facets = (await graphql("{ facets: experimentFacets { experimentCount isComplete owners { value } } }"))["facets"]
    assert facets == {"experimentCount": 2, "isComplete": False, "owners": []}


@pytest.mark.parametrize("first", [0, -1, 1001])
async def test_lists_are_bounded(graphql: Graph, first: int) -> None:
    query = "query ($first: Int) { experimentFacets { labels(first: $first) { value } } }"
    with pytest.raises(RequestErrors) as refusal:
        await graphql(query, first=first)
    assert [(error.code, error.extensions) for error in refusal.value.errors] == [
        ("BAD_USER_INPUT", {"argument": "first"})
    ]
