"""A refusal tells nothing of what the caller may not see: no id, and not even that it exists."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest

from graphql_schema.errors import RequestErrors
from graphql_schema.executor import Context, subscribe
from graphql_schema.schema import documents
from tests.graph import Callers, Graph

NAMESPACE = """
mutation ($path: String!) {
  createNamespace(input: {path: $path}) { namespace { id feedCursor } userErrors { message } }
}
"""
GRANT = """
mutation ($actor: ID!, $namespace: ID!) {
  grantRole(input: {actorId: $actor, role: READER, namespaceId: $namespace}) { grants { id } userErrors { message } }
}
"""
REVOKE = "mutation ($id: ID!) { revokeRole(input: {id: $id}) { revokedId userErrors { code message path } } }"
DELETE = "mutation ($id: ID!) { deleteNamespace(input: {id: $id}) { deletedId userErrors { message } } }"
RESTORE = "mutation ($id: ID!) { restoreNamespace(input: {id: $id}) { userErrors { code message path } } }"
FOLLOW = (
    "subscription ($namespace: String!, $after: Cursor) { changes(namespace: $namespace, after: $after) { cursor } }"
)
EXPERIMENT = """
mutation ($namespace: String!, $name: String!) {
  createExperiment(input: {namespace: $namespace, name: $name}) { experiment { id } userErrors { message } }
}
"""
CHECKPOINT = """
mutation ($id: ID!) { createCheckpoint(input: {experimentId: $id}) { checkpoint { id } userErrors { message } } }
"""
MODEL = """
mutation ($namespace: String!) {
  createModel(input: {namespace: $namespace, name: "m"}) { model { id } userErrors { message } }
}
"""
VERSION = """
mutation ($model: ID!, $checkpoint: ID!) {
  createModelVersion(input: {modelId: $model, checkpointId: $checkpoint}) {
    modelVersion { id } userErrors { message }
  }
}
"""
RELINK = """
mutation ($id: ID!, $experiment: ID!) {
  updateModelVersion(input: {id: $id, patch: {experimentId: $experiment}}) { userErrors { code message path } }
}
"""


async def made(graph: Graph, path: str) -> dict[str, Any]:
    namespace: dict[str, Any] = (await graph.change(NAMESPACE, path=path))["namespace"]
    return namespace


async def granted(graph: Graph, namespace: str) -> str:
    actor = f"usr_{graph.caller.actor_id.hex}"
    grant: str = (await graph.change(GRANT, actor=actor, namespace=namespace))["grants"][0]["id"]
    return grant


async def test_a_role_grant_elsewhere_looks_like_none(graphql: Graph, caller_with: Callers) -> None:
    stranger = graphql.by(await caller_with("ADMIN", "mine"))
    hidden = await granted(graphql, (await made(graphql, "secret"))["id"])
    missing = f"grt_{'0' * 32}"
    foreign, none = [await stranger.refused(REVOKE, id=id_) for id_ in (hidden, missing)]
    assert foreign["message"].replace(hidden, missing) == none["message"]
    assert foreign["code"] == none["code"] == "NOT_FOUND"


async def test_a_role_on_a_deleted_namespace_can_be_taken_away(graphql: Graph) -> None:
    namespace = (await made(graphql, "old"))["id"]
    grant = await granted(graphql, namespace)
    await graphql.change(DELETE, id=namespace)
    assert (await graphql.change(REVOKE, id=grant))["revokedId"] == grant


async def test_a_foreign_cursor_does_not_tell_whether_a_namespace_exists(graphql: Graph, caller_with: Callers) -> None:
    stranger = graphql.by(await caller_with("ADMIN", "mine"))
    await made(graphql, "secret")
    here = (await made(stranger, "mine"))["feedCursor"]
    codes = []
    for namespace in ("secret", "missing"):
        context = Context(stranger.database, stranger.caller, "test-request")
        stream = subscribe(documents.prepare(FOLLOW), {"namespace": namespace, "after": here}, context)
        with pytest.raises(RequestErrors) as refusal:
            async with aclosing(stream):
                await anext(stream)
        codes.append(refusal.value.errors[0].code)
    assert codes == ["NOT_FOUND", "NOT_FOUND"]


async def test_a_path_taken_out_of_sight_names_no_holder(graphql: Graph, caller_with: Callers) -> None:
    owner = graphql.by(await caller_with("ADMIN", "team/old"))
    old = (await made(graphql, "team/old"))["id"]
    await owner.change(DELETE, id=old)
    new = (await made(graphql, "team/old"))["id"]
    assert new in (await graphql.refused(RESTORE, id=old))["message"]
    error = await owner.refused(RESTORE, id=old)
    assert (error["code"], error["path"]) == ("NAME_TAKEN", ["input", "newName"])
    assert new not in error["message"]


async def test_a_checkpoint_out_of_sight_names_no_experiment(graphql: Graph, caller_with: Callers) -> None:
    writer = graphql.by(await caller_with("WRITER", "mine"))
    hidden = (await graphql.change(EXPERIMENT, namespace="secret", name="run"))["experiment"]["id"]
    checkpoint = (await graphql.change(CHECKPOINT, id=hidden))["checkpoint"]["id"]
    model = (await graphql.change(MODEL, namespace="mine"))["model"]["id"]
    version = (await graphql.change(VERSION, model=model, checkpoint=checkpoint))["modelVersion"]["id"]
    own = (await writer.change(EXPERIMENT, namespace="mine", name="run"))["experiment"]["id"]
    error = await writer.refused(RELINK, id=version, experiment=own)
    assert error["code"] == "CONFLICT"
    assert hidden not in error["message"]
