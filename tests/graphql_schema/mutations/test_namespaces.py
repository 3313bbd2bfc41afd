"""Namespaces: made when named, moved with what is below, taken out of sight and brought back."""

from __future__ import annotations

from tests.graph import Callers, Graph

CREATE = """
    mutation ($input: CreateNamespaceInput!) {
      createNamespace(input: $input) {
        created
        namespace { id path name revision description labels metadata parent { path } createdBy { name } }
        userErrors { code path message }
      }
    }
"""


async def test_what_is_missing_above_is_made_too(graphql: Graph) -> None:
    made = await graphql.change(CREATE, input={"path": "vision/cifar/small", "labels": ["b", "a", "b"]})
    assert made["created"] is True
    assert made["namespace"]["path"] == "vision/cifar/small"
    assert made["namespace"]["parent"] == {"path": "vision/cifar"}
    assert made["namespace"]["labels"] == ["a", "b"]


async def test_a_reader_may_not_create(graphql: Graph, caller_with: Callers) -> None:
    reader = await caller_with("READER", "vision")
    refusal = await graphql.by(reader).refused(CREATE, input={"path": "vision/x"})
    assert refusal["code"] == "FORBIDDEN"
