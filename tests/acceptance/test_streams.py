"""Streams of a real server: they go on after a restart, and who does not read costs little and holds up nobody."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.server import Server
from tests.app.events import Events, following
from tests.app.peer import connected, subscribe
from tests.app.unread import Unread

pytestmark = pytest.mark.acceptance

CREATE = "mutation Create($path: String!) { createNamespace(input: { path: $path }) { created } }"
LARGE = """
    mutation Large($name: String!, $description: String!) {
      createModel(input: { name: $name, description: $description }) { created }
    }
"""
FOLLOW = "subscription Follow { changes { cursor changes { sequence } } }"
WIDE = f"subscription Wide {{ changes {{ changes {{ {' '.join(f'a{n}: after' for n in range(20))} }} }} }}"

Begin = Callable[..., Server]

MEBIBYTE = 1_048_576
STALLED = 10
CHANGES = 40


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Begin servers of one data folder, one after the other."""
    servers: list[Server] = []

    def begin(*words: str) -> Server:
        servers.append(Server(tmp_path / "data", *words))
        servers[-1].ready()
        return servers[-1]

    yield begin
    for server in servers:
        server.discard()


def host_of(server: Server) -> str:
    return server.address.removeprefix("http://")


async def sequences(events: Events, count: int) -> list[int]:
    numbers: list[int] = []
    while len(numbers) < count:
        batch = (await events.next()).data["data"]["changes"]
        numbers += [change["sequence"] for change in batch["changes"]]
    return numbers


async def change(server: Server, query: str, **variables: Any) -> None:
    await asyncio.to_thread(server.graphql, query, **variables)


async def test_a_stream_goes_on_after_a_restart(begin: Begin) -> None:
    server = begin()
    async with following(host_of(server), FOLLOW) as events:
        await events.next()
        await change(server, CREATE, path="default/before")
        last = await events.next()
        began = time.monotonic()
        code, _ = await asyncio.to_thread(server.end, signal.SIGTERM)
        assert await events.rest() == []
    assert (code, time.monotonic() - began < 8) == (0, True)

    server = begin()
    await change(server, CREATE, path="default/while-away")
    async with following(host_of(server), FOLLOW, headers={"Last-Event-ID": str(last.id)}) as events:
        (number,) = await sequences(events, 1)

    assert number == last.data["data"]["changes"]["changes"][0]["sequence"] + 1


async def test_sockets_of_a_server_that_drains_go_on_until_it_stops(begin: Begin) -> None:
    server = begin("-c", "drain_delay=1")
    async with connected(host_of(server)) as peer:
        server.process.terminate()
        assert (await peer.run("{ __typename }"))[0]["payload"]["data"] == {"__typename": "Query"}
        assert (await peer.closed())[0] == 1012


@pytest.fixture
async def stalled(begin: Begin) -> AsyncIterator[Server]:
    """A server with peers on both transports that read nothing of what they follow."""
    server = begin()
    async with AsyncExitStack() as stack:
        for _ in range(STALLED):
            unread = await Unread.events(host_of(server), WIDE, {})
            stack.callback(unread.close)
            peer = await stack.enter_async_context(connected(host_of(server), reads_little=True))
            await peer.send(subscribe(WIDE))
            peer.connection.transport.pause_reading()
        yield server


async def test_peers_that_do_not_read_cost_little_and_hold_up_nobody(stalled: Server) -> None:
    process = psutil.Process(stalled.pid)
    async with following(host_of(stalled), FOLLOW) as events:
        await events.next()
        await change(stalled, LARGE, name="first", description="x" * 4_000)
        before = process.memory_info().rss
        for n in range(CHANGES):
            await change(stalled, LARGE, name=f"m{n}", description="x" * 4_000)
        numbers = await sequences(events, CHANGES + 1)
        grown = process.memory_info().rss - before

    assert numbers == list(range(numbers[0], numbers[0] + CHANGES + 1))
    # Each was sent 3 MB; the shared frames are kept once, within 4 MiB.
    assert grown < (2 * STALLED + 8) * MEBIBYTE
