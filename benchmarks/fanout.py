"""Measures fan-out: deliveries per CPU-second of one process, and what idle subscribers cost.

`python -m benchmarks.fanout` runs it. Every contender sends batches of about the same size to the same number of
sockets; the next batch is published when all have the one before, so nothing is merged on the way.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks.contenders import Contender, cpu_of, free_port, running
from benchmarks.listeners import Listeners, listening
from benchmarks.store import FOLDER

SIZES: Final = (100, 1_000, 5_000)
IDLE: Final = 10_000
GOALS: Final = {"raw": 0.5, "strawberry": 15.0}
"""At 1 000 subscribers: our deliveries per CPU-second by theirs, at least."""

IDLE_GOAL: Final = "(goal ≤ 60)"
IDLE_SECONDS: Final = 5.0

POINTS: Final = 10
UNHEARD: Final = 200
BEGIN: Final = 'mutation { createExperiment(input: { name: "fan-out" }) { experiment { id } userErrors { message } } }'
LOG: Final = """
    mutation Log($objectId: ID!, $columns: MetricTable!) {
      logMetrics(input: { objectId: $objectId, columns: $columns }) { userErrors { message } }
    }
"""
FOLLOW: Final = """
    subscription Follow($objectIds: [ID!]!) {
      metricBatches(objectIds: $objectIds) { cursor catchingUp series { key columns { steps values } } }
    }
"""


@dataclass(frozen=True)
class Side:
    """A contender, how one subscribes there, and how something is published."""

    server: Contender
    subscribe: dict[str, Any]
    publish: Callable[[], object]


@dataclass(frozen=True)
class Turn:
    """What a contender did in some seconds; the CPU is its process's alone."""

    deliveries: int
    size: int
    cpu: float
    seconds: float
    writing: float
    """The part of the CPU that publishing takes when nobody listens; ModelBox commits what it publishes."""

    @property
    def rate(self) -> float:
        """Deliveries per CPU-second."""
        return self.deliveries / self.cpu

    @property
    def sending_rate(self) -> float:
        """The same without what writing takes."""
        return self.deliveries / (self.cpu - self.writing)


def main() -> None:
    """Measure and print."""
    options = _options()
    FOLDER.mkdir(exist_ok=True)
    if not options.without_fanout:
        with sides() as contenders:
            for size in options.sizes:
                _print_turns(size, compare(contenders, size, options.seconds, options.rounds))
    for subscribed in (False, True) if options.idle else ():
        with _modelbox() as ours:
            _print_idle(ours, options.idle, subscribed=subscribed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fanout", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="numbers of subscribers")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle", type=int, default=IDLE, help="idle subscribers; 0 for none")
    parser.add_argument("--without-fanout", action="store_true")
    return parser.parse_args()


@contextlib.contextmanager
def sides() -> Iterator[list[Side]]:
    """All contenders, running."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(side) for side in (_modelbox(), _broadcast("raw"), _broadcast("strawberry"))]


@contextlib.contextmanager
def _modelbox() -> Iterator[Side]:
    port = free_port()
    program = Path(sys.executable).with_name("modelbox-server")
    with tempfile.TemporaryDirectory() as data:
        command = [str(program), "serve", "--port", str(port), "--data-dir", data]
        with running("ModelBox", command, port, {}, Path.cwd()) as server:
            ask = Asker(port)
            owner = ask(BEGIN)["data"]["createExperiment"]["experiment"]["id"]
            numbers = itertools.count()

            def publish() -> None:
                step = next(numbers)
                values = {f"train/loss-{n}": [step / 7 + n] for n in range(POINTS)}
                ask(LOG, objectId=owner, columns={"steps": [step], "values": values})

            yield Side(server, {"query": FOLLOW, "variables": {"objectIds": [owner]}}, publish)


@contextlib.contextmanager
def _broadcast(kind: str) -> Iterator[Side]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.broadcast", kind, str(port)]
    with running(kind, command, port, {}, Path.cwd()) as server:
        ask = Asker(port)
        query = "subscription { batches { cursor catchingUp points { key step value } } }"
        yield Side(server, {"query": query}, partial(ask, "publish"))


class Asker:
    """A kept connection for requests."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def __call__(self, query: str, **variables: Any) -> Any:
        """Send a GraphQL request, and expect no error; the answer."""
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", "/graphql", orjson.dumps({"query": query, "variables": variables}), headers)
        answer = self._connection.getresponse().read()
        if b'"message"' in answer:
            raise RuntimeError(answer.decode())
        return orjson.loads(answer)


