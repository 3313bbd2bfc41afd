"""The figures of files as tables, and which of them keep their bounds."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.artifacts_watch import Seen
from benchmarks.report import Goal

CP: Final = "cp"
FLOOR: Final = "floor"
MLFLOW: Final = "MLflow"
BOTO: Final = "boto3"
MODELBOX: Final = "ModelBox"
TAR: Final = "ModelBox as a tar"
"""A way of its own: what is measured by `cp` is a file that comes as it is."""

BASES: Final = (CP, FLOOR, MLFLOW, BOTO)
GROWTH: Final = 32_000_000
BOUND: Final = 0.8


@dataclass(frozen=True)
class Turn:
    """One file, or many of them, once."""

    accepted: float
    """Seconds until the last byte was taken; the page cache may still hold it."""

    ready: float
    """Seconds until all was verified, and on the disk."""

    cpu: float = 0.0
    seen: Seen | None = None
    begun: float = 0.0


def accepted(turn: Turn) -> float:
    """Seconds until the last byte was taken."""
    return turn.accepted


def ready(turn: Turn) -> float:
    """Seconds until all was verified, and on the disk."""
    return turn.ready


@dataclass
class Race:
    """The same file moved by each, in rounds. A name is who did it and, after a comma, over how many connections."""

    title: str
    size: int
    """MiB."""

    has_ready: bool = False
    turns: dict[str, list[Turn]] = field(default_factory=dict)

    def add(self, name: str, turn: Turn) -> None:
        """One more turn."""
        self.turns.setdefault(name, []).append(turn)

    def of(self, who: str) -> list[str]:
        """The names of all ways in which one does it."""
        return [name for name in self.turns if name.split(",", 1)[0] == who]

    def bases(self) -> list[str]:
        """Who others are compared with."""
        return [who for who in BASES if self.of(who)]

    def fastest(self, who: str, seconds: Callable[[Turn], float] = accepted) -> str:
        """The best way in which one does it."""
        return min(self.of(who), key=lambda name: statistics.median(map(seconds, self.turns[name])))

    def ratio(self, name: str, who: str, seconds: Callable[[Turn], float] = accepted) -> float:
        """How fast a way is by another's fastest: the median over the rounds, each compared with itself."""
        pairs = zip(self.turns[name], self.turns[self.fastest(who, seconds)], strict=True)
        return statistics.median(seconds(base) / seconds(own) for own, base in pairs)


@dataclass
class Figures:
    """All that one run measured."""

    load_before: float
    files: int
    hashing: dict[int, float] = field(default_factory=dict)
    """MiB/s of SHA-256 alone, by threads."""

    races: list[Race] = field(default_factory=list)
    many: dict[str, Turn] = field(default_factory=dict)
    archive: Turn | None = None
    """The small files as one tar, fetched."""

    failed: dict[str, str] = field(default_factory=dict)

    def race(self, title: str, size: int, *, has_ready: bool = False) -> Race:
        """A new one."""
        self.races.append(Race(f"{title} of {size:,} MiB", size, has_ready))
        return self.races[-1]


def goals(figures: Figures) -> Iterator[Goal]:
    """Every bound that the run can tell about."""
    for race in figures.races:
        base = BOTO if race.of(BOTO) else CP
        if race.of(base) and race.of(MODELBOX):
            best = race.fastest(MODELBOX)
            yield Goal(f"{race.title}: {best} by {base}", race.ratio(best, base), BOUND)
    for race in figures.races:
        ours = [turn for name in (*race.of(MODELBOX), *race.of(TAR)) for turn in race.turns[name]]
        if ours:
            yield _growth(f"memory: {race.title}", ours)
    if figures.many:
        small = list(figures.many.values())
        yield _growth(f"memory: {figures.files:,} files", small)
        yield _cumulative(f"memory: {figures.files:,} files, from before the first to the peak of all", small)
    if figures.archive:
        yield _growth(f"memory: {figures.files:,} files as a tar", [figures.archive])


def _growth(name: str, turns: Iterable[Turn]) -> Goal:
    growth = max(turn.seen.growth for turn in turns if turn.seen)
    return Goal(name, growth / 1e6, GROWTH / 1e6, "MB", at_most=True)


def _cumulative(name: str, turns: Sequence[Turn]) -> Goal:
    seen = [turn.seen for turn in turns if turn.seen]
    growth = max(each.peak for each in seen) - seen[0].before
    return Goal(name, growth / 1e6, GROWTH / 1e6, "MB", at_most=True)


def tables(figures: Figures) -> str:
    """All of it, in Markdown."""
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    hashing = ", ".join(f"{count} thread{'s' * (count > 1)} {rate:,.0f}" for count, rate in figures.hashing.items())
    lines = [f"{machine}; load average before: {figures.load_before:.1f}. SHA-256 alone, MiB/s: {hashing}.", ""]
    for race in figures.races:
        lines += [*_race(race), ""]
    if figures.many:
        lines += [*_many(figures), ""]
    lines += ["| goal | measured | bound | |", "|---|--:|--:|---|", *(goal.row() for goal in goals(figures)), ""]
    for name, error in figures.failed.items():
        lines += [f"The part {name} failed:", "```", error.strip(), "```", ""]
    return "\n".join(lines)


def _race(race: Race) -> Iterator[str]:
    columns = [race.title, "MiB/s", *(f"by {who}" for who in race.bases())]
    if race.has_ready:
        columns += ["to READY, MiB/s", f"READY by {race.bases()[0]}{' and sync' * (race.bases()[0] == CP)}"]
    columns += ["server CPU s", "memory, MB"]
    yield f"| {' | '.join(columns)} |"
    yield f"|---{'|--:' * (len(columns) - 1)}|"
    for name in race.turns:
        yield f"| {name} | {' | '.join(_cells(race, name))} |"


def _cells(race: Race, name: str) -> Iterator[str]:
    turns = race.turns[name]
    yield f"{race.size / statistics.median(map(accepted, turns)):,.0f}"
    for who in race.bases():
        yield f"{race.ratio(name, who):.2f}"
    if race.has_ready:
        is_durable = all(turn.ready > turn.accepted for turn in turns)
        yield f"{race.size / statistics.median(map(ready, turns)):,.0f}" if is_durable else ""
        yield f"{race.ratio(name, race.bases()[0], ready):.2f}" if is_durable else ""
    cpu = statistics.median(turn.cpu for turn in turns)
    yield f"{cpu:.2f}" if cpu else ""
    yield _memory(turns)


def _many(figures: Figures) -> Iterator[str]:
    yield (f"| {figures.files:,} files of 4 kB | begin s | files/s | to READY, files/s | server CPU s | memory, MB |")
    yield "|---|--:|--:|--:|--:|--:|"
    for name, turn in figures.many.items():
        cells = (
            f"{turn.begun:.2f}",
            f"{figures.files / (turn.accepted - turn.begun):,.0f}",
            f"{figures.files / turn.ready:,.0f}",
            f"{turn.cpu:.2f}",
            _memory([turn]),
        )
        yield f"| {name} | {' | '.join(cells)} |"
    if (tar := figures.archive) is not None:
        yield f"| fetched as a tar | | {figures.files / tar.accepted:,.0f} | | {tar.cpu:.2f} | {_memory([tar])} |"


def _memory(turns: Sequence[Turn]) -> str:
    """Before, at the peak and after, of the turn that grew most."""
    seen = [turn.seen for turn in turns if turn.seen]
    if not seen:
        return ""
    most = max(seen, key=lambda each: each.growth)
    return " → ".join(f"{value / 1e6:.0f}" for value in (most.before, most.peak, most.after))
