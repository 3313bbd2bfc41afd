"""Experiments side by side: hyperparameters, figures against a baseline's, and curves on common steps."""

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
HYPERPARAMETERS = """
query ($ids: [ID!]!, $different: Boolean! = true, $first: Int) {
    compare(experimentIds: $ids) {
        hyperparameters(onlyDifferent: $different, first: $first) { path values isDifferent }
    }
}
"""
DELTAS = """
query ($ids: [ID!]!, $keys: [String!], $baseline: ID) {
    compare(experimentIds: $ids, keys: $keys, baselineId: $baseline) {
        metrics {
            key kind
            series {
                series { last count }
                deltas { last { absolute relative } mean { absolute } }
            }
        }
    }
}
"""
COLUMNS = """
query ($ids: [ID!]!, $keys: [String!], $points: Int! = 500) {
    compare(experimentIds: $ids, keys: $keys, maxPoints: $points) {
        metrics { key columns { steps stepWidth isExact values } }
    }
}
"""
NOBODY = "exp_" + "f" * 32


async def made(graphql: Graph, name: str, namespace: str = "vision", **hyperparameters: Any) -> str:
    run = {"name": name, "namespace": namespace, "hyperparameters": hyperparameters}
    found: str = (await graphql.change(CREATE, input=run))["experiment"]["id"]
    return found


async def logged(graphql: Graph, owner: str, key: str, *values: Any, steps: list[int] | None = None) -> None:
    points = [{"key": key, "value": value} for value in values]
    if steps:
        points = [{**point, "step": step} for point, step in zip(points, steps, strict=True)]
    await graphql.change(LOG, input={"objectId": owner, "points": points})


def shown(number: float | None) -> str:
    """A number so that −0.0 is not 0."""
    return repr(number if number is None else float(number))


async def refused(graphql: Graph, query: str, **variables: Any) -> dict[str, Any]:
    with pytest.raises(RequestErrors) as refusal:
        await graphql(query, **variables)
    (error,) = refusal.value.errors
    return {"code": error.code, **error.extensions}


# --- Experiments and hyperparameters ---


async def test_experiments_in_order(graphql: Graph, caller_with: Callers) -> None:
    one, two = await made(graphql, "one"), await made(graphql, "two", "text")
    query = "query ($ids: [ID!]!) { compare(experimentIds: $ids) { experiments { id name } } }"
    found = (await graphql(query, ids=[two, NOBODY, one, two]))["compare"]["experiments"]
    assert [run and run["name"] for run in found] == ["two", None, "one", "two"]
    reader = await caller_with("READER", "text")
    found = (await graphql.by(reader)(query, ids=[two, one]))["compare"]["experiments"]
    assert [run and run["name"] for run in found] == ["two", None]


async def test_hyperparameters_that_differ(graphql: Graph) -> None:
    one = await made(graphql, "one", lr=0.1, seed=1, optimizer={"name": "adam", "betas": [0.9, 0.99]}, same=True)
    two = await made(graphql, "two", lr=0.01, seed=1.0, optimizer={"name": "adam", "betas": [0.9]}, same=True, empty={})
    found = (await graphql(HYPERPARAMETERS, ids=[one, two, NOBODY]))["compare"]["hyperparameters"]
    assert [(path["path"], path["values"]) for path in found] == [
        (["empty"], [None, {}, None]),
        (["lr"], [0.1, 0.01, None]),
        (["optimizer", "betas", "1"], [0.99, None, None]),
    ]
    assert all(path["isDifferent"] for path in found)


async def test_all_hyperparameters(graphql: Graph) -> None:
    one, two = await made(graphql, "one", a="x" * 2000, b=None), await made(graphql, "two", a="x" * 2000, c=2**60)
    found = (await graphql(HYPERPARAMETERS, ids=[one, two], different=False))["compare"]["hyperparameters"]
    assert found == [
        {"path": ["a"], "values": ["x" * 2000, "x" * 2000], "isDifferent": False},
        {"path": ["c"], "values": [None, 2**60], "isDifferent": True},
    ]
    found = (await graphql(HYPERPARAMETERS, ids=[one, two], different=False, first=1))["compare"]["hyperparameters"]
    assert [path["path"] for path in found] == [["a"]]


