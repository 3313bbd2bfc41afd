"""The reference client of graphql-transport-ws against our socket."""

from __future__ import annotations

import json

import pytest

from db.engine import Database
from tests.app.tokens import stored_token
from tests.conformance.conftest import Node

pytestmark = pytest.mark.conformance


async def check(node: Node, host: str, *token: str) -> None:
    seen = json.loads(await node("client.cjs", f"ws://{host}/graphql", *token))

    assert seen["query"]["data"] == {"__typename": "Query"}
    assert seen["refused"]["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert seen["made"]["data"]["createNamespace"]["namespace"] == {"path": "conformance"}
    assert "CREATE" in [change["action"] for change in seen["followed"]["changes"]]
    assert seen["followed"]["after"]
    assert [answer["data"] for answer in seen["many"]] == [{f"a{n}": "Query"} for n in range(20)]
    assert [close["code"] for close in seen["closes"]] == [1000]


async def test_reference_client(node: Node, host: str) -> None:
    await check(node, host)


async def test_reference_client_with_a_refused_token(node: Node, host: str) -> None:
    seen = json.loads(await node("client.cjs", f"ws://{host}/graphql", "mbx_unknown_token"))

    assert seen["query"]["code"] == 4403
    assert [close["code"] for close in seen["closes"]] == [4403]


async def test_reference_client_with_a_token(node: Node, host: str, kept_database: Database) -> None:
    async with stored_token(kept_database) as token:
        await check(node, host, token)
