"""One call for several objects: where one of them may not be written, nothing is, and nothing is marked as brought."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.graph import Callers, Graph

LOG = """
    mutation ($input: LogMetricsInput!) {
        logMetrics(input: $input) {
            object { id } objects { id } pointCount replayed userErrors { code path message }
        }
    }
"""
BEGIN = """
    mutation ($namespace: String!) {
        createExperiment(input: {namespace: $namespace}) { experiment { id } userErrors { message } }
    }
"""
KEYS = "query ($id: ID!) { node(id: $id) { ... on Experiment { metrics { nodes { key count } } } } }"
FLOATS: dict[str, Any] = {"values": {"loss": [1.0]}}


async def keys(graph: Graph, id_: str) -> list[Any]:
    listed: list[Any] = (await graph(KEYS, id=id_))["node"]["metrics"]["nodes"]
    return listed


@pytest.mark.parametrize(
    ("role", "code"), [("READER", "FORBIDDEN"), (None, "NOT_FOUND"), ("DELETED", "NOT_FOUND"), ("TENANT", "NOT_FOUND")]
)
@pytest.mark.parametrize("key", [None, "once"])
async def test_nothing_is_kept_of_a_call_that_is_refused_in_part(
    graphql: Graph, caller_with: Callers, role: str | None, code: str, key: str | None
) -> None:
    caller = await caller_with("WRITER", "mine")
    if role == "READER":
        other = await caller_with("READER", "theirs")
        caller = type(caller)(
            caller.tenant_id, caller.actor_id, caller.name, caller.kind, {**caller.grants, **other.grants}
        )
    elsewhere = graphql.by(await caller_with("ADMIN", tenant="abroad")) if role == "TENANT" else graphql
    mine = (await graphql.change(BEGIN, namespace="mine"))["experiment"]["id"]
    path = "mine" if role == "DELETED" else "theirs"
    if role == "TENANT":
        await elsewhere.change('mutation { createNamespace(input: {path: "theirs"}) { created } }')
    theirs = (await elsewhere.change(BEGIN, namespace=path))["experiment"]["id"]
    if role == "DELETED":
        await graphql("mutation ($id: ID!) { deleteExperiment(input: {id: $id}) { deletedId } }", id=theirs)
    batches = [{"objectId": id_, "columns": FLOATS} for id_ in (mine, theirs)]
    given = {"batches": batches, "writer": "w", "sequence": 0, "idempotencyKey": key}
    given = {name: value for name, value in given.items() if value is not None}

    beside = graphql(LOG, input={"objectId": mine, "columns": {"values": {"beside": [1.0]}}})
    found: list[Any] = await asyncio.gather(graphql.by(caller)(LOG, input=given), beside)

    refused = found[0]["logMetrics"]
    (error,) = refused["userErrors"]
    assert (error["code"], error["path"]) == (code, ["input", "batches", "1", "objectId"])
    assert refused["objects"] is None
    assert await keys(graphql, mine) == [{"key": "beside", "count": 1}]
    alone = {"objectId": mine, "columns": FLOATS, "writer": "w", "sequence": 0}
    again = (await graphql.by(caller)(LOG, input=alone))["logMetrics"]
    assert (again["pointCount"], again["replayed"], again["userErrors"]) == (1, False, [])
