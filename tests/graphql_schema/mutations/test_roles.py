"""Every mutation by every role, at home and abroad: what a role does not allow is refused and leaves nothing.

The list of mutations comes from the schema, so that a new one without a sample here fails.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import pytest
from graphql import GraphQLObjectType
from sqlmodel import SQLModel

from db.access import Role
from graphql_schema.mutation import MutationRead
from graphql_schema.schema import graphql_schema, registry
from tests.graph import Callers, Graph

HOME = "canary/home"
TENANT_WIDE = {"createServiceAccount", "disableActor", "enableActor", "createToken", "revokeToken"}
"""What only an admin of the whole tenant may do: a role on a namespace never suffices."""


def mutations() -> list[str]:
    root = graphql_schema.mutation_type
    assert isinstance(root, GraphQLObjectType)
    return sorted(root.fields)


def needed(name: str) -> Role:
    read = registry[("Mutation", name)]
    assert isinstance(read, MutationRead)
    return read.role


@dataclass(frozen=True)
class World:
    """Ids of one object of each type in `canary/home`; those in `gone` are deleted."""

    live: dict[str, str]
    gone: dict[str, str]


def creations(ids: dict[str, str]) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """How an object of each type comes to be: the mutation, the payload's field, and the input."""
    return {
        "namespace": ("createNamespace", "namespace", {"path": HOME}),
        "model": ("createModel", "model", {"name": "canary-model", "namespace": HOME}),
        "experiment": ("createExperiment", "experiment", {"name": "canary-run", "namespace": HOME}),
        "checkpoint": ("createCheckpoint", "checkpoint", {"experimentId": ids.get("experiment")}),
        "version": ("createModelVersion", "modelVersion", {"modelId": ids.get("model")}),
        "dataset": ("createDataset", "dataset", {"name": "canary-data", "namespace": HOME}),
        "use": (
            "useDataset",
            "datasetUse",
            {"objectId": ids.get("experiment"), "datasetId": ids.get("dataset"), "role": "train"},
        ),
        "artifact": (
            "trackArtifacts",
            "artifacts",
            {
                "objectId": ids.get("experiment"),
                "artifacts": [{"name": "canary-files", "kind": "OTHER", "files": [{"path": "a", "uri": "s3://b/a"}]}],
            },
        ),
    }


def input_type(name: str) -> str:
    root = graphql_schema.mutation_type
    assert root is not None
    return str(root.fields[name].args["input"].type)


def document(name: str, selection: str = "") -> str:
    return (
        f"mutation ($input: {input_type(name)}) {{"
        f" {name}(input: $input) {{ {selection} userErrors {{ code message path }} }} }}"
    )


async def make(graph: Graph, kind: str, ids: dict[str, str], **changes: Any) -> str:
    name, field, wanted = creations(ids)[kind]
    found = (await graph.change(document(name, f"{field} {{ id }}"), input={**wanted, **changes}))[field]
    made: str = (found[0] if isinstance(found, list) else found)["id"]
    return made


DELETIONS = {
    "model": "deleteModel",
    "experiment": "deleteExperiment",
    "checkpoint": "deleteCheckpoint",
    "version": "deleteModelVersion",
    "dataset": "deleteDataset",
    "use": "deleteDatasetUse",
    "artifact": "deleteArtifact",
    "namespace": "deleteNamespace",
}
OTHER_NAMES: dict[str, dict[str, Any]] = {
    "namespace": {"path": f"{HOME}/gone"},
    "model": {"name": "gone"},
    "experiment": {"name": "gone"},
    "dataset": {"name": "gone"},
    "use": {"role": "gone"},
    "artifact": {"artifacts": [{"name": "gone", "kind": "OTHER", "files": [{"path": "a", "uri": "s3://b/a"}]}]},
}


