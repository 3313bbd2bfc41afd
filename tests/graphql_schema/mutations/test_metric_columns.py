"""Points as columns, of several objects, and told apart from their own replays."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest

from graphql_schema.errors import RequestErrors
from tests.graph import Callers, Graph

CREATE = """
    mutation ($input: CreateExperimentInput!) {
      createExperiment(input: $input) { experiment { id } userErrors { message } }
    }
"""
DELETE = "mutation ($id: ID!) { deleteExperiment(input: {id: $id}) { userErrors { message } } }"
LOG = """
    mutation ($input: LogMetricsInput!) {
      logMetrics(input: $input) {
        pointCount
        replayed
        object { id }
        objects { id ... on Experiment { name } }
        series { key count last }
        userErrors { code path message }
      }
    }
"""
PARTS = """
    mutation ($id: ID!, $columns: MetricTable!, $points: [MetricPointInput!], $key: String!) {
      one: logMetrics(input: {objectId: $id, columns: $columns}) { pointCount userErrors { code path } }
      two: logMetrics(input: {objectId: $id, points: $points}) { pointCount userErrors { code path } }
      three: logMetrics(input: {objectId: $id, points: [{key: $key, value: 3}]}) { pointCount userErrors { code path } }
    }
"""
LITERAL = """
    mutation ($id: ID!, $losses: JSON!) {
      logMetrics(
        input: {objectId: $id, columns: {steps: [1, null], values: {loss: $losses, acc: [null, "NaN"]}}}
      ) { pointCount userErrors { code path message } }
    }
"""
SERIES = """
    query ($id: ID!) {
      node(id: $id) {
        ... on Entity {
          metrics(first: 100) {
            nodes { key kind count points(first: 100) { nodes { step wallTime value string bytes } } }
          }
        }
      }
    }
