"""Ingestion: every server is given points of the same kind by the same number of writers, in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import psutil

from benchmarks.contenders import Contender, cpu_of
from benchmarks.measure import percentile
from benchmarks.points import Shape
from benchmarks.trackers import Tracker
from benchmarks.writers import Written, write_apart

CALL: Final = Shape(keys=10, rows=100)
SMALL: Final = Shape(keys=50, rows=1)
QUIET: Final = 0.05
"""The part of a core that counts as nothing."""
QUIET_LOOK: Final = 0.3
QUIET_LIMIT: Final = 20.0


@dataclass(frozen=True)
class Turn:
    """One tracker's turn. CPU is in seconds; `later` is what all spent after it until nothing was left to do."""

    written: Written
    points: int
    server_cpu: float
    postgres_cpu: float
    later: float

    @property
    def points_a_second(self) -> float:
        """What was acknowledged."""
        return self.points / self.written.seconds


Turns = dict[str, list[Turn]]
"""By tracker, a turn for each round."""


@dataclass(frozen=True)
class Bench:
    """Who shares the machine, so that a turn begins when nobody works any more."""

    servers: Sequence[Contender]
    postgres: psutil.Process

    def cpu(self) -> float:
        """Seconds that the servers and PostgreSQL have used."""
        return sum(server.cpu() for server in self.servers) + self.postgres_cpu()

    def postgres_cpu(self) -> float:
        """Seconds that PostgreSQL's backends have used."""
        return cpu_of(self.postgres.children())

    def finish(self, tracker: Tracker) -> float:
        """Let what a turn put off be done, by its server or for it here; the CPU that took."""
        own = psutil.Process()
        before, before_here = self.cpu(), cpu_of([own])
        tracker.finish()
        here = cpu_of([own]) - before_here
        self.settle()
        return self.cpu() - before + here

    def settle(self) -> None:
        """Wait until all are quiet, or for so long that they never will be."""
        began, before = time.monotonic(), self.cpu()
        while time.monotonic() < began + QUIET_LIMIT:
            time.sleep(QUIET_LOOK)
            now = self.cpu()
            if now - before < QUIET * QUIET_LOOK:
                break
            before = now

    def turn(self, tracker: Tracker, shape: Shape, seconds: float) -> Turn:
        """Let a tracker's writers write for a while."""
        server, database = tracker.server.cpu(), self.postgres_cpu()
        written = write_apart(tracker.task(shape, seconds))
        server, database = tracker.server.cpu() - server, self.postgres_cpu() - database
        tracker.move(written.made, written.throughput)
        return Turn(written, sum(written.made) * shape.points, server, database, self.finish(tracker))


def take_turns(bench: Bench, trackers: Sequence[Tracker], shape: Shape, seconds: float, rounds: int) -> Turns:
    """All rounds, after a short one that does not count; the order is reversed in every other round."""
    turns: Turns = {tracker.name: [] for tracker in trackers}
    for tracker in trackers:
        bench.turn(tracker, shape, min(1.0, seconds))
    for number in range(rounds):
        for tracker in trackers if number % 2 == 0 else reversed(trackers):
            turns[tracker.name].append(bench.turn(tracker, shape, seconds))
    return turns


def rate(turns: Sequence[Turn]) -> float:
    """Points a second: the median round."""
    return statistics.median(turn.points_a_second for turn in turns)


def ratio(ours: Sequence[Turn], theirs: Sequence[Turn]) -> float:
    """Our rate by theirs: the median of the rounds, each compared with itself."""
    pairs = zip(ours, theirs, strict=True)
    return statistics.median(our.points_a_second / their.points_a_second for our, their in pairs)


def latency(turns: Sequence[Turn], share: float) -> float:
    """Milliseconds that this share of the calls kept within, over all rounds."""
    return percentile([seconds for turn in turns for seconds in turn.written.latencies], share)


def cpu_a_million(turns: Sequence[Turn], part: Callable[[Turn], float]) -> float:
    """Seconds of CPU for a million points, over all rounds."""
    return 1_000_000 * sum(map(part, turns)) / sum(turn.points for turn in turns)


def writers_share(turns: Sequence[Turn]) -> float:
    """The part of one core that the writers took."""
    return sum(turn.written.cpu for turn in turns) / sum(turn.written.seconds for turn in turns)