@pytest.fixture
async def world(graphql: Graph) -> World:
    live: dict[str, str] = {}
    for kind in creations({}):
        live[kind] = await make(graphql, kind, live)
    gone = {kind: await make(graphql, kind, live, **OTHER_NAMES.get(kind, {})) for kind in live}
    for kind, deletion in DELETIONS.items():
        await graphql.change(document(deletion), input={"id": gone[kind]})
    points = [{"key": key, "value": 1.0} for key in ("canary/a", "canary/b")]
    await graphql.change(document("logMetrics"), input={"objectId": live["model"], "points": points})
    for name in ("resumed", "completed", "aborted"):
        upload = await graphql.change(document("beginUpload", "upload { id }"), input=upload_of(live, name))
        live[name] = upload["upload"]["id"]
    tag = {"versionId": live["version"], "tag": "canary-tag"}
    await graphql.change(document("setUniqueTag"), input=tag)
    return World(live, gone)


def upload_of(live: dict[str, str], name: str) -> dict[str, Any]:
    """An upload that can be completed at once: its file is empty."""
    empty = {"path": "a", "size": 0, "digest": f"sha256:{hashlib.sha256().hexdigest()}"}
    return {"objectId": live["experiment"], "name": name, "files": [empty]}


def samples(world: World, actor: str) -> dict[str, dict[str, Any]]:
    """An input for every mutation that would be done if the caller were allowed to."""
    live, gone = world.live, world.gone
    patch = {"patch": {"labels": ["changed"]}}
    event = {"objectId": live["experiment"], "name": "e", "source": "s"}
    created = {name: wanted for name, _, wanted in creations(live).values()}
    return {
        **created,
        "createNamespace": {"path": f"{HOME}/new"},
        "createModel": {"name": "new", "namespace": HOME},
        "createExperiment": {"name": "new", "namespace": HOME},
        "createDataset": {"name": "new", "namespace": HOME},
        "useDataset": {**created["useDataset"], "role": "new"},
        "updateNamespace": {"id": live["namespace"], **patch},
        "setStorageQuota": {"namespaceId": live["namespace"], "bytes": 1_000_000_000},
        "updateModel": {"id": live["model"], **patch},
        "updateModelVersion": {"id": live["version"], **patch},
        "updateExperiment": {"id": live["experiment"], **patch},
        "updateCheckpoint": {"id": live["checkpoint"], **patch},
        "updateDataset": {"id": live["dataset"], **patch},
        "updateDatasetUse": {"id": live["use"], **patch},
        "updateArtifact": {"id": live["artifact"], "patch": {"metadata": {"changed": True}}},
        **of_files(live),
        "heartbeat": {"id": live["experiment"]},
        "finishExperiment": {"id": live["experiment"], "status": "COMPLETED"},
        "setUniqueTag": {"versionId": live["version"], "tag": "new"},
        "removeUniqueTag": {"modelId": live["model"], "tag": "canary-tag"},
        "logMetrics": {"objectId": live["model"], "points": [{"key": "k", "value": 1.0}]},
        "renameSeries": {"objectId": live["model"], "key": "canary/a", "newKey": "c"},
        "deleteSeries": {"objectId": live["model"], "key": "canary/b"},
        "logMetadata": {"objectId": live["model"], "metadata": {"k": 1}},
        "logEvents": {"events": [event]},
        **{DELETIONS[kind]: {"id": live[kind]} for kind in DELETIONS},
        **{DELETIONS[kind].replace("delete", "restore"): {"id": gone[kind]} for kind in DELETIONS},
        **of_access(live, actor),
    }


