"""Refusals by role are recorded where they happened; what a caller may not see leaves no trace of existing."""

from __future__ import annotations

from typing import Any

import pytest

from db import transaction
from tests.graph import Callers, Graph

CREATE_MODEL = """
    mutation ($name: String!, $namespace: String!) {
      createModel(input: {name: $name, namespace: $namespace}) { model { id } userErrors { code path message } }
    }
"""
DELETE_MODEL = """
    mutation ($id: ID!) { deleteModel(input: {id: $id}) { deletedId userErrors { code path message } } }
"""
UPDATE_MODEL = """
    mutation ($id: ID!) {
      updateModel(input: {id: $id, patch: {owner: "x"}, idempotencyKey: "k"}) { userErrors { code path message } }
    }
"""
DENIED = """
    {
      auditEvents(filter: {action: {eq: DENIED}}) {
        nodes { sequence kind objectId objectName actorName after requestId }
      }
    }
"""


@pytest.fixture(autouse=True)
def refusals_long_ago() -> None:
    """One record a second for each actor: those of other tests do not count."""
    transaction._denied_at.clear()


async def denied(graphql: Graph) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = (await graphql(DENIED))["auditEvents"]["nodes"]
    return nodes


async def test_a_refusal_by_role_is_recorded_and_nothing_else_is_written(graphql: Graph, caller_with: Callers) -> None:
    model = (await graphql.change(CREATE_MODEL, name="m", namespace="vision"))["model"]["id"]
    writer = await caller_with("WRITER", "vision")
    assert (await graphql.by(writer).refused(DELETE_MODEL, id=model))["code"] == "FORBIDDEN"
    (event,) = await denied(graphql)
    assert (event["kind"], event["objectId"], event["actorName"]) == ("MODEL", model, writer.name)
    assert (event["after"], event["requestId"]) == ({"mutation": "deleteModel"}, "test-request")
    assert (await graphql("query ($id: ID!) { node(id: $id) { id } }", id=model))["node"] == {"id": model}


async def test_refusals_are_recorded_once_a_second_for_each_actor(graphql: Graph, caller_with: Callers) -> None:
    model = (await graphql.change(CREATE_MODEL, name="m", namespace="vision"))["model"]["id"]
    readers = [graphql.by(await caller_with("READER", "vision")) for _ in range(2)]
    for _ in range(3):
        for reader in readers:
            assert (await reader.refused(DELETE_MODEL, id=model))["code"] == "FORBIDDEN"
    assert len(await denied(graphql)) == 2


async def test_a_refusal_uses_no_key_up(graphql: Graph, caller_with: Callers) -> None:
    model = (await graphql.change(CREATE_MODEL, name="m", namespace="vision"))["model"]["id"]
    reader = graphql.by(await caller_with("READER", "vision"))
    for _ in range(2):
        assert (await reader.refused(UPDATE_MODEL, id=model))["code"] == "FORBIDDEN"


async def test_what_is_missing_and_what_is_not_yours_look_the_same(graphql: Graph, caller_with: Callers) -> None:
    hidden = (await graphql.change(CREATE_MODEL, name="secret", namespace="hidden/deep"))["model"]["id"]
    stranger = graphql.by(await caller_with("ADMIN", "mine"))
    missing = "mod_" + "0" * 32
    answers = [await stranger.refused(DELETE_MODEL, id=id_) for id_ in (hidden, missing)]
    assert answers[0]["message"].replace(hidden, missing) == answers[1]["message"]
    assert {answer["code"] for answer in answers} == {"NOT_FOUND"}
    places = ("hidden/deep", "absent/deep", "hidden/new")
    refusals = [await stranger.refused(CREATE_MODEL, name="m", namespace=place) for place in places]
    shapes = {
        (refusal["code"], refusal["message"].replace(place, ""))
        for place, refusal in zip(places, refusals, strict=True)
    }
    assert len(shapes) == 1
    assert refusals[0]["code"] == "NOT_FOUND"
    assert await denied(graphql) == []


async def test_another_tenant_is_another_world(graphql: Graph, caller_with: Callers) -> None:
    mine = (await graphql.change(CREATE_MODEL, name="m", namespace="vision"))["model"]["id"]
    stranger = graphql.by(await caller_with("ADMIN", tenant="other"))
    theirs = (await stranger.change(CREATE_MODEL, name="m", namespace="vision"))["model"]["id"]
    assert mine != theirs
    assert (await stranger.refused(DELETE_MODEL, id=mine))["code"] == "NOT_FOUND"
    seen = await stranger(
        "{ models { nodes { id } } namespaces { nodes { path } } auditEvents { nodes { sequence } } }"
    )
    assert seen["models"]["nodes"] == [{"id": theirs}]
    assert sorted(node["sequence"] for node in seen["auditEvents"]["nodes"]) == [1, 2]


async def test_rights_hold_below_and_not_beside(graphql: Graph, caller_with: Callers) -> None:
    writer = graphql.by(await caller_with("WRITER", "vision/cifar"))
    for place, code in {
        "vision/cifar": None,
        "vision/cifar/deep/er": None,
        "vision": "NOT_FOUND",
        "vision/cifar10": "NOT_FOUND",
        "default": "NOT_FOUND",
    }.items():
        payload = (await writer(CREATE_MODEL, name="m", namespace=place))["createModel"]
        assert [error["code"] for error in payload["userErrors"]] == ([code] if code else []), place
