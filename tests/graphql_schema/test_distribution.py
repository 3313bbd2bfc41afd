"""Metrics over groups of experiments, against numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from graphql_schema.errors import RequestErrors
from tests.graph import Callers, Graph

CREATE = """
mutation ($input: CreateExperimentInput!) {
    createExperiment(input: $input) { experiment { id } userErrors { message } }
}
"""
LOG = "mutation ($input: LogMetricsInput!) { logMetrics(input: $input) { userErrors { message } } }"
AGGREGATE = """
query (
    $namespace: String, $filter: ExperimentFilter, $ids: [ID!], $by: [[String!]!], $keys: [String!]!,
    $points: Int! = 500, $quantiles: [MetricValue!]
) {
    found: aggregateMetrics(
        namespace: $namespace, filter: $filter, experimentIds: $ids, groupBy: $by, keys: $keys, maxPoints: $points,
        quantiles: $quantiles
    ) {
        experimentCount isComplete groupCount
        groups {
            values experimentCount experiments { name }
            metrics {
                key experimentCount
                columns { steps stepWidth isExact count nonFiniteCount mean std min max quantiles }
            }
        }
    }
}
"""
GROUPS = """
query ($by: [[String!]!], $ids: [ID!]) {
    found: aggregateMetrics(experimentIds: $ids, groupBy: $by, keys: ["loss"]) {
        experimentCount isComplete groupCount groups { values experimentCount experiments { name } }
    }
}
"""


async def made(graphql: Graph, name: str, namespace: str = "vision", **hyperparameters: Any) -> str:
    run = {"name": name, "namespace": namespace, "hyperparameters": hyperparameters}
    found: str = (await graphql.change(CREATE, input=run))["experiment"]["id"]
    return found


async def logged(graphql: Graph, owner: str, key: str, values: dict[int, Any]) -> None:
    points = [{"key": key, "step": step, "value": value} for step, value in values.items()]
    await graphql.change(LOG, input={"objectId": owner, "points": points})


async def refused(graphql: Graph, **variables: Any) -> str:
    with pytest.raises(RequestErrors) as refusal:
        await graphql(AGGREGATE, **variables)
    (error,) = refusal.value.errors
    assert error.code == "BAD_USER_INPUT"
    argument: str = error.extensions["argument"]
    return argument


def close(found: list[float | None], wanted: list[float]) -> None:
    assert [math.nan if one is None else one for one in found] == pytest.approx(wanted, rel=1e-13, nan_ok=True)


async def test_seeds_against_numpy(graphql: Graph) -> None:
    random = np.random.default_rng(3)
    runs: list[dict[int, float]] = []
    for seed in range(7):
        steps = np.flatnonzero(random.random(60) < 0.8)
        runs.append({int(step): float(value) for step, value in zip(steps, random.normal(size=60), strict=False)})
        await logged(graphql, await made(graphql, f"seed {seed}", lr=0.1, seed=seed), "loss", runs[-1])
    quantiles = [0.0, 0.1, 0.5, 0.975]
    found = (await graphql(AGGREGATE, keys=["loss"], quantiles=quantiles))["found"]
    ((group,), shown) = found["groups"], found
    assert (shown["experimentCount"], shown["isComplete"], shown["groupCount"]) == (7, True, 1)
    assert (group["values"], group["experimentCount"]) == ([], 7)
    columns = group["metrics"][0]["columns"]
    union = sorted({step for run in runs for step in run})
    there = [np.array([run[step] for run in runs if step in run]) for step in union]
    assert (columns["steps"], columns["stepWidth"], columns["isExact"]) == (union, 1, True)
    assert columns["count"] == [len(values) for values in there]
    assert columns["min"] == [values.min() for values in there]
    assert columns["max"] == [values.max() for values in there]
    close(columns["mean"], [values.mean() for values in there])
    close(columns["std"], [values.std(ddof=1) if len(values) > 1 else math.nan for values in there])
    for part, column in zip(quantiles, columns["quantiles"], strict=True):
        assert column == [np.quantile(values, part) for values in there]


async def test_groups(graphql: Graph) -> None:
    runs: dict[str, dict[str, Any]] = {
        "a": {"lr": 0.1, "net": {"depth": 2}},
        "b": {"lr": 0.1, "net": {"depth": 2.0}},
        "c": {"lr": 0.01, "net": {"depth": 2}},
        "d": {"lr": "auto"},
        "e": {},
    }
    for name, hyperparameters in runs.items():
        await made(graphql, name, **hyperparameters)
    by = [["lr"], ["net", "depth"]]
    found = (await graphql(GROUPS, by=by))["found"]
    assert found["groupCount"] == 4
    groups = {tuple(group["values"]): [run["name"] for run in group["experiments"]] for group in found["groups"]}
    assert groups == {(0.1, 2): ["b", "a"], (0.01, 2): ["c"], ("auto", None): ["d"], (None, None): ["e"]}
    assert [group["experimentCount"] for group in found["groups"]] == [len(names) for names in groups.values()]
    assert (await graphql(GROUPS, by=by))["found"] == found


async def test_some_experiments_and_some_paths(graphql: Graph) -> None:
    """The plan of the first request serves the second, which has another number of paths."""
    ids = [await made(graphql, f"run {number}", lr=number % 2, seed=number) for number in range(4)]
    assert (await graphql(GROUPS, ids=ids, by=[["lr"]]))["found"]["groupCount"] == 2
    assert (await graphql(GROUPS, ids=ids[:3], by=[["lr"], ["seed"]]))["found"]["groupCount"] == 3
    assert (await graphql(GROUPS, ids=ids, by=[]))["found"]["groupCount"] == 1
    assert (await graphql(GROUPS, ids=[], by=[]))["found"]["groups"] == []


async def test_what_is_not_finite(graphql: Graph) -> None:
    one, two = await made(graphql, "one"), await made(graphql, "two")
    await logged(graphql, one, "loss", {0: 1.0, 1: "NaN", 2: "Infinity"})
    await logged(graphql, two, "loss", {0: 3.0, 1: 5.0, 2: "-Infinity"})
    found = (await graphql(AGGREGATE, keys=["loss", "none"], quantiles=[0.5]))["found"]
    loss, none = found["groups"][0]["metrics"]
    assert none == {"key": "none", "experimentCount": 0, "columns": None}
    assert loss["columns"] == {
        "steps": [0, 1, 2],
        "stepWidth": 1,
        "isExact": True,
        "count": [2, 1, 0],
        "nonFiniteCount": [0, 1, 2],
        "mean": [2.0, 5.0, None],
        "std": [math.sqrt(2), None, None],
        "min": [1.0, 5.0, None],
        "max": [3.0, 5.0, None],
        "quantiles": [[2.0, 5.0, None]],
    }


async def test_long_series_are_put_together(graphql: Graph) -> None:
    one, two = await made(graphql, "one"), await made(graphql, "two")
    await logged(graphql, one, "loss", {step: float(step) for step in range(3000)})
    await logged(graphql, two, "loss", {step: float(-step) for step in range(0, 3000, 3)})
    found = (await graphql(AGGREGATE, keys=["loss"], points=10))["found"]["groups"][0]["metrics"][0]["columns"]
    assert (found["stepWidth"], found["isExact"], found["steps"][:2]) == (512, False, [511, 1023])
    assert (found["max"][:2], found["min"][:2]) == ([511.0, 1023.0], [-510.0, -1023.0])


async def test_only_what_is_in_sight(graphql: Graph, caller_with: Callers) -> None:
    one, two = await made(graphql, "one"), await made(graphql, "two", "text")
    for run in (one, two):
        await logged(graphql, run, "loss", {0: 1.0})
    reader = graphql.by(await caller_with("READER", "text"))
    wanted: list[dict[str, Any]] = [{}, {"ids": [one, two]}, {"filter": {"name": {"in": ["one", "two"]}}}]
    for variables in wanted:
        found = (await reader(AGGREGATE, keys=["loss"], **variables))["found"]
        assert (found["experimentCount"], found["isComplete"]) == (1, True)
        assert [run["name"] for run in found["groups"][0]["experiments"]] == ["two"]
        assert found["groups"][0]["metrics"][0]["columns"]["count"] == [1]


async def test_more_than_are_aggregated(graphql: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.read.distribution.MAX_EXPERIMENTS", 2)
    for name in ("a", "b", "c"):
        await made(graphql, name)
    text = '{ found: aggregateMetrics(keys: ["k"]) { experimentCount isComplete groups { experiments { name } } } }'
    found = (await graphql(text))["found"]
    names = [{"name": "c"}, {"name": "b"}]
    assert found == {"experimentCount": 2, "isComplete": False, "groups": [{"experiments": names}]}


async def test_refusals(graphql: Graph) -> None:
    nobody = "exp_" + "f" * 32
    for _ in range(2):  # while planning, and of a plan that is kept
        assert await refused(graphql, keys=[]) == "keys"
        assert await refused(graphql, keys=["k"] * 21) == "keys"
        assert await refused(graphql, keys=["k"], by=[["a"]] * 9) == "groupBy"
        assert await refused(graphql, keys=["k"], quantiles=[1.5]) == "quantiles"
        assert await refused(graphql, keys=["k"], quantiles=["NaN"]) == "quantiles"
        assert await refused(graphql, keys=["k"], quantiles=[0.5] * 10) == "quantiles"
        assert await refused(graphql, keys=["k"], ids=[nobody] * 201) == "experimentIds"
        assert await refused(graphql, keys=["k"], ids=["mod_" + "f" * 32]) == "experimentIds"
        assert await refused(graphql, keys=["k"], points=1) == "maxPoints"
        assert await refused(graphql, keys=["k"] * 3, points=5000) == "maxPoints"
        await graphql(AGGREGATE, keys=["k"])
        await graphql(AGGREGATE, keys=["k"], by=[["a"]], quantiles=[0.5], ids=[nobody])


async def test_columns_of_two_fields_fill_a_request(graphql: Graph) -> None:
    one = 'f%d: aggregateMetrics(keys: ["k"]) { groups { metrics { columns { steps } } } }'
    await graphql("{ " + " ".join(one % number for number in range(2)) + " }")
    with pytest.raises(RequestErrors) as refusal:
        await graphql("{ " + " ".join(one % number for number in range(3)) + " }")
    assert [error.code for error in refusal.value.errors] == ["LIMIT_EXCEEDED"]
