"""Every route of the server: open to everybody by intention, or closed to who does not sign in."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from app.main import create_app
from app.settings import Settings
from db.engine import Database
from tests.app.serving import serving
from tests.app.tokens import new_token

OPEN = {"healthz", "readyz", "graphiql", "live", "assets", "live-assets"}
"""What everybody may read: whether the server is well, and pages that know nothing by themselves."""

VALUES = {"id": "fil_" + "0" * 32, "upload": "upl_" + "0" * 32, "file": "0", "part": "0", "format": "tar"}


@pytest.fixture
async def server(database: Database) -> AsyncIterator[tuple[str, list[BaseRoute]]]:
    app = create_app(Settings(auth="required"), database)
    await new_token(database)
    async with serving(app) as address:
        yield f"http://{address}", app.routes


async def test_a_route_is_open_by_intention_or_asks_who_you_are(server: tuple[str, list[BaseRoute]]) -> None:
    base, routes = server
    closed = set()
    async with httpx.AsyncClient() as http:
        for route in routes:
            assert isinstance(route, Route | Mount | WebSocketRoute), route
            if route.name in OPEN or isinstance(route, WebSocketRoute):  # Sockets sign in by their first message.
                continue
            assert isinstance(route, Route), f"{route} is mounted, and not known to be open"
            path = re.sub(r"\{(\w+)\}", lambda found: VALUES[found[1]], route.path)
            for method in sorted(route.methods or {"GET", "POST"}):
                answer = await http.request(method, f"{base}{path}", json={"query": "{ viewer { actor { id } } }"})
                assert answer.status_code == 401, (method, path, answer.text)
            closed.add(route.name)
    assert closed == {"graphql", "metrics", "upload-part", "file", "archive"}
