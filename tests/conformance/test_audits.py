"""The public audits of GraphQL over HTTP: all of them, by their own ids."""

from __future__ import annotations

import json

import pytest

from tests.conformance.conftest import Node

pytestmark = pytest.mark.conformance


async def test_all_audits_pass(node: Node, host: str) -> None:
    results = [json.loads(line) for line in (await node("audits.cjs", f"http://{host}/graphql")).splitlines()]

    assert [result for result in results if result["status"] != "ok"] == []
    assert len({result["id"] for result in results}) == 61
