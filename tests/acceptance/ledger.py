"""A ledger of what was acknowledged, held against what is stored and what was delivered, while servers and PostgreSQL
are killed, hints are lost, and readers come and go."""

from __future__ import annotations

import asyncio
import contextlib
import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import httpx

from tests.acceptance.nodes import Cluster
from tests.acceptance.server import PATIENCE
from tests.acceptance.streams import AWAY, Reader

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
REPORT: Final = """
mutation ($id: ID!, $number: String!) {
  logEvents(input: {events: [{objectId: $id, name: "seen", externalId: $number}]}) {
    events { externalId } created userErrors { message code }
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
  feed: changes(namespace: "ledger", after: $after, actions: [CREATE], types: [EXPERIMENT]) {
    cursor catchingUp changes { sequence objectName }
  }
}
"""
FOLLOW_EVENTS: Final = """
subscription ($after: Cursor) {
  feed: events(namespace: "ledger", after: $after) { cursor catchingUp events { externalId } }
}
"""
FOLLOW_EXPERIMENTS: Final = """
subscription ($after: Cursor) {
  feed: experimentUpdates(namespace: "ledger", first: 50, after: $after) {
    cursor added { id name } updated { id } removed ids
  }
}
"""
EXPERIMENTS: Final = '{ experiments(namespace: "ledger", first: 50) { nodes { id } } }'
START: Final = """
query ($ids: [ID!]!) { metrics: feedCursor(objectIds: $ids) namespace(by: {path: "ledger"}) { feedCursor } }
"""
STORED: Final = """
query ($id: ID!) {
  node(id: $id) { ... on Entity { metrics(first: 100) { nodes { key count columns { steps values } } } } }
}
"""
REFUSALS: Final = {"SERVICE_UNAVAILABLE", "LIMIT_EXCEEDED"}
"""What a call may be answered while servers and PostgreSQL are killed: it is sent again."""

RUNS: Final = 3
WRITERS: Final = 6
SOME: Final = 30
"""Calls between two blows."""

SETTLE: Final = 3.0
"""Seconds of calm before delays are measured."""

Series = tuple[str, str]


