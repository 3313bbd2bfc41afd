"""A ledger of what was acknowledged, held against what is stored and what was delivered, while servers and PostgreSQL
are killed, hints are lost, and readers come and go."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.typing import Subprotocol

from db.embedded import EmbeddedPostgres
from tests.acceptance.server import PATIENCE, clean_environment

ROOT: Final = Path(__file__).parents[2]
LOG: Final = """
mutation ($input: LogMetricsInput!) { logMetrics(input: $input) { pointCount replayed userErrors { message code } } }
"""
MAKE: Final = """
mutation ($name: String!, $key: String!) {
  createExperiment(input: {namespace: "ledger", name: $name, idempotencyKey: $key}) {
    experiment { id } userErrors { message code }
  }
}
"""
FOLLOW_METRICS: Final = """
subscription ($ids: [ID!]!, $after: Cursor) {
  feed: metricBatches(objectIds: $ids, after: $after) {
    cursor catchingUp series { objectId key columns { steps values } }
  }
}
"""
FOLLOW_CHANGES: Final = """
subscription ($after: Cursor) {
  feed: changes(namespace: "ledger", after: $after, actions: [CREATE]) {
    cursor catchingUp changes { sequence objectName kind }
  }
}
"""
START: Final = """
query ($ids: [ID!]!) { metrics: feedCursor(objectIds: $ids) namespace(by: {path: "ledger"}) { feedCursor } }
"""
STORED: Final = """
query ($id: ID!) {
  node(id: $id) { ... on Entity { metrics(first: 100) { nodes { key count columns { steps values } } } } }
}
"""
AWAY: Final = (OSError, httpx.HTTPError, websockets.WebSocketException, json.JSONDecodeError, TimeoutError)


class Database:
    """A PostgreSQL at one address, which may be killed and started again."""

    def __init__(self, folder: Path, link: Path) -> None:
        self._folder, self._link = folder, link
        self._running = EmbeddedPostgres(folder)

    def start(self) -> None:
        """Begin it, and lead the address to it."""
        dsn = self._running.start()
        place = dsn.partition("host=")[2].partition("&")[0]
        with contextlib.suppress(FileNotFoundError):
            self._link.unlink()
        self._link.symlink_to(place)
        self.address = dsn.replace(place, str(self._link))

    def kill(self) -> None:
        """Kill it with all that it began, as a power cut does."""
        pid = self._running.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        self._running.stop()
        self._running = EmbeddedPostgres(self._folder)
        self.start()

    def stop(self) -> None:
        """End it in order."""
        self._running.stop()


class Node:
    """A server process at one address, which may be killed and started again."""

    def __init__(self, database: str, lost: float, log: Path) -> None:
        self._database, self._lost, self._log = database, lost, log
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.process = self._begin()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def kill(self) -> None:
        """Kill it, and begin another."""
        self.stop()
        self.process = self._begin()

    def stop(self) -> None:
        """Kill it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)

    def faults(self) -> list[str]:
        """The ends of the tracebacks in its log."""
        lines = [json.loads(line) for line in self._log.read_bytes().splitlines() if line.startswith(b"{")]
        return [line["exception"][-1_000:] for line in lines if "exception" in line]

    def _begin(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.acceptance.lossy_server", str(self._lost), "serve"]
        environment = {**clean_environment(), "MODELBOX_DATABASE_URL": self._database, "PYTHONPATH": str(ROOT)}
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [*command, "--port", str(self.port)],
                cwd=self._log.parent,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


@dataclass
class Ledger:
    """What was acknowledged, and what each reader got."""

    nodes: Sequence[Node]
    dice: random.Random
    acknowledged: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    experiments: list[str] = field(default_factory=list)
    delivered: list[dict[tuple[str, str], list[int]]] = field(default_factory=list)
    changes: list[list[tuple[int, str]]] = field(default_factory=list)
    reconnects: int = 0
    retries: int = 0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, client: httpx.AsyncClient, query: str, **variables: Any) -> Any:
        """The data of an answer from whichever server gives one; asked again until one does."""
        limit = time.monotonic() + PATIENCE
        while True:
            address = self.dice.choice(self.nodes).address
            try:
                answer = await client.post(f"http://{address}/graphql", json={"query": query, "variables": variables})
                body = answer.json()
                if "errors" not in body:
                    return body["data"]
                assert answer.status_code in (200, 400, 503), (answer.text, [node.faults() for node in self.nodes])
            except AWAY:
                pass
            assert time.monotonic() < limit, "no server answers"
            self.retries += 1
            await asyncio.sleep(0.05)

    async def write(self, number: int, ids: Sequence[str]) -> None:
        """Log batch after batch on an object, each until it is acknowledged; now and then one that was already."""
        id_, writer, sequence = ids[number % len(ids)], f"w{number}", 0
        async with httpx.AsyncClient(timeout=5) as client:
            while not self.stopping.is_set():
                rows = 1 + sequence * 7 % 23
                values = [sequence * 100 + row for row in range(rows)]
                table = {"steps": [sequence] * rows, "values": {writer: values}}
                input_ = {"objectId": id_, "columns": table, "writer": writer, "sequence": sequence}
                payload = (await self.ask(client, LOG, input=input_))["logMetrics"]
                assert not payload["userErrors"], payload
                assert payload["replayed"] or payload["pointCount"] == rows
                self.acknowledged[id_, writer] += values
                if self.dice.random() < 0.1:
                    again = (await self.ask(client, LOG, input=input_))["logMetrics"]
                    assert again["replayed"], again
                sequence += 1
                await asyncio.sleep(self.dice.random() * 0.02)

    async def create(self) -> None:
        """Make experiments, each until it is acknowledged."""
        async with httpx.AsyncClient(timeout=5) as client:
            while not self.stopping.is_set():
                name = f"made-{len(self.experiments)}"
                payload = (await self.ask(client, MAKE, name=name, key=name))["createExperiment"]
                assert not payload["userErrors"], payload
                self.experiments.append(name)
                await asyncio.sleep(self.dice.random() * 0.05)

    async def follow_metrics(self, ids: Sequence[str], after: str, expected: asyncio.Event) -> None:
        """Read all points from a cursor on, through any number of connections."""
        got: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.delivered.append(got)
        async for frame in self._frames(FOLLOW_METRICS, {"ids": list(ids)}, after):
            for series in frame["series"]:
                got[series["objectId"], series["key"]] += [int(value) for value in series["columns"]["values"]]
            if expected.is_set() and all(got[name] == values for name, values in self.acknowledged.items()):
                return

    async def follow_changes(self, after: str, expected: asyncio.Event) -> None:
        """Read what was created from a cursor on."""
        got: list[tuple[int, str]] = []
        self.changes.append(got)
        async for frame in self._frames(FOLLOW_CHANGES, {}, after):
            got += [(change["sequence"], change["objectName"]) for change in frame["changes"]]
            if expected.is_set() and len(got) >= len(self.experiments):
                return

    async def _frames(self, query: str, variables: dict[str, Any], after: str) -> AsyncIterator[dict[str, Any]]:
        """Frames, one after the other, from whichever server: connected again from the last cursor."""
        while True:
            try:
                address = self.dice.choice(self.nodes).address
                protocol = Subprotocol("graphql-transport-ws")
                async with websockets.connect(
                    f"ws://{address}/graphql", subprotocols=[protocol], max_size=None, open_timeout=5
                ) as peer:
                    async for frame in _subscribed(peer, query, {**variables, "after": after}, self.dice):
                        yield frame
                        after = frame["cursor"]
            except AWAY:
                pass
            self.reconnects += 1
            await asyncio.sleep(0.05)

    async def stored(self, ids: Sequence[str]) -> dict[tuple[str, str], list[int]]:
        """What is stored, by object and key."""
        found = {}
        async with httpx.AsyncClient(timeout=30) as client:
            for id_ in ids:
                for series in (await self.ask(client, STORED, id=id_))["node"]["metrics"]["nodes"]:
                    values = [int(value) for value in series["columns"]["values"]]
                    assert series["count"] == len(values)
                    found[id_, series["key"]] = values
        return found


