"""Checkpoints: each call makes one, complete at once, in sight with its experiment."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from graphql_schema.errors import RequestErrors
from tests.graph import Graph

EXPERIMENT = "mutation { createExperiment(input: {}) { experiment { id } } }"
CREATE = """
    mutation ($input: CreateCheckpointInput!) {
      createCheckpoint(input: $input) {
        checkpoint {
          id name step epoch status labels metadata revision
          experiment { id latestCheckpoint { id } } namespace { path }
        }
        userErrors { code path message }
      }
    }
"""
UPDATE = """
    mutation ($input: UpdateCheckpointInput!) {
      updateCheckpoint(input: $input) {
        checkpoint { name step epoch labels metadata revision } userErrors { code path }
      }
    }
"""
DELETE = "mutation ($input: DeleteInput!) { deleteCheckpoint(input: $input) { deletedId userErrors { code path } } }"
RESTORE = """
    mutation ($input: RestoreCheckpointInput!) {
      restoreCheckpoint(input: $input) { checkpoint { id revision } userErrors { code path message } }
    }
"""
DELETE_EXPERIMENT = "mutation ($id: ID!) { deleteExperiment(input: {id: $id}) { deletedId } }"
RESTORE_EXPERIMENT = "mutation ($id: ID!) { restoreExperiment(input: {id: $id}) { experiment { id } } }"
READ = """
    query ($id: ID!) {
      node(id: $id) { ... on Experiment { revision updatedAt createdAt checkpoints { nodes { id step } } } }
    }
"""
HISTORY = "query ($id: ID!) { node(id: $id) { ... on Checkpoint { auditEvents { nodes { action after } } } } }"


@pytest.fixture
async def experiment(graphql: Graph) -> str:
    id_: str = (await graphql.change(EXPERIMENT))["experiment"]["id"]
    return id_


async def create(graphql: Graph, experiment: str, **values: Any) -> dict[str, Any]:
    made: dict[str, Any] = (await graphql.change(CREATE, input={"experimentId": experiment, **values}))["checkpoint"]
    return made


async def test_everything_that_was_given_is_kept(graphql: Graph, experiment: str) -> None:
    values = {"name": "best", "step": 2**53 - 1, "epoch": 1.5, "labels": ["a", "b"], "metadata": {"loss": 0.1}}
    made = await create(graphql, experiment, **values)
    assert {key: made[key] for key in values} == values
    assert (made["status"], made["revision"], made["namespace"]) == ("READY", 1, {"path": "default"})
    assert made["experiment"] == {"id": experiment, "latestCheckpoint": {"id": made["id"]}}


async def test_step_and_epoch_are_optional(graphql: Graph, experiment: str) -> None:
    made = await create(graphql, experiment)
    assert (made["name"], made["step"], made["epoch"]) == (None, None, None)
    assert (await create(graphql, experiment, step=0, epoch=0))["step"] == 0


async def test_each_call_makes_one_and_leaves_the_experiment_as_it_is(graphql: Graph, experiment: str) -> None:
    made = await asyncio.gather(*(create(graphql, experiment, step=1, name="same") for _ in range(8)))
    seen = (await graphql(READ, id=experiment))["node"]
    assert {node["id"] for node in seen["checkpoints"]["nodes"]} == {each["id"] for each in made}
    assert len(made) == len(seen["checkpoints"]["nodes"])
    assert (seen["revision"], seen["updatedAt"]) == (1, seen["createdAt"])


async def test_a_patch_changes_what_it_names(graphql: Graph, experiment: str) -> None:
    id_ = (await create(graphql, experiment, step=1, name="a", labels=["x"]))["id"]
    changed = (await graphql.change(UPDATE, input={"id": id_, "patch": {"step": None, "epoch": 2}}))["checkpoint"]
    assert changed == {"name": "a", "step": None, "epoch": 2, "labels": ["x"], "metadata": {}, "revision": 2}
    refusal = await graphql.refused(UPDATE, input={"id": id_, "patch": {"step": 5}, "ifRevision": 1})
    assert (refusal["code"], refusal["path"]) == ("REVISION_CONFLICT", ["input", "ifRevision"])


async def test_deleted_and_brought_back(graphql: Graph, experiment: str) -> None:
    id_ = (await create(graphql, experiment, step=1))["id"]
    await graphql.change(DELETE, input={"id": id_})
    assert (await graphql(READ, id=experiment))["node"]["checkpoints"]["nodes"] == []
    assert (await graphql.refused(UPDATE, input={"id": id_, "patch": {"step": 2}}))["code"] == "NOT_FOUND"
    await graphql.change(DELETE_EXPERIMENT, id=experiment)
    refusal = await graphql.refused(RESTORE, input={"id": id_})
    assert (refusal["code"], refusal["path"]) == ("CONFLICT", ["input", "id"])
    assert experiment in refusal["message"]
    await graphql.change(RESTORE_EXPERIMENT, id=experiment)
    assert (await graphql(READ, id=experiment))["node"]["checkpoints"]["nodes"] == []
    back = await graphql.change(RESTORE, input={"id": id_})
    assert back["checkpoint"] == {"id": id_, "revision": 3}
    events = (await graphql(HISTORY, id=id_))["node"]["auditEvents"]["nodes"]
    assert [event["action"] for event in events] == ["RESTORE", "DELETE", "CREATE"]
    assert events[2]["after"] == {"experimentId": experiment, "step": 1}


async def test_none_without_an_experiment_in_sight(graphql: Graph, experiment: str) -> None:
    await graphql.change(DELETE_EXPERIMENT, id=experiment)
    for id_ in (experiment, "exp_" + "0" * 32):
        refusal = await graphql.refused(CREATE, input={"experimentId": id_})
        assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["input", "experimentId"])
    refusal = await graphql.refused(CREATE, input={"experimentId": "ckp_" + "0" * 32})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "experimentId"])


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"name": "a/b"}, "name"),
        ({"epoch": "NaN"}, "epoch"),
        ({"epoch": "-Infinity"}, "epoch"),
        ({"metadata": [1]}, "metadata"),
        ({"labels": [""]}, "labels"),
    ],
)
async def test_a_bad_value_names_itself(graphql: Graph, experiment: str, values: dict[str, Any], path: str) -> None:
    refusal = await graphql.refused(CREATE, input={"experimentId": experiment, **values})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", path])
    assert (await graphql(READ, id=experiment))["node"]["checkpoints"]["nodes"] == []


@pytest.mark.parametrize("step", [2**53, -(2**53), 1.5, "1", True])
async def test_a_step_is_a_whole_number(graphql: Graph, experiment: str, step: object) -> None:
    with pytest.raises(RequestErrors) as refused:
        await graphql(CREATE, input={"experimentId": experiment, "step": step})
    assert refused.value.errors[0].code == "BAD_USER_INPUT"
