"""Checkpoints of several shards: nothing is resumed from before all of it is there."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from tests.blobs import stored_artifact, stored_file
from tests.graph import Callers, Graph

EXPERIMENT = "mutation { createExperiment(input: {}) { experiment { id } } }"
CREATE = """
    mutation ($input: CreateCheckpointInput!) {
      createCheckpoint(input: $input) {
        checkpoint { id status isPinned shards { expected received missing } revision } userErrors { code path message }
      }
    }
"""
COMMIT = """
    mutation ($id: ID!) {
      commitCheckpoint(input: {id: $id}) {
        checkpoint { id status shards { expected received missing } revision } userErrors { code path message }
      }
    }
"""
UPDATE = """
    mutation ($input: UpdateCheckpointInput!) {
      updateCheckpoint(input: $input) { checkpoint { isPinned revision } userErrors { code path message } }
    }
"""
DELETE = "mutation ($id: ID!) { deleteCheckpoint(input: {id: $id}) { deletedId userErrors { code } } }"
DELETE_ARTIFACT = "mutation ($id: ID!) { deleteArtifact(input: {id: $id}) { deletedId userErrors { code } } }"
RESTORE = """
    mutation ($id: ID!) {
      restoreCheckpoint(input: {id: $id}) { checkpoint { isPinned } userErrors { code path message } }
    }
"""
SEEN = """
    query ($id: ID!) {
      node(id: $id) { ... on Experiment {
        latestCheckpoint { id } bestCheckpoint(metric: "m") { id } resumeState { checkpoint { id } }
      } }
    }
"""
LOG = """
    mutation ($id: ID!) {
      logMetrics(input: {objectId: $id, points: [{key: "m", value: 1}]}) { userErrors { code } }
    }
