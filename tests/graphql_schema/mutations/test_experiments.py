"""Experiments: got or made by name and external id, named when they have none, changed, deleted, brought back."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from graphql_schema.errors import RequestErrors
from tests.graph import Callers, Graph

CREATE = """
    mutation ($input: CreateExperimentInput!) {
      createExperiment(input: $input) {
        created
        experiment {
          id name externalId status description owner framework hyperparameters environment group labels metadata
          revision createdAt startedAt endedAt heartbeatAt stallAfterSeconds parent { id } namespace { path }
        }
        userErrors { code path message }
      }
    }
"""
UPDATE = """
    mutation ($input: UpdateExperimentInput!) {
      updateExperiment(input: $input) {
        experiment { id name externalId group parent { id } children { nodes { id } } revision stallAfterSeconds }
        userErrors { code path message ... on RevisionConflict { currentRevision } }
      }
    }
"""
DELETE = """
    mutation ($input: DeleteInput!) { deleteExperiment(input: $input) { deletedId userErrors { code path } } }
"""
RESTORE = """
    mutation ($input: RestoreExperimentInput!) {
      restoreExperiment(input: $input) { experiment { id name externalId } userErrors { code path } }
    }
"""
CREATE_CHECKPOINT = "mutation ($id: ID!) { createCheckpoint(input: {experimentId: $id}) { checkpoint { id } } }"
READ = """
    query ($id: ID!, $checkpoint: ID = "ckp_00000000000000000000000000000000") {
      node(id: $id) { ... on Experiment { name checkpoints { nodes { id } } auditEvents { nodes { action after } } } }
      checkpoint: node(id: $checkpoint) { id }
    }
