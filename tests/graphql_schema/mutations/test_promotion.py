"""Checkpoints become model versions, with lineage and files, in one step."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from tests.blobs import stored_artifact, stored_file
from tests.graph import Callers, Graph

EXPERIMENT = "mutation ($n: String!) { createExperiment(input: {namespace: $n}) { experiment { id } } }"
CHECKPOINT = "mutation ($input: CreateCheckpointInput!) { createCheckpoint(input: $input) { checkpoint { id } } }"
MODEL = 'mutation ($n: String!) { createModel(input: {name: "m", namespace: $n}) { model { id } } }'
PROMOTE = """
    mutation ($input: PromoteCheckpointInput!) {
      promoteCheckpoint(input: $input) {
        created userErrors { code path message }
        modelVersion {
          id version name description framework status labels metadata uniqueTags
          model { id } experiment { id } checkpoint { id }
          artifacts(orderBy: [{field: NAME}]) { nodes {
            id name kind status shard fileCount totalSize files { nodes { id path size digest uri verifiedAt } }
          } }
        }
      }
    }
"""
FILES = """
    query ($id: ID!) { node(id: $id) { ... on Checkpoint { artifacts(orderBy: [{field: NAME}]) { nodes {
      id name kind status shard fileCount totalSize files { nodes { id path size digest uri verifiedAt } }
    } } } } }
"""
TRACK = """
    mutation ($id: ID!) {
      trackArtifacts(input: {objectId: $id, artifacts: [{name: "tracked", kind: CODE, metadata: {a: 1},
        files: [{path: "x", uri: "s3://b/x"}]}]}) { artifacts { id } userErrors { code } }
    }