async def _subscribed(
    peer: ClientConnection, query: str, variables: dict[str, Any], dice: random.Random
) -> AsyncIterator[dict[str, Any]]:
    """The frames of one connection, which ends of itself after a while."""
    await peer.send(json.dumps({"type": "connection_init"}))
    payload = {"query": query, "variables": variables}
    leave = time.monotonic() + dice.uniform(0.5, 6)
    while time.monotonic() < leave:
        async with asyncio.timeout(leave - time.monotonic()):
            message = json.loads(await peer.recv())
        match message["type"]:
            case "connection_ack":
                await peer.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
            case "ping":
                await peer.send(json.dumps({"type": "pong"}))
            case "next":
                yield message["payload"]["data"]["feed"]
            case "error":
                codes = {error["extensions"]["code"] for error in message["payload"]}
                assert codes <= {"SERVICE_UNAVAILABLE", "INTERNAL_SERVER_ERROR"}, message
                return
            case _:
                return


@contextlib.contextmanager
def running(folder: Path, lost: Sequence[float]) -> Iterator[tuple[Database, list[Node]]]:
    """A PostgreSQL, and a server for each share of hints that it loses."""
    database = Database(folder / "data", folder / "pg")
    database.start()
    nodes: list[Node] = []
    try:
        nodes += [Node(database.address, share, folder / f"server-{n}.log") for n, share in enumerate(lost)]
        yield database, nodes
    finally:
        for node in nodes:
            node.stop()
        database.stop()


