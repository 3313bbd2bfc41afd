"""Measures the client: ModelBox beside wandb offline, MLflow's asynchronous logging and trackio, in one run.

`make bench-client` runs it; `ARGS="--help"` lists what can be changed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncpg

from benchmarks import mlflow_peer, report, trackers
from benchmarks.contenders import free_port, running
from benchmarks.report import Goal
from benchmarks.store import FOLDER
from benchmarks.trackers import PROGRAM
from db.embedded import EmbeddedPostgres
from modelbox.connection import Connection

SCRIPT: Final = Path(__file__).with_name("client_loop.py").absolute()
PEERS: Final = {"wandb": "wandb==0.31.0", "trackio": "trackio==0.43.0"}
PLACE: Final = FOLDER / "client"
OURS: Final = "modelbox"
AWAY: Final = "http://127.0.0.1:9"
"""An address where nobody listens."""


@dataclass
class Figures:
    """All that one run measured, by logger."""

    load_before: float
    calls: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    imports: dict[str, float] = field(default_factory=dict)
    loops: dict[str, list[float]] = field(default_factory=dict)
    points_per_second: float = 0.0
    crowd: tuple[int, int] = (0, 0)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Arena:
    """The loggers' interpreters and servers."""

    pythons: dict[str, Path]
    server: str
    token: str
    mlflow: str

    def run(self, name: str, what: str, count: int, server: str | None = None) -> dict[str, float]:
        """One loop, in a folder and a process of its own."""
        with tempfile.TemporaryDirectory(dir=PLACE) as folder:
            told = {
                "BENCH_SERVER": self.mlflow, "MODELBOX_SERVER": server or self.server, "MODELBOX_TOKEN": self.token,
                "HOME": folder, "WANDB_MODE": "offline", "MLFLOW_DISABLE_TELEMETRY": "true",
                "TRACKIO_DIR": folder, "MODELBOX_CAPTURE_SYSTEM": "false",
                "BENCH_PATIENCE": "1" if server == AWAY else "300",
            }  # fmt: skip
            python = self.pythons.get(name, Path(sys.executable))
            done = subprocess.run(
                [python, SCRIPT, name, what, str(count)],
                env=os.environ | told,
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(done.stderr[-2000:])
            found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
            return found


def main() -> None:
    """Install the peers, begin the servers, measure, print."""
    options = _options()
    figures = Figures(os.getloadavg()[0])
    with _arena() as arena:
        for part in (_imports, _calls, _loops, _sustained, _crowd):
            print(f"Measuring{part.__name__.replace('_', ' ')}", flush=True)
            try:
                part(arena, options, figures)
            except RuntimeError as error:  # The other parts can still tell something.
                figures.failed[part.__name__] = str(error)
    text = tables(figures)
    print(text)
    if options.record:
        report.record(text, "client")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-client", description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000, help="of ten metrics each")
    parser.add_argument("--steps", type=int, default=300, help="of a training loop")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--thread-calls", type=int, default=10_000, help="of each of 64 threads")
    parser.add_argument("--record", action="store_true", help="write the tables into benchmarks/README.md")
    return parser.parse_args()


@contextlib.contextmanager
def _arena() -> Iterator[Arena]:
    PLACE.mkdir(parents=True, exist_ok=True)
    pythons = {name: _installed(package) for name, package in PEERS.items()}
    pythons["mlflow"] = mlflow_peer.install()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=PLACE)))
        postgres = stack.enter_context(EmbeddedPostgres(folder / "postgres"))
        settings = {"MODELBOX_DATABASE_URL": postgres.dsn()}
        port = free_port()
        command = [str(PROGRAM), "serve", "--port", str(port), "--data-dir", str(folder / "server")]
        stack.enter_context(running("ModelBox", command, port, settings, FOLDER.absolute()))
        asyncio.run(_database(postgres.dsn()))
        tracking = stack.enter_context(mlflow_peer.serving(postgres.dsn(mlflow_peer.DATABASE), 2))
        address = f"http://127.0.0.1:{port}"
        yield Arena(pythons, address, trackers.token(settings), f"http://127.0.0.1:{tracking.port}")


async def _database(dsn: str) -> None:
    admin = await asyncpg.connect(dsn)
    await admin.execute(f"CREATE DATABASE {mlflow_peer.DATABASE}")
    await admin.close()


def _installed(package: str) -> Path:
    home = FOLDER / package.replace("==", "-")
    python, done = home / "bin" / "python", home / ".installed"
    if not done.exists():
        print(f"Installing {package} into {home} (once; a minute or so)")
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", package], check=True)
        done.write_text(package)
    return python.absolute()