@dataclass
class Ledger:
    """What was acknowledged, and what each reader got."""

    cluster: Cluster
    dice: random.Random
    acknowledged: dict[Series, list[int]] = field(default_factory=lambda: defaultdict(list))
    experiments: list[str] = field(default_factory=list)
    reported: list[str] = field(default_factory=list)
    stored: dict[Series, list[int]] = field(default_factory=dict)
    metrics: list[dict[Series, list[int]]] = field(default_factory=list)
    changes: list[list[tuple[int, str]]] = field(default_factory=list)
    events: list[list[str]] = field(default_factory=list)
    lists: list[list[str]] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)
    listed: list[str] | None = None
    refusals: Counter[str] = field(default_factory=Counter)
    delays: list[float] = field(default_factory=list)
    calls: int = 0
    called: asyncio.Event = field(default_factory=asyncio.Event)
    is_measuring: bool = False
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    written: asyncio.Event = field(default_factory=asyncio.Event)
    _sent_at: dict[tuple[str, int], float] = field(default_factory=dict)

    async def ask(self, client: httpx.AsyncClient, query: str, **variables: Any) -> Any:
        """The data of an answer from whichever server gives one; asked again until one does."""
        limit = time.monotonic() + PATIENCE
        while True:
            address = self.dice.choice(self.cluster.nodes).address
            try:
                answer = await client.post(f"http://{address}/graphql", json={"query": query, "variables": variables})
                body = answer.json()
                if "errors" not in body:
                    return body["data"]
                codes = {error["extensions"]["code"] for error in body["errors"]}
                assert codes <= REFUSALS, (answer.text, self.cluster.faults())
                self.refusals.update(codes)
            except AWAY:
                self.refusals["away"] += 1
            assert time.monotonic() < limit, "no server answers"
            await asyncio.sleep(0.05)

    async def write(self, number: int, ids: Sequence[str]) -> None:
        """Log batch after batch on an object, each until it is acknowledged; now and then one that was already."""
        id_, writer, sequence = ids[number % len(ids)], f"w{number}", 0
        async with _client() as client:
            while not self.stopping.is_set():
                rows = 1 + sequence * 7 % 23
                values = [sequence * 100 + row for row in range(rows)]
                table = {"steps": [sequence] * rows, "values": {writer: values}}
                input_ = {"objectId": id_, "columns": table, "writer": writer, "sequence": sequence}
                if self.is_measuring:
                    self._sent_at[writer, values[-1]] = time.monotonic()
                payload = (await self.ask(client, LOG, input=input_))["logMetrics"]
                assert not payload["userErrors"], payload
                assert payload["replayed"] or payload["pointCount"] == rows
                self.acknowledged[id_, writer] += values
                self.calls += 1
                self.called.set()
                if self.dice.random() < 0.1:
                    again = (await self.ask(client, LOG, input=input_))["logMetrics"]
                    assert again["replayed"], again
                sequence += 1
                await asyncio.sleep(self.dice.random() * 0.02)

    async def create(self) -> None:
        """Make experiments, each until it is acknowledged."""
        async with _client() as client:
            while not self.stopping.is_set():
                name = f"made-{len(self.experiments)}"
                payload = (await self.ask(client, MAKE, name=name, key=name))["createExperiment"]
                assert not payload["userErrors"], payload
                self.experiments.append(name)
                await asyncio.sleep(self.dice.random() * 0.1)

    async def report(self, id_: str) -> None:
        """Report events, each until it is acknowledged."""
        async with _client() as client:
            while not self.stopping.is_set():
                number = str(len(self.reported))
                payload = (await self.ask(client, REPORT, id=id_, number=number))["logEvents"]
                assert not payload["userErrors"], payload
                self.reported.append(number)
                await asyncio.sleep(self.dice.random() * 0.1)

    async def follow_metrics(self, reader: Reader) -> None:
        """Read all points."""
        got: dict[Series, list[int]] = defaultdict(list)
        self.metrics.append(got)
        async with contextlib.aclosing(reader.frames()) as frames:
            async for frame in frames:
                for series in frame["series"]:
                    values = [int(value) for value in series["columns"]["values"]]
                    got[series["objectId"], series["key"]] += values
                    self._note_delays(reader, series["key"], values)
                if self.written.is_set() and all(len(got[name]) >= len(all_) for name, all_ in self._expected()):
                    return

    async def follow_changes(self, reader: Reader) -> None:
        """Read what was created."""
        got: list[tuple[int, str]] = []
        self.changes.append(got)
        async with contextlib.aclosing(reader.frames()) as frames:
            async for frame in frames:
                got += [(change["sequence"], change["objectName"]) for change in frame["changes"]]
                if self.written.is_set() and len(got) >= len(self.experiments):
                    return

    async def follow_events(self, reader: Reader) -> None:
        """Read what was reported."""
        got: list[str] = []
        self.events.append(got)
        async with contextlib.aclosing(reader.frames()) as frames:
            async for frame in frames:
                got += [event["externalId"] for event in frame["events"]]
                if self.written.is_set() and len(got) >= len(self.reported):
                    return

    async def follow_list(self, reader: Reader) -> None:
        """Keep a list of experiments by what is told of it."""
        known: set[str] = set()
        self.lists.append([])
        place = len(self.lists) - 1
        async with contextlib.aclosing(reader.frames()) as frames:
            async for frame in frames:
                known |= {row["id"] for row in frame["added"]}
                assert known >= {row["id"] for row in frame["updated"]}
                known -= set(frame["removed"])
                assert known == set(frame["ids"])
                self.lists[place] = frame["ids"]
                if self.listed is not None and frame["ids"] == self.listed:
                    return

    async def progress(self) -> None:
        """Return when some more calls have been acknowledged."""
        wanted = self.calls + SOME
        async with asyncio.timeout(PATIENCE):
            while self.calls < wanted:
                self.called.clear()
                await self.called.wait()

    async def look(self, ids: Sequence[str]) -> None:
        """See what is stored."""
        async with _client() as client:
            for id_ in ids:
                for series in (await self.ask(client, STORED, id=id_))["node"]["metrics"]["nodes"]:
                    values = [int(value) for value in series["columns"]["values"]]
                    assert series["count"] == len(values)
                    self.stored[id_, series["key"]] = values

    def _expected(self) -> Iterator[tuple[Series, list[int]]]:
        yield from list(self.acknowledged.items())

    def _note_delays(self, reader: Reader, key: str, values: Sequence[int]) -> None:
        """From when a call was sent to when its last point came to who was connected by then."""
        now = time.monotonic()
        for value in values if self.is_measuring else ():
            sent = self._sent_at.get((key, value))
            if sent is not None and sent > reader.connected_at:
                self.delays.append(now - sent)


@dataclass(frozen=True)
class Plan:
    """How a trial goes."""

    seconds: float
    kills: Sequence[str]
    seed: int
    calm: float = 0.0
    """Seconds after the storm in which delays are measured."""