async def storm(database: Database, nodes: Sequence[Node], *, servers: int, databases: int, seconds: float) -> None:
    """Kill servers and PostgreSQL, so many times, spread over a while."""
    kinds = ["server"] * servers + ["database"] * databases
    random.shuffle(kinds)
    for number, kind in enumerate(kinds):
        await asyncio.sleep(seconds / len(kinds))
        target = database if kind == "database" else nodes[number % len(nodes)]
        await asyncio.to_thread(target.kill)


async def trial(
    database: Database, nodes: Sequence[Node], *, seconds: float, servers: int, databases: int, seed: int
) -> Ledger:
    """Write and read through a storm, then wait until all is delivered; raises AssertionError where it is not right."""
    ledger = Ledger(nodes, random.Random(seed))
    async with httpx.AsyncClient(timeout=10) as client:
        ids = [
            (await ledger.ask(client, MAKE, name=f"run-{n}", key=f"run-{n}"))["createExperiment"]["experiment"]["id"]
            for n in range(3)
        ]
        start = await ledger.ask(client, START, ids=ids)
    written = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        readers = [tasks.create_task(ledger.follow_metrics(ids, start["metrics"], written)) for _ in range(3)]
        readers.append(tasks.create_task(ledger.follow_changes(start["namespace"]["feedCursor"], written)))
        writers = [tasks.create_task(ledger.write(number, ids)) for number in range(6)]
        writers.append(tasks.create_task(ledger.create()))
        await storm(database, nodes, servers=servers, databases=databases, seconds=seconds)
        ledger.stopping.set()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*writers)
            written.set()
            await asyncio.gather(*readers)
    check(ledger, await ledger.stored(ids))
    return ledger


def check(ledger: Ledger, stored: dict[tuple[str, str], list[int]]) -> None:
    """What is stored and what each reader got is what was acknowledged: each once, in order."""
    assert stored == dict(ledger.acknowledged)
    for got in ledger.delivered:
        assert dict(got) == dict(ledger.acknowledged)
    for changes in ledger.changes:
        assert [name for _, name in changes] == ledger.experiments
        sequences = [sequence for sequence, _ in changes]
        assert sequences == sorted(set(sequences))
