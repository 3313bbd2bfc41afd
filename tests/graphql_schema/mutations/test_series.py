"""Series get other keys, and go with all their points."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from db.access import Role
from db.identifiers import parse_id
from db.metrics.batch import Point
from db.metrics.compact import compact
from db.transaction import Transaction
from db.verbs import metrics
from tests.graph import Callers, Graph

CREATE = """
    mutation ($input: CreateModelInput!) { createModel(input: $input) { model { id } userErrors { message } } }
"""
LOG = """
    mutation ($input: LogMetricsInput!) {
      logMetrics(input: $input) { pointCount replayed userErrors { code path message } }
    }
"""
RENAME = """
    mutation ($input: RenameSeriesInput!) {
      renameSeries(input: $input) {
        object { id revision updatedAt }
        series { key count }
        userErrors { code path message }
      }
    }
"""
DELETE = """
    mutation ($input: DeleteSeriesInput!) {
      deleteSeries(input: $input) { pointCount object { id } userErrors { code path message } }
    }
"""
SERIES = """
    query ($id: ID!) {
      node(id: $id) {
        ... on Entity {
          revision
          updatedAt
          metrics { nodes { key kind count last points(first: 50) { nodes { position step value string } } } }
          auditEvents { nodes { action before after } }
        }
      }
    }
