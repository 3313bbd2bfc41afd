"""Namespaces: made when first named, moved with what is below, taken out of sight and brought back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.graph import Callers, Graph

CREATE = """
    mutation ($input: CreateNamespaceInput!) {
      createNamespace(input: $input) {
        created
        namespace { id path name revision description labels metadata parent { path } createdBy { name } }
        userErrors { code path message }
      }
    }
"""
UPDATE = """
    mutation ($input: UpdateNamespaceInput!) {
      updateNamespace(input: $input) {
        namespace { id path name revision labels metadata }
        userErrors { code path message ... on RevisionConflict { currentRevision } }
      }
    }
"""
DELETE = """
    mutation ($input: DeleteInput!) { deleteNamespace(input: $input) { deletedId userErrors { code path message } } }
"""
RESTORE = """
    mutation ($input: RestoreInput!) {
      restoreNamespace(input: $input) { namespace { id path } userErrors { code path message } }
    }
"""
CREATE_MODEL = """
    mutation ($namespace: String!, $name: String!) {
      createModel(input: {namespace: $namespace, name: $name}) {
        created model { id namespace { path } } userErrors { code path }
      }
    }
"""
PATHS = "{ namespaces(first: 100) { nodes { path } } }"
IN_SIGHT = """
    query ($ids: [ID!]!) { nodes(ids: $ids) { id } models(first: 100) { nodes { id } } }
"""
HISTORY = """
    query ($id: ID!) {
      node(id: $id) { ... on Namespace { auditEvents { nodes { action before after actorName objectName } } } }
    }