def _imports(arena: Arena, options: argparse.Namespace, figures: Figures) -> None:
    """Seconds that an import takes beyond an interpreter that does nothing: the least of several."""
    for name in (OURS, *arena.pythons):
        python = arena.pythons.get(name, Path(sys.executable))
        times = {
            code: min(_timed(python, code) for _ in range(2 + options.rounds)) for code in ("pass", f"import {name}")
        }
        figures.imports[name] = times[f"import {name}"] - times["pass"]


def _timed(python: Path, code: str) -> float:
    began = time.perf_counter()
    subprocess.run([python, "-c", code], check=True, cwd=PLACE, capture_output=True)
    return time.perf_counter() - began


def _calls(arena: Arena, options: argparse.Namespace, figures: Figures) -> None:
    """What `log` costs its caller."""
    for _ in range(options.rounds):
        for name in (OURS, *arena.pythons):
            figures.calls.setdefault(name, []).append(arena.run(name, "calls", options.calls))


def _loops(arena: Arena, options: argparse.Namespace, figures: Figures) -> None:
    """The same training with and without a logger, its server up and down."""
    for _ in range(options.rounds):
        for name, logger, server in (
            ("without", "nothing", None), (OURS, OURS, None), (f"{OURS}, no server", OURS, AWAY),
            *((peer, peer, None) for peer in arena.pythons),
        ):  # fmt: skip
            figures.loops.setdefault(name, []).append(arena.run(logger, "loop", options.steps, server)["seconds"])


def _sustained(arena: Arena, options: argparse.Namespace, figures: Figures) -> None:
    """Points from the first call until all are in PostgreSQL."""
    count = 10 * options.calls
    figures.points_per_second = 10 * count / arena.run(OURS, "calls", count)["sent"]


def _crowd(arena: Arena, options: argparse.Namespace, figures: Figures) -> None:
    """64 threads: how many points were logged, and how many are there."""
    arena.run(OURS, "threads", options.thread_calls)
    found = _asked(
        arena, '{ experiments(first: 1) { nodes { metrics(first: 100, keyPrefix: "t") { nodes { key count } } } } }'
    )
    series = found["experiments"]["nodes"][0]["metrics"]["nodes"]
    there = sum(each["count"] for each in series if each["key"][1:].isdecimal())
    figures.crowd = (64 * options.thread_calls, there)


def _asked(arena: Arena, query: str) -> dict[str, Any]:
    return Connection(arena.server, arena.token).ask(query)


def goals(figures: Figures) -> Iterator[Goal]:
    """Every bound that the run can tell about."""
    if OURS in figures.calls:
        ours = {key: _median(figures.calls[OURS], key) for key in ("median", "p99", "memory")}
        yield Goal("log of ten metrics, median", ours["median"], 20, "µs", at_most=True)
        yield Goal("log of ten metrics, p99", ours["p99"], 200, "µs", at_most=True)
        yield Goal("memory above the bare interpreter", ours["memory"] / 1e6, 40, "MB", at_most=True)
    if OURS in figures.imports:
        yield Goal("import", figures.imports[OURS] * 1e3, 60, "ms", at_most=True)
    for name in (OURS, f"{OURS}, no server"):
        if name in figures.loops:
            yield Goal(f"training loop, {name}", _slower(figures, name), 1.01, at_most=True)
    if figures.points_per_second:
        yield Goal("sustained", figures.points_per_second, 100_000, "points/s")
    if figures.crowd[0]:
        yield Goal("points of 64 threads that are there", figures.crowd[1] / figures.crowd[0], 1.0)


def _median(turns: list[dict[str, float]], key: str) -> float:
    return statistics.median(turn[key] for turn in turns)


def _slower(figures: Figures, name: str) -> float:
    """By how much, each round compared with its own."""
    pairs = zip(figures.loops[name], figures.loops["without"], strict=False)
    return statistics.median(own / bare for own, bare in pairs)


def tables(figures: Figures) -> str:
    """All of it, in Markdown."""
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    lines = [f"{machine}; load average before: {figures.load_before:.1f}.", ""]
    lines += [
        "| logger | log, median µs | log, p99 µs | import ms | memory, MB | training loop |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [_row(figures, name) for name in figures.calls] + [""]
    lines += ["| goal | measured | bound | |", "|---|--:|--:|---|", *(goal.row() for goal in goals(figures)), ""]
    for name, error in figures.failed.items():
        lines += [f"The part {name} failed:", "```", error.strip(), "```", ""]
    return "\n".join(lines)


def _row(figures: Figures, name: str) -> str:
    turns = figures.calls[name]
    loop = f"{_slower(figures, name):.3f}" if name in figures.loops else ""
    cells = (
        f"{_median(turns, 'median'):.1f}",
        f"{_median(turns, 'p99'):.0f}",
        f"{figures.imports[name] * 1e3:.0f}" if name in figures.imports else "",
        f"{_median(turns, 'memory') / 1e6:.0f}",
        loop,
    )
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
