"""Models: got or made, changed, deleted and brought back; what all entities have in common is shown on them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from graphql_schema.errors import RequestErrors
from tests.graph import Graph

CREATE = """
    mutation ($input: CreateModelInput!) {
      createModel(input: $input) {
        created
        model { id name owner task description labels metadata revision createdAt updatedAt namespace { path } }
        userErrors { code path message }
      }
    }
"""
UPDATE = """
    mutation ($input: UpdateModelInput!) {
      updateModel(input: $input) {
        model { id name owner labels metadata revision updatedAt }
        userErrors { __typename code path message ... on RevisionConflict { currentRevision } }
      }
    }
"""
DELETE = """
    mutation ($input: DeleteInput!) {
      deleteModel(input: $input) {
        deletedId userErrors { code path ... on RevisionConflict { currentRevision } }
      }
    }
"""
RESTORE = """
    mutation ($input: RestoreInput!) {
      restoreModel(input: $input) { model { id name revision } userErrors { code path message } }
    }
"""
READ = """
    query ($id: ID!) {
      node(id: $id) {
        ... on Model { name owner metadata labels revision auditEvents { nodes { action before after requestId } } }
      }
    }
"""
SEVERAL = """
    mutation ($bad: String!) {
      first: createModel(input: {name: "a"}) { created userErrors { code } }
      second: createModel(input: {name: $bad}) { created userErrors { code path } }
      third: createModel(input: {name: "a"}) { created userErrors { code } }
    }
