"""Subscriptions over a socket: frames in order, their end from either side, and what ends only them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette

from app.gateway import Finished, Gateway, TransportLimits
from app.graphql_ws import socket_routes
from db.engine import Database
from tests.app.peer import INIT, Peer, connected, subscribe
from tests.app.serving import serving
from tests.app.tokens import revoke

FOLLOW = """
    subscription Follow($namespace: String!, $after: Cursor) {
      changes(namespace: $namespace, after: $after) { cursor catchingUp changes { action sequence } }
    }
"""
MAKE = """
    mutation Make($path: String!) { createNamespace(input: { path: $path }) { created userErrors { message } } }
"""
NUMBERS = itertools.count()


@pytest.fixture(scope="session")
async def host(gateway: Gateway) -> AsyncIterator[str]:
    async with serving(Starlette(routes=socket_routes(gateway))) as host:
        yield host


@pytest.fixture
async def peer(host: str) -> AsyncIterator[Peer]:
    async with connected(host) as peer:
        yield peer


@pytest.fixture
async def namespace(host: str) -> str:
    """A new root namespace."""
    name = f"followed-{next(NUMBERS)}"
    async with connected(host) as other:
        await make(other, name)
    return name


async def make(peer: Peer, path: str) -> None:
    result, _ = await peer.run(MAKE, "make", variables={"path": path})
    assert result["payload"]["data"]["createNamespace"] == {"created": True, "userErrors": []}


async def follow(peer: Peer, namespace: str, *, after: str | None = None, operation_id: str = "follow") -> str:
    """Begin to follow; the cursor of the first frame, which comes at once."""
    await peer.send(subscribe(FOLLOW, operation_id, variables={"namespace": namespace, "after": after}))
    return str((await frame(peer))["cursor"])


async def frame(peer: Peer) -> dict[str, Any]:
    message = await peer.receive()
    assert message["type"] == "next", message
    batch: dict[str, Any] = message["payload"]["data"]["changes"]
    return batch


async def seen(peer: Peer, count: int) -> list[int]:
    """The sequence numbers of the next changes, at least so many."""
    numbers: list[int] = []
    while len(numbers) < count:
        numbers += [change["sequence"] for change in (await frame(peer))["changes"]]
    return numbers


async def test_changes_arrive_in_order_and_once(host: str, peer: Peer, namespace: str) -> None:
    await follow(peer, namespace)
    async with connected(host) as other:
        for n in range(20):
            await make(other, f"{namespace}/n{n}")

    numbers = await seen(peer, 20)

    assert numbers == list(range(numbers[0], numbers[0] + 20))


async def test_client_completes_and_the_socket_lives_on(peer: Peer, namespace: str) -> None:
    await follow(peer, namespace)
    await peer.send({"id": "follow", "type": "complete"})

    await make(peer, f"{namespace}/later")
    result, end = await peer.run("{ __typename }", "follow")

    assert result["payload"]["data"] == {"__typename": "Query"}
    assert end["type"] == "complete"


async def test_resumes_after_a_cursor_without_a_gap(host: str, namespace: str) -> None:
    async with connected(host) as first:
        cursor = await follow(first, namespace)
    async with connected(host) as other:
        for n in range(5):
            await make(other, f"{namespace}/missed{n}")

    async with connected(host) as second:
        await second.send(subscribe(FOLLOW, variables={"namespace": namespace, "after": cursor}))
        numbers = await seen(second, 5)

    assert numbers == list(range(numbers[0], numbers[0] + 5))


async def test_several_on_one_socket(peer: Peer, namespace: str) -> None:
    for operation_id in "abc":
        await follow(peer, namespace, operation_id=operation_id)
    await peer.send(subscribe(MAKE, "make", variables={"path": f"{namespace}/seen-by-all"}))

    received: dict[str, list[str]] = {}
    while not all(len(received.get(operation_id, ())) >= 1 for operation_id in "abc") or "make" not in received:
        message = await peer.receive()
        received.setdefault(message["id"], []).append(message["type"])

    assert received["make"][0] == "next"
    assert {kind for operation_id in "abc" for kind in received[operation_id]} == {"next"}


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"namespace": "absent"}, "NOT_FOUND"),
        ({"namespace": None}, "BAD_USER_INPUT"),
        ({"namespace": "a", "after": "\x00"}, "BAD_USER_INPUT"),
    ],
)
async def test_refused_ones_end_only_themselves(peer: Peer, variables: dict[str, Any], code: str) -> None:
    await peer.send(subscribe(FOLLOW, variables=variables))
    (message,) = await peer.receive_all("1")

    assert message["type"] == "error"
    assert message["payload"][0]["extensions"]["code"] == code
    assert len(await peer.run("{ __typename }")) == 2


async def test_foreign_cursor(host: str, peer: Peer, namespace: str) -> None:
    async with connected(host) as other:
        await make(other, f"{namespace}-other")
        cursor = await follow(other, f"{namespace}-other")

    await peer.send(subscribe(FOLLOW, variables={"namespace": namespace, "after": cursor}))
    (message,) = await peer.receive_all("1")

    assert message["payload"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_revoked_token_ends_the_stream(
    gateway: Gateway, kept_database: Database, namespace: str, token: str
) -> None:
    limited = dataclasses.replace(gateway, limits=TransportLimits(recheck_seconds=0.1))
    init = {**INIT, "payload": {"token": token}}
    async with serving(Starlette(routes=socket_routes(limited))) as host, connected(host, init=init) as peer:
        await follow(peer, namespace)
        await revoke(kept_database, token)

        assert (await peer.closed())[0] == 4403


async def test_streams_are_counted_while_they_run(gateway: Gateway, namespace: str) -> None:
    changes: list[int] = []
    seen_ones: list[Finished] = []
    watched = dataclasses.replace(gateway, count_subscriptions=changes.append, observe=seen_ones.append)
    async with serving(Starlette(routes=socket_routes(watched))) as host, connected(host) as peer:
        await follow(peer, namespace)
        assert changes == [1]
        await peer.send({"id": "follow", "type": "complete"})
        async with asyncio.timeout(30):
            while not seen_ones:  # noqa: ASYNC110 - the end of an operation is only seen
                await asyncio.sleep(0.01)

    assert changes == [1, -1]
    assert [(one.kind, one.name, one.code) for one in seen_ones] == [("subscription", "Follow", None)]


async def test_server_that_stops_ends_streams(gateway: Gateway, namespace: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with serving(Starlette(routes=socket_routes(gateway))) as host:
            peer = await stack.enter_async_context(connected(host))
            await follow(peer, namespace)

        assert (await peer.closed())[0] == 1012