"""
SHARDS = "query ($id: ID!) { node(id: $id) { ... on Checkpoint { status shards { received missing } } } }"
HISTORY = "query ($id: ID!) { node(id: $id) { ... on Checkpoint { auditEvents { nodes { action after } } } } }"
PURGE = "UPDATE artifact SET purged_at = $2, deleted_at = coalesce(deleted_at, $2) WHERE id = $1"


@pytest.fixture
async def experiment(graphql: Graph) -> str:
    id_: str = (await graphql.change(EXPERIMENT))["experiment"]["id"]
    return id_


async def create(graphql: Graph, experiment: str, **values: Any) -> dict[str, Any]:
    made: dict[str, Any] = (await graphql.change(CREATE, input={"experimentId": experiment, **values}))["checkpoint"]
    return made


async def test_without_shards_it_is_ready_at_once(graphql: Graph, experiment: str) -> None:
    made = await create(graphql, experiment)
    assert (made["status"], made["isPinned"], made["shards"]) == ("READY", False, None)
    assert (await graphql.change(COMMIT, id=made["id"]))["checkpoint"]["revision"] == 1


async def test_it_is_ready_when_every_shard_is_there(graphql: Graph, experiment: str) -> None:
    made = await create(graphql, experiment, expectedShards=3, step=7)
    id_ = made["id"]
    assert (made["status"], made["shards"]) == ("PENDING", {"expected": 3, "received": 0, "missing": [0, 1, 2]})
    await graphql.change(LOG, id=id_)
    await stored_file(graphql.database, id_, artifact="rank-2", shard=2)
    await stored_file(graphql.database, id_, artifact="config")
    opened = await stored_artifact(graphql.database, id_, "rank-1", shard=1, status="PENDING")
    refusal = await graphql.refused(COMMIT, id=id_)
    assert (refusal["code"], refusal["path"]) == ("UPLOAD_INCOMPLETE", ["input", "id"])
    assert "2 of 3 shards are missing: 0, 1." in refusal["message"]
    assert (await graphql(SEEN, id=experiment))["node"] == {
        "latestCheckpoint": None,
        "bestCheckpoint": None,
        "resumeState": None,
    }
    await graphql.change(DELETE_ARTIFACT, id=opened)
    for shard in (0, 1):
        await stored_file(graphql.database, id_, artifact=f"rank-{shard}", shard=shard)
    done = (await graphql.change(COMMIT, id=id_))["checkpoint"]
    assert done == {
        "id": id_,
        "status": "READY",
        "shards": {"expected": 3, "received": 3, "missing": []},
        "revision": 2,
    }
    assert (await graphql(SEEN, id=experiment))["node"] == {
        "latestCheckpoint": {"id": id_},
        "bestCheckpoint": {"id": id_},
        "resumeState": {"checkpoint": {"id": id_}},
    }
    events = (await graphql(HISTORY, id=id_))["node"]["auditEvents"]["nodes"]
    assert [event["after"] for event in events] == [
        {"status": "READY"},
        {"experimentId": experiment, "step": 7, "expectedShards": 3, "status": "PENDING"},
    ]


async def test_a_deleted_shard_is_missing(graphql: Graph, experiment: str) -> None:
    id_ = (await create(graphql, experiment, expectedShards=1))["id"]
    artifact = await stored_file(graphql.database, id_, shard=0)
    await graphql.change(DELETE_ARTIFACT, id=artifact)
    assert (await graphql.refused(COMMIT, id=id_))["code"] == "UPLOAD_INCOMPLETE"
    await stored_file(graphql.database, id_, artifact="again", shard=0)
    assert (await graphql.change(COMMIT, id=id_))["checkpoint"]["status"] == "READY"


async def test_many_commit_at_once_and_it_happens_once(graphql: Graph, experiment: str) -> None:
    id_ = (await create(graphql, experiment, expectedShards=4))["id"]
    for shard in range(4):
        await stored_file(graphql.database, id_, artifact=f"rank-{shard}", shard=shard)
    done = await asyncio.gather(*(graphql.change(COMMIT, id=id_) for _ in range(8)))
    assert [each["checkpoint"]["revision"] for each in done] == [2] * 8


async def test_a_shard_that_goes_while_it_is_committed_goes_before_or_after(graphql: Graph, experiment: str) -> None:
    """Never READY without a shard, unless somebody deleted that from a READY one."""
    for _ in range(6):
        id_ = (await create(graphql, experiment, expectedShards=1))["id"]
        artifact = await stored_file(graphql.database, id_, shard=0)
        committed, _deleted = await asyncio.gather(
            graphql(COMMIT, id=id_), graphql.change(DELETE_ARTIFACT, id=artifact)
        )
        payload = committed["commitCheckpoint"]
        refused = bool(payload["userErrors"])
        seen = (await graphql(SHARDS, id=id_))["node"]
        assert seen == {"status": "PENDING" if refused else "READY", "shards": {"received": 0, "missing": [0]}}


async def test_a_long_list_of_missing_shards_is_cut(graphql: Graph, experiment: str) -> None:
    made = await create(graphql, experiment, expectedShards=4096)
    assert made["shards"]["missing"] == list(range(4096))
    assert "18, 19, …. Complete" in (await graphql.refused(COMMIT, id=made["id"]))["message"]


@pytest.mark.parametrize("count", [0, -1, 4097])
async def test_the_number_of_shards_is_bounded(graphql: Graph, experiment: str, count: int) -> None:
    refusal = await graphql.refused(CREATE, input={"experimentId": experiment, "expectedShards": count})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "expectedShards"])


async def test_a_reader_commits_nothing(graphql: Graph, caller_with: Callers, experiment: str) -> None:
    id_ = (await create(graphql, experiment, expectedShards=1))["id"]
    await stored_file(graphql.database, id_, shard=0)
    reader = graphql.by(await caller_with("READER", "default"))
    assert (await reader.refused(COMMIT, id=id_))["code"] == "FORBIDDEN"
    stranger = graphql.by(await caller_with("ADMIN", "elsewhere"))
    assert (await stranger.refused(COMMIT, id=id_))["code"] == "NOT_FOUND"
    await graphql.change(DELETE, id=id_)
    assert (await graphql.refused(COMMIT, id=id_))["code"] == "NOT_FOUND"


async def test_pinned_and_let_go(graphql: Graph, experiment: str) -> None:
    made = await create(graphql, experiment, pinned=True)
    assert made["isPinned"] is True
    changed = await graphql.change(UPDATE, input={"id": made["id"], "patch": {"pinned": False}})
    assert changed["checkpoint"] == {"isPinned": False, "revision": 2}
    refusal = await graphql.refused(UPDATE, input={"id": made["id"], "patch": {"pinned": None}})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "patch", "pinned"])


async def test_one_whose_files_were_forgotten_does_not_come_back(graphql: Graph, experiment: str) -> None:
    id_ = (await create(graphql, experiment))["id"]
    before = await stored_file(graphql.database, id_, artifact="before")
    await graphql.change(DELETE_ARTIFACT, id=before)
    artifact = await stored_file(graphql.database, id_)

    async def forget(text: str) -> None:
        async with graphql.database.connection() as connection:
            await connection.execute(PURGE, UUID(text.partition("_")[2]), datetime.now(UTC))

    await graphql.change(DELETE, id=id_)
    await forget(before)
    assert (await graphql.change(RESTORE, id=id_))["checkpoint"] == {"isPinned": False}
    await graphql.change(DELETE, id=id_)
    await forget(artifact)
    refusal = await graphql.refused(RESTORE, id=id_)
    assert (refusal["code"], refusal["path"]) == ("CONFLICT", ["input", "id"])
    assert "files" in refusal["message"]
