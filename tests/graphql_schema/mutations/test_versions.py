"""Model versions: numbered or named by the caller, always of a model, linked to what they were made from."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from graphql_schema.errors import RequestErrors
from tests.graph import Callers, Graph

MODEL = """
    mutation ($name: String!, $namespace: String! = "default") {
      createModel(input: {name: $name, namespace: $namespace}) { model { id } }
    }
"""
EXPERIMENT = """
    mutation ($namespace: String! = "default") {
      createExperiment(input: {namespace: $namespace}) { experiment { id } }
    }
"""
CHECKPOINT = "mutation ($id: ID!) { createCheckpoint(input: {experimentId: $id}) { checkpoint { id } } }"
CREATE = """
    mutation ($input: CreateModelVersionInput!) {
      createModelVersion(input: $input) {
        created
        modelVersion {
          id version name description framework status labels metadata uniqueTags revision
          model { id } experiment { id } checkpoint { id } namespace { path }
        }
        userErrors { code path message }
      }
    }
"""
UPDATE = """
    mutation ($input: UpdateModelVersionInput!) {
      updateModelVersion(input: $input) {
        modelVersion { version name description experiment { id } checkpoint { id } revision }
        userErrors { code path message }
      }
    }
"""
DELETE = "mutation ($input: DeleteInput!) { deleteModelVersion(input: $input) { deletedId userErrors { code path } } }"
RESTORE = """
    mutation ($input: RestoreModelVersionInput!) {
      restoreModelVersion(input: $input) {
        modelVersion { id version uniqueTags } userErrors { code path message }
      }
    }
"""
DELETE_MODEL = "mutation ($id: ID!) { deleteModel(input: {id: $id}) { deletedId } }"
RESTORE_MODEL = "mutation ($id: ID!) { restoreModel(input: {id: $id}) { model { id } } }"
VERSIONS = """
    query ($id: ID!) { node(id: $id) { ... on Model { revision versions(first: 100) { nodes { id version } } } } }
"""
HISTORY = """
    query ($id: ID!) { node(id: $id) { ... on ModelVersion { auditEvents { nodes { action before after } } } } }