def compare(contenders: Sequence[Side], size: int, seconds: float, rounds: int) -> dict[str, list[Turn]]:
    """Turns of all contenders, round after round."""
    writing = {side.server.name: _writing(side) for side in contenders}
    turns: dict[str, list[Turn]] = {side.server.name: [] for side in contenders}
    for number in range(rounds):
        for side in contenders if number % 2 == 0 else reversed(contenders):
            with listening(side.server.port, size, side.subscribe) as listeners:
                turns[side.server.name].append(_turn(side, listeners, size, seconds, writing[side.server.name]))
    return turns


def _writing(side: Side) -> float:
    """CPU seconds of a publication that nobody listens to."""
    for _ in range(20):
        side.publish()
    before = cpu_of([side.server.process])
    for _ in range(UNHEARD):
        side.publish()
    return (cpu_of([side.server.process]) - before) / UNHEARD


def _turn(side: Side, listeners: Listeners, size: int, seconds: float, writing: float) -> Turn:
    side.publish()
    listeners.await_deliveries(2 * size)
    time.sleep(0.3)
    began, cpu = time.monotonic(), cpu_of([side.server.process])
    delivered, bytes_before = listeners.deliveries, listeners.bytes
    expected = delivered
    while time.monotonic() < began + seconds:
        side.publish()
        expected += size
        listeners.await_deliveries(expected)
    return Turn(
        listeners.deliveries - delivered,
        (listeners.bytes - bytes_before) // (listeners.deliveries - delivered),
        cpu_of([side.server.process]) - cpu,
        time.monotonic() - began,
        writing * (expected - delivered) / size,
    )


def _print_turns(size: int, turns: dict[str, list[Turn]]) -> None:
    ours = turns["ModelBox"]
    for name, own in turns.items():
        rate = statistics.median(turn.rate for turn in own)
        by = statistics.median(our.rate / turn.rate for our, turn in zip(ours, own, strict=True))
        net = statistics.median(our.sending_rate / turn.sending_rate for our, turn in zip(ours, own, strict=True))
        goal = f"(goal ≥ {GOALS[name]:g})" if name in GOALS and size == 1_000 else ""
        print(
            f"{size:>6} subscribers  {name:<11} {rate:>9,.0f} deliveries per CPU-second, {own[0].size} bytes each;"
            f" {sum(turn.deliveries for turn in own) / sum(turn.seconds for turn in own):>8,.0f}/s;"
            f" ModelBox by it: {by:.2f}, without writing {net:.2f} {goal}"
        )


def _print_idle(side: Side, sockets: int, *, subscribed: bool) -> None:
    """The memory of sockets that hear nothing, in a server that never had more."""
    subscribe = side.subscribe if subscribed else None
    with listening(side.server.port, 10, subscribe):
        before = side.server.process.memory_info().rss
    with listening(side.server.port, sockets, subscribe, processes=3):
        time.sleep(1)
        cpu, began = cpu_of([side.server.process]), time.monotonic()
        time.sleep(IDLE_SECONDS)
        each = (side.server.process.memory_info().rss - before) / sockets
        used = (cpu_of([side.server.process]) - cpu) / (time.monotonic() - began)
    what = "that follow and hear nothing" if subscribed else "without an operation"
    print(f"{sockets:>6} sockets {what}: {each / 1000:.1f} kB each {IDLE_GOAL}, {used:.1%} of a core")


if __name__ == "__main__":
    main()
