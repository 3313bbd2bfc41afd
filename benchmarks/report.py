"""The figures as a table, beside what they are meant to reach."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks import measure
from benchmarks.measure import Turn, Turns

README: Final = Path(__file__).with_name("README.md")
MEMORY_GOAL: Final = 150 << 20


@dataclass(frozen=True)
class Deep:
    """The first page of a list and a late one."""

    pages: int
    first: list[Turn]
    last: list[Turn]


@dataclass
class Figures:
    """All that one run measured."""

    memory: int
    load_before: float
    memory_after: int = 0
    turns: dict[str, Turns] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    deep: dict[str, Deep] = field(default_factory=dict)


@dataclass(frozen=True)
class Goal:
    """A figure and its bound."""

    name: str
    figure: float
    bound: float
    unit: str = "×"
    at_most: bool = False

    @property
    def reached(self) -> bool:
        """Whether the figure keeps its bound."""
        return self.figure <= self.bound if self.at_most else self.figure >= self.bound

    def row(self) -> str:
        """Its line of the table."""
        sign = "≤" if self.at_most else "≥"
        verdict = "reached" if self.reached else "**missed**"
        return f"| {self.name} | {self.figure:.2f} {self.unit} | {sign} {self.bound:g} {self.unit} | {verdict} |"


BY_FLOOR: Final = {"nested": 0.8, "one": 0.9}
BY_POSTGRAPHILE: Final = {"nested": 2.5, "one": 1.8, "page": 2.0}


def goals(figures: Figures) -> Iterator[Goal]:
    """Every bound that the run can tell about."""
    for name, turns in figures.turns.items():
        ours, floor = turns["ModelBox"], turns["floor"]
        if name in BY_FLOOR:
            yield Goal(f"{name}: throughput by the floor's", measure.ratio(ours, floor), BY_FLOOR[name])
        if "PostGraphile" in turns:
            by = measure.ratio(ours, turns["PostGraphile"])
            yield Goal(f"{name}: throughput by PostGraphile's", by, BY_POSTGRAPHILE[name])
        if name == "nested":
            beyond = measure.server_cpu(ours) - measure.server_cpu(floor)
            yield Goal("nested: server CPU beyond the floor's", beyond, 2, "ms", at_most=True)
    for name, deep in figures.deep.items():
        by = measure.latency(deep.last, 0.95) / measure.latency(deep.first, 0.95)
        yield Goal(f"{name}: p95 of page {deep.pages} by that of page 1", by, 1.2, at_most=True)
    yield Goal("server memory at rest", figures.memory / (1 << 20), MEMORY_GOAL / (1 << 20), "MiB", at_most=True)


def table(figures: Figures, scale: float) -> str:
    """All of it, in Markdown."""
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    lines = [
        f"Scale {scale:g}; {machine}, asyncpg {version('asyncpg')}; load average before: {figures.load_before:.1f}.",
        "",
        "| question | server | requests/s | p50 ms | p95 ms | server CPU ms | PostgreSQL CPU ms | generator |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, turns in figures.turns.items():
        size = f"{name}, {figures.sizes[name] / 1000:.1f} kB"
        lines += [_row(size, server, own) for server, own in turns.items()]
    for name, deep in figures.deep.items():
        lines += [_row(name, "page 1", deep.first), _row(name, f"page {deep.pages}", deep.last)]
    lines += ["", "| goal | measured | bound | |", "|---|--:|--:|---|"]
    lines += [goal.row() for goal in goals(figures)]
    after = figures.memory_after / (1 << 20)
    return "\n".join([*lines, "", f"Server memory after all of this: {after:.0f} MiB.", ""])


def _row(question: str, server: str, turns: list[Turn]) -> str:
    cells = (
        f"{measure.throughput(turns):,.0f}",
        f"{measure.latency(turns, 0.5):.2f}",
        f"{measure.latency(turns, 0.95):.2f}",
        f"{measure.server_cpu(turns):.3f}",
        f"{measure.postgres_cpu(turns):.3f}",
        f"{measure.client_share(turns):.0%}",
    )
    return f"| {question} | {server} | {' | '.join(cells)} |"


def record(text: str, mark: str = "figures") -> None:
    """Put the table in the place that the README keeps for it, between two marks."""
    page, place = README.read_text(), re.compile(rf"(<!-- {mark} -->\n).*(<!-- end of {mark} -->)", re.DOTALL)
    if not place.search(page):
        raise SystemExit(f"{README} has lost the marks between which the {mark} stand.")
    README.write_text(place.sub(lambda found: f"{found[1]}{text}{found[2]}", page))
