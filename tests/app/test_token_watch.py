"""A token behind what is open is looked at when tokens change, and when it expires; not all the time."""

from __future__ import annotations

import asyncio
import dataclasses
import time

import pytest
from starlette.applications import Starlette

from app.gateway import Gateway
from app.graphql_ws import socket_routes
from app.token_watch import TokenWatch
from db.access import Caller, prefix_of
from db.engine import Database
from db.errors import TooSlow
from db.verbs import tokens
from tests.app.peer import INIT, connected
from tests.app.serving import serving

SOON = "UPDATE token SET expires_at = now() + interval '0.7 s' WHERE prefix = $1"


async def test_a_revoked_token_is_noticed_at_once(gateway: Gateway, kept_database: Database, token: str) -> None:
    init = {**INIT, "payload": {"token": token}}
    async with serving(Starlette(routes=socket_routes(gateway))) as host, connected(host, init=init) as peer:
        began = time.perf_counter()
        await tokens.revoke(kept_database, token, "test-request")
        assert (await peer.closed())[0] == 4403
    assert time.perf_counter() - began < 5


async def test_a_token_that_expires_ends_what_it_opened(gateway: Gateway, kept_database: Database, token: str) -> None:
    async with kept_database.connection() as connection:
        await connection.execute(SOON, prefix_of(token))
    init = {**INIT, "payload": {"token": token}}
    async with serving(Starlette(routes=socket_routes(gateway))) as host, connected(host, init=init) as peer:
        assert (await peer.closed())[0] == 4403


async def test_while_nothing_changes_nobody_looks(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.feed.feed.LOOK_INTERVAL", 0.05)
    looks = 0

    async def look(_caller: Caller) -> bool:
        nonlocal looks
        looks += 1
        return True

    caller = await gateway.authenticate(None)
    watch = dataclasses.replace(gateway, still_valid=look).token_watch()
    watch.begin(caller, lambda: None)
    await asyncio.sleep(0.5)
    watch.end(caller, lambda: None)
    assert looks == 1


@pytest.mark.parametrize("error", [TooSlow(), ValueError("of a kind that nobody thought of")])
async def test_a_look_that_failed_is_not_the_last(gateway: Gateway, error: Exception) -> None:
    answers = iter([error, True, False])

    async def look(_caller: Caller) -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)

    told = asyncio.Event()
    caller = await gateway.authenticate(None)
    watch = TokenWatch(look, every=0.05)
    watch.begin(caller, told.set)
    async with asyncio.timeout(5):
        await told.wait()
    watch.end(caller, told.set)


async def test_who_comes_after_the_end_is_told_too(gateway: Gateway) -> None:
    async def look(_caller: Caller) -> bool:
        return False

    first, second = asyncio.Event(), asyncio.Event()
    caller = await gateway.authenticate(None)
    watch = TokenWatch(look, every=60)
    async with asyncio.timeout(5):
        for told in (first, second):
            watch.begin(caller, told.set)
            await told.wait()
    for told in (first, second):
        watch.end(caller, told.set)
