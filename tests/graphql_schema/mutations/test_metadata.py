"""Metadata grows key by key, and what changed is remembered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.graph import Callers, Graph

CREATE = """
    mutation ($input: CreateModelInput!) { createModel(input: $input) { model { id } userErrors { message } } }
"""
LOG = """
    mutation ($input: LogMetadataInput!) {
      logMetadata(input: $input) {
        object { id revision metadata updatedAt createdAt }
        userErrors { code path message ... on RevisionConflict { currentRevision } }
      }
    }
"""
HISTORY = """
    query ($id: ID!) {
      node(id: $id) { ... on Entity { auditEvents { nodes { action actor { name } before after } } } }
    }
"""


async def a_model(graph: Graph, **values: Any) -> str:
    made = await graph.change(CREATE, input={"name": "digits", **values})
    return str(made["model"]["id"])


async def logged(graph: Graph, id_: str, metadata: Any = None, **values: Any) -> dict[str, Any]:
    given = {} if metadata is None else {"metadata": metadata}
    found: dict[str, Any] = (await graph.change(LOG, input={"objectId": id_, **given, **values}))["object"]
    return found


async def history(graph: Graph, id_: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = (await graph(HISTORY, id=id_))["node"]["auditEvents"]["nodes"]
    return events


async def test_keys_are_set_and_the_others_stay(graphql: Graph) -> None:
    id_ = await a_model(graphql, metadata={"a": {"x": 1, "y": 2}, "b/c": [1, {"d": [None, True, 0.5]}], "n": 1})
    deep = {"l" * n: [{"v": n}] for n in range(1, 9)}
    model = await logged(graphql, id_, {"a": {"y": 3}, "z/ü/💡": deep, "null": None, "": "empty"})
    assert model["metadata"] == {
        "a": {"y": 3},
        "b/c": [1, {"d": [None, True, 0.5]}],
        "n": 1,
        "z/ü/💡": deep,
        "null": None,
        "": "empty",
    }
    assert model["revision"] == 2
    assert model["updatedAt"] > model["createdAt"]


async def test_keys_are_removed(graphql: Graph) -> None:
    id_ = await a_model(graphql, metadata={"a": 1, "b": 2, "c": None})
    model = await logged(graphql, id_, {"d": 4}, remove=["a", "c", "missing", "a"])
    assert model["metadata"] == {"b": 2, "d": 4}
    event, _ = await history(graphql, id_)
    assert (event["before"], event["after"]) == ({"metadata": {"a": 1, "c": None}}, {"metadata": {"d": 4}})


async def test_the_record_holds_what_changed_and_nothing_else(graphql: Graph) -> None:
    id_ = await a_model(graphql, metadata={"kept": 1, "same": [1, 2], "old": {"a": 1}})
    await logged(graphql, id_, {"old": {"a": 2}, "same": [1, 2], "new": True})
    event, _ = await history(graphql, id_)
    assert (event["action"], event["actor"]["name"]) == ("UPDATE", "local")
    assert event["before"] == {"metadata": {"old": {"a": 1}}}
    assert event["after"] == {"metadata": {"old": {"a": 2}, "new": True}}


async def test_what_changes_nothing_leaves_no_trace(graphql: Graph) -> None:
    id_ = await a_model(graphql, metadata={"a": {"x": 1, "y": 2}})
    changes: list[dict[str, Any]] = [{"metadata": {"a": {"y": 2, "x": 1}}}, {"metadata": {}}, {"remove": ["b"]}, {}]
    for change in changes:
        assert (await logged(graphql, id_, **change))["revision"] == 1
    assert len(await history(graphql, id_)) == 1


@pytest.mark.parametrize(("old", "new"), [(1, True), (0, False), (1, 1.5), (1, "1"), (None, False), ([], {})])
async def test_values_that_python_takes_for_equal_are_told_apart(graphql: Graph, old: Any, new: Any) -> None:
    id_ = await a_model(graphql, metadata={"k": old, "nested": [old]})
    model = await logged(graphql, id_, {"k": new, "nested": [new]})
    assert model["revision"] == 2
    assert [type(value) for value in (model["metadata"]["k"], *model["metadata"]["nested"])] == [type(new)] * 2


async def test_eight_writers_of_different_keys_lose_nothing(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    await asyncio.gather(*(logged(graphql, id_, {f"k{n}": n}) for n in range(8)))
    model = await logged(graphql, id_)
    assert model["metadata"] == {f"k{n}": n for n in range(8)}
    assert model["revision"] == len(await history(graphql, id_)) == 9


async def test_any_object_has_metadata(graphql: Graph) -> None:
    made = await graphql.change(
        'mutation { createNamespace(input: {path: "vision"}) { namespace { id } userErrors { message } } }'
    )
    assert (await logged(graphql, made["namespace"]["id"], {"a": 1}))["metadata"] == {"a": 1}
    made = await graphql.change(
        'mutation { createExperiment(input: {name: "e"}) { experiment { id } userErrors { message } } }'
    )
    assert (await logged(graphql, made["experiment"]["id"], {"a": 1}))["metadata"] == {"a": 1}


async def test_a_stale_revision_is_refused(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    await logged(graphql, id_, {"a": 1}, ifRevision=1)
    refusal = await graphql.refused(LOG, input={"objectId": id_, "metadata": {"a": 2}, "ifRevision": 1})
    assert (refusal["code"], refusal["currentRevision"]) == ("REVISION_CONFLICT", 2)
    assert (await logged(graphql, id_))["metadata"] == {"a": 1}


async def test_a_retry_with_its_key_is_not_done_again(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    await logged(graphql, id_, {"a": 1}, idempotencyKey="k")
    await logged(graphql, id_, {"a": 2})
    assert (await logged(graphql, id_, {"a": 1}, idempotencyKey="k"))["metadata"] == {"a": 2}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"metadata": []}, ["input", "metadata"]),
        ({"metadata": False}, ["input", "metadata"]),
        ({"metadata": "text"}, ["input", "metadata"]),
        ({"metadata": {"a": 1}, "remove": ["b", "a"]}, ["input", "remove", "1"]),
        ({"remove": ["k"] * 1001}, ["input", "remove"]),
        ({"metadata": {"more": "x" * 100_000}}, ["input", "metadata"]),
    ],
)
async def test_what_is_refused_changes_nothing(graphql: Graph, change: dict[str, Any], path: list[str]) -> None:
    id_ = await a_model(graphql, metadata={"large": "x" * 1_000_000})
    refusal = await graphql.refused(LOG, input={"objectId": id_, **change})
    assert (refusal["code"], refusal["path"]) == ("INVALID", path)
    assert list((await logged(graphql, id_))["metadata"]) == ["large"]


async def test_who_may_set_metadata(graphql: Graph, caller_with: Callers) -> None:
    id_ = await a_model(graphql, namespace="vision")
    for role, namespace, code in (("READER", "vision", "FORBIDDEN"), ("ADMIN", "audio", "NOT_FOUND")):
        somebody = graphql.by(await caller_with(role, namespace))
        refusal = await somebody.refused(LOG, input={"objectId": id_, "metadata": {"a": 1}})
        assert (refusal["code"], refusal["path"]) == (code, ["input", "objectId"])
    writer = graphql.by(await caller_with("WRITER", "vision"))
    assert (await logged(writer, id_, {"a": 1}))["metadata"] == {"a": 1}
