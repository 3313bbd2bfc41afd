"""Measures metrics: ModelBox beside a bare COPY and beside MLflow, over one PostgreSQL, in one run.

`make bench-metrics` runs it; `ARGS="--help"` lists what can be changed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from benchmarks import ingest, metrics_report, mlflow_peer, report, series, trackers
from benchmarks.contenders import Contender
from benchmarks.ingest import Bench
from benchmarks.metrics_report import (
    COLUMNS,
    FLOOR,
    GROUPED,
    MLFLOW,
    MLFLOW_WORKERS,
    OBJECTS,
    UNGROUPED,
    Figures,
)
from benchmarks.sustained import sustain
from benchmarks.trackers import Databases, ModelBox, Tracker

PARTS: Final = ("calls", "small", "reads", "sizes", "sustained", "fanout")
RUNS: Final = 64
WRITERS_OF_A_RUN: Final = 8
LONG: Final = {"1 M points": series.MILLION, "10 M points": 10 * series.MILLION}


@dataclass(frozen=True)
class Arena:
    """All that runs."""

    databases: Databases
    floor: Contender
    modelbox: ModelBox
    mlflow: dict[str, Contender]
    bench: Bench


def main() -> None:
    """Begin all servers, measure, print."""
    options = _options()
    figures = Figures(os.getloadavg()[0])
    if set(options.only) != {"fanout"}:
        with _arena(options) as arena:
            _measure(arena, options, figures)
    if "fanout" in options.only:
        figures.fanout = _fanout()
    text = metrics_report.tables(figures)
    print(text)
    if options.record:
        report.record(text, "metrics")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-metrics", description=__doc__)
    parser.add_argument("--writers", type=int, default=16, help="of calls of 1 000 points")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sustained-seconds", type=float, default=30.0)
    parser.add_argument("--only", nargs="*", default=PARTS, help=f"of: {', '.join(PARTS)}")
    parser.add_argument("--without-mlflow", action="store_true")
    parser.add_argument("--record", action="store_true", help="write the tables into benchmarks/README.md")
    return parser.parse_args()


@contextlib.contextmanager
def _arena(options: argparse.Namespace) -> Iterator[Arena]:
    with contextlib.ExitStack() as stack:
        databases = stack.enter_context(trackers.databases())
        floor = stack.enter_context(trackers.floor(databases.floor))
        modelbox = stack.enter_context(trackers.modelbox(databases.modelbox))
        mlflow = {}
        for name, workers in {} if options.without_mlflow else {MLFLOW: 1, MLFLOW_WORKERS: 4}.items():
            mlflow[name] = stack.enter_context(mlflow_peer.serving(databases.mlflow, workers, name))
        bench = Bench([floor, modelbox.server, *mlflow.values()], psutil.Process(databases.pid))
        yield Arena(databases, floor, modelbox, mlflow, bench)


def _measure(arena: Arena, options: argparse.Namespace, figures: Figures) -> None:
    parts = {
        "calls": _calls,
        "small": _small,
        "reads": _reads,
        "sizes": _sizes,
        "sustained": _sustained,
    }
    for name, part in parts.items():
        if name in options.only:
            print(f"Measuring {name}", flush=True)
            try:
                part(arena, options, figures)
            except RuntimeError as error:  # The other parts can still tell something.
                figures.failed[name] = str(error)


def _calls(arena: Arena, options: argparse.Namespace, figures: Figures) -> None:
    """A thousand points a call."""
    box, writers = arena.modelbox, options.writers
    found = [
        Tracker(FLOOR, arena.floor, "/", "floor", [f"{number:032x}" for number in range(writers)]),
        box.tracker(COLUMNS, "columns", box.make_runs(writers)),
        box.tracker(OBJECTS, "objects", box.make_runs(writers)),
        *(
            Tracker(name, server, mlflow_peer.LOG_BATCH, "mlflow", mlflow_peer.make_runs(server, writers))
            for name, server in arena.mlflow.items()
        ),
    ]
    figures.calls = ingest.take_turns(arena.bench, found, ingest.CALL, options.seconds, options.rounds)


def _small(arena: Arena, options: argparse.Namespace, figures: Figures) -> None:
    """Fifty points a call, by eight writers for each of 64 runs, with and without groups."""
    box = arena.modelbox
    with trackers.ungrouped(arena.databases.modelbox, box.token) as alone:
        bench = Bench([*arena.bench.servers, alone.server], arena.bench.postgres)
        found = [
            each.tracker(name, "columns", box.make_runs(RUNS) * WRITERS_OF_A_RUN)
            for name, each in ((GROUPED, box), (UNGROUPED, alone))
        ]
        figures.small = ingest.take_turns(bench, found, ingest.SMALL, options.seconds, options.rounds)


def _sizes(arena: Arena, options: argparse.Namespace, figures: Figures) -> None:
    """What is stored of all that was written before: calls of many runs, and series of millions of points."""
    del options
    if not figures.calls:
        return
    arena.modelbox.compact()
    wanted = {
        GROUPED: (arena.databases.modelbox, series.METRIC_TABLES, "SELECT sum(count) FROM series"),
        FLOOR: (arena.databases.floor, ["row"], "SELECT count(*) FROM row"),
    }
    if arena.mlflow:
        wanted[MLFLOW] = (arena.databases.mlflow, mlflow_peer.TABLES, "SELECT count(*) FROM metrics")
    for name, (dsn, names, count) in wanted.items():
        figures.sizes[name] = asyncio.run(series.bytes_a_point(dsn, names, count))


def _reads(arena: Arena, options: argparse.Namespace, figures: Figures) -> None:
    """Series of a million points and of ten."""
    del options
    box = arena.modelbox
    runs = series.load(box, list(LONG.values()))
    box.compact()
    arena.bench.settle()
    figures.readings += series.read_modelbox(box, dict(zip(LONG, runs, strict=True)))
    if arena.mlflow:
        server = arena.mlflow[MLFLOW]
        (run,) = mlflow_peer.make_runs(server, 1)
        asyncio.run(series.write_mlflow(arena.databases.mlflow, run, series.MILLION))
        figures.readings.append(series.read_mlflow(server, run))


def _sustained(arena: Arena, options: argparse.Namespace, figures: Figures) -> None:
    """Columns at half of the rate that was just measured."""
    box = arena.modelbox
    tracker = box.tracker(COLUMNS, "columns", box.make_runs(options.writers))
    if COLUMNS in figures.calls:
        peak = ingest.rate(figures.calls[COLUMNS]) / ingest.CALL.points
    else:
        peak = arena.bench.turn(tracker, ingest.CALL, options.seconds).written.throughput
    arena.bench.settle()
    figures.sustained = asyncio.run(
        sustain(
            arena.databases.modelbox,
            tracker,
            ingest.CALL,
            calls_a_second=peak / 2,
            seconds=options.sustained_seconds,
        )
    )


def _fanout() -> str:
    """What `benchmarks.fanout` prints."""
    if not Path(__file__).with_name("fanout.py").exists():
        return ""
    print("Measuring fanout", flush=True)
    done = subprocess.run([sys.executable, "-m", "benchmarks.fanout"], check=True, capture_output=True, text=True)
    return done.stdout


if __name__ == "__main__":
    main()
