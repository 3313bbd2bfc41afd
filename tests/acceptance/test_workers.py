"""Several processes on one database behave as one: what one accepts the others deliver, and a job is done once."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import psutil
import pytest

from tests.acceptance.lossy_server import LOOK, TAIL_ROWS
from tests.acceptance.nodes import Cluster, Node, running
from tests.acceptance.server import PATIENCE
from tests.app.peer import Peer, connected, subscribe

pytestmark = pytest.mark.acceptance

CREATE = "mutation ($name: String!) { createExperiment(input: {name: $name}) { experiment { id } } }"
LOG = "mutation ($input: LogMetricsInput!) { logMetrics(input: $input) { pointCount userErrors { message } } }"
FOLLOW = """
subscription ($ids: [ID!]!) { feed: metricBatches(objectIds: $ids) { series { columns { values } } } }
"""
JOBS = """
SELECT job_id, count(*) FILTER (WHERE status = 'picked') AS picked,
    count(*) FILTER (WHERE status = 'successful') AS done
FROM pgqueuer_log WHERE entrypoint = 'compaction' GROUP BY job_id
"""
COMPACTED = f"""
SELECT NOT EXISTS (SELECT FROM metric_batch GROUP BY tenant_id, owner_id HAVING count(*) >= $1)
    AND count(*) >= $2 AND bool_and(done > 0) FROM ({JOBS}) jobs
"""
NEVER: Final = {LOOK: "20"}
"""Heads are not looked at for so long that a test would fail, unless there is a hint."""

OWNERS: Final = 5
MOST: Final = 240
"""Connections until both workers must have some."""

NATS = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/usr/local/sbin")
needs_nats = pytest.mark.skipif(NATS is None, reason="nats-server is not installed (the Debian package nats-server)")


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What makes servers use a NATS of the test's own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([str(NATS), "-a", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL, cwd=tmp_path)
    yield {"MODELBOX_NATS_URL": f"nats://127.0.0.1:{port}"}
    process.terminate()
    process.wait()


class Client:
    """Asks one server."""

    def __init__(self, node: Node) -> None:
        self._url = f"http://{node.address}/graphql"

    async def ask(self, query: str, **variables: Any) -> Any:
        """The data of an answer, by a connection of its own."""
        async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
            answer = (await client.post(self._url, json={"query": query, "variables": variables})).json()
        assert "errors" not in answer, answer
        return answer["data"]

    async def create(self, name: str) -> str:
        return str((await self.ask(CREATE, name=name))["createExperiment"]["experiment"]["id"])

    async def log(self, id_: str, value: float) -> None:
        payload = await self.ask(LOG, input={"objectId": id_, "points": [{"key": "loss", "value": value}]})
        assert payload["logMetrics"] == {"pointCount": 1, "userErrors": []}


@contextlib.asynccontextmanager
async def following(node: Node, id_: str) -> AsyncIterator[Peer]:
    """A socket that follows an object, and has had its first frame."""
    async with connected(node.address) as peer:
        await peer.send(subscribe(FOLLOW, variables={"ids": [id_]}))
        assert await received(peer) == []
        yield peer


async def received(peer: Peer) -> list[float]:
    """The values in the next frame."""
    message = await peer.receive()
    assert message["type"] == "next", message
    return [value for series in message["payload"]["data"]["feed"]["series"] for value in series["columns"]["values"]]


async def all_ready(cluster: Cluster) -> list[Client]:
    await asyncio.gather(*(node.ready() for node in cluster.nodes))
    return [Client(node) for node in cluster.nodes]


async def delays(cluster: Cluster) -> list[float]:
    """Seconds until the second server delivers what the first has accepted.

    Nothing but a hint tells it; but one that is sent before the way is open is lost, so the slowest do not count.
    """
    here, _ = await all_ready(cluster)
    id_, found = await here.create("run"), []
    async with following(cluster.nodes[1], id_) as peer:
        for number in range(20):
            began = time.perf_counter()
            await here.log(id_, number)
            assert await received(peer) == [number]
            found.append(time.perf_counter() - began)
    return sorted(found)


def test_by_notifications_of_postgresql(tmp_path: Path) -> None:
    with running(tmp_path, [0.0, 0.0], variables=NEVER) as cluster:
        assert asyncio.run(delays(cluster))[10] < 1


@needs_nats
def test_by_nats(tmp_path: Path, nats: dict[str, str]) -> None:
    with running(tmp_path, [0.0, 0.0], variables={**NEVER, **nats}) as cluster:
        assert asyncio.run(delays(cluster))[10] < 1


def test_without_hints_a_look_tells(tmp_path: Path) -> None:
    """Which shows that it is the hints that do in the tests above."""

    async def told_late(cluster: Cluster) -> None:
        here, _ = await all_ready(cluster)
        id_ = await here.create("run")
        async with following(cluster.nodes[1], id_) as peer:
            await here.log(id_, 1)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(2):
                    await received(peer)
            assert await received(peer) == [1]

    with running(tmp_path, [1.0, 1.0], variables={LOOK: "5"}) as cluster:
        asyncio.run(told_late(cluster))


def test_workers_at_one_address(tmp_path: Path) -> None:
    with running(tmp_path, [0.0], workers=[2], variables=NEVER) as cluster:
        asyncio.run(workers_deliver(cluster))


async def workers_deliver(cluster: Cluster) -> None:
    (client,), (node,) = await all_ready(cluster), cluster.nodes
    id_ = await client.create("run")
    async with contextlib.AsyncExitStack() as stack:
        peers: list[Peer] = []
        serving = [each for each in psutil.Process(node.process.pid).children() if "spawn_main" in str(each.cmdline())]
        while not all(_sockets(process, node.port) for process in serving):
            assert len(peers) < MOST, "one of them takes all connections"
            # At once, for of two that are idle one may always be the first to wake.
            peers += await asyncio.gather(*(stack.enter_async_context(following(node, id_)) for _ in range(12)))
        began = time.monotonic()
        for number in range(12):
            await client.log(id_, number)
        expected = [float(number) for number in range(12)]
        for peer in peers:
            found: list[float] = []
            while len(found) < len(expected):
                found += await received(peer)
            assert found == expected
        assert time.monotonic() - began < 15  # Else it was not hints that told of it.


def _sockets(process: psutil.Process, port: int) -> list[Any]:
    """Connections of clients that a process holds."""
    return [
        each
        for each in process.net_connections("tcp")
        if each.laddr.port == port and each.status == psutil.CONN_ESTABLISHED
    ]


def test_a_job_is_done_once(tmp_path: Path) -> None:
    with running(tmp_path, [0.0, 0.0], workers=[1, 2]) as cluster:
        jobs = asyncio.run(compacted(cluster))
    assert len(jobs) >= OWNERS
    assert [job for job in jobs if (job["picked"], job["done"]) != (1, 1)] == []


async def compacted(cluster: Cluster) -> list[asyncpg.Record]:
    """Log so much on some objects that all are compacted; the jobs that did it."""
    clients = await all_ready(cluster)
    ids = [await clients[0].create(f"run-{number}") for number in range(OWNERS)]
    connection = await asyncpg.connect(cluster.database.address)
    try:
        for number in range(2 * TAIL_ROWS):
            await asyncio.gather(*(clients[number % 2].log(id_, number) for id_ in ids))
        async with asyncio.timeout(PATIENCE):
            while not await connection.fetchval(COMPACTED, TAIL_ROWS, len(ids)):  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.2)
        return list(await connection.fetch(JOBS))
    finally:
        await connection.close()