"""


@pytest.fixture
async def model(graphql: Graph) -> str:
    return await new_model(graphql, "reader")


async def new_model(graphql: Graph, name: str, **where: str) -> str:
    id_: str = (await graphql.change(MODEL, name=name, **where))["model"]["id"]
    return id_


async def new_experiment(graphql: Graph, **where: str) -> str:
    id_: str = (await graphql.change(EXPERIMENT, **where))["experiment"]["id"]
    return id_


async def new_checkpoint(graphql: Graph, experiment: str) -> str:
    id_: str = (await graphql.change(CHECKPOINT, id=experiment))["checkpoint"]["id"]
    return id_


async def create(graphql: Graph, model: str, **values: Any) -> dict[str, Any]:
    made: dict[str, Any] = (await graphql.change(CREATE, input={"modelId": model, **values}))["modelVersion"]
    return made


async def versions(graphql: Graph, model: str) -> list[str]:
    """Oldest first."""
    nodes = (await graphql(VERSIONS, id=model))["node"]["versions"]["nodes"]
    return [node["version"] for node in reversed(nodes)]


async def test_everything_that_was_given_is_kept(graphql: Graph) -> None:
    model = await new_model(graphql, "reader", namespace="vision/cifar")
    experiment = await new_experiment(graphql)
    checkpoint = await new_checkpoint(graphql, experiment)
    values = {
        "version": "2026.1-rc1",
        "name": "small",
        "description": "quantised",
        "framework": "JAX",
        "labels": ["x"],
        "metadata": {"a": [1]},
    }
    made = await create(graphql, model, experimentId=experiment, checkpointId=checkpoint, **values)
    assert {key: made[key] for key in values} == values
    assert (made["status"], made["uniqueTags"], made["revision"]) == ("READY", [], 1)
    assert (made["model"], made["experiment"], made["checkpoint"]) == (
        {"id": model},
        {"id": experiment},
        {"id": checkpoint},
    )
    assert made["namespace"] == {"path": "vision/cifar"}


async def test_numbers_count_from_one_in_each_model(graphql: Graph, model: str) -> None:
    other = await new_model(graphql, "other")
    assert [(await create(graphql, model))["version"] for _ in range(3)] == ["1", "2", "3"]
    assert (await create(graphql, other))["version"] == "1"
    assert (await graphql(VERSIONS, id=model))["node"]["revision"] == 1


async def test_numbers_given_at_once_are_dense_and_unique(graphql: Graph, model: str) -> None:
    made = await asyncio.gather(*(create(graphql, model) for _ in range(16)))
    assert sorted(int(each["version"]) for each in made) == list(range(1, 17))


async def test_a_number_is_never_given_again(graphql: Graph, model: str) -> None:
    ids = [(await create(graphql, model))["id"] for _ in range(3)]
    for id_ in ids[1:]:
        await graphql.change(DELETE, input={"id": id_})
    assert (await create(graphql, model))["version"] == "4"
    refusal = await graphql.refused(CREATE, input={"modelId": model, "version": "3"})
    assert (refusal["code"], refusal["path"]) == ("NAME_TAKEN", ["input", "version"])
    assert await versions(graphql, model) == ["1", "4"]


@pytest.mark.parametrize(
    ("given", "following"),
    [("7", "8"), ("0", "1"), ("1", "2"), ("007", "1"), ("1.0", "1"), ("-1", "1"), ("v9", "1"), ("\u0663", "1")],
)
async def test_a_number_that_was_given_counts(graphql: Graph, model: str, given: str, following: str) -> None:
    assert (await create(graphql, model, version=given))["version"] == given
    assert (await create(graphql, model))["version"] == following


async def test_a_number_may_be_filled_in_and_does_not_turn_the_count_back(graphql: Graph, model: str) -> None:
    await create(graphql, model, version="5")
    await create(graphql, model, version="2")
    assert (await create(graphql, model))["version"] == "6"


@pytest.mark.parametrize("given", ["9" * 15, "9" * 16, "9" * 19, str(2**63 - 1), "9" * 255])
async def test_no_number_exhausts_the_count(graphql: Graph, model: str, given: str) -> None:
    await create(graphql, model, version=given)
    following = (await create(graphql, model))["version"]
    assert following == (str(10**15) if len(given) == 15 else "1")


async def test_the_same_string_gets_the_same_one_unchanged(graphql: Graph, model: str) -> None:
    first = await create(graphql, model, version="v1", description="first")
    again = await graphql.change(CREATE, input={"modelId": model, "version": "v1", "description": "second"})
    assert again["created"] is False
    assert again["modelVersion"] == first
    automatic = await create(graphql, model)
    again = await graphql.change(CREATE, input={"modelId": model, "version": automatic["version"]})
    assert (again["created"], again["modelVersion"]["id"]) == (False, automatic["id"])


async def test_many_at_once_make_one(graphql: Graph, model: str) -> None:
    answers = await asyncio.gather(
        *(graphql.change(CREATE, input={"modelId": model, "version": "v1"}) for _ in range(12))
    )
    assert sum(answer["created"] for answer in answers) == 1
    assert await versions(graphql, model) == ["v1"]


async def test_ids_of_neighbours_never_collide(graphql: Graph) -> None:
    """Where an id is put together, version `23` of `m1` is version `3` of `m12`."""
    pairs = [("m1", "23"), ("m12", "3"), ("m", "123"), ("m1-2", "3"), ("m1", "2-3")]
    ids = [(await create(graphql, await new_model(graphql, name), version=text))["id"] for name, text in pairs]
    assert len(set(ids)) == len(pairs)


async def test_the_name_falls_back_to_the_models(graphql: Graph, model: str) -> None:
    made = await create(graphql, model)
    assert made["name"] == "reader"
    rename = 'mutation ($id: ID!) { updateModel(input: {id: $id, patch: {name: "writer"}}) { model { id } } }'
    await graphql.change(rename, id=model)
    changed = await graphql.change(UPDATE, input={"id": made["id"], "patch": {"description": "d"}})
    assert changed["modelVersion"]["name"] == "writer"
    changed = await graphql.change(UPDATE, input={"id": made["id"], "patch": {"name": "own"}})
    assert changed["modelVersion"]["name"] == "own"
    changed = await graphql.change(UPDATE, input={"id": made["id"], "patch": {"name": None}})
    assert (changed["modelVersion"]["name"], changed["modelVersion"]["revision"]) == ("writer", 4)


async def test_there_is_none_without_a_model(graphql: Graph, model: str) -> None:
    await graphql.change(DELETE_MODEL, id=model)
    for id_ in (model, "mod_" + "0" * 32):
        refusal = await graphql.refused(CREATE, input={"modelId": id_})
        assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["input", "modelId"])
    refusal = await graphql.refused(CREATE, input={"modelId": "exp_" + "0" * 32})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "modelId"])
    for given in ({}, {"modelId": None}):
        with pytest.raises(RequestErrors):
            await graphql(CREATE, input=given)
    assert (await graphql("{ modelVersions { nodes { id } } }"))["modelVersions"]["nodes"] == []


async def test_the_checkpoint_brings_its_experiment(graphql: Graph, model: str) -> None:
    experiment = await new_experiment(graphql)
    checkpoint = await new_checkpoint(graphql, experiment)
    for given in ({}, {"experimentId": None}, {"experimentId": experiment}):
        made = await create(graphql, model, checkpointId=checkpoint, **given)
        assert (made["experiment"], made["checkpoint"]) == ({"id": experiment}, {"id": checkpoint})


async def test_checkpoint_and_experiment_belong_together(graphql: Graph, model: str) -> None:
    experiment, other = await new_experiment(graphql), await new_experiment(graphql)
    checkpoint = await new_checkpoint(graphql, experiment)
    refusal = await graphql.refused(CREATE, input={"modelId": model, "experimentId": other, "checkpointId": checkpoint})
    assert (refusal["code"], refusal["path"]) == ("CONFLICT", ["input", "checkpointId"])
    assert await versions(graphql, model) == []
    assert (await create(graphql, model))["version"] == "1"

    id_ = (await create(graphql, model, checkpointId=checkpoint))["id"]
    for links, path in (
        ({"experimentId": other}, "experimentId"),
        ({"experimentId": None}, "experimentId"),
        ({"checkpointId": await new_checkpoint(graphql, other)}, "checkpointId"),
    ):
        refusal = await graphql.refused(UPDATE, input={"id": id_, "patch": links})
        assert (refusal["code"], refusal["path"]) == ("CONFLICT", ["input", "patch", path])
    patch = {"experimentId": other, "checkpointId": None}
    changed = (await graphql.change(UPDATE, input={"id": id_, "patch": patch}))["modelVersion"]
    assert (changed["experiment"], changed["checkpoint"]) == ({"id": other}, None)


async def test_what_it_comes_from_must_be_in_sight(graphql: Graph, caller_with: Callers) -> None:
    hidden = await new_experiment(graphql, namespace="hidden")
    links = {"experimentId": hidden, "checkpointId": await new_checkpoint(graphql, hidden)}
    writer = graphql.by(await caller_with("WRITER", "mine"))
    model = await new_model(writer, "m", namespace="mine")
    for name, id_ in links.items():
        refusal = await writer.refused(CREATE, input={"modelId": model, name: id_})
        assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["input", name])
    made = await create(graphql, model, **links)
    seen = await writer(
        "query ($id: ID!) { node(id: $id) { ... on ModelVersion { experiment { id } checkpoint { id } } } }",
        id=made["id"],
    )
    assert seen["node"] == {"experiment": None, "checkpoint": None}


async def test_deleted_and_brought_back(graphql: Graph, model: str) -> None:
    first = (await create(graphql, model, version="v1"))["id"]
    await graphql.change(DELETE, input={"id": first})
    assert await versions(graphql, model) == []
    second = await graphql.change(CREATE, input={"modelId": model, "version": "v1"})
    assert second["created"] is True
    refusal = await graphql.refused(RESTORE, input={"id": first})
    assert (refusal["code"], refusal["path"]) == ("NAME_TAKEN", ["input", "newVersion"])
    back = await graphql.change(RESTORE, input={"id": first, "newVersion": "v1-old"})
    assert back["modelVersion"] == {"id": first, "version": "v1-old", "uniqueTags": []}
    events = (await graphql(HISTORY, id=first))["node"]["auditEvents"]["nodes"]
    assert [event["action"] for event in events] == ["RESTORE", "DELETE", "CREATE"]
    assert events[2]["after"]["modelId"] == model


async def test_a_number_comes_back_as_it_was_but_not_as_a_used_one(graphql: Graph, model: str) -> None:
    ids = [(await create(graphql, model))["id"] for _ in range(2)]
    for id_ in ids:
        await graphql.change(DELETE, input={"id": id_})
    refusal = await graphql.refused(RESTORE, input={"id": ids[0], "newVersion": "2"})
    assert (refusal["code"], refusal["path"]) == ("NAME_TAKEN", ["input", "newVersion"])
    assert (await graphql.change(RESTORE, input={"id": ids[0]}))["modelVersion"]["version"] == "1"
    assert (await graphql.change(RESTORE, input={"id": ids[1], "newVersion": "9"}))["modelVersion"]["version"] == "9"
    assert (await create(graphql, model))["version"] == "10"


async def test_versions_go_and_come_with_their_model(graphql: Graph, model: str) -> None:
    kept, gone = [(await create(graphql, model))["id"] for _ in range(2)]
    await graphql.change(DELETE, input={"id": gone})
    await graphql.change(DELETE_MODEL, id=model)
    assert (await graphql.refused(UPDATE, input={"id": kept, "patch": {}}))["code"] == "NOT_FOUND"
    refusal = await graphql.refused(RESTORE, input={"id": gone})
    assert (refusal["code"], refusal["path"]) == ("CONFLICT", ["input", "id"])
    await graphql.change(RESTORE_MODEL, id=model)
    assert await versions(graphql, model) == ["1"]


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"version": ""}, "version"),
        ({"version": "1/2"}, "version"),
        pytest.param({"version": "9" * 256}, "version", id="256 digits"),
        ({"name": "a:b"}, "name"),
        ({"labels": [" "]}, "labels"),
        ({"metadata": 1}, "metadata"),
        ({"experimentId": "x"}, "experimentId"),
        ({"checkpointId": "exp_" + "0" * 32}, "checkpointId"),
        ({"uniqueTags": ["ok", "not@ok"]}, "uniqueTags"),
        pytest.param({"uniqueTags": [f"t{n}" for n in range(101)]}, "uniqueTags", id="101 tags"),
    ],
)
async def test_a_bad_value_names_itself(graphql: Graph, model: str, values: dict[str, Any], path: str) -> None:
    refusal = await graphql.refused(CREATE, input={"modelId": model, **values})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", path])
    assert (await create(graphql, model))["version"] == "1"
