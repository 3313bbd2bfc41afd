"""Roles on a socket that stays open for hours."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette

from app.gateway import Gateway
from app.graphql_ws import socket_routes
from db.access import prefix_of
from db.engine import Database
from tests.app.peer import INIT, connected
from tests.app.serving import serving

CREATE = 'mutation { createModel(input: {name: "over-a-socket"}) { created userErrors { code } } }'


@pytest.mark.parametrize(("role", "codes"), [("ADMIN", []), ("READER", ["FORBIDDEN"])])
async def test_a_role_taken_away_holds_for_the_next_operation(
    gateway: Gateway, kept_database: Database, token: str, role: str, codes: list[str]
) -> None:
    init = {**INIT, "payload": {"token": token}}
    async with serving(Starlette(routes=socket_routes(gateway))) as host, connected(host, init=init) as peer:
        await peer.run(CREATE, "before")
        async with kept_database.connection() as connection:
            await connection.execute("UPDATE token SET role = $2 WHERE prefix = $1", prefix_of(token), role)

        result, _ = await peer.run(CREATE, "after")

        assert [error["code"] for error in result["payload"]["data"]["createModel"]["userErrors"]] == codes
