"""Unique tags: one version of a model at a time, moved in one step, and every move remembered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from db.verbs import tags
from tests.graph import Callers, Graph

MODEL = """
    mutation ($name: String! = "reader", $namespace: String! = "default") {
      createModel(input: {name: $name, namespace: $namespace}) { model { id } }
    }
"""
VERSION = """
    mutation ($input: CreateModelVersionInput!) {
      createModelVersion(input: $input) {
        created modelVersion { id uniqueTags } userErrors { code path message }
      }
    }
"""
SET = """
    mutation ($version: ID!, $tag: String!) {
      setUniqueTag(input: {versionId: $version, tag: $tag}) {
        modelVersion { id uniqueTags } previousVersion { id uniqueTags } userErrors { code path message }
      }
    }
"""
REMOVE = """
    mutation ($model: ID!, $tag: String!) {
      removeUniqueTag(input: {modelId: $model, tag: $tag}) {
        model { uniqueTags { tag } } previousVersion { id } userErrors { code path message }
      }
    }
"""
DELETE_VERSION = "mutation ($id: ID!) { deleteModelVersion(input: {id: $id}) { deletedId userErrors { code } } }"
RESTORE_VERSION = """
    mutation ($id: ID!) { restoreModelVersion(input: {id: $id}) { modelVersion { uniqueTags } userErrors { code } } }
"""
DELETE_MODEL = "mutation ($id: ID!) { deleteModel(input: {id: $id}) { deletedId } }"
RESTORE_MODEL = "mutation ($id: ID!) { restoreModel(input: {id: $id}) { model { uniqueTags { tag } } } }"
READ = """
    query ($id: ID!) {
      node(id: $id) {
        ... on Model {
          revision
          uniqueTags { tag version { id } }
          tagHistory(first: 100) { nodes { tag at version { id } previousVersion { id } actor { name } } }
          auditEvents(first: 100) { nodes { action before after } }
        }
      }
    }
"""
AS_OF = """
    query ($id: ID!, $at: DateTime) {
      node(id: $id) { ... on Model { versionByTag(tag: "prod", asOf: $at) { id } } }
    }
