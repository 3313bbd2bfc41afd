"""The figures of files as tables, and which of them keep their bounds."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from benchmarks.artifacts_watch import Seen
from benchmarks.report import Goal

CP: Final = "cp"
MODELBOX: Final = "ModelBox"
GROWTH: Final = 32_000_000


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
class Figures:
    """All that one run measured."""

    load_before: float
    size: int
    files: int
    uploads: dict[str, list[Turn]] = field(default_factory=dict)
    many: dict[int, Turn] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, turn: Turn) -> None:
        """A turn of the big file."""
        self.uploads.setdefault(name, []).append(turn)

    def ratio(self, name: str, seconds: Callable[[Turn], float]) -> float:
        """How fast it is by `cp`: the median over the rounds, each compared with itself."""
        pairs = zip(self.uploads[name], self.uploads[CP], strict=True)
        return statistics.median(seconds(floor) / seconds(own) for own, floor in pairs)


def goals(figures: Figures) -> Iterator[Goal]:
    """Every bound that the run can tell about."""
    ours = [name for name in figures.uploads if name != CP]
    if ours:
        best = max(ours, key=lambda name: figures.ratio(name, accepted))
        yield Goal(f"upload of {figures.size:,} MiB: {best} by cp", figures.ratio(best, accepted), 0.8)
        yield _growth(
            f"memory: one file of {figures.size:,} MiB", [each for name in ours for each in figures.uploads[name]]
        )
    if figures.many:
        yield _growth(f"memory: {figures.files:,} files", list(figures.many.values()))


def _growth(name: str, turns: list[Turn]) -> Goal:
    growth = max(turn.seen.growth for turn in turns if turn.seen)
    return Goal(name, growth / 1e6, GROWTH / 1e6, "MB", at_most=True)


def tables(figures: Figures) -> str:
    """All of it, in Markdown."""
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    lines = [f"{machine}; load average before: {figures.load_before:.1f}.", ""]
    if figures.uploads:
        lines += [
            (
                f"| upload of {figures.size:,} MiB | MiB/s | to READY, MiB/s | by cp | READY by cp and sync"
                " | server CPU s | memory, MB |"
            ),
            "|---|--:|--:|--:|--:|--:|--:|",
        ]
        lines += [_upload_row(figures, name) for name in figures.uploads] + [""]
    if figures.many:
        lines += [
            (
                f"| {figures.files:,} files of 4 kB, connections | begin s | files/s | to READY, files/s | server CPU s"
                " | memory, MB |"
            ),
            "|---|--:|--:|--:|--:|--:|",
        ]
        lines += [_many_row(figures, count, turn) for count, turn in figures.many.items()] + [""]
    lines += ["| goal | measured | bound | |", "|---|--:|--:|---|", *(goal.row() for goal in goals(figures)), ""]
    for name, error in figures.failed.items():
        lines += [f"The part {name} failed:", "```", error.strip(), "```", ""]
    return "\n".join(lines)


def _upload_row(figures: Figures, name: str) -> str:
    turns = figures.uploads[name]
    cells = (
        f"{figures.size / statistics.median(turn.accepted for turn in turns):,.0f}",
        f"{figures.size / statistics.median(turn.ready for turn in turns):,.0f}",
        f"{figures.ratio(name, accepted):.2f}",
        f"{figures.ratio(name, ready):.2f}",
        f"{statistics.median(turn.cpu for turn in turns):.2f}" if name != CP else "",
        _memory(turns),
    )
    return f"| {name} | {' | '.join(cells)} |"


def _many_row(figures: Figures, connections: int, turn: Turn) -> str:
    cells = (
        f"{turn.begun:.2f}",
        f"{figures.files / (turn.accepted - turn.begun):,.0f}",
        f"{figures.files / turn.ready:,.0f}",
        f"{turn.cpu:.2f}",
        _memory([turn]),
    )
    return f"| {connections} | {' | '.join(cells)} |"


def _memory(turns: list[Turn]) -> str:
    """Before, at the peak and after, of the turn that grew most."""
    seen = [turn.seen for turn in turns if turn.seen]
    if not seen:
        return ""
    most = max(seen, key=lambda each: each.growth)
    return " → ".join(f"{value / 1e6:.0f}" for value in (most.before, most.peak, most.after))