"""


async def paths(graphql: Graph) -> list[str]:
    return [node["path"] for node in (await graphql(PATHS))["namespaces"]["nodes"]]


async def created(graphql: Graph, path: str, **values: Any) -> str:
    made = await graphql.change(CREATE, input={"path": path, **values})
    id_: str = made["namespace"]["id"]
    return id_


async def model_in(graphql: Graph, namespace: str, name: str = "reader") -> str:
    id_: str = (await graphql.change(CREATE_MODEL, namespace=namespace, name=name))["model"]["id"]
    return id_


async def in_sight(graphql: Graph, *ids: str) -> list[bool]:
    """Whether each is found, by its id and in the list of models alike."""
    answer = await graphql(IN_SIGHT, ids=list(ids))
    listed = {node["id"] for node in answer["models"]["nodes"]}
    found = [node is not None for node in answer["nodes"]]
    assert [id_ in listed for id_ in ids] == found
    return found


async def test_what_is_missing_above_is_made_too(graphql: Graph) -> None:
    values = {"labels": ["b", "a", "b"], "metadata": {"x/y": [1, None]}, "description": "small images"}
    made = await graphql.change(CREATE, input={"path": "vision/cifar/small", **values})
    assert made["created"] is True
    assert made["namespace"] | {"id": ""} == {
        "id": "",
        "path": "vision/cifar/small",
        "name": "small",
        "revision": 1,
        "description": "small images",
        "labels": ["a", "b"],
        "metadata": {"x/y": [1, None]},
        "parent": {"path": "vision/cifar"},
        "createdBy": {"name": "local"},
    }
    assert await paths(graphql) == ["vision", "vision/cifar", "vision/cifar/small"]


async def test_a_second_creation_gets_the_first_unchanged(graphql: Graph) -> None:
    id_ = await created(graphql, "vision", description="first")
    again = await graphql.change(CREATE, input={"path": "vision", "description": "second"})
    assert again["created"] is False
    assert (again["namespace"]["id"], again["namespace"]["description"]) == (id_, "first")
    assert again["namespace"]["revision"] == 1


async def test_objects_without_a_namespace_go_into_default(graphql: Graph) -> None:
    made = await graphql.change('mutation { createModel(input: {name: "m"}) { model { namespace { path } } } }')
    assert made["model"]["namespace"]["path"] == "default"


async def test_a_new_name_moves_what_is_below(graphql: Graph) -> None:
    id_ = await created(graphql, "vision")
    await created(graphql, "vision/cifar/small")
    await created(graphql, "visionary")
    model = await model_in(graphql, "vision/cifar/small")
    changed = await graphql.change(UPDATE, input={"id": id_, "patch": {"name": "sight"}})
    assert (changed["namespace"]["path"], changed["namespace"]["revision"]) == ("sight", 2)
    assert await paths(graphql) == ["sight", "sight/cifar", "sight/cifar/small", "visionary"]
    assert await in_sight(graphql, model) == [True]
    assert await model_in(graphql, "sight/cifar/small") == model


async def test_a_move_to_a_taken_path_is_refused(graphql: Graph) -> None:
    id_ = await created(graphql, "vision/a")
    await created(graphql, "vision/b")
    refusal = await graphql.refused(UPDATE, input={"id": id_, "patch": {"name": "b"}})
    assert (refusal["code"], refusal["path"]) == ("NAME_TAKEN", ["input", "patch", "name"])
    assert await paths(graphql) == ["vision", "vision/a", "vision/b"]


async def test_default_is_neither_renamed_nor_deleted(graphql: Graph) -> None:
    id_ = await created(graphql, "default")
    assert (await graphql.refused(UPDATE, input={"id": id_, "patch": {"name": "x"}}))["code"] == "INVALID"
    assert (await graphql.refused(DELETE, input={"id": id_}))["code"] == "INVALID"


async def test_a_deletion_hides_all_below_and_its_name_is_free_again(graphql: Graph) -> None:
    outer, inner = await created(graphql, "a"), await created(graphql, "a/b/c")
    model = await model_in(graphql, "a/b/c")
    assert (await graphql.change(DELETE, input={"id": outer}))["deletedId"] == outer
    assert await paths(graphql) == []
    assert await in_sight(graphql, model) == [False]
    assert (await graphql.refused(UPDATE, input={"id": inner, "patch": {"name": "d"}}))["code"] == "NOT_FOUND"

    other = await model_in(graphql, "a/b/c")
    assert other != model
    assert await in_sight(graphql, model, other) == [False, True]

    refusal = await graphql.refused(RESTORE, input={"id": outer})
    assert (refusal["code"], refusal["path"]) == ("NAME_TAKEN", ["input", "newName"])
    refusal = await graphql.refused(RESTORE, input={"id": outer, "newName": ""})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "newName"])
    back = await graphql.change(RESTORE, input={"id": outer, "newName": "old"})
    assert back["namespace"] == {"id": outer, "path": "old"}
    assert await paths(graphql) == ["a", "a/b", "a/b/c", "old", "old/b", "old/b/c"]
    assert await in_sight(graphql, model, other) == [True, True]


async def test_a_deletion_of_its_own_survives_that_of_what_is_above(graphql: Graph) -> None:
    outer, inner = await created(graphql, "a"), await created(graphql, "a/b")
    model = await model_in(graphql, "a/b")
    await graphql.change(DELETE, input={"id": inner})
    await graphql.change(DELETE, input={"id": outer})
    refusal = await graphql.refused(RESTORE, input={"id": inner})
    assert (refusal["code"], refusal["path"]) == ("CONFLICT", ["input", "id"])
    await graphql.change(RESTORE, input={"id": outer})
    assert await paths(graphql) == ["a"]
    assert await in_sight(graphql, model) == [False]
    await graphql.change(RESTORE, input={"id": inner})
    assert await paths(graphql) == ["a", "a/b"]
    assert await in_sight(graphql, model) == [True]


async def test_what_was_deleted_moves_with_what_contains_it(graphql: Graph) -> None:
    outer, inner = await created(graphql, "a"), await created(graphql, "a/b")
    await graphql.change(DELETE, input={"id": inner})
    await graphql.change(UPDATE, input={"id": outer, "patch": {"name": "z"}})
    back = await graphql.change(RESTORE, input={"id": inner})
    assert back["namespace"]["path"] == "z/b"


async def test_only_what_is_deleted_is_restored(graphql: Graph) -> None:
    id_ = await created(graphql, "a")
    assert (await graphql.refused(RESTORE, input={"id": id_}))["code"] == "NOT_FOUND"


async def test_every_step_is_recorded(graphql: Graph) -> None:
    id_ = await created(graphql, "a", labels=["x"])
    await graphql.change(UPDATE, input={"id": id_, "patch": {"labels": ["y"], "description": None}})
    await graphql.change(UPDATE, input={"id": id_, "patch": {"name": "b"}})
    await graphql.change(DELETE, input={"id": id_})
    await graphql.change(RESTORE, input={"id": id_})
    events = (await graphql(HISTORY, id=id_))["node"]["auditEvents"]["nodes"]
    assert [event["action"] for event in events] == ["RESTORE", "DELETE", "UPDATE", "UPDATE", "CREATE"]
    assert events[2]["before"] == {"name": "a", "path": "a"}
    assert events[2]["after"] == {"name": "b", "path": "b"}
    assert (events[3]["before"], events[3]["after"]) == ({"labels": ["x"]}, {"labels": ["y"]})
    assert events[4]["after"]["labels"] == ["x"]
    assert {event["actorName"] for event in events} == {"local"}


MEBIBYTE = pytest.param("x" * 1_048_576, id="1 MiB")
DEEP = pytest.param("/".join("a" * 21), id="21 levels")
LONG = pytest.param("a" * 256, id="256 characters")
BYTES = pytest.param("/".join(["\u4e00" * 255] * 3), id="2 297 bytes")


@pytest.mark.parametrize(
    "path", ["", "/a", "a/", "a//b", "a/../b", " a", "a:b", "a@b", "a\tb", LONG, MEBIBYTE, DEEP, BYTES]
)
async def test_a_bad_path_is_refused_and_nothing_is_made(graphql: Graph, path: str) -> None:
    refusal = await graphql.refused(CREATE, input={"path": path})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "path"])
    assert len(refusal["message"]) < 300
    model = (await graphql(CREATE_MODEL, namespace=path, name="m"))["createModel"]
    assert model["userErrors"] == [{"code": "INVALID", "path": ["input", "namespace"]}]
    assert await paths(graphql) == []


async def test_a_move_keeps_paths_in_bounds(graphql: Graph) -> None:
    id_ = await created(graphql, "a")
    await created(graphql, "/".join(["a", *["\u4e00" * 160] * 4]))
    refusal = await graphql.refused(UPDATE, input={"id": id_, "patch": {"name": "\u4e00" * 160}})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "patch", "name"])


async def test_many_at_once_make_one(graphql: Graph) -> None:
    answers = await asyncio.gather(*(graphql.change(CREATE, input={"path": "a/b/c"}) for _ in range(12)))
    assert sum(answer["created"] for answer in answers) == 1
    assert len({answer["namespace"]["id"] for answer in answers}) == 1
    assert await paths(graphql) == ["a", "a/b", "a/b/c"]


async def test_what_is_made_while_its_namespace_is_deleted_or_moved_is_not_left_behind(graphql: Graph) -> None:
    """A namespace in sight below one that is not, or at a path whose upper part is gone, would be lost."""
    for round_ in range(8):
        root = await created(graphql, f"r{round_}/x")
        change = (
            graphql(DELETE, input={"id": root})
            if round_ % 2
            else graphql(UPDATE, input={"id": root, "patch": {"name": "y"}})
        )
        makings = [graphql(CREATE, input={"path": f"r{round_}/x/n{number}/m"}) for number in range(6)]
        await asyncio.gather(*makings[:3], change, *makings[3:])
    seen = await paths(graphql)
    assert all("/" not in path or path.rpartition("/")[0] in seen for path in seen)
    async with graphql.database.connection() as connection:
        lost = await connection.fetch("""
            SELECT c.path FROM namespace c JOIN namespace p ON p.tenant_id = c.tenant_id AND p.id = c.parent_id
            WHERE c.visible AND (NOT p.visible OR c.path <> p.path || '/' || c.name)
        """)
    assert lost == []


async def test_a_writer_may_name_children_but_no_roots(graphql: Graph, caller_with: Callers) -> None:
    writer = graphql.by(await caller_with("WRITER", "vision"))
    assert (await writer.change(CREATE, input={"path": "vision/new/deep"}))["created"] is True
    assert (await writer.refused(CREATE, input={"path": "elsewhere"}))["code"] == "NOT_FOUND"
    everywhere = graphql.by(await caller_with("MAINTAINER"))
    assert (await everywhere.refused(CREATE, input={"path": "elsewhere"}))["code"] == "FORBIDDEN"
    assert await paths(graphql) == ["vision", "vision/new", "vision/new/deep"]


async def test_a_rename_names_a_child_of_what_is_above(graphql: Graph, caller_with: Callers) -> None:
    await created(graphql, "vision/secret")
    maintainer = graphql.by(await caller_with("MAINTAINER", "vision/cifar"))
    id_ = (await maintainer('{ namespace(by: {path: "vision/cifar"}) { id } }'))["namespace"]["id"]
    refusals = [
        await maintainer.refused(UPDATE, input={"id": id_, "patch": {"name": name}}) for name in ("secret", "free")
    ]
    assert {refusal["code"] for refusal in refusals} == {"FORBIDDEN"}
    assert (await maintainer.change(UPDATE, input={"id": id_, "patch": {"description": "ours"}}))["namespace"]
    above = graphql.by(await caller_with("MAINTAINER", "vision"))
    assert (await above.change(UPDATE, input={"id": id_, "patch": {"name": "free"}}))["namespace"]["path"]
    root = (await above('{ namespace(by: {path: "vision"}) { id } }'))["namespace"]["id"]
    assert (await above.refused(UPDATE, input={"id": root, "patch": {"name": "sight"}}))["code"] == "FORBIDDEN"