"""


@pytest.fixture
async def model(graphql: Graph) -> str:
    id_: str = (await graphql.change(MODEL))["model"]["id"]
    return id_


async def version(graphql: Graph, model: str, **values: Any) -> str:
    id_: str = (await graphql.change(VERSION, input={"modelId": model, **values}))["modelVersion"]["id"]
    return id_


async def read(graphql: Graph, model: str) -> dict[str, Any]:
    node: dict[str, Any] = (await graphql(READ, id=model))["node"]
    return node


async def moves(graphql: Graph, model: str) -> list[tuple[str, str | None, str | None]]:
    """Of each, first to last: the tag, from where, to where."""
    nodes = (await read(graphql, model))["tagHistory"]["nodes"]
    ends = [(node["tag"], node["previousVersion"], node["version"]) for node in reversed(nodes)]
    return [(tag, before and before["id"], after and after["id"]) for tag, before, after in ends]


async def test_a_tag_moves_in_one_step(graphql: Graph, model: str) -> None:
    first, second = await version(graphql, model), await version(graphql, model)
    new = await graphql.change(SET, version=first, tag="prod")
    assert new["modelVersion"] == {"id": first, "uniqueTags": ["prod"]}
    assert new["previousVersion"] is None
    moved = await graphql.change(SET, version=second, tag="prod")
    assert moved["modelVersion"] == {"id": second, "uniqueTags": ["prod"]}
    assert moved["previousVersion"] == {"id": first, "uniqueTags": []}
    assert (await read(graphql, model))["uniqueTags"] == [{"tag": "prod", "version": {"id": second}}]


async def test_every_move_is_remembered_and_recorded(graphql: Graph, model: str) -> None:
    first, second = await version(graphql, model), await version(graphql, model)
    for id_ in (first, second, second):
        await graphql.change(SET, version=id_, tag="prod")
    await graphql.change(REMOVE, model=model, tag="prod")
    # A move to where it points already is none.
    assert await moves(graphql, model) == [("prod", None, first), ("prod", first, second), ("prod", second, None)]
    events = (await read(graphql, model))["auditEvents"]["nodes"]
    assert [event["action"] for event in events] == ["UPDATE", "UPDATE", "UPDATE", "CREATE"]
    assert events[1]["before"] == {"uniqueTags": {"prod": first}}
    assert events[1]["after"] == {"uniqueTags": {"prod": second}}
    assert events[0]["after"] == {"uniqueTags": {"prod": None}}


async def test_what_a_tag_was_at_any_moment(graphql: Graph, model: str) -> None:
    ids = [await version(graphql, model) for _ in range(3)]
    for id_ in ids:
        await graphql.change(SET, version=id_, tag="prod")
    await graphql.change(REMOVE, model=model, tag="prod")
    history = (await read(graphql, model))["tagHistory"]["nodes"]
    for node in history:
        seen = (await graphql(AS_OF, id=model, at=node["at"]))["node"]["versionByTag"]
        assert seen == node["version"]
    assert (await graphql(AS_OF, id=model, at="2020-01-01T00:00:00Z"))["node"]["versionByTag"] is None
    assert (await graphql(AS_OF, id=model, at=None))["node"]["versionByTag"] is None


async def test_moves_at_once_leave_one_and_a_gapless_history(graphql: Graph, model: str) -> None:
    ids = [await version(graphql, model) for _ in range(10)]
    await asyncio.gather(*(graphql.change(SET, version=id_, tag="prod") for id_ in ids))
    known = await moves(graphql, model)
    assert [before for _, before, _ in known] == [None, *(after for _, _, after in known[:-1])]
    assert sorted(after or "" for _, _, after in known) == sorted(ids)
    tags_now = (await read(graphql, model))["uniqueTags"]
    assert tags_now == [{"tag": "prod", "version": {"id": known[-1][2]}}]
    assert (await graphql(AS_OF, id=model, at=None))["node"] == (
        await graphql(AS_OF, id=model, at="2999-01-01T00:00:00Z")
    )["node"]


async def test_a_server_whose_clock_is_behind_moves_a_tag_later_all_the_same(graphql: Graph, model: str) -> None:
    first, second = await version(graphql, model), await version(graphql, model)
    await graphql.change(SET, version=first, tag="prod")
    async with graphql.database.connection() as connection:
        await connection.execute("SET ROLE NONE")
        await connection.execute("UPDATE tag_change SET at = at + interval '1 hour'")
        await connection.execute("RESET ROLE")
    await graphql.change(SET, version=second, tag="prod")
    assert [after for _, _, after in await moves(graphql, model)] == [first, second]
    now = (await graphql(AS_OF, id=model, at="2999-01-01T00:00:00Z"))["node"]["versionByTag"]
    assert now == {"id": second}


async def test_models_have_tags_of_their_own(graphql: Graph, model: str) -> None:
    other = (await graphql.change(MODEL, name="other"))["model"]["id"]
    mine, theirs = await version(graphql, model), await version(graphql, other)
    await graphql.change(SET, version=mine, tag="prod")
    assert (await graphql.change(SET, version=theirs, tag="prod"))["previousVersion"] is None
    assert (await read(graphql, model))["uniqueTags"] == [{"tag": "prod", "version": {"id": mine}}]


async def test_set_with_the_creation(graphql: Graph, model: str) -> None:
    first = await version(graphql, model, uniqueTags=["prod", "best"])
    made = await graphql.change(VERSION, input={"modelId": model, "uniqueTags": ["new", "prod", "prod"]})
    assert made["modelVersion"]["uniqueTags"] == ["new", "prod"]
    second = made["modelVersion"]["id"]
    assert await moves(graphql, model) == [
        ("best", None, first),
        ("prod", None, first),
        ("new", None, second),
        ("prod", first, second),
    ]


async def test_a_version_that_exists_keeps_its_tags(graphql: Graph, model: str) -> None:
    await version(graphql, model, version="v1", uniqueTags=["prod"])
    second = await version(graphql, model, version="v2", uniqueTags=["prod"])
    again = await graphql.change(VERSION, input={"modelId": model, "version": "v1", "uniqueTags": ["prod"]})
    assert (again["created"], again["modelVersion"]["uniqueTags"]) == (False, [])
    assert (await read(graphql, model))["uniqueTags"] == [{"tag": "prod", "version": {"id": second}}]


async def test_tags_go_with_a_deleted_version_and_do_not_come_back(graphql: Graph, model: str) -> None:
    first = await version(graphql, model, uniqueTags=["a", "b"])
    await graphql.change(DELETE_VERSION, id=first)
    assert (await read(graphql, model))["uniqueTags"] == []
    # What a deleted version was called, nobody is told: only that the tag is gone.
    assert [(tag, after) for tag, _, after in await moves(graphql, model)][2:] == [("a", None), ("b", None)]
    async with graphql.database.connection() as connection:
        kept = await connection.fetchval("SELECT count(*) FROM tag_change WHERE previous_version_id IS NOT NULL")
    assert kept == 2
    assert (await graphql.change(RESTORE_VERSION, id=first))["modelVersion"]["uniqueTags"] == []
    assert (await moves(graphql, model))[2:] == [("a", first, None), ("b", first, None)]
    assert (await graphql.refused(SET, version="ver_" + "0" * 32, tag="a"))["code"] == "NOT_FOUND"


async def test_tags_stay_with_a_deleted_model(graphql: Graph, model: str) -> None:
    first = await version(graphql, model, uniqueTags=["prod"])
    await graphql.change(DELETE_MODEL, id=model)
    assert (await graphql.refused(SET, version=first, tag="prod"))["code"] == "NOT_FOUND"
    assert (await graphql.refused(REMOVE, model=model, tag="prod"))["code"] == "NOT_FOUND"
    assert (await graphql.change(RESTORE_MODEL, id=model))["model"]["uniqueTags"] == [{"tag": "prod"}]


async def test_a_deleted_version_gets_no_tag_meanwhile(graphql: Graph, model: str) -> None:
    for _ in range(6):
        id_ = await version(graphql, model)
        await asyncio.gather(graphql(SET, version=id_, tag="prod"), graphql(DELETE_VERSION, id=id_))
    assert (await read(graphql, model))["uniqueTags"] == []


async def test_a_tag_that_is_not_there_is_not_removed(graphql: Graph, model: str) -> None:
    refusal = await graphql.refused(REMOVE, model=model, tag="prod")
    assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["input", "tag"])


@pytest.mark.parametrize("tag", ["", "a/b", "a b ", "a\tb", "v:1"])
async def test_tags_keep_the_rules_of_names(graphql: Graph, model: str, tag: str) -> None:
    id_ = await version(graphql, model)
    for document, given in ((SET, {"version": id_}), (REMOVE, {"model": model})):
        refusal = await graphql.refused(document, **given, tag=tag)
        assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "tag"])


async def test_a_model_has_so_many_tags_and_no_more(
    graphql: Graph, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tags, "MAX_TAGS", 3)
    first = await version(graphql, model, uniqueTags=["a", "b", "c"])
    assert (await graphql.refused(SET, version=first, tag="d"))["code"] == "CONFLICT"
    refusal = await graphql.refused(VERSION, input={"modelId": model, "uniqueTags": ["a", "d"]})
    assert (refusal["code"], refusal["path"]) == ("CONFLICT", ["input", "uniqueTags"])
    assert [tag["tag"] for tag in (await read(graphql, model))["uniqueTags"]] == ["a", "b", "c"]
    await version(graphql, model, uniqueTags=["a", "b", "c"])


async def test_a_writer_makes_versions_but_moves_no_tags(graphql: Graph, caller_with: Callers) -> None:
    writer, maintainer = [graphql.by(await caller_with(role, "vision")) for role in ("WRITER", "MAINTAINER")]
    model = (await writer.change(MODEL, namespace="vision"))["model"]["id"]
    id_ = await version(writer, model)
    for document, given, path in (
        (SET, {"version": id_, "tag": "prod"}, "versionId"),
        (REMOVE, {"model": model, "tag": "prod"}, "modelId"),
        (VERSION, {"input": {"modelId": model, "uniqueTags": ["prod"]}}, "uniqueTags"),
    ):
        refusal = await writer.refused(document, **given)
        assert (refusal["code"], refusal["path"]) == ("FORBIDDEN", ["input", path])
    assert await moves(graphql, model) == []
    assert (await maintainer.change(SET, version=id_, tag="prod"))["modelVersion"]["uniqueTags"] == ["prod"]
    assert (await version(writer, model, uniqueTags=[])) != id_