async def trial(cluster: Cluster, plan: Plan) -> Ledger:
    """Write and read through a storm, then wait until all is delivered."""
    dice = random.Random(plan.seed)
    ledger = Ledger(cluster, dice)
    async with _client() as client:
        ids = [
            (await ledger.ask(client, MAKE, name=f"run-{n}", key=f"run-{n}"))["createExperiment"]["experiment"]["id"]
            for n in range(RUNS)
        ]
        start = await ledger.ask(client, START, ids=ids)
    async with asyncio.TaskGroup() as tasks:
        readers = [tasks.create_task(work) for work in _readers(ledger, ids, start)]
        writers = [tasks.create_task(ledger.write(number, ids)) for number in range(WRITERS)]
        writers += [tasks.create_task(ledger.create()), tasks.create_task(ledger.report(ids[0]))]
        await cluster.storm(dice, plan.kills, plan.seconds, ledger.progress)
        await _measure(ledger, plan.calm)
        ledger.stopping.set()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*writers)
            async with _client() as client:
                found = await ledger.ask(client, EXPERIMENTS)
            ledger.listed = [row["id"] for row in found["experiments"]["nodes"]]
            ledger.written.set()
            await asyncio.gather(*readers)
    await ledger.look(ids)
    return ledger


def _readers(ledger: Ledger, ids: Sequence[str], start: dict[str, Any]) -> Iterator[Any]:
    """Two of each kind, one by a socket and one by events; of metrics one more."""
    nodes, changes = ledger.cluster.nodes, start["namespace"]["feedCursor"]
    metrics = {"ids": list(ids)}
    for number in range(3):
        seed = random.Random(ledger.dice.random())
        yield ledger.follow_metrics(
            _noted(ledger, Reader(nodes, seed, FOLLOW_METRICS, metrics, number == 1, start["metrics"]))
        )
    for by_events in (False, True):
        for follow, query, after in (
            (ledger.follow_changes, FOLLOW_CHANGES, changes),
            (ledger.follow_events, FOLLOW_EVENTS, changes),
            (ledger.follow_list, FOLLOW_EXPERIMENTS, None),
        ):
            seed = random.Random(ledger.dice.random())
            yield follow(_noted(ledger, Reader(nodes, seed, query, {}, by_events, after)))


def _noted(ledger: Ledger, reader: Reader) -> Reader:
    ledger.readers.append(reader)
    return reader


async def _measure(ledger: Ledger, seconds: float) -> None:
    if seconds:
        await asyncio.sleep(SETTLE)
        ledger.is_measuring = True
        await asyncio.sleep(seconds)
        ledger.is_measuring = False


def check(ledger: Ledger) -> None:
    """What is stored and what each reader got is what was acknowledged: each once, in order."""
    assert ledger.stored == dict(ledger.acknowledged)
    for got in ledger.metrics:
        assert dict(got) == dict(ledger.acknowledged)
    for changes in ledger.changes:
        assert [name for _, name in changes] == ledger.experiments
        assert all(before < after for (before, _), (after, _) in pairwise(changes))
    for events in ledger.events:
        assert events == ledger.reported
    for ids in ledger.lists:
        assert ids == ledger.listed
    assert ledger.cluster.faults() == []


COLUMNS: Final = (
    "acknowledged", "stored", "delivered", "lost", "twice", "out of order", "reconnects", "refused", "p50 ms", "p99 ms"
)  # fmt: skip


def figures(ledger: Ledger) -> list[str]:
    """A row of a table, one figure for each of `COLUMNS`; of all readers of metrics together."""
    wanted = dict(ledger.acknowledged)
    got = [(values, reader.get(name, [])) for reader in ledger.metrics for name, values in wanted.items()]
    delays = sorted(ledger.delays) or [float("nan")]
    numbers = (
        sum(map(len, wanted.values())),
        sum(map(len, ledger.stored.values())),
        sum(len(found) for _, found in got),
        sum(len(set(values) - set(found)) for values, found in got),
        sum(len(found) - len(set(found)) for _, found in got),
        sum(before > after for _, found in got for before, after in pairwise(found)),
        sum(reader.connects - 1 for reader in ledger.readers),
        sum(ledger.refusals.values()),
    )
    return [
        *map(str, numbers),
        f"{statistics.median(delays) * 1000:.1f}",
        f"{delays[int(len(delays) * 0.99)] * 1000:.1f}",
    ]


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=10, trust_env=False)
