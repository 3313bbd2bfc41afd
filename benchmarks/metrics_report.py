"""The figures of metrics as tables, and which of them keep their bounds."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

from benchmarks import ingest, mlflow_peer
from benchmarks.ingest import Turn, Turns
from benchmarks.report import Goal
from benchmarks.series import Reading
from benchmarks.sustained import Look, Sustained

FLOOR: Final = "floor"
COLUMNS: Final = "ModelBox, columns"
OBJECTS: Final = "ModelBox, objects"
MLFLOW: Final = "MLflow"
MLFLOW_WORKERS: Final = "MLflow, 4 workers"
GROUPED: Final = "ModelBox"
UNGROUPED: Final = "ModelBox, ungrouped"


@dataclass
class Figures:
    """All that one run measured."""

    load_before: float
    calls: Turns = field(default_factory=dict)
    small: Turns = field(default_factory=dict)
    sizes: dict[str, dict[str, float]] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    sustained: Sustained | None = None
    fanout: str = ""
    failed: dict[str, str] = field(default_factory=dict)


def goals(figures: Figures) -> Iterator[Goal]:
    """Every bound that the run can tell about."""
    yield from _of_ingestion(figures.calls, figures.small)
    if GROUPED in figures.sizes:
        yield Goal("stored bytes a point after compaction", sum(figures.sizes[GROUPED].values()), 10, "B", at_most=True)
    bounds = {"sample(1,000) of 1 M points": 30, "sample(1,000) of 10 M points": 60, "all of 1 M points": 250}
    for reading in figures.readings:
        for name, bound in bounds.items():
            if reading.name.startswith(name):
                yield Goal(reading.name, reading.milliseconds, bound, "ms", at_most=True)
    if figures.sustained:
        arrived = figures.sustained.arrived / figures.sustained.wanted
        yield Goal("half of the peak rate: arrived by wanted", arrived, 0.98)
        name = "the tail at half of the peak rate: last third by the third before"
        yield Goal(name, figures.sustained.growth, 1.5, at_most=True)


def _of_ingestion(calls: Turns, small: Turns) -> Iterator[Goal]:
    bounds = ((COLUMNS, FLOOR, 1.2), (COLUMNS, MLFLOW, 80), (OBJECTS, MLFLOW, 20))
    for ours, theirs, bound in bounds:
        if ours in calls and theirs in calls:
            yield Goal(f"{ours}: points by {theirs}", ingest.ratio(calls[ours], calls[theirs]), bound)
    if small:
        by = ingest.ratio(small[GROUPED], small[UNGROUPED])
        yield Goal("512 writers: grouped by one transaction a call", by, 8)
        yield Goal("512 writers: p99", ingest.latency(small[GROUPED], 0.99), 100, "ms", at_most=True)


def tables(figures: Figures) -> str:
    """All of it, in Markdown."""
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    versions = f"asyncpg {version('asyncpg')}, {', '.join(mlflow_peer.PACKAGES).replace('==', ' ')}"
    lines = [f"{machine}, {versions}; load average before: {figures.load_before:.1f}.", ""]
    lines += _ingestion(f"{ingest.CALL.points:,} points a call", figures.calls)
    lines += _ingestion(f"{ingest.SMALL.points} points a call, 512 writers", figures.small)
    if figures.sizes:
        lines += ["| stored | bytes a point | of these |", "|---|--:|---|"]
        lines += [_stored(name, sizes) for name, sizes in figures.sizes.items()] + [""]
    if figures.readings:
        lines += ["| read | server | p50 ms | answer kB | times |", "|---|---|--:|--:|--:|"]
        lines += [_reading(reading) for reading in figures.readings] + [""]
    lines += _sustained(figures.sustained) if figures.sustained else []
    lines += ["| goal | measured | bound | |", "|---|--:|--:|---|", *(goal.row() for goal in goals(figures)), ""]
    if figures.fanout:
        lines += ["```", figures.fanout.strip(), "```", ""]
    for name, error in figures.failed.items():
        lines += [f"The part {name} failed:", "```", error.strip(), "```", ""]
    return "\n".join(lines)


def _ingestion(what: str, turns: Turns) -> list[str]:
    if not turns:
        return []
    head = f"| {what} | points/s | p50 ms | p99 ms | server CPU | PostgreSQL CPU | later CPU | writers |"
    rows = [_row(name, own) for name, own in turns.items()]
    return [head, "|---|--:|--:|--:|--:|--:|--:|--:|", *rows, ""]


def _row(name: str, turns: list[Turn]) -> str:
    cells = (
        f"{ingest.rate(turns):,.0f}",
        f"{ingest.latency(turns, 0.5):,.1f}",
        f"{ingest.latency(turns, 0.99):,.1f}",
        f"{ingest.cpu_a_million(turns, lambda turn: turn.server_cpu):.2f}",
        f"{ingest.cpu_a_million(turns, lambda turn: turn.postgres_cpu):.2f}",
        f"{ingest.cpu_a_million(turns, lambda turn: turn.later):.2f}",
        f"{ingest.writers_share(turns):.0%}",
    )
    return f"| {name} | {' | '.join(cells)} |"


def _stored(name: str, sizes: dict[str, float]) -> str:
    parts = sorted(sizes.items(), key=lambda size: -size[1])
    listed = ", ".join(f"{table} {size:.1f}" for table, size in parts if size >= 0.05)
    return f"| {name} | {sum(sizes.values()):.1f} | {listed} |"


def _reading(reading: Reading) -> str:
    cells = (reading.name, reading.server, f"{reading.milliseconds:,.1f}", f"{reading.size / 1000:,.0f}")
    return f"| {' | '.join(cells)} | {len(reading.times)} |"


def _sustained(found: Sustained) -> list[str]:
    lines = [f"| {found.wanted:,.0f} points/s wanted, {found.arrived:,.0f} arrived; after | tail rows | points | MB |"]
    lines.append("|---|--:|--:|--:|")
    step = max(1, len(found.looks) // 8)
    lines += map(_look, found.looks[step - 1 :: step])
    return [*lines, ""]


def _look(look: Look) -> str:
    return f"| {look.second:.0f} s | {look.rows:,} | {look.points:,} | {look.size / 1e6:.1f} |"
