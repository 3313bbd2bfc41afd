"""Artifacts: files under one name, tracked where they are."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.graph import Callers, Graph

CREATE = """
    mutation ($input: CreateModelInput!) { createModel(input: $input) { model { id } userErrors { message } } }
"""
TRACK = """
    mutation ($input: TrackArtifactsInput!) {
      trackArtifacts(input: $input) {
        created
        artifacts {
          id name kind status revision metadata fileCount totalSize owner { id } createdBy { name }
          files(first: 100) { nodes { id path uri size digest mediaType verifiedAt } }
        }
        userErrors { code path message }
      }
    }
"""
UPDATE = """
    mutation ($input: UpdateArtifactInput!) {
      updateArtifact(input: $input) {
        artifact { name kind metadata revision updatedAt createdAt }
        userErrors { code path message ... on RevisionConflict { currentRevision } }
      }
    }
"""
DELETE = """
    mutation ($input: DeleteInput!) { deleteArtifact(input: $input) { deletedId userErrors { code path } } }
"""
RESTORE = """
    mutation ($input: RestoreInput!) {
      restoreArtifact(input: $input) {
        artifact { id name files { nodes { path } } }
        userErrors { code path message }
      }
    }
"""
DELETE_MODEL = "mutation ($id: ID!) { deleteModel(input: {id: $id}) { userErrors { message } } }"
LIST = """
    query ($id: ID!, $first: Int = 20, $after: Cursor) {
      node(id: $id) {
        ... on Model {
          revision
          artifacts(first: $first, after: $after) { nodes { id name } pageInfo { hasNextPage endCursor } }
        }
      }
    }
"""
FILES = """
    query ($id: ID!, $after: Cursor) {
      node(id: $id) {
        ... on Artifact { files(first: 3, after: $after) { nodes { path } pageInfo { hasNextPage endCursor } } }
      }
    }
"""
HISTORY = """
    { auditEvents(filter: {kind: {eq: ARTIFACT}}) { nodes { action objectId objectName before after } } }