# --- Figures ---


async def test_figures_and_deltas(graphql: Graph) -> None:
    one, two, three = [await made(graphql, name) for name in ("one", "two", "three")]
    await logged(graphql, one, "loss", 4.0, 2.0)
    await logged(graphql, two, "loss", 1.0, 1.5)
    await logged(graphql, two, "acc", 0.5)
    await graphql.change(LOG, input={"objectId": three, "points": [{"key": "acc", "string": "good"}]})
    loss, acc = (await graphql(DELTAS, ids=[one, two, three]))["compare"]["metrics"]
    if loss["key"] == "acc":
        loss, acc = acc, loss
    assert (loss["kind"], acc["kind"]) == ("FLOAT", None)
    nothing = {"last": {"absolute": 0.0, "relative": 0.0}, "mean": {"absolute": 0.0}}
    less = {"last": {"absolute": -0.5, "relative": -0.25}, "mean": {"absolute": -1.75}}
    assert loss["series"] == [
        {"series": {"last": 2.0, "count": 2}, "deltas": nothing},
        {"series": {"last": 1.5, "count": 2}, "deltas": less},
        None,
    ]
    assert [one and one["deltas"] for one in acc["series"]] == [None, None, None]


@pytest.mark.parametrize(
    ("value", "before", "absolute", "relative"),
    [
        (1.0, 0.0, 1.0, None),
        ("NaN", 1.0, None, None),
        (1.0, "Infinity", None, None),
        (-2.0, -1.0, -1.0, -1.0),
        (1.7976931348623157e308, -1.7976931348623157e308, None, None),
        (1.7976931348623157e308, 1.7976931348623157e308, 0.0, 0.0),
        (-1.7976931348623157e308, 1.0, -1.7976931348623157e308, None),
        (-1e308, 1.0, -1e308, -1e308),
        (1.0, 5e-324, 1.0, None),
        (5e-324, 1.7976931348623157e308, -1.7976931348623157e308, -1.0),
        (1e-300, 0.0, 1e-300, None),
        (5e-324, 1e-323, -5e-324, -0.5),
        (-0.0, 0.0, -0.0, None),
    ],
)
async def test_deltas_at_the_edge(
    graphql: Graph, value: Any, before: Any, absolute: float | None, relative: float | None
) -> None:
    one, two = await made(graphql, "one"), await made(graphql, "two")
    await logged(graphql, one, "x", before)
    await logged(graphql, two, "x", value)
    (metric,) = (await graphql(DELTAS, ids=[two, NOBODY], keys=["x"], baseline=one))["compare"]["metrics"]
    found = metric["series"][0]["deltas"]["last"]
    assert shown(found["absolute"]) == shown(absolute)
    assert found["relative"] == (None if relative is None else pytest.approx(relative, rel=1e-15))


async def test_a_baseline_out_of_sight(graphql: Graph, caller_with: Callers) -> None:
    one, two = await made(graphql, "one"), await made(graphql, "two", "text")
    for run in (one, two):
        await logged(graphql, run, "x", 1.0)
    reader = graphql.by(await caller_with("READER", "text"))
    (metric,) = (await reader(DELTAS, ids=[two, one], baseline=one))["compare"]["metrics"]
    assert metric["series"] == [{"series": {"last": 1.0, "count": 1}, "deltas": None}, None]


async def test_keys_in_order(graphql: Graph) -> None:
    one, two = await made(graphql, "one"), await made(graphql, "two")
    await logged(graphql, one, "b", 1.0)
    await logged(graphql, one, "a", 1.0)
    await logged(graphql, two, "b", 1.0)
    found = (await graphql(DELTAS, ids=[one, two]))["compare"]["metrics"]
    assert [metric["key"] for metric in found] == ["b", "a"]
    found = (await graphql(DELTAS, ids=[one, two], keys=["a", "none", "a"]))["compare"]["metrics"]
    assert [metric["key"] for metric in found] == ["a", "none", "a"]
    assert (await graphql(DELTAS, ids=[one, two], keys=[]))["compare"]["metrics"] == []


