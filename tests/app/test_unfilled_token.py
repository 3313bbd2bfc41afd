"""The page offers an empty `Authorization` to fill in; left empty, it is no token and not a wrong one."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
from starlette.applications import Starlette

from app.gateway import Gateway
from app.graphql_http import graphql_routes
from app.graphql_ws import socket_routes
from tests.app.peer import INIT, connected
from tests.app.serving import serving

ROOT = Path(__file__).parents[2]


def test_the_page_offers_it_empty() -> None:
    source = (ROOT / "web" / "graphiql" / "main.js").read_text()
    assert re.search(r'defaultHeaders: .*"Authorization": ""', source)


async def test_over_http(gateway: Gateway) -> None:
    transport = httpx.ASGITransport(Starlette(routes=graphql_routes(gateway)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        response = await client.post(
            "/graphql", json={"query": "{ viewer { actor { name } } }"}, headers={"Authorization": ""}
        )
    assert response.json()["data"] == {"viewer": {"actor": {"name": "local"}}}


async def test_over_a_socket(gateway: Gateway) -> None:
    async with (
        serving(Starlette(routes=socket_routes(gateway))) as host,
        connected(host, init={**INIT, "payload": {"Authorization": ""}}) as peer,
    ):
        await peer.send({"type": "ping"})
        assert await peer.receive() == {"type": "pong"}