def of_files(live: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {
        "beginUpload": upload_of(live, "new"),
        "resumeUpload": {"id": live["resumed"]},
        "completeUpload": {"id": live["completed"]},
        "abortUpload": {"id": live["aborted"]},
        "commitCheckpoint": {"id": live["checkpoint"]},
        "promoteCheckpoint": {"checkpointId": live["checkpoint"], "modelId": live["model"]},
        "resumeExperiment": {"id": live["experiment"], "step": 0},
    }


def of_access(live: dict[str, str], actor: str) -> dict[str, dict[str, Any]]:
    return {
        "grantRole": {"actorId": actor, "role": "READER", "namespaceId": live["namespace"]},
        "revokeRole": {"id": live["grant"]},
        "createServiceAccount": {"name": "new"},
        "createToken": {"actorId": actor},
        "revokeToken": {"id": live["token"]},
        "disableActor": {"id": actor},
        "enableActor": {"id": actor},
    }


@pytest.fixture
async def inputs(graphql: Graph, world: World) -> dict[str, dict[str, Any]]:
    account = document("createServiceAccount", "serviceAccount { id }")
    actor = (await graphql.change(account, input={"name": "canary-account"}))["serviceAccount"]["id"]
    granted = {"actorId": actor, "role": "READER", "namespaceId": world.live["namespace"]}
    grant = await graphql.change(document("grantRole", "grants { id }"), input=granted)
    token = await graphql.change(document("createToken", "tokens { id }"), input={"actorId": actor})
    world.live["grant"], world.live["token"] = grant["grants"][0]["id"], token["tokens"][0]["id"]
    return samples(world, actor)


async def written(graph: Graph) -> dict[str, int]:
    """How many rows each table holds; refusals leave only their own record."""
    counts: dict[str, int] = {}
    async with graph.database.connection() as connection:
        for table in SQLModel.metadata.sorted_tables:
            kept = " WHERE action <> 'DENIED'" if table.name == "audit_event" else ""
            counts[table.name] = await connection.fetchval(f'SELECT count(*) FROM "{table.name}"{kept}')
    return counts


async def test_every_mutation_has_a_sample(inputs: dict[str, dict[str, Any]]) -> None:
    assert sorted(inputs) == mutations()


async def test_an_admin_may_do_everything(graphql: Graph, inputs: dict[str, dict[str, Any]]) -> None:
    """So the refusals below are of the role, and of nothing else."""
    # What contains others goes last, or they would be gone with it.
    last = ["deleteArtifact", "deleteDatasetUse", "deleteCheckpoint", "deleteModelVersion", "deleteDataset"]
    last += ["deleteExperiment", "deleteModel", "revokeRole", "revokeToken", "deleteNamespace", "disableActor"]
    for name in [*(name for name in mutations() if name not in last), *last]:
        payload = await graphql.change(document(name), input=inputs[name])
        assert payload["userErrors"] == [], name


@pytest.mark.parametrize("role", [*Role])
async def test_at_home_a_lesser_role_is_forbidden(
    graphql: Graph, caller_with: Callers, inputs: dict[str, dict[str, Any]], role: Role
) -> None:
    somebody = graphql.by(await caller_with(role, HOME))
    refused = [name for name in mutations() if role < needed(name) or name in TENANT_WIDE]
    before = await written(graphql)
    for name in refused:
        error = await somebody.refused(document(name), input=inputs[name])
        assert error["code"] == "FORBIDDEN", (name, error)
    assert await written(graphql) == before


async def test_abroad_nothing_of_it_exists(
    graphql: Graph, caller_with: Callers, inputs: dict[str, dict[str, Any]]
) -> None:
    stranger = graphql.by(await caller_with(Role.ADMIN, "elsewhere"))
    before = await written(graphql)
    for name in mutations():
        error = await stranger.refused(document(name), input=inputs[name])
        wanted = "FORBIDDEN" if name in TENANT_WIDE else "NOT_FOUND"
        assert error["code"] == wanted, (name, error)
        assert "canary" not in error["message"].replace(HOME, ""), error
    assert await written(graphql) == before


async def test_no_list_and_no_id_leads_a_stranger_there(
    graphql: Graph, caller_with: Callers, inputs: dict[str, dict[str, Any]], world: World
) -> None:
    await graphql.change(document("logEvents"), input=inputs["logEvents"])
    stranger = graphql.by(await caller_with(Role.ADMIN, "elsewhere"))
    lists = {
        "namespaces": "path",
        "models": "name",
        "modelVersions": "name",
        "experiments": "name",
        "checkpoints": "id",
        "datasets": "name",
        "artifacts": "name",
        "events": "name",
        "auditEvents": "objectName actorName",
    }
    selection = " ".join(f"{name} {{ totalCount nodes {{ __typename {field} }} }}" for name, field in lists.items())
    seen = await stranger(f"{{ {selection} }}")
    assert "canary" not in repr(seen), seen
    assert [seen[name]["totalCount"] for name in lists if name not in ("namespaces", "auditEvents")] == [0] * 7
    nodes = [id_ for kind, id_ in world.live.items() if kind not in ("grant", "token", "completed")]
    found = await stranger("query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", ids=nodes)
    assert found["nodes"] == [None] * len(nodes)