# --- Columns ---


async def test_columns_on_common_steps(graphql: Graph) -> None:
    one, two, three = [await made(graphql, name) for name in ("one", "two", "three")]
    await logged(graphql, one, "loss", 3.0, "NaN", 1.0, 0.5, steps=[0, 10, 20, 20])
    await logged(graphql, two, "loss", 2.0, -0.0, steps=[20, 10])
    (loss,) = (await graphql(COLUMNS, ids=[one, two, three], keys=["loss"]))["compare"]["metrics"]
    assert loss["columns"] == {
        "steps": [0, 10, 20],
        "stepWidth": 1,
        "isExact": True,
        "values": [[3.0, "NaN", 0.5], [None, -0.0, 2.0], None],
    }


async def test_columns_of_many_steps(graphql: Graph) -> None:
    one, two = await made(graphql, "one"), await made(graphql, "two")
    await logged(graphql, one, "loss", *(float(step) for step in range(1000)), steps=list(range(1000)))
    await logged(graphql, two, "loss", *(float(step) for step in range(0, 1000, 7)), steps=list(range(0, 1000, 7)))
    (loss,) = (await graphql(COLUMNS, ids=[one, two], keys=["loss"], points=100))["compare"]["metrics"]
    columns = loss["columns"]
    assert (columns["stepWidth"], columns["isExact"], len(columns["steps"])) == (16, False, 63)
    assert columns["steps"][:2] == [15, 31]
    assert columns["values"][0][:2] == [15.0, 31.0]
    assert columns["values"][1][:2] == [14.0, 28.0]


async def test_columns_by_position(graphql: Graph) -> None:
    one, two = await made(graphql, "one"), await made(graphql, "two")
    await logged(graphql, one, "loss", 3.0, 2.0)
    await logged(graphql, two, "loss", 5.0, 4.0, steps=[1, 2])
    (loss,) = (await graphql(COLUMNS, ids=[one, two], keys=["loss"]))["compare"]["metrics"]
    assert (loss["columns"]["steps"], loss["columns"]["values"]) == ([0, 1, 2], [[3.0, 2.0, None], [None, 5.0, 4.0]])


# --- Refusals ---


async def test_refusals(graphql: Graph) -> None:
    two = [NOBODY, NOBODY]
    bad = {"code": "BAD_USER_INPUT"}
    assert await refused(graphql, COLUMNS, ids=[NOBODY]) == {**bad, "argument": "experimentIds"}
    assert await refused(graphql, COLUMNS, ids=[NOBODY] * 101) == {**bad, "argument": "experimentIds"}
    assert await refused(graphql, COLUMNS, ids=["mod_" + "f" * 32] * 2) == {**bad, "argument": "experimentIds"}
    assert await refused(graphql, COLUMNS, ids=two, keys=["k"] * 101) == {**bad, "argument": "keys"}
    assert await refused(graphql, COLUMNS, ids=two, points=1) == {**bad, "argument": "maxPoints"}
    assert await refused(graphql, COLUMNS, ids=two, points=10_001) == {**bad, "argument": "maxPoints"}
    assert await refused(graphql, COLUMNS, ids=[NOBODY] * 100) == {**bad, "argument": "keys"}
    assert await refused(graphql, DELTAS, ids=two, baseline="mod_" + "f" * 32) == {**bad, "argument": "baselineId"}
    assert await refused(graphql, HYPERPARAMETERS, ids=two, first=1001) == {**bad, "argument": "first"}


async def test_refusals_of_a_kept_plan(graphql: Graph) -> None:
    """The plan of the first request serves the second."""
    await graphql(COLUMNS, ids=[NOBODY] * 2, keys=["k"])
    assert (await refused(graphql, COLUMNS, ids=[NOBODY] * 1, keys=["k"]))["argument"] == "experimentIds"
    assert (await refused(graphql, COLUMNS, ids=[NOBODY] * 2, keys=["k"] * 101))["argument"] == "keys"
    assert (await refused(graphql, COLUMNS, ids=[NOBODY] * 100, keys=["k"] * 50))["argument"] == "keys"
