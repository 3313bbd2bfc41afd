"""The reference client of GraphQL over SSE, in distinct connections mode, against our streams."""

from __future__ import annotations

import json

import pytest

from tests.conformance.conftest import Node

pytestmark = pytest.mark.conformance


async def test_reference_client(node: Node, host: str) -> None:
    seen = json.loads(await node("events.cjs", f"http://{host}/graphql"))

    assert [result["data"] for result in seen["query"]] == [{"__typename": "Query"}]
    assert seen["refused"]["status"] == 400
    assert seen["refused"]["body"]["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert seen["absent"]["status"] == 400
    assert seen["absent"]["body"]["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    assert [result["data"]["createNamespace"]["namespace"] for result in seen["made"]] == [{"path": "events"}]
    assert "CREATE" in [change["action"] for change in seen["followed"]["changes"]]
    assert seen["followed"]["cursor"]