"""
DIGEST = "sha256:" + "0" * 63 + "1"
OTHER_DIGEST = "sha256:" + "0" * 63 + "2"


async def a_model(graph: Graph, name: str = "digits", **values: Any) -> str:
    made = await graph.change(CREATE, input={"name": name, **values})
    return str(made["model"]["id"])


async def tracked(graph: Graph, id_: str, *artifacts: dict[str, Any], **values: Any) -> dict[str, Any]:
    return await graph.change(TRACK, input={"objectId": id_, "artifacts": list(artifacts), **values})


async def history(graph: Graph) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = (await graph(HISTORY))["auditEvents"]["nodes"]
    return events


async def names(graph: Graph, id_: str) -> list[str]:
    return [node["name"] for node in (await graph(LIST, id=id_))["node"]["artifacts"]["nodes"]]


async def test_files_are_kept_as_they_were_told(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    full = {
        "path": "weights/model.bin",
        "uri": "s3://bucket/key?x=1#y",
        "size": 2**53 - 1,
        "digest": DIGEST,
        "mediaType": "application/octet-stream; version=1",
    }
    answer = await tracked(
        graphql, id_, {"name": "weights", "kind": "MODEL", "metadata": {"a": [1]}, "files": [full, {"path": "empty"}]}
    )
    assert answer["created"] == [True]
    (artifact,) = answer["artifacts"]
    files = artifact.pop("files")["nodes"]
    assert all(file.pop("id").startswith("fil_") for file in files)
    assert files == [
        {"path": "empty", "uri": None, "size": None, "digest": None, "mediaType": None, "verifiedAt": None},
        {**full, "verifiedAt": None},
    ]
    assert artifact.pop("id").startswith("art_")
    assert artifact == {
        "name": "weights",
        "kind": "MODEL",
        "status": "READY",
        "revision": 1,
        "metadata": {"a": [1]},
        "fileCount": 2,
        "totalSize": 2**53 - 1,
        "owner": {"id": id_},
        "createdBy": {"name": "local"},
    }


async def test_files_are_grouped_by_the_artifacts_name(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    answer = await tracked(
        graphql,
        id_,
        {"name": "a", "kind": "TEXT", "metadata": {"x": 1}, "files": [{"path": "1"}, {"path": "2", "size": 1}]},
        {"name": "b", "files": [{"path": "1"}]},
        {"name": "a", "kind": "IMAGE", "metadata": {"y": 2}, "files": [{"path": "3"}, {"path": "2", "size": 2}]},
    )
    assert answer["created"] == [True, True, False]
    first, second, third = answer["artifacts"]
    assert first == third
    assert [(file["path"], file["size"]) for file in first["files"]["nodes"]] == [("1", None), ("2", 2), ("3", None)]
    assert (first["kind"], first["metadata"], second["kind"]) == ("IMAGE", {"x": 1, "y": 2}, "OTHER")
    assert await names(graphql, id_) == ["a", "b"]
    again = await tracked(graphql, id_, {"name": "a", "files": [{"path": "4"}]})
    assert again["created"] == [False]
    assert again["artifacts"][0]["id"] == first["id"]
    assert [file["path"] for file in again["artifacts"][0]["files"]["nodes"]] == ["1", "2", "3", "4"]
    assert again["artifacts"][0]["kind"] == "IMAGE"


async def test_the_same_name_on_another_object_is_another_artifact(graphql: Graph) -> None:
    ids = [await a_model(graphql, "m1"), await a_model(graphql, "m2")]
    answers = [await tracked(graphql, id_, {"name": "a", "files": [{"path": "x"}]}) for id_ in ids]
    assert [answer["created"] for answer in answers] == [[True], [True]]


async def test_a_known_path_replaces_all_of_its_file(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    files = [{"path": "x", "size": 1, "digest": DIGEST, "uri": "file:///x"}, {"path": "y", "size": 5}]
    first = (await tracked(graphql, id_, {"name": "a", "files": files}))["artifacts"][0]
    again = {"name": "a", "files": [{"path": "x", "digest": OTHER_DIGEST}]}
    second = (await tracked(graphql, id_, again))["artifacts"][0]
    file = second["files"]["nodes"][0]
    assert (file["id"], file["digest"]) == (first["files"]["nodes"][0]["id"], OTHER_DIGEST)
    assert (file["size"], file["uri"]) == (None, None)
    assert (second["totalSize"], second["revision"]) == (5, 2)
    update, create = await history(graphql)
    assert (update["action"], create["action"]) == ("UPDATE", "CREATE")
    assert update["before"] == {"fileCount": 1, "files": {"x": {"size": 1, "digest": DIGEST, "uri": "file:///x"}}}
    assert update["after"] == {"fileCount": 1, "files": {"x": {"digest": OTHER_DIGEST}}}
    assert create["after"]["files"]["y"] == {"size": 5}
    assert create["after"]["ownerId"] == id_
    assert update["objectId"] == first["id"]


async def test_what_is_known_changes_nothing(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    artifact = {"name": "a", "kind": "MODEL", "metadata": {"x": {"y": 1}}, "files": [{"path": "x", "size": 1}]}
    first = await tracked(graphql, id_, artifact)
    again = await tracked(graphql, id_, artifact, {"name": "a"})
    assert again["created"] == [False, False]
    assert again["artifacts"] == first["artifacts"] * 2
    assert len(await history(graphql)) == 1
    assert (await graphql(LIST, id=id_))["node"]["revision"] == 1


async def test_metadata_and_kind_of_a_known_one_are_added_to(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    await tracked(graphql, id_, {"name": "a", "metadata": {"x": 1, "y": 2}})
    (artifact,) = (await tracked(graphql, id_, {"name": "a", "kind": "CODE", "metadata": {"y": 3}}))["artifacts"]
    assert (artifact["kind"], artifact["metadata"], artifact["revision"]) == ("CODE", {"x": 1, "y": 3}, 2)
    update, _ = await history(graphql)
    assert update["before"] == {"kind": "OTHER", "metadata": {"y": 2}}
    assert update["after"] == {"kind": "CODE", "metadata": {"y": 3}}


async def test_artifacts_and_files_are_ordered_and_paged(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    wanted = [f"a{n}" for n in (4, 1, 3, 0, 2)]
    answer = await tracked(graphql, id_, *({"name": name} for name in wanted))
    assert [artifact["name"] for artifact in answer["artifacts"]] == wanted
    seen: list[str] = []
    page: dict[str, Any] = {"hasNextPage": True, "endCursor": None}
    while page["hasNextPage"]:
        artifacts = (await graphql(LIST, id=id_, first=2, after=page["endCursor"]))["node"]["artifacts"]
        seen += [node["name"] for node in artifacts["nodes"]]
        page = artifacts["pageInfo"]
    assert seen == sorted(wanted)
    files = [{"path": f"d/{n}"} for n in (6, 2, 5, 0, 3, 1, 4)]
    (artifact,) = (await tracked(graphql, id_, {"name": "files", "files": files}))["artifacts"]
    paths: list[str] = []
    page = {"hasNextPage": True, "endCursor": None}
    while page["hasNextPage"]:
        found = (await graphql(FILES, id=artifact["id"], after=page["endCursor"]))["node"]["files"]
        paths += [node["path"] for node in found["nodes"]]
        page = found["pageInfo"]
    assert paths == [f"d/{n}" for n in range(7)]


async def test_eight_trackers_of_one_artifact_lose_no_file(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    files = [[{"path": f"{n}/{m}"} for m in range(4)] + [{"path": "shared", "size": n}] for n in range(8)]
    answers = await asyncio.gather(*(tracked(graphql, id_, {"name": "a", "files": each}) for each in files))
    assert sum(answer["created"][0] for answer in answers) == 1
    (artifact,) = (await tracked(graphql, id_, {"name": "a"}))["artifacts"]
    assert (artifact["fileCount"], artifact["revision"]) == (33, 8)


async def test_a_call_has_bounds(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    files = [{"path": f"{n}.bin", "size": 1} for n in range(10_000)]
    answer = await tracked(graphql, id_, {"name": "big", "files": files})
    assert (answer["artifacts"][0]["fileCount"], answer["artifacts"][0]["totalSize"]) == (10_000, 10_000)
    (event,) = await history(graphql)
    assert event["after"]["fileCount"] == 10_000
    assert len(event["after"]["files"]) == 1_000
    many = [{"name": f"a{n}"} for n in range(100)]
    await tracked(graphql, id_, *many)
    for artifacts in ([*many, {"name": "x"}], [{"name": "a", "files": files}, {"name": "b", "files": [{"path": "x"}]}]):
        refusal = await graphql.refused(TRACK, input={"objectId": id_, "artifacts": artifacts})
        assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "artifacts"])


BAD_FILES: list[tuple[dict[str, Any], str]] = [
    ({"path": "../x"}, "path"),
    ({"path": "/etc/passwd"}, "path"),
    ({"path": "file:///x"}, "path"),
    ({"path": "a/%2e%2e/b"}, "path"),
    ({"path": "x\\y"}, "path"),
    ({"path": ""}, "path"),
    ({"path": "x", "size": -1}, "size"),
    ({"path": "x", "uri": "u" * 4097}, "uri"),
    ({"path": "x", "mediaType": "text"}, "mediaType"),
    ({"path": "x", "mediaType": "text/html\r\nX: y"}, "mediaType"),
    ({"path": "x", "mediaType": "a/" + "b" * 300}, "mediaType"),
]


@pytest.mark.parametrize(("bad", "field"), BAD_FILES)
async def test_a_bad_file_is_named_by_its_index_and_nothing_is_kept(
    graphql: Graph, bad: dict[str, Any], field: str
) -> None:
    id_ = await a_model(graphql)
    artifacts = [{"name": "a"}, {"name": "b", "files": [{"path": "good"}, bad]}]
    refusal = await graphql.refused(TRACK, input={"objectId": id_, "artifacts": artifacts})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "artifacts", "1", "files", "1", field])
    assert await names(graphql, id_) == []


@pytest.mark.parametrize(
    ("bad", "field"), [({"name": "a/b"}, "name"), ({"name": ""}, "name"), ({"name": "a", "metadata": []}, "metadata")]
)
async def test_a_bad_artifact_is_named_by_its_index(graphql: Graph, bad: dict[str, Any], field: str) -> None:
    id_ = await a_model(graphql)
    refusal = await graphql.refused(TRACK, input={"objectId": id_, "artifacts": [{"name": "good"}, bad]})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "artifacts", "1", field])


@pytest.mark.parametrize(
    "uri", ["file:///etc/passwd", "http://169.254.169.254/", "javascript:alert(1)", "..", "hdfs:x"]
)
async def test_a_uri_is_text(graphql: Graph, uri: str) -> None:
    id_ = await a_model(graphql)
    answer = await tracked(graphql, id_, {"name": "a", "files": [{"path": "x", "uri": uri}]})
    assert answer["artifacts"][0]["files"]["nodes"][0]["uri"] == uri


async def test_metadata_stays_small(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    await tracked(graphql, id_, {"name": "a", "metadata": {"x": "x" * 600_000}})
    for artifacts in (
        [{"name": "a", "metadata": {"y": "y" * 600_000}}],
        [{"name": "b", "metadata": {k: k * 600_000}} for k in "xy"],
    ):
        refusal = await graphql.refused(TRACK, input={"objectId": id_, "artifacts": artifacts})
        assert refusal["code"] == "INVALID"


async def test_a_retry_with_its_key_is_not_done_again(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    first = await tracked(graphql, id_, {"name": "a"}, idempotencyKey="k")
    again = await tracked(graphql, id_, {"name": "a"}, idempotencyKey="k")
    assert again["created"] == first["created"] == [True]


async def test_an_artifact_is_changed(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    answer = await tracked(graphql, id_, {"name": "a", "metadata": {"x": 1}}, {"name": "b"})
    artifact = answer["artifacts"][0]["id"]
    patch = {"name": "c", "kind": "CODE", "metadata": {"y": 2}}
    changed = (await graphql.change(UPDATE, input={"id": artifact, "patch": patch, "ifRevision": 1}))["artifact"]
    assert changed["updatedAt"] > changed["createdAt"]
    assert {name: changed[name] for name in patch} == patch
    assert changed["revision"] == 2
    event = (await history(graphql))[0]
    assert event["before"] == {"name": "a", "kind": "OTHER", "metadata": {"x": 1}}
    stale = await graphql.refused(UPDATE, input={"id": artifact, "patch": {"name": "d"}, "ifRevision": 1})
    assert (stale["code"], stale["currentRevision"]) == ("REVISION_CONFLICT", 2)
    taken = await graphql.refused(UPDATE, input={"id": artifact, "patch": {"name": "b"}})
    assert (taken["code"], taken["path"]) == ("NAME_TAKEN", ["input", "patch", "name"])
    empty = await graphql.refused(UPDATE, input={"id": artifact, "patch": {"kind": None}})
    assert (empty["code"], empty["path"]) == ("INVALID", ["input", "patch", "kind"])


async def test_a_deleted_artifact_comes_back_with_its_files(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    (artifact,) = (await tracked(graphql, id_, {"name": "a", "files": [{"path": "x"}]}))["artifacts"]
    await graphql.change(DELETE, input={"id": artifact["id"]})
    assert await names(graphql, id_) == []
    assert (await graphql.refused(DELETE, input={"id": artifact["id"]}))["code"] == "NOT_FOUND"
    (other,) = (await tracked(graphql, id_, {"name": "a"}))["artifacts"]
    assert (other["id"] != artifact["id"], other["fileCount"]) == (True, 0)
    taken = await graphql.refused(RESTORE, input={"id": artifact["id"]})
    assert (taken["code"], taken["path"]) == ("NAME_TAKEN", ["input", "newName"])
    back = (await graphql.change(RESTORE, input={"id": artifact["id"], "newName": "b"}))["artifact"]
    assert back == {"id": artifact["id"], "name": "b", "files": {"nodes": [{"path": "x"}]}}
    assert await names(graphql, id_) == ["a", "b"]
    assert [event["action"] for event in await history(graphql)] == ["RESTORE", "CREATE", "DELETE", "CREATE"]


async def test_nothing_comes_back_below_what_is_deleted(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    (artifact,) = (await tracked(graphql, id_, {"name": "a"}))["artifacts"]
    await graphql.change(DELETE, input={"id": artifact["id"]})
    await graphql.change(DELETE_MODEL, id=id_)
    refusal = await graphql.refused(RESTORE, input={"id": artifact["id"]})
    assert (refusal["code"], refusal["path"]) == ("CONFLICT", ["input", "id"])


async def test_what_belongs_to_a_deleted_object_is_out_of_sight(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    (artifact,) = (await tracked(graphql, id_, {"name": "a"}))["artifacts"]
    await graphql.change(DELETE_MODEL, id=id_)
    for query, change in ((UPDATE, {"patch": {"name": "b"}}), (DELETE, {})):
        refusal = await graphql.refused(query, input={"id": artifact["id"], **change})
        assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["input", "id"])
    refusal = await graphql.refused(TRACK, input={"objectId": id_, "artifacts": [{"name": "b"}]})
    assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["input", "objectId"])


async def test_who_may_change_artifacts(graphql: Graph, caller_with: Callers) -> None:
    id_ = await a_model(graphql, namespace="vision")
    reader = graphql.by(await caller_with("READER", "vision"))
    writer = graphql.by(await caller_with("WRITER", "vision"))
    stranger = graphql.by(await caller_with("ADMIN", "audio"))
    wish = {"objectId": id_, "artifacts": [{"name": "a"}]}
    assert (await reader.refused(TRACK, input=wish))["code"] == "FORBIDDEN"
    assert (await stranger.refused(TRACK, input=wish))["code"] == "NOT_FOUND"
    artifact = (await writer.change(TRACK, input=wish))["artifacts"][0]["id"]
    change = {"id": artifact, "patch": {"name": "b"}}
    assert (await reader.refused(UPDATE, input=change))["code"] == "FORBIDDEN"
    hidden = await stranger.refused(UPDATE, input=change)
    assert (hidden["code"], id_ in hidden["message"]) == ("NOT_FOUND", False)
    await writer.change(UPDATE, input=change)
    assert (await writer.refused(DELETE, input={"id": artifact}))["code"] == "FORBIDDEN"
    await graphql.by(await caller_with("MAINTAINER", "vision")).change(DELETE, input={"id": artifact})
    assert (await stranger.refused(RESTORE, input={"id": artifact}))["code"] == "NOT_FOUND"
    assert (await writer.refused(RESTORE, input={"id": artifact}))["code"] == "FORBIDDEN"


async def test_a_sum_of_sizes_beyond_what_json_keeps_is_null(graphql: Graph) -> None:
    owner = await a_model(graphql)
    files = [{"path": str(number), "uri": "s3://b/x", "size": 2**53 - 1} for number in range(2)]
    answer = await graphql.change(
        TRACK, input={"objectId": owner, "artifacts": [{"name": "huge", "kind": "OTHER", "files": files}]}
    )
    assert answer["artifacts"][0]["totalSize"] is None
