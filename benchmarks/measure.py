"""Taking turns: every contender answers the same question for a while, round after round."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

from benchmarks.contenders import Contender, cpu_of
from benchmarks.load import Load, drive_apart


@dataclass(frozen=True)
class Turn:
    """One contender's turn at one question. CPU is in seconds."""

    load: Load
    server_cpu: float
    postgres_cpu: float


Turns = dict[str, list[Turn]]
"""By contender, a turn for each round."""


@dataclass(frozen=True)
class Pace:
    """How long, how often, and by how many clients at once each question is asked."""

    clients: int
    seconds: float
    rounds: int


def take_turns(contenders: Sequence[Contender], requests: Mapping[str, bytes], pace: Pace, postgres: int) -> Turns:
    """All rounds of one question, after a short one that does not count.

    In each round every contender has a turn, so that whatever else the machine does falls on all of them,
    and the order is reversed in every other round.
    """
    turns: Turns = {contender.name: [] for contender in contenders}
    for contender in contenders:
        drive_apart(contender.port, requests[contender.name], clients=pace.clients, seconds=min(1.0, pace.seconds))
    for number in range(pace.rounds):
        for contender in contenders if number % 2 == 0 else reversed(contenders):
            turns[contender.name].append(_turn(contender, requests[contender.name], pace, psutil.Process(postgres)))
    return turns


def _turn(contender: Contender, request: bytes, pace: Pace, postgres: psutil.Process) -> Turn:
    backends = postgres.children()
    server, database = contender.cpu(), cpu_of(backends)
    load = drive_apart(contender.port, request, clients=pace.clients, seconds=pace.seconds)
    return Turn(load, contender.cpu() - server, cpu_of(backends) - database)


def throughput(turns: Sequence[Turn]) -> float:
    """Requests per second: the median round."""
    return statistics.median(turn.load.throughput for turn in turns)


def ratio(ours: Sequence[Turn], theirs: Sequence[Turn]) -> float:
    """Our throughput by theirs: the median of the rounds, each compared with itself."""
    pairs = zip(ours, theirs, strict=True)
    return statistics.median(our.load.throughput / their.load.throughput for our, their in pairs)


def server_cpu(turns: Sequence[Turn]) -> float:
    """Milliseconds of the server's CPU a request, over all rounds."""
    return 1000 * sum(t.server_cpu for t in turns) / sum(t.load.requests for t in turns)


def postgres_cpu(turns: Sequence[Turn]) -> float:
    """Milliseconds of PostgreSQL's CPU a request, over all rounds."""
    return 1000 * sum(t.postgres_cpu for t in turns) / sum(t.load.requests for t in turns)


def client_share(turns: Sequence[Turn]) -> float:
    """The part of one core that the load generator took."""
    return sum(t.load.cpu for t in turns) / sum(t.load.seconds for t in turns)


def percentile(latencies: Sequence[float], share: float) -> float:
    """The latency, in milliseconds, that this share of the requests kept within."""
    ordered = sorted(latencies)
    return 1000 * ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def latency(turns: Sequence[Turn], share: float) -> float:
    """The same, over all rounds."""
    return percentile([seconds for turn in turns for seconds in turn.load.latencies], share)