"""


async def created(graphql: Graph, name: str = "reader", **values: Any) -> str:
    id_: str = (await graphql.change(CREATE, input={"name": name, **values}))["model"]["id"]
    return id_


async def read(graphql: Graph, id_: str) -> dict[str, Any]:
    node: dict[str, Any] = (await graphql(READ, id=id_))["node"]
    return node


async def test_creation_says_what_is_stored(graphql: Graph) -> None:
    values = {"owner": "ada", "task": "reading", "description": "digits", "labels": ["b", "a"]}
    made = await graphql.change(CREATE, input={"name": "reader", "namespace": "v/c", "metadata": {"k": 1}, **values})
    model = made["model"]
    assert made["created"] is True
    assert {key: model[key] for key in values} == values | {"labels": ["a", "b"]}
    assert (model["metadata"], model["revision"], model["namespace"]) == ({"k": 1}, 1, {"path": "v/c"})
    assert model["createdAt"] == model["updatedAt"]


async def test_the_same_name_gets_the_same_model_unchanged(graphql: Graph) -> None:
    id_ = await created(graphql, owner="ada")
    again = await graphql.change(CREATE, input={"name": "reader", "owner": "bob"})
    assert again["created"] is False
    assert (again["model"]["id"], again["model"]["owner"], again["model"]["revision"]) == (id_, "ada", 1)
    assert await created(graphql, namespace="other") != id_


async def test_names_are_compared_in_nfc(graphql: Graph) -> None:
    assert await created(graphql, "caf\u00e9") == await created(graphql, "cafe\u0301")
    assert await created(graphql, "cafe") != await created(graphql, "Cafe")


async def test_ids_of_neighbours_never_collide(graphql: Graph) -> None:
    """Where an id is two names put together, `a` + `bc` is `ab` + `c`."""
    pairs = [("a", "bc"), ("ab", "c"), ("a/b", "c"), ("a-b", "c"), ("a", "b-c"), ("a", "b.c"), ("a.b", "c")]
    ids = [await created(graphql, name, namespace=namespace) for namespace, name in pairs]
    assert len(set(ids)) == len(pairs)


async def test_many_at_once_make_one(graphql: Graph) -> None:
    answers = await asyncio.gather(
        *(graphql.change(CREATE, input={"name": "reader", "namespace": "new/place"}) for _ in range(12))
    )
    assert sum(answer["created"] for answer in answers) == 1
    assert len({answer["model"]["id"] for answer in answers}) == 1


async def test_absent_and_null_differ_in_a_patch(graphql: Graph) -> None:
    id_ = await created(graphql, owner="ada", labels=["x"], metadata={"a": 1})
    await graphql.change(UPDATE, input={"id": id_, "patch": {"owner": None}})
    kept = await read(graphql, id_)
    assert (kept["owner"], kept["labels"], kept["metadata"]) == (None, ["x"], {"a": 1})
    for column in ("name", "labels", "metadata"):
        refusal = await graphql.refused(UPDATE, input={"id": id_, "patch": {column: None}})
        assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "patch", column])


async def test_a_change_to_the_same_changes_nothing(graphql: Graph) -> None:
    id_ = await created(graphql, labels=["x"])
    await graphql.change(UPDATE, input={"id": id_, "patch": {"labels": ["x", "x"], "name": "reader"}})
    await graphql.change(UPDATE, input={"id": id_, "patch": {}})
    kept = await read(graphql, id_)
    assert kept["revision"] == 1
    assert [event["action"] for event in kept["auditEvents"]["nodes"]] == ["CREATE"]


async def test_json_that_python_takes_as_equal_is_another(graphql: Graph) -> None:
    id_ = await created(graphql, metadata={"flag": 1})
    await graphql.change(UPDATE, input={"id": id_, "patch": {"metadata": {"flag": True}}})
    assert (await read(graphql, id_))["metadata"] == {"flag": True}
    assert (await read(graphql, id_))["metadata"]["flag"] is True


async def test_a_rename_frees_the_old_name_and_refuses_a_taken_one(graphql: Graph) -> None:
    id_, other = await created(graphql, "a"), await created(graphql, "b")
    refusal = await graphql.refused(UPDATE, input={"id": id_, "patch": {"name": "b"}})
    assert (refusal["code"], refusal["path"]) == ("NAME_TAKEN", ["input", "patch", "name"])
    assert other in refusal["message"]
    await graphql.change(UPDATE, input={"id": id_, "patch": {"name": "c"}})
    assert await created(graphql, "a") not in (id_, other)


async def test_two_renames_to_one_name_at_once(graphql: Graph) -> None:
    ids = [await created(graphql, f"m{number}") for number in range(8)]
    answers = await asyncio.gather(*(graphql(UPDATE, input={"id": id_, "patch": {"name": "one"}}) for id_ in ids))
    errors = [answer["updateModel"]["userErrors"] for answer in answers]
    assert sorted(len(error) for error in errors) == [0, *[1] * 7]
    assert {error[0]["code"] for error in errors if error} == {"NAME_TAKEN"}


async def test_a_stale_revision_is_refused_with_the_current_one(graphql: Graph) -> None:
    id_ = await created(graphql)
    changed = await graphql.change(UPDATE, input={"id": id_, "patch": {"owner": "a"}, "ifRevision": 1})
    assert changed["model"]["revision"] == 2
    refusal = await graphql.refused(UPDATE, input={"id": id_, "patch": {"owner": "b"}, "ifRevision": 1})
    assert (refusal["__typename"], refusal["code"]) == ("RevisionConflict", "REVISION_CONFLICT")
    assert (refusal["currentRevision"], refusal["path"]) == (2, ["input", "ifRevision"])
    assert (await graphql.refused(DELETE, input={"id": id_, "ifRevision": 7}))["currentRevision"] == 2
    assert (await read(graphql, id_))["owner"] == "a"


async def test_of_changes_at_once_to_one_revision_one_wins(graphql: Graph) -> None:
    id_ = await created(graphql)
    answers = await asyncio.gather(
        *(graphql(UPDATE, input={"id": id_, "patch": {"owner": f"o{number}"}, "ifRevision": 1}) for number in range(8))
    )
    assert sum(not answer["updateModel"]["userErrors"] for answer in answers) == 1
    assert (await read(graphql, id_))["revision"] == 2


async def test_changes_at_once_are_all_counted(graphql: Graph) -> None:
    id_ = await created(graphql)
    await asyncio.gather(
        *(graphql.change(UPDATE, input={"id": id_, "patch": {"owner": f"o{number}"}}) for number in range(8))
    )
    kept = await read(graphql, id_)
    assert kept["revision"] == 9
    events = kept["auditEvents"]["nodes"]
    # Each saw what the one before it left.
    assert [event["before"]["owner"] for event in events[:7]] == [event["after"]["owner"] for event in events[1:8]]


async def test_a_deleted_name_is_free_and_the_old_model_comes_back_under_another(graphql: Graph) -> None:
    id_ = await created(graphql)
    assert (await graphql.change(DELETE, input={"id": id_}))["deletedId"] == id_
    assert (await graphql.refused(DELETE, input={"id": id_}))["code"] == "NOT_FOUND"
    assert await read(graphql, id_) is None
    second = await graphql.change(CREATE, input={"name": "reader"})
    assert second["created"] is True
    assert second["model"]["id"] != id_

    refusal = await graphql.refused(RESTORE, input={"id": id_})
    assert (refusal["code"], refusal["path"]) == ("NAME_TAKEN", ["input", "newName"])
    for name in ("", "a/b"):
        refusal = await graphql.refused(RESTORE, input={"id": id_, "newName": name})
        assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "newName"])
    assert await read(graphql, id_) is None
    back = await graphql.change(RESTORE, input={"id": id_, "newName": "reader-1"})
    assert back["model"] == {"id": id_, "name": "reader-1", "revision": 3}
    assert (await graphql.refused(RESTORE, input={"id": id_}))["code"] == "NOT_FOUND"
    actions = [event["action"] for event in (await read(graphql, id_))["auditEvents"]["nodes"]]
    assert actions == ["RESTORE", "DELETE", "CREATE"]


async def test_of_restores_at_once_to_one_name_one_wins(graphql: Graph) -> None:
    ids = []
    for _ in range(6):
        ids.append(await created(graphql))
        await graphql.change(DELETE, input={"id": ids[-1]})
    answers = await asyncio.gather(*(graphql(RESTORE, input={"id": id_}) for id_ in ids))
    codes = [error["code"] for answer in answers for error in answer["restoreModel"]["userErrors"]]
    assert codes == ["NAME_TAKEN"] * 5


async def test_fields_run_in_order_and_a_refused_one_leaves_the_others(graphql: Graph) -> None:
    answer = await graphql(SEVERAL, bad="a/b")
    assert answer["first"] == {"created": True, "userErrors": []}
    assert answer["second"] == {"created": None, "userErrors": [{"code": "INVALID", "path": ["input", "name"]}]}
    assert answer["third"] == {"created": False, "userErrors": []}


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"name": ""}, "name"),
        pytest.param({"name": "x" * 1_048_576}, "name", id="1 MiB"),
        ({"name": "a\u0007b"}, "name"),
        ({"name": ".."}, "name"),
        pytest.param({"owner": "x" * 256}, "owner", id="256 characters"),
        pytest.param({"description": "x" * 65_537}, "description", id="64 KiB"),
        ({"labels": ["ok", "not/ok"]}, "labels"),
        ({"labels": [f"l{number}" for number in range(101)]}, "labels"),
        ({"metadata": [1, 2]}, "metadata"),
        ({"metadata": "text"}, "metadata"),
    ],
)
async def test_a_bad_value_names_itself_and_leaves_nothing(graphql: Graph, values: dict[str, Any], path: str) -> None:
    refusal = await graphql.refused(CREATE, input={"name": "m", "namespace": "new", **values})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", path])
    assert len(refusal["message"]) < 300
    assert (await graphql("{ namespaces { nodes { path } } auditEvents { nodes { id } } }")) == {
        "namespaces": {"nodes": []},
        "auditEvents": {"nodes": []},
    }


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
async def test_text_that_cannot_be_stored_is_refused_before_anything_is_done(graphql: Graph, text: str) -> None:
    for values in ({"name": text}, {"name": "m", "metadata": {"k": [text]}}, {"name": "m", "labels": [text]}):
        with pytest.raises(RequestErrors) as refused:
            await graphql(CREATE, input=values)
        assert refused.value.errors[0].code == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "id_", ["", "x", "mod_", "mod_" + "g" * 32, "mod_" + "0" * 31, "exp_" + "0" * 32, "MOD_" + "0" * 32, "mod_\u0660"]
)
async def test_an_id_that_is_none_of_a_model_says_so(graphql: Graph, id_: str) -> None:
    for mutation, values in ((UPDATE, {"patch": {"owner": "x"}}), (DELETE, {}), (RESTORE, {})):
        refusal = await graphql.refused(mutation, input={"id": id_, **values})
        assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "id"])


async def test_an_unknown_id_is_not_found(graphql: Graph) -> None:
    for mutation, values in ((UPDATE, {"patch": {"owner": "x"}}), (DELETE, {}), (RESTORE, {})):
        refusal = await graphql.refused(mutation, input={"id": "mod_" + "0" * 32, **values})
        assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["input", "id"])
