"""One training loop with one logger, as a script: `python client_loop.py LOGGER WHAT [NUMBER]`; prints JSON.

It runs in the logger's own environment, so it imports nothing of ours but what it measures.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

KEYS = [f"train/metric{n}" for n in range(10)]
Log = Callable[[dict, int], object]


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def nothing() -> tuple[Log, Callable[[], object]]:
    return lambda values, step: None, lambda: None


def modelbox() -> tuple[Log, Callable[[], object]]:
    import modelbox

    run = modelbox.init(name="bench", quiet=True)
    return run.log, lambda: run.finish(timeout=float(os.environ["BENCH_PATIENCE"]))


def wandb() -> tuple[Log, Callable[[], object]]:
    import wandb

    run = wandb.init(project="bench", mode="offline", dir=tempfile.mkdtemp(), settings=wandb.Settings(silent=True))
    return lambda values, step: run.log(values, step=step), run.finish


def mlflow() -> tuple[Log, Callable[[], object]]:
    import mlflow

    mlflow.set_tracking_uri(os.environ["BENCH_SERVER"])
    mlflow.start_run()

    def end() -> None:
        mlflow.flush_async_logging()
        mlflow.end_run()

    return lambda values, step: mlflow.log_metrics(values, step=step, synchronous=False), end


def trackio() -> tuple[Log, Callable[[], object]]:
    import trackio

    trackio.init(project="bench", embed=False)
    return lambda values, step: trackio.log(values, step=step), trackio.finish


LOGGERS = {"nothing": nothing, "modelbox": modelbox, "wandb": wandb, "mlflow": mlflow, "trackio": trackio}


def calls(log: Log, count: int) -> dict:
    """The time of each call, one right after the other."""
    taken = []
    for step in range(count):
        values = dict.fromkeys(KEYS, step * 0.5)
        began = time.perf_counter_ns()
        log(values, step)
        taken.append(time.perf_counter_ns() - began)
    taken.sort()
    return {"median": taken[count // 2] / 1e3, "p99": taken[count * 99 // 100] / 1e3}


def loop(log: Log, count: int) -> dict:
    """Steps of some work, each of a hundredth of a second, with a call after it; only the steps' own time counts."""
    began, work = time.perf_counter(), 0.0
    for step in range(count):
        for n in range(150_000):
            work += n * 0.5
        log(dict.fromkeys(KEYS, work), step)
    return {"seconds": time.perf_counter() - began}


def threads(log: Log, count: int) -> dict:
    """64 threads with so many calls each."""

    def work(n: int) -> None:
        for step in range(count):
            log({f"t{n}": float(step)}, step)

    crowd = [threading.Thread(target=work, args=(n,)) for n in range(64)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join()
    return {}


def main() -> None:
    name, what, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    before = resident()
    log, finish = LOGGERS[name]()
    for step in range(100):
        log(dict.fromkeys(KEYS, 0.0), step)
    memory = resident() - before
    began = time.perf_counter()
    found = {"calls": calls, "loop": loop, "threads": threads}[what](log, count)
    logged = time.perf_counter() - began
    finish()
    print(json.dumps({**found, "memory": memory, "logged": logged, "sent": time.perf_counter() - began}))


if __name__ == "__main__":
    main()
