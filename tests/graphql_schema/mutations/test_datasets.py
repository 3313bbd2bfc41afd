"""Datasets by name and digest, and who uses them for what."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.graph import Callers, Graph

CREATE = """
    mutation ($input: CreateDatasetInput!) {
      createDataset(input: $input) {
        created
        dataset { id name digest uri description schema profile labels metadata revision namespace { path } }
        userErrors { code path message }
      }
    }
"""
UPDATE = """
    mutation ($input: UpdateDatasetInput!) {
      updateDataset(input: $input) {
        dataset { name digest uri schema profile labels revision }
        userErrors { code path message ... on RevisionConflict { currentRevision } }
      }
    }
"""
DELETE = "mutation ($id: ID!) { deleteDataset(input: {id: $id}) { deletedId userErrors { code path } } }"
RESTORE = """
    mutation ($input: RestoreInput!) {
      restoreDataset(input: $input) { dataset { id name } userErrors { code path message } }
    }
"""
LIST = "{ datasets { nodes { name digest } } }"
MAKE_MODEL = """
    mutation ($input: CreateModelInput!) { createModel(input: $input) { model { id } userErrors { message } } }
"""
MAKE_VERSION = """
    mutation ($id: ID!) {
      createModelVersion(input: {modelId: $id}) { modelVersion { id } userErrors { message } }
    }
"""
MAKE_EXPERIMENT = """
    mutation { createExperiment(input: {name: "e"}) { experiment { id } userErrors { message } } }
"""
DELETE_MODEL = "mutation ($id: ID!) { deleteModel(input: {id: $id}) { userErrors { message } } }"
RESTORE_MODEL = "mutation ($id: ID!) { restoreModel(input: {id: $id}) { userErrors { message } } }"
USE = """
    mutation ($input: UseDatasetInput!) {
      useDataset(input: $input) {
        created
        datasetUse {
          id role labels metadata revision namespace { path }
          dataset { name }
          object { __typename id }
        }
        userErrors { code path message }
      }
    }
"""
UPDATE_USE = """
    mutation ($input: UpdateDatasetUseInput!) {
      updateDatasetUse(input: $input) { datasetUse { role labels revision } userErrors { code path message } }
    }
"""
DELETE_USE = "mutation ($id: ID!) { deleteDatasetUse(input: {id: $id}) { deletedId userErrors { code path } } }"
RESTORE_USE = """
    mutation ($input: RestoreDatasetUseInput!) {
      restoreDatasetUse(input: $input) { datasetUse { id role } userErrors { code path message } }
    }
"""
USES = """
    query ($id: ID!) {
      node(id: $id) {
        ... on Model { datasets { nodes { role dataset { name } } } }
        ... on ModelVersion { datasets { nodes { role dataset { name } } } }
        ... on Experiment { datasets { nodes { role dataset { name } } } }
        ... on Dataset { uses { nodes { role object { id } } } }
      }
    }
"""
NODE = "query ($id: ID!) { node(id: $id) { id } }"
HISTORY = "query ($id: ID!) { node(id: $id) { ... on Entity { auditEvents { nodes { action before after } } } } }"
LOG = """
    mutation ($id: ID!) {
      logMetrics(input: {objectId: $id, points: [{key: "accuracy", value: 0.5}]}) {
        object { ... on DatasetUse { role metric(key: "accuracy") { last } } }
        userErrors { code path message }
      }
    }