"""
NAMES = "{ experiments(first: 100) { nodes { id name } } }"


async def create(graphql: Graph, **values: Any) -> dict[str, Any]:
    return await graphql.change(CREATE, input=values)


async def created(graphql: Graph, **values: Any) -> str:
    id_: str = (await create(graphql, **values))["experiment"]["id"]
    return id_


async def test_everything_that_was_given_is_kept(graphql: Graph) -> None:
    values = {
        "name": "baseline",
        "externalId": "slurm-17",
        "description": "first try",
        "owner": "ada",
        "framework": "PYTORCH",
        "hyperparameters": {"optimizer": {"name": "adam", "lr": 0.001}, "layers": [64, 32], "seed": 7, "amp": True},
        "environment": {"host": "node-3", "packages": {"torch": "2.9"}},
        "group": "sweep-1",
        "labels": ["x"],
        "metadata": {"a/b": None},
        "stallAfterSeconds": 30.5,
        "startedAt": "2026-03-01T12:00:00.500000Z",
    }
    made = await create(graphql, namespace="vision/cifar", **values)
    experiment = made["experiment"]
    assert made["created"] is True
    assert {key: experiment[key] for key in values} == values
    assert (experiment["status"], experiment["endedAt"], experiment["revision"]) == ("RUNNING", None, 1)
    assert experiment["heartbeatAt"] == experiment["createdAt"]
    assert experiment["namespace"] == {"path": "vision/cifar"}


async def test_defaults(graphql: Graph) -> None:
    experiment = (await create(graphql))["experiment"]
    assert experiment["namespace"] == {"path": "default"}
    assert (experiment["stallAfterSeconds"], experiment["hyperparameters"], experiment["labels"]) == (600, {}, [])
    assert experiment["startedAt"] == experiment["createdAt"]


async def test_without_a_name_it_gets_a_readable_one(graphql: Graph) -> None:
    names = [(await create(graphql))["experiment"]["name"] for _ in range(30)]
    assert len(set(names)) == 30
    assert all(re.fullmatch(r"[a-z]+-[a-z]+-[1-9][0-9]*", name) for name in names)


async def test_many_at_once_without_a_name(graphql: Graph) -> None:
    answers = await asyncio.gather(*(create(graphql) for _ in range(12)))
    assert len({answer["experiment"]["id"] for answer in answers}) == 12


async def test_the_same_name_gets_the_same_one_unchanged_also_when_finished(graphql: Graph) -> None:
    first = (await create(graphql, name="a", owner="ada"))["experiment"]
    finish = "mutation ($id: ID!) { finishExperiment(input: {id: $id, status: FAILED}) { userErrors { code } } }"
    await graphql.change(finish, id=first["id"])
    again = await create(graphql, name="a", owner="bob", externalId="new")
    assert again["created"] is False
    experiment = again["experiment"]
    assert (experiment["id"], experiment["owner"], experiment["externalId"]) == (first["id"], "ada", None)
    assert (experiment["status"], experiment["revision"]) == ("FAILED", 2)


async def test_the_same_external_id_gets_the_same_one(graphql: Graph) -> None:
    first = (await create(graphql, externalId="job-1"))["experiment"]
    for name in (None, first["name"], "free"):
        again = await create(graphql, externalId="job-1", name=name)
        assert (again["created"], again["experiment"]["name"]) == (False, first["name"])
    assert (await create(graphql, externalId="job-1", namespace="elsewhere"))["created"] is True


async def test_name_and_external_id_of_two_experiments_are_a_conflict(graphql: Graph) -> None:
    await create(graphql, name="a", externalId="1")
    await create(graphql, name="b", externalId="2")
    refusal = await graphql.refused(CREATE, input={"name": "a", "externalId": "2"})
    assert (refusal["code"], refusal["path"]) == ("CONFLICT", ["input", "externalId"])


async def test_many_at_once_make_one(graphql: Graph) -> None:
    answers = await asyncio.gather(
        *(create(graphql, name="a", externalId="1", namespace="new/place") for _ in range(12))
    )
    assert sum(answer["created"] for answer in answers) == 1
    assert len({answer["experiment"]["id"] for answer in answers}) == 1


async def test_a_name_is_no_external_id(graphql: Graph) -> None:
    first = await created(graphql, name="17")
    assert await created(graphql, externalId="17") != first


async def test_a_patch_changes_what_it_names(graphql: Graph) -> None:
    id_ = await created(graphql, name="a", externalId="1", group="g")
    changed = await graphql.change(UPDATE, input={"id": id_, "patch": {"externalId": None, "stallAfterSeconds": 5}})
    experiment = changed["experiment"]
    assert (experiment["name"], experiment["externalId"], experiment["group"]) == ("a", None, "g")
    assert (experiment["stallAfterSeconds"], experiment["revision"]) == (5, 2)
    refusal = await graphql.refused(UPDATE, input={"id": id_, "patch": {"name": "b"}, "ifRevision": 1})
    assert (refusal["code"], refusal["currentRevision"]) == ("REVISION_CONFLICT", 2)


@pytest.mark.parametrize(
    "column", ["name", "hyperparameters", "environment", "labels", "metadata", "stallAfterSeconds"]
)
async def test_what_must_have_a_value_keeps_it(graphql: Graph, column: str) -> None:
    id_ = await created(graphql, name="a")
    refusal = await graphql.refused(UPDATE, input={"id": id_, "patch": {column: None}})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "patch", column])


@pytest.mark.parametrize(("column", "taken"), [("name", "b"), ("externalId", "2")])
async def test_a_taken_name_or_external_id_is_refused(graphql: Graph, column: str, taken: str) -> None:
    id_ = await created(graphql, name="a", externalId="1")
    await created(graphql, name="b", externalId="2")
    refusal = await graphql.refused(UPDATE, input={"id": id_, "patch": {column: taken}})
    assert (refusal["code"], refusal["path"]) == ("NAME_TAKEN", ["input", "patch", column])


async def test_parents(graphql: Graph) -> None:
    parent = await created(graphql, name="sweep", namespace="elsewhere")
    child = (await create(graphql, name="trial", parentId=parent))["experiment"]
    assert child["parent"] == {"id": parent}
    changed = await graphql.change(UPDATE, input={"id": parent, "patch": {"group": "g"}})
    assert changed["experiment"]["children"] == {"nodes": [{"id": child["id"]}]}
    changed = await graphql.change(UPDATE, input={"id": child["id"], "patch": {"parentId": None}})
    assert changed["experiment"]["parent"] is None


async def test_nothing_is_part_of_itself(graphql: Graph) -> None:
    outer = await created(graphql)
    middle = await created(graphql, parentId=outer)
    inner = await created(graphql, parentId=middle)
    for parent in (outer, middle, inner):
        refusal = await graphql.refused(UPDATE, input={"id": outer, "patch": {"parentId": parent}})
        assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "patch", "parentId"])


async def test_no_circle_is_closed_from_two_sides_at_once(graphql: Graph) -> None:
    for _ in range(5):
        a, c = await created(graphql), await created(graphql)
        b, d = await created(graphql, parentId=c), await created(graphql, parentId=a)
        answers = await asyncio.gather(
            graphql(UPDATE, input={"id": a, "patch": {"parentId": b}}),
            graphql(UPDATE, input={"id": c, "patch": {"parentId": d}}),
        )
        codes = [error["code"] for answer in answers for error in answer["updateExperiment"]["userErrors"]]
        assert codes == ["INVALID"]


async def test_a_parent_must_be_in_sight(graphql: Graph, caller_with: Callers) -> None:
    hidden = await created(graphql, namespace="hidden")
    gone = await created(graphql, namespace="mine")
    await graphql.change(DELETE, input={"id": gone})
    writer = graphql.by(await caller_with("WRITER", "mine"))
    for parent in (hidden, gone, "exp_" + "0" * 32):
        refusal = await writer.refused(CREATE, input={"namespace": "mine", "parentId": parent})
        assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["input", "parentId"])
    refusal = await writer.refused(CREATE, input={"namespace": "mine", "parentId": "mod_" + "0" * 32})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "parentId"])
    assert (await writer(NAMES))["experiments"]["nodes"] == []


async def test_a_parent_of_another_tenant_is_not_found(graphql: Graph, caller_with: Callers) -> None:
    stranger = graphql.by(await caller_with("ADMIN", tenant="other"))
    theirs = await created(stranger, name="a")
    refusal = await graphql.refused(CREATE, input={"name": "b", "parentId": theirs})
    assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["input", "parentId"])
    assert (await create(graphql, name="a"))["created"] is True


async def test_checkpoints_go_out_of_sight_and_come_back_with_their_experiment(graphql: Graph) -> None:
    id_ = await created(graphql, name="a", externalId="1")
    checkpoint = (await graphql.change(CREATE_CHECKPOINT, id=id_))["checkpoint"]["id"]
    await graphql.change(DELETE, input={"id": id_})
    assert await graphql(READ, id=id_, checkpoint=checkpoint) == {"node": None, "checkpoint": None}
    assert (await create(graphql, name="a"))["created"] is True
    assert (await create(graphql, externalId="1"))["created"] is True

    refusal = await graphql.refused(RESTORE, input={"id": id_})
    assert (refusal["code"], refusal["path"]) == ("NAME_TAKEN", ["input", "newName"])
    refusal = await graphql.refused(RESTORE, input={"id": id_, "newName": "b"})
    assert (refusal["code"], refusal["path"]) == ("NAME_TAKEN", ["input", "newExternalId"])
    back = await graphql.change(RESTORE, input={"id": id_, "newName": "b", "newExternalId": "2"})
    assert back["experiment"] == {"id": id_, "name": "b", "externalId": "2"}
    seen = await graphql(READ, id=id_, checkpoint=checkpoint)
    assert seen["checkpoint"] == {"id": checkpoint}
    assert seen["node"]["checkpoints"]["nodes"] == [{"id": checkpoint}]
    events = seen["node"]["auditEvents"]["nodes"]
    assert [event["action"] for event in events] == ["RESTORE", "DELETE", "CREATE"]
    assert events[0]["after"] == {"name": "b", "externalId": "2"}


async def test_restored_under_its_own_name(graphql: Graph) -> None:
    id_ = await created(graphql, name="a", externalId="1")
    await graphql.change(DELETE, input={"id": id_})
    back = await graphql.change(RESTORE, input={"id": id_})
    assert back["experiment"] == {"id": id_, "name": "a", "externalId": "1"}


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"name": ""}, "name"),
        ({"name": "a@b"}, "name"),
        pytest.param({"externalId": "x" * 256}, "externalId", id="external id of 256 characters"),
        ({"externalId": ""}, "externalId"),
        ({"group": "a/b"}, "group"),
        ({"stallAfterSeconds": 0}, "stallAfterSeconds"),
        ({"stallAfterSeconds": 31_536_001}, "stallAfterSeconds"),
        ({"stallAfterSeconds": "NaN"}, "stallAfterSeconds"),
        ({"stallAfterSeconds": "Infinity"}, "stallAfterSeconds"),
        ({"hyperparameters": [1]}, "hyperparameters"),
        ({"environment": 1}, "environment"),
        ({"metadata": None, "labels": ["a/b"]}, "labels"),
        ({"parentId": "nonsense"}, "parentId"),
    ],
)
async def test_a_bad_value_names_itself_and_leaves_nothing(graphql: Graph, values: dict[str, Any], path: str) -> None:
    refusal = await graphql.refused(CREATE, input={"namespace": "new", **values})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", path])
    assert await graphql("{ namespaces { nodes { path } } auditEvents { nodes { id } } }") == {
        "namespaces": {"nodes": []},
        "auditEvents": {"nodes": []},
    }


@pytest.mark.parametrize("started", ["2026-03-01T12:00:00", "yesterday", "0000-01-01T00:00:00Z", 17])
async def test_a_moment_needs_its_offset(graphql: Graph, started: object) -> None:
    with pytest.raises(RequestErrors) as refused:
        await graphql(CREATE, input={"startedAt": started})
    assert refused.value.errors[0].code == "BAD_USER_INPUT"


async def test_moments_come_back_in_utc_to_the_microsecond(graphql: Graph) -> None:
    made = await create(graphql, startedAt="2026-03-01T12:00:00+05:30")
    assert made["experiment"]["startedAt"] == "2026-03-01T06:30:00.000000Z"