"""


async def a_run(graph: Graph, name: str = "run", **values: Any) -> str:
    made = await graph.change(CREATE, input={"name": name, **values})
    return str(made["experiment"]["id"])


async def series(graph: Graph, id_: str) -> dict[str, list[tuple[Any, ...]]]:
    """Step, wall time and value of every point."""
    node = (await graph(SERIES, id=id_))["node"]
    return {each["key"]: [point_of(point) for point in each["points"]["nodes"]] for each in node["metrics"]["nodes"]}


def point_of(point: dict[str, Any]) -> tuple[Any, ...]:
    value = next((point[name] for name in ("value", "string", "bytes") if point[name] is not None), None)
    return point["step"], point["wallTime"], value


async def test_columns_are_stored_cell_by_cell(graphql: Graph) -> None:
    id_ = await a_run(graphql)
    columns = {
        "steps": [7, None, -3],
        "wallTimes": [1_767_225_600_000_001, None, 0],
        "values": {"loss": [0.5, None, "-Infinity"], "acc": [None, -0.0, 1]},
        "strings": {"note": [None, "ü", ""]},
        "bytes": {"blob": ["AAE=", None, ""]},
    }
    answer = await graphql.change(LOG, input={"objectId": id_, "columns": columns})
    assert (answer["pointCount"], answer["replayed"], answer["object"]["id"]) == (8, False, id_)
    assert [(each["key"], each["count"]) for each in answer["series"]] == [
        ("acc", 2),
        ("blob", 2),
        ("loss", 2),
        ("note", 2),
    ]
    first, last = "2026-01-01T00:00:00.000001Z", "1970-01-01T00:00:00.000000Z"
    found = await series(graphql, id_)
    assert found == {
        "loss": [(7, first, 0.5), (-3, last, "-Infinity")],
        "acc": [(None, None, 0), (-3, last, 1)],
        "note": [(None, None, "ü"), (-3, last, "")],
        "blob": [(7, first, "AAE="), (-3, last, "")],
    }
    assert struct.pack(">d", found["acc"][0][2]) == struct.pack(">d", -0.0)


async def test_parts_of_the_input_may_be_variables(graphql: Graph) -> None:
    id_ = await a_run(graphql)
    columns, points = {"values": {"k": [1, 2]}}, [{"key": "k", "value": 2.5}]
    answers = await graphql(PARTS, id=id_, columns=columns, points=points, key="k")
    assert [answer["pointCount"] for answer in answers.values()] == [2, 1, 1]
    assert [value for _, _, value in (await series(graphql, id_))["k"]] == [1, 2, 2.5, 3]


async def test_columns_may_be_written_in_the_document(graphql: Graph) -> None:
    id_ = await a_run(graphql)
    assert (await graphql.change(LITERAL, id=id_, losses=[0.5, 0.25]))["pointCount"] == 3
    assert await series(graphql, id_) == {
        "acc": [(None, None, "NaN")],
        "loss": [(1, None, 0.5), (None, None, 0.25)],
    }
    refusal = await graphql.refused(LITERAL, id=id_, losses=[0.5])
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "columns", "values", "acc"])
    with pytest.raises(RequestErrors) as refused:
        await graphql(LITERAL, id=id_, losses=7)
    assert refused.value.errors[0].code == "BAD_USER_INPUT"


NO_TABLES: list[Any] = [
    [], "x", 7, True, {"step": []}, {"steps": {}}, {"wallTimes": 3}, {"values": []}, {"values": {"a": None}},
    {"values": {"a": {}}}, {"strings": {"a": "x"}}, {"bytes": 1}, {"values": {"a\0": [1]}}, {"strings": {"a": ["\0"]}},
    {"values": {"\ud800": [1]}},
]  # fmt: skip


@pytest.mark.parametrize("table", NO_TABLES, ids=range(len(NO_TABLES)))
async def test_what_is_no_table_is_refused_before_anything_is_done(graphql: Graph, table: Any) -> None:
    id_ = await a_run(graphql)
    with pytest.raises(RequestErrors) as refused:
        await graphql(LOG, input={"objectId": id_, "points": [{"key": "k", "value": 1}], "columns": table})
    (error,) = refused.value.errors
    assert error.code == "BAD_USER_INPUT"
    assert error.extensions["argument"].startswith("$input.columns")
    assert await series(graphql, id_) == {}


BAD_CELLS: list[tuple[dict[str, Any], list[str]]] = [
    ({"steps": [1], "values": {"a": [1, 2]}}, ["steps"]),
    ({"values": {"a": [1, 2], "b": [1]}}, ["values", "b"]),
    ({"values": {"a": [1, "0.5"]}}, ["values", "a", "1"]),
    ({"steps": [1, 2**53], "values": {"a": [1, 2]}}, ["steps", "1"]),
    ({"values": {"stored": [1, 2]}}, ["values", "stored"]),
    ({"values": {"a": [None]}}, ["values", "a"]),
    ({"values": {"a" * 2**20: [1]}}, ["values", "a" * 100]),
    ({"values": {"a": [1] * 10_001}}, []),
    ({"values": {f"a{n}": [1] for n in range(1_001)}}, []),
]


@pytest.mark.parametrize(("table", "path"), BAD_CELLS, ids=range(len(BAD_CELLS)))
async def test_a_bad_cell_is_named_and_no_other_is_stored(
    graphql: Graph, table: dict[str, Any], path: list[str]
) -> None:
    id_, other = await a_run(graphql), await a_run(graphql, "other")
    for each in (id_, other):
        await graphql.change(LOG, input={"objectId": each, "columns": {"strings": {"stored": ["x"]}}})
    before = await series(graphql, id_)
    refusal = await graphql.refused(LOG, input={"objectId": id_, "columns": table})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "columns", *path])
    assert len(refusal["message"]) < 1_000
    batches = [{"objectId": other, "columns": {"values": {"a": [1]}}}, {"objectId": id_, "columns": table}]
    refusal = await graphql.refused(LOG, input={"batches": batches})
    wanted = ["input", "batches", "1", "columns", *path] if path else refusal["path"][:2]
    assert refusal["path"][: len(wanted)] == wanted
    assert await series(graphql, id_) == await series(graphql, other) == before


async def test_one_call_carries_several_objects(graphql: Graph) -> None:
    ids = [await a_run(graphql, name) for name in ("a", "b", "c")]
    batches: list[dict[str, Any]] = [
        {"objectId": ids[1], "columns": {"values": {"k": [1, 2]}}},
        {"objectId": ids[0], "points": [{"key": "k", "value": 3}, {"key": "s", "string": "x"}]},
        {"objectId": ids[2], "points": []},
    ]
    answer = await graphql.change(LOG, input={"batches": batches})
    assert [each["name"] for each in answer["objects"]] == ["b", "a", "c"]
    assert (answer["pointCount"], answer["object"]["id"]) == (4, ids[1])
    assert answer["series"] == [{"key": "k", "count": 2, "last": 2}]
    assert await series(graphql, ids[0]) == {"k": [(None, None, 3)], "s": [(None, None, "x")]}
    assert await series(graphql, ids[2]) == {}


async def test_a_batch_of_an_object_that_takes_none_stops_all(graphql: Graph, caller_with: Callers) -> None:
    here, gone = await a_run(graphql, "a", namespace="vision"), await a_run(graphql, "b", namespace="vision")
    abroad = await a_run(graphql, "c", namespace="audio")
    await graphql.change(DELETE, id=gone)
    writer = graphql.by(await caller_with("WRITER", "vision"))
    for other in (gone, abroad, "exp_" + "0" * 32):
        batches = [{"objectId": id_, "points": [{"key": "k", "value": 1}]} for id_ in (here, other)]
        refusal = await writer.refused(LOG, input={"batches": batches})
        assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["input", "batches", "1", "objectId"])
    assert await series(graphql, here) == {}


async def test_a_replay_stores_nothing_whatever_it_holds(graphql: Graph) -> None:
    id_ = await a_run(graphql)
    for value, outcome in ((1, (False, 1)), (1, (True, 0)), (2, (True, 0))):
        sent = {"objectId": id_, "columns": {"values": {"k": [value]}}, "writer": "rank-0", "sequence": 5}
        answer = await graphql.change(LOG, input=sent)
        assert (answer["replayed"], answer["pointCount"]) == outcome
        assert answer["series"] == [{"key": "k", "count": 1, "last": 1}]
    for writer, sequence in (("rank-0", 4), ("rank-1", 5), ("rank-0", 2**53 - 1)):
        sent = {"objectId": id_, "columns": {"values": {"k": [3]}}, "writer": writer, "sequence": sequence}
        assert (await graphql.change(LOG, input=sent))["replayed"] is False
    assert len((await series(graphql, id_))["k"]) == 4


async def test_of_several_objects_only_the_new_ones_store(graphql: Graph) -> None:
    ids = [await a_run(graphql, name) for name in ("a", "b")]
    points = [{"key": "k", "value": 1}]
    await graphql.change(LOG, input={"objectId": ids[0], "points": points, "writer": "w", "sequence": 0})
    batches = [{"objectId": id_, "points": points} for id_ in ids]
    sent = {"batches": batches, "writer": "w", "sequence": 0}
    answers = [await graphql.change(LOG, input=sent) for _ in range(2)]
    assert [(answer["replayed"], answer["pointCount"]) for answer in answers] == [(False, 1), (True, 0)]
    assert [len((await series(graphql, id_))["k"]) for id_ in ids] == [1, 1]


async def test_a_key_and_the_same_points_give_the_same_answer(graphql: Graph) -> None:
    id_ = await a_run(graphql)
    sent = {"objectId": id_, "columns": {"values": {"k": [1, 2]}}, "idempotencyKey": "once"}
    answers = [await graphql.change(LOG, input=sent) for _ in range(2)]
    assert answers[0] == answers[1]
    changed = {**sent, "columns": {"values": {"k": [1, 3]}}}
    assert (await graphql.refused(LOG, input=changed))["code"] == "CONFLICT"
    assert len((await series(graphql, id_))["k"]) == 2


async def test_the_rest_of_a_group_is_untouched_by_a_bad_call(graphql: Graph) -> None:
    ids = [await a_run(graphql, f"run-{n}") for n in range(12)]
    text = {"objectId": ids[0], "columns": {"strings": {"k": ["x"]}}}
    await graphql.change(LOG, input=text)
    good = [{"objectId": id_, "columns": {"values": {"k": [1.0] * 50}}} for id_ in ids[1:]]
    bad = [
        {"objectId": ids[0], "columns": {"values": {"k": [1]}}},
        {"objectId": "exp_" + "0" * 32, "columns": {"values": {"k": [1]}}},
        {"objectId": ids[1], "columns": {"values": {"k": [1], "b": []}}},
    ]
    inputs = [*good[:5], bad[0], *good[5:9], bad[1], bad[2], *good[9:]]
    answers = await asyncio.gather(*(graphql(LOG, input=each) for each in inputs))
    refused = [error["code"] for answer in answers for error in answer["logMetrics"]["userErrors"]]
    assert sorted(refused) == ["INVALID", "INVALID", "NOT_FOUND"]
    assert [len((await series(graphql, id_))["k"]) for id_ in ids] == [1, *[50] * 11]