"""
AUDIT = "query ($id: ID!) { node(id: $id) { ... on Artifact { id } } auditEvents(first: 5) { nodes { action after } } }"
COUNT = "SELECT (SELECT count(*) FROM blob), (SELECT count(*) FROM file), (SELECT count(DISTINCT blob_id) FROM file)"
DELETE_VERSION = "mutation ($id: ID!) { deleteModelVersion(input: {id: $id}) { deletedId userErrors { code } } }"


class World:
    """A checkpoint with files in `runs`, and a model in `shop`."""

    def __init__(self, graphql: Graph) -> None:
        self.graphql = graphql

    async def make(self) -> World:
        self.experiment = (await self.graphql.change(EXPERIMENT, n="runs"))["experiment"]["id"]
        self.model = (await self.graphql.change(MODEL, n="shop"))["model"]["id"]
        self.checkpoint = await self.saved()
        for shard in (1, 0):
            await stored_file(
                self.graphql.database, self.checkpoint, "w.bin", b"%d" % shard, artifact=f"rank-{shard}", shard=shard
            )
        await stored_file(self.graphql.database, self.checkpoint, "copy.bin", b"0", artifact="rank-1")
        await self.graphql.change(TRACK, id=self.checkpoint)
        await stored_artifact(self.graphql.database, self.checkpoint, "unfinished", status="PENDING")
        return self

    async def saved(self, **values: Any) -> str:
        given = {"experimentId": self.experiment, **values}
        id_: str = (await self.graphql.change(CHECKPOINT, input=given))["checkpoint"]["id"]
        return id_

    def wanted(self, **values: Any) -> dict[str, Any]:
        return {"checkpointId": self.checkpoint, "modelId": self.model, **values}

    async def files(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.graphql(FILES, id=self.checkpoint))["node"]["artifacts"]["nodes"]
        return [artifact for artifact in found if artifact["status"] == "READY"]


@pytest.fixture
async def world(graphql: Graph) -> World:
    return await World(graphql).make()


def without_ids(artifacts: list[dict[str, Any]]) -> list[Any]:
    files = [[{**file, "id": None} for file in artifact["files"]["nodes"]] for artifact in artifacts]
    return [{**artifact, "id": None, "files": inner} for artifact, inner in zip(artifacts, files, strict=True)]


async def test_a_version_has_the_lineage_and_the_files_of_its_checkpoint(graphql: Graph, world: World) -> None:
    own = {"version": "1.0", "name": "n", "description": "d", "framework": "PYTORCH", "labels": ["l"]}
    given = world.wanted(**own, metadata={"k": 1}, uniqueTags=["prod"])
    async with graphql.database.connection() as connection:
        blobs, files, _ = await connection.fetchrow(COUNT)
    made = await graphql.change(PROMOTE, input=given)
    version = made["modelVersion"]
    assert made["created"] is True
    assert {name: version[name] for name in own} == own
    assert (version["metadata"], version["uniqueTags"], version["status"]) == ({"k": 1}, ["prod"], "READY")
    links = [version[name]["id"] for name in ("model", "experiment", "checkpoint")]
    assert links == [world.model, world.experiment, world.checkpoint]
    originals = await world.files()
    copies = version["artifacts"]["nodes"]
    assert [each["name"] for each in copies] == ["rank-0", "rank-1", "tracked"]
    assert without_ids(copies) == without_ids(originals)
    ids = {file["id"] for artifact in (*copies, *originals) for file in artifact["files"]["nodes"]}
    assert len(ids) == 8
    async with graphql.database.connection() as connection:
        assert tuple(await connection.fetchrow(COUNT)) == (blobs, 2 * files, blobs), "bytes are shared"


async def test_what_was_copied_is_told(graphql: Graph, world: World) -> None:
    version = (await graphql.change(PROMOTE, input=world.wanted(artifactNames=["rank-1"])))["modelVersion"]
    (copy,) = version["artifacts"]["nodes"]
    (original,) = [each for each in await world.files() if each["name"] == "rank-1"]
    events = (await graphql(AUDIT, id=copy["id"]))["auditEvents"]["nodes"]
    assert [event["action"] for event in events[:2]] == ["CREATE", "CREATE"]
    assert events[0]["after"] == {
        "name": "rank-1",
        "ownerId": version["id"],
        "kind": "CHECKPOINT",
        "metadata": {},
        "copiedFrom": original["id"],
        "fileCount": 2,
    }
    assert events[1]["after"]["checkpointId"] == world.checkpoint


async def test_a_version_that_is_there_stays_as_it_is(graphql: Graph, world: World) -> None:
    first = await graphql.change(PROMOTE, input=world.wanted(version="1", artifactNames=[]))
    assert first["modelVersion"]["artifacts"]["nodes"] == []
    again = await graphql.change(PROMOTE, input=world.wanted(version="1"))
    assert (again["created"], again["modelVersion"]) == (False, first["modelVersion"])


async def test_many_at_once_make_one_version_with_one_set_of_files(graphql: Graph, world: World) -> None:
    made = await asyncio.gather(*(graphql.change(PROMOTE, input=world.wanted(version="v")) for _ in range(6)))
    assert sum(each["created"] for each in made) == 1
    assert {len(each["modelVersion"]["artifacts"]["nodes"]) for each in made} == {3}
    numbered = await asyncio.gather(*(graphql.change(PROMOTE, input=world.wanted()) for _ in range(4)))
    assert sorted(each["modelVersion"]["version"] for each in numbered) == ["1", "2", "3", "4"]


async def test_the_same_key_gives_the_same_version(graphql: Graph, world: World) -> None:
    one, two = [await graphql.change(PROMOTE, input=world.wanted(idempotencyKey="k")) for _ in range(2)]
    assert one == two


async def test_only_what_is_complete_is_promoted(graphql: Graph, world: World) -> None:
    pending = await world.saved(expectedShards=1)
    refusal = await graphql.refused(PROMOTE, input=world.wanted(checkpointId=pending))
    assert (refusal["code"], refusal["path"]) == ("CONFLICT", ["input", "checkpointId"])
    refusal = await graphql.refused(PROMOTE, input=world.wanted(artifactNames=["rank-0", "unfinished"]))
    assert (refusal["code"], refusal["path"]) == ("CONFLICT", ["input", "artifactNames", "1"])
    refusal = await graphql.refused(PROMOTE, input=world.wanted(artifactNames=["none"]))
    assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["input", "artifactNames", "0"])
    made = await graphql.change(PROMOTE, input=world.wanted())
    assert made["modelVersion"]["version"] == "1", "what was refused left nothing"


async def test_a_reader_of_the_checkpoint_who_writes_models_may(graphql: Graph, caller_with: Callers) -> None:
    world = await World(graphql).make()
    somebody = await caller_with("WRITER", "shop")
    refusal = await graphql.by(somebody).refused(PROMOTE, input=world.wanted())
    assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["input", "checkpointId"])
    reader = await caller_with("READER", "runs")
    both = type(somebody)(
        somebody.tenant_id, somebody.actor_id, somebody.name, somebody.kind, {**somebody.grants, **reader.grants}
    )
    made = await graphql.by(both).change(PROMOTE, input=world.wanted())
    assert len(made["modelVersion"]["artifacts"]["nodes"]) == 3
    refusal = await graphql.by(both).refused(PROMOTE, input=world.wanted(uniqueTags=["prod"]))
    assert (refusal["code"], refusal["path"]) == ("FORBIDDEN", ["input", "uniqueTags"])
    refusal = await graphql.by(reader).refused(PROMOTE, input=world.wanted())
    assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["input", "modelId"])


async def test_bytes_that_are_being_removed_are_not_shared(graphql: Graph, world: World) -> None:
    async with graphql.database.connection() as connection:
        await connection.execute("UPDATE blob SET doomed_at = now()")
    refusal = await graphql.refused(PROMOTE, input=world.wanted())
    assert (refusal["code"], refusal["path"]) == ("CONFLICT", ["input", "checkpointId"])


async def test_ten_thousand_files(graphql: Graph, world: World) -> None:
    id_ = UUID(world.checkpoint.partition("_")[2])
    async with graphql.database.connection() as connection:
        await connection.execute(
            "INSERT INTO file (tenant_id, id, artifact_id, path, size, digest, blob_id, created_at)"
            " SELECT f.tenant_id, gen_random_uuid(), f.artifact_id, 'many/' || n, f.size, f.digest, f.blob_id, now()"
            " FROM (SELECT f.* FROM file f JOIN artifact a ON a.id = f.artifact_id AND a.object_id = $1"
            " AND a.shard = 0 LIMIT 1) f, generate_series(1, 10000) n",
            id_,
        )
    made = await graphql.change(PROMOTE, input=world.wanted())
    assert [each["fileCount"] for each in made["modelVersion"]["artifacts"]["nodes"]] == [10_001, 2, 1]
    await graphql.change(DELETE_VERSION, id=made["modelVersion"]["id"])