"""
DIGEST = "sha256:" + "0" * 63 + "1"
OTHER_DIGEST = "sha256:" + "0" * 63 + "2"


async def a_dataset(graph: Graph, name: str = "cifar", **values: Any) -> str:
    return str((await graph.change(CREATE, input={"name": name, **values}))["dataset"]["id"])


async def a_model(graph: Graph, **values: Any) -> str:
    return str((await graph.change(MAKE_MODEL, input={"name": "m", **values}))["model"]["id"])


async def used(graph: Graph, object_id: str, dataset_id: str, role: str = "train", **values: Any) -> dict[str, Any]:
    wish = {"objectId": object_id, "datasetId": dataset_id, "role": role, **values}
    return await graph.change(USE, input=wish)


async def uses(graph: Graph, id_: str) -> list[dict[str, Any]]:
    (page,) = (await graph(USES, id=id_))["node"].values()
    nodes: list[dict[str, Any]] = page["nodes"]
    return nodes


async def test_a_dataset_is_kept_as_it_was_told(graphql: Graph) -> None:
    told = {
        "name": "cifar",
        "digest": DIGEST,
        "uri": "s3://bucket/cifar",
        "description": "pictures",
        "schema": {"columns": [{"name": "x", "type": "float32"}]},
        "profile": [1, {"rows": 50_000}],
        "labels": ["b", "a"],
        "metadata": {"a/b": None},
    }
    answer = await graphql.change(CREATE, input={**told, "namespace": "vision/small"})
    assert answer["created"] is True
    dataset = answer["dataset"]
    assert dataset.pop("id").startswith("dst_")
    assert dataset == {**told, "labels": ["a", "b"], "revision": 1, "namespace": {"path": "vision/small"}}


async def test_name_and_digest_make_a_dataset(graphql: Graph) -> None:
    wishes: list[dict[str, Any]] = [{"digest": DIGEST}, {"digest": OTHER_DIGEST}, {}, {"namespace": "other"}]
    first = [await graphql.change(CREATE, input={"name": "cifar", **wish}) for wish in wishes]
    assert [answer["created"] for answer in first] == [True] * 4
    again = [await graphql.change(CREATE, input={"name": "cifar", "uri": "x", **wish}) for wish in wishes]
    assert [answer["created"] for answer in again] == [False] * 4
    assert [answer["dataset"] for answer in again] == [answer["dataset"] for answer in first]


async def test_eight_makers_get_one_dataset(graphql: Graph) -> None:
    wish = {"name": "cifar", "digest": DIGEST}
    answers = await asyncio.gather(*(graphql.change(CREATE, input=wish) for _ in range(8)))
    assert len({answer["dataset"]["id"] for answer in answers}) == 1
    assert sum(answer["created"] for answer in answers) == 1


async def test_a_dataset_is_changed(graphql: Graph) -> None:
    id_ = await a_dataset(graphql, schema={"a": 1}, profile=[1])
    patch = {"name": "c", "digest": DIGEST, "schema": None, "profile": {"n": 1}, "labels": ["x"]}
    changed = (await graphql.change(UPDATE, input={"id": id_, "patch": patch, "ifRevision": 1}))["dataset"]
    assert changed == {**patch, "uri": None, "revision": 2}
    stale = await graphql.refused(UPDATE, input={"id": id_, "patch": {"name": "d"}, "ifRevision": 1})
    assert (stale["code"], stale["currentRevision"]) == ("REVISION_CONFLICT", 2)


@pytest.mark.parametrize("digest", [OTHER_DIGEST, None])
async def test_a_known_digest_stays(graphql: Graph, digest: str | None) -> None:
    id_ = await a_dataset(graphql, digest=DIGEST)
    refusal = await graphql.refused(UPDATE, input={"id": id_, "patch": {"digest": digest}})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "patch", "digest"])
    await graphql.change(UPDATE, input={"id": id_, "patch": {"digest": DIGEST, "uri": "x"}})


async def test_a_change_cannot_make_two_of_one(graphql: Graph) -> None:
    await a_dataset(graphql, "a", digest=DIGEST)
    other = await a_dataset(graphql, "b", digest=DIGEST)
    taken = await graphql.refused(UPDATE, input={"id": other, "patch": {"name": "a"}})
    assert (taken["code"], taken["path"]) == ("NAME_TAKEN", ["input", "patch", "name"])
    open_ = await a_dataset(graphql, "a")
    taken = await graphql.refused(UPDATE, input={"id": open_, "patch": {"digest": DIGEST}})
    assert (taken["code"], taken["path"]) == ("NAME_TAKEN", ["input", "patch", "digest"])


async def test_a_deleted_dataset_comes_back(graphql: Graph) -> None:
    id_ = await a_dataset(graphql, digest=DIGEST)
    model = await a_model(graphql)
    await used(graphql, model, id_)
    await graphql.change(DELETE, id=id_)
    assert (await graphql(LIST))["datasets"]["nodes"] == []
    assert await uses(graphql, model) == [{"role": "train", "dataset": None}]
    await a_dataset(graphql, digest=DIGEST)
    taken = await graphql.refused(RESTORE, input={"id": id_})
    assert (taken["code"], taken["path"]) == ("NAME_TAKEN", ["input", "newName"])
    back = (await graphql.change(RESTORE, input={"id": id_, "newName": "back"}))["dataset"]
    assert back == {"id": id_, "name": "back"}
    assert await uses(graphql, model) == [{"role": "train", "dataset": {"name": "back"}}]


async def test_models_versions_and_experiments_use_datasets(graphql: Graph) -> None:
    dataset = await a_dataset(graphql, namespace="data")
    model = await a_model(graphql, namespace="vision")
    version = (await graphql.change(MAKE_VERSION, id=model))["modelVersion"]["id"]
    experiment = (await graphql.change(MAKE_EXPERIMENT))["experiment"]["id"]
    for id_, type_, home in (
        (model, "Model", "vision"),
        (version, "ModelVersion", "vision"),
        (experiment, "Experiment", "default"),
    ):
        answer = await used(graphql, id_, dataset, labels=["l"], metadata={"rows": 5})
        assert answer["created"] is True
        use = answer["datasetUse"]
        assert use.pop("id").startswith("use_")
        assert use == {
            "role": "train",
            "labels": ["l"],
            "metadata": {"rows": 5},
            "revision": 1,
            "namespace": {"path": home},
            "dataset": {"name": "cifar"},
            "object": {"__typename": type_, "id": id_},
        }
        assert await uses(graphql, id_) == [{"role": "train", "dataset": {"name": "cifar"}}]
    assert {use["object"]["id"] for use in await uses(graphql, dataset)} == {model, version, experiment}


async def test_a_use_is_noted_once(graphql: Graph) -> None:
    model, dataset = await a_model(graphql), await a_dataset(graphql)
    answers = await asyncio.gather(*(used(graphql, model, dataset, labels=[f"{n}"]) for n in range(8)))
    assert len({answer["datasetUse"]["id"] for answer in answers}) == 1
    assert sum(answer["created"] for answer in answers) == 1
    assert (await used(graphql, model, dataset, "test"))["created"] is True
    assert len(await uses(graphql, model)) == 2


async def test_a_use_has_metrics_of_its_own_and_goes_with_its_user(graphql: Graph) -> None:
    model, dataset = await a_model(graphql), await a_dataset(graphql)
    version = (await graphql.change(MAKE_VERSION, id=model))["modelVersion"]["id"]
    use = (await used(graphql, version, dataset))["datasetUse"]["id"]
    assert (await graphql.change(LOG, id=use))["object"] == {"role": "train", "metric": {"last": 0.5}}
    await graphql.change(DELETE_MODEL, id=model)
    assert (await graphql(NODE, id=use))["node"] is None
    assert (await graphql.refused(LOG, id=use))["code"] == "NOT_FOUND"
    await graphql.change(RESTORE_MODEL, id=model)
    assert (await graphql(NODE, id=use))["node"] == {"id": use}


async def test_a_use_is_changed_deleted_and_brought_back(graphql: Graph) -> None:
    model, dataset = await a_model(graphql), await a_dataset(graphql)
    use = (await used(graphql, model, dataset))["datasetUse"]["id"]
    test = (await used(graphql, model, dataset, "test"))["datasetUse"]["id"]
    taken = await graphql.refused(UPDATE_USE, input={"id": use, "patch": {"role": "test"}})
    assert (taken["code"], taken["path"]) == ("NAME_TAKEN", ["input", "patch", "role"])
    change = {"id": use, "patch": {"role": "validation", "labels": ["x"]}}
    assert (await graphql.change(UPDATE_USE, input=change))["datasetUse"] == {**change["patch"], "revision": 2}
    events = (await graphql(HISTORY, id=use))["node"]["auditEvents"]["nodes"]
    assert [event["action"] for event in events] == ["UPDATE", "CREATE"]
    assert events[0]["before"] == {"role": "train", "labels": []}
    assert events[1]["after"] == {"role": "train", "objectId": model, "datasetId": dataset}
    await graphql.change(DELETE_USE, id=test)
    assert [node["role"] for node in await uses(graphql, model)] == ["validation"]
    await used(graphql, model, dataset, "test")
    taken = await graphql.refused(RESTORE_USE, input={"id": test})
    assert (taken["code"], taken["path"]) == ("NAME_TAKEN", ["input", "newRole"])
    back = (await graphql.change(RESTORE_USE, input={"id": test, "newRole": "old"}))["datasetUse"]
    assert back == {"id": test, "role": "old"}
    await graphql.change(DELETE_USE, id=test)
    await graphql.change(DELETE_MODEL, id=model)
    gone = await graphql.refused(RESTORE_USE, input={"id": test})
    assert (gone["code"], gone["path"]) == ("CONFLICT", ["input", "id"])


async def test_what_cannot_use_a_dataset(graphql: Graph) -> None:
    model, dataset = await a_model(graphql), await a_dataset(graphql)
    for wish, code, path in (
        ({"objectId": dataset}, "INVALID", "objectId"),
        ({"objectId": "mod_x"}, "INVALID", "objectId"),
        ({"objectId": "mod_" + "0" * 32}, "NOT_FOUND", "objectId"),
        ({"datasetId": model}, "INVALID", "datasetId"),
        ({"datasetId": "dst_" + "0" * 32}, "NOT_FOUND", "datasetId"),
        ({"role": ""}, "INVALID", "role"),
        ({"role": "a/b"}, "INVALID", "role"),
        ({"metadata": []}, "INVALID", "metadata"),
    ):
        good = {"objectId": model, "datasetId": dataset, "role": "train"}
        refusal = await graphql.refused(USE, input={**good, **wish})
        assert (refusal["code"], refusal["path"]) == (code, ["input", path])
    assert await uses(graphql, model) == []


async def test_who_may_use_and_change_datasets(graphql: Graph, caller_with: Callers) -> None:
    model, dataset = await a_model(graphql, namespace="vision"), await a_dataset(graphql, namespace="data")
    wish = {"objectId": model, "datasetId": dataset, "role": "train"}
    writer = graphql.by(await caller_with("WRITER", "vision"))
    refusal = await writer.refused(USE, input=wish)
    assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["input", "datasetId"])
    reader = graphql.by(await caller_with("READER", "data"))
    refusal = await reader.refused(USE, input=wish)
    assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["input", "objectId"])
    assert (await reader.refused(UPDATE, input={"id": dataset, "patch": {}}))["code"] == "FORBIDDEN"
    assert (await reader.refused(CREATE, input={"name": "x", "namespace": "data"}))["code"] == "FORBIDDEN"
    assert (await graphql.by(await caller_with("WRITER", "data")).refused(DELETE, id=dataset))["code"] == "FORBIDDEN"
    assert (await writer.refused(DELETE, id=dataset))["code"] == "NOT_FOUND"
    mine = {"name": "own", "namespace": "vision/data"}
    own = (await writer.change(CREATE, input=mine))["dataset"]["id"]
    use = (await used(writer, model, own))["datasetUse"]["id"]
    assert (await writer.refused(DELETE_USE, id=use))["code"] == "FORBIDDEN"
    await graphql.by(await caller_with("MAINTAINER", "vision")).change(DELETE_USE, id=use)