"""
LEFT = "SELECT (SELECT count(*) FROM metric_segment) + (SELECT count(*) FROM opaque_point)"


async def a_model(graph: Graph, **values: Any) -> str:
    made = await graph.change(CREATE, input={"name": "digits", **values})
    return str(made["model"]["id"])


async def logged(graph: Graph, id_: str, values: dict[str, list[Any]], **more: Any) -> dict[str, Any]:
    rows = max(map(len, values.values()))
    columns = {"values": {key: [*column, *[None] * (rows - len(column))] for key, column in values.items()}}
    return await graph.change(LOG, input={"objectId": id_, "columns": columns, **more})


async def read(graph: Graph, id_: str) -> dict[str, Any]:
    node: dict[str, Any] = (await graph(SERIES, id=id_))["node"]
    return node


async def series(graph: Graph, id_: str) -> dict[str, list[Any]]:
    """The values of each series, in order; their positions are dense."""
    found = {}
    for node in (await read(graph, id_))["metrics"]["nodes"]:
        points = node["points"]["nodes"]
        assert [point["position"] for point in points] == list(range(node["count"]))
        found[node["key"]] = [point["string"] if point["value"] is None else point["value"] for point in points]
    return found


async def compacted(graph: Graph, id_: str) -> None:
    await compact(graph.database, graph.caller.tenant_id, parse_id(id_, ("mod",)))


@pytest.mark.parametrize("is_compacted", [False, True])
async def test_a_renamed_series_keeps_its_points(graphql: Graph, is_compacted: bool) -> None:
    id_ = await a_model(graphql)
    await logged(graphql, id_, {"loss": [3, 2, 1], "lost": [0]})
    if is_compacted:
        await compacted(graphql, id_)
    answer = await graphql.change(RENAME, input={"objectId": id_, "key": "loss", "newKey": "train/loss"})
    assert answer["series"] == [{"key": "train/loss", "count": 3}]
    await logged(graphql, id_, {"train/loss": [0.5], "loss": [9]})
    assert await series(graphql, id_) == {"loss": [9], "lost": [0], "train/loss": [3, 2, 1, 0.5]}


async def test_a_rename_is_audited_and_is_no_change_of_the_object(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    await logged(graphql, id_, {"a": [1]})
    before = await read(graphql, id_)
    for _ in range(2):
        input_ = {"objectId": id_, "key": "a", "newKey": "b", "idempotencyKey": "once"}
        await graphql.change(RENAME, input=input_)
    after = await read(graphql, id_)
    assert (after["revision"], after["updatedAt"]) == (before["revision"], before["updatedAt"])
    first, *rest = after["auditEvents"]["nodes"]
    assert first == {"action": "UPDATE", "before": {"series": "a"}, "after": {"series": "b"}}
    assert rest == before["auditEvents"]["nodes"]


async def test_a_rename_to_itself_is_none(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    await logged(graphql, id_, {"a": [1]})
    before = await read(graphql, id_)
    await graphql.change(RENAME, input={"objectId": id_, "key": "a", "newKey": "a"})
    assert await read(graphql, id_) == before


REFUSED_RENAMES = [
    ("a", "b", "NAME_TAKEN", "newKey"),
    ("c", "d", "NOT_FOUND", "key"),
    ("c", "a", "NOT_FOUND", "key"),
    ("a", "", "INVALID", "newKey"),
    ("a", " x", "INVALID", "newKey"),
    ("a", "x\n", "INVALID", "newKey"),
    ("a", "x" * 1_001, "INVALID", "newKey"),
    ("x" * 1_048_576, "y", "NOT_FOUND", "key"),
]


@pytest.mark.parametrize(("key", "new_key", "code", "field"), REFUSED_RENAMES, ids=range(len(REFUSED_RENAMES)))
async def test_what_cannot_be_renamed(graphql: Graph, key: str, new_key: str, code: str, field: str) -> None:
    id_ = await a_model(graphql)
    await logged(graphql, id_, {"a": [1], "b": [2]})
    before = await read(graphql, id_)
    refusal = await graphql.refused(RENAME, input={"objectId": id_, "key": key, "newKey": new_key})
    assert (refusal["code"], refusal["path"]) == (code, ["input", field])
    assert len(refusal["message"]) < 1_000
    assert await read(graphql, id_) == before


async def test_one_of_two_renames_to_the_same_key_is_refused(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    await logged(graphql, id_, {"a": [1], "b": [2]})
    inputs = [{"objectId": id_, "key": key, "newKey": "c"} for key in ("a", "b")]
    answers = await asyncio.gather(*(graphql(RENAME, input=each) for each in inputs))
    errors = [error["code"] for answer in answers for error in answer["renameSeries"]["userErrors"]]
    assert errors == ["NAME_TAKEN"]
    assert sorted(await series(graphql, id_)) in (["a", "c"], ["b", "c"])


@pytest.mark.parametrize("is_compacted", [False, True])
async def test_a_deleted_series_begins_anew(graphql: Graph, is_compacted: bool) -> None:
    id_ = await a_model(graphql)
    await logged(graphql, id_, {"a": [1, 2, 3], "b": [4]})
    if is_compacted:
        await compacted(graphql, id_)
    await logged(graphql, id_, {"a": [5]})
    answer = await graphql.change(DELETE, input={"objectId": id_, "key": "a"})
    assert (answer["pointCount"], answer["object"]["id"]) == (4, id_)
    assert await series(graphql, id_) == {"b": [4]}
    points = [{"key": "a", "string": "x"}, {"key": "b", "value": 6}]
    await graphql.change(LOG, input={"objectId": id_, "points": points})
    assert await series(graphql, id_) == {"a": ["x"], "b": [4, 6]}
    await compacted(graphql, id_)
    assert await series(graphql, id_) == {"a": ["x"], "b": [4, 6]}


async def test_nothing_stored_is_left_of_a_deleted_series(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    points = [{"key": "s", "string": "x"}, {"key": "b", "bytes": "AAE="}, {"key": "f", "value": 1}]
    await graphql.change(LOG, input={"objectId": id_, "points": points})
    await compacted(graphql, id_)
    for key in ("s", "b", "f"):
        await graphql.change(DELETE, input={"objectId": id_, "key": key})
    assert await series(graphql, id_) == {}
    async with graphql.database.connection() as connection:
        assert await connection.fetchval(LEFT) == 0


async def test_a_deletion_is_audited_once(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    await logged(graphql, id_, {"a": [1, 2]})
    for _ in range(2):
        await graphql.change(DELETE, input={"objectId": id_, "key": "a", "idempotencyKey": "once"})
    refusal = await graphql.refused(DELETE, input={"objectId": id_, "key": "a"})
    assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["input", "key"])
    first, second = (await read(graphql, id_))["auditEvents"]["nodes"]
    assert first == {
        "action": "UPDATE",
        "before": {"series": "a", "kind": "FLOAT", "count": 2},
        "after": {"series": None},
    }
    assert second["action"] == "CREATE"


async def test_a_late_replay_does_not_bring_a_deleted_series_back(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    await logged(graphql, id_, {"a": [1]}, writer="w", sequence=0)
    await graphql.change(DELETE, input={"objectId": id_, "key": "a"})
    answer = await logged(graphql, id_, {"a": [1]}, writer="w", sequence=0)
    assert (answer["replayed"], answer["pointCount"]) == (True, 0)
    assert await series(graphql, id_) == {}


async def test_who_may(graphql: Graph, caller_with: Callers) -> None:
    id_ = await a_model(graphql, namespace="vision")
    await logged(graphql, id_, {"a": [1], "b": [2]})
    rename, delete = {"objectId": id_, "key": "a", "newKey": "c"}, {"objectId": id_, "key": "b"}
    writer = graphql.by(await caller_with("WRITER", "vision"))
    assert (await writer.refused(DELETE, input=delete))["code"] == "FORBIDDEN"
    reader = graphql.by(await caller_with("READER", "vision"))
    assert (await reader.refused(RENAME, input=rename))["code"] == "FORBIDDEN"
    stranger = graphql.by(await caller_with("ADMIN", "audio"))
    for document, input_ in ((RENAME, rename), (DELETE, delete)):
        refusal = await stranger.refused(document, input=input_)
        assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["input", "objectId"])
    await writer.change(RENAME, input=rename)
    await graphql.by(await caller_with("MAINTAINER", "vision")).change(DELETE, input=delete)
    assert await series(graphql, id_) == {"c": [1]}


async def test_points_that_are_just_being_logged_go_too(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    await graphql.change(LOG, input={"objectId": id_, "points": [{"key": "note", "string": "early"}]})
    async with graphql.database.transaction() as connection:
        tx = Transaction(connection, graphql.caller, Role.WRITER, "test-request")
        await metrics.log(tx, object_id=id_, points=[Point(key="note", string="late")])
        deleting = asyncio.create_task(graphql.change(DELETE, input={"objectId": id_, "key": "note"}))
        await asyncio.sleep(0.3)
        assert not deleting.done()
    assert (await deleting)["pointCount"] == 2
    async with graphql.database.connection() as connection:
        assert await connection.fetchval(LEFT) == 0
