"""Files on their way in: one big one beside `cp`, the floor and MLflow, and many small ones."""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks import artifacts_arena, artifacts_client, artifacts_receiver, mlflow_peer
from benchmarks.artifacts_arena import BLOBS, COPIES, MLFLOW, PLACE, Arena
from benchmarks.artifacts_client import HOST, MIB, Source
from benchmarks.artifacts_downloads import archive_of
from benchmarks.artifacts_report import CP, FLOOR, MODELBOX, Figures, Turn
from benchmarks.artifacts_report import MLFLOW as MLFLOW_NAME
from benchmarks.artifacts_watch import Watch
from benchmarks.contenders import Contender

NAME: Final = "model.bin"


def one(arena: Arena, options: argparse.Namespace, figures: Figures) -> None:
    """One big file."""
    race = figures.race("upload", options.size_mib, has_ready=True)
    artifacts_arena.copy(arena.source)  # The first one does not count: it leaves the file in the page cache.
    ways = _ways(arena, options)
    source = None
    for round_ in range(options.rounds):
        for name in list(ways) if round_ % 2 == 0 else reversed(ways):
            source = artifacts_arena.changed(arena.source, source, options.part_mib * MIB)
            artifacts_arena.empty(BLOBS, COPIES, MLFLOW)
            race.add(name, ways[name](source))
    race.turns = {name: race.turns[name] for name in ways}
    artifacts_arena.empty(BLOBS, COPIES, MLFLOW)


def _ways(arena: Arena, options: argparse.Namespace) -> dict[str, Callable[[Source], Turn]]:
    """Who takes the file, and how."""
    ways: dict[str, Callable[[Source], Turn]] = {CP: lambda source: artifacts_arena.copy(source.file)}
    for count in options.connections:
        ways[f"{FLOOR}, {count}"] = functools.partial(_to_floor, arena.floor, connections=count)
    if arena.mlflow:
        ways[MLFLOW_NAME] = functools.partial(_to_mlflow, arena.mlflow)
    for count in options.connections:
        ways[f"{MODELBOX}, {count}"] = functools.partial(_to_modelbox, arena, connections=count)
    return ways


def _to_modelbox(arena: Arena, source: Source, connections: int) -> Turn:
    turn, _ = arena.upload({NAME: source}, connections)
    return turn


def _to_floor(floor: Contender, source: Source, connections: int) -> Turn:
    """The same parts as ModelBox gets."""
    starts = range(0, source.size, source.part_size)
    stretches = [range(start, min(source.size, start + source.part_size)) for start in starts]
    puts = [
        artifacts_client.put((HOST, floor.port), f"/{NAME}?{stretch.start}", source.file, stretch)
        for stretch in stretches
    ]
    cpu, started = floor.cpu(), time.perf_counter()
    artifacts_client.send(puts, connections)
    seconds = time.perf_counter() - started
    return Turn(seconds, seconds, floor.cpu() - cpu)


def _to_mlflow(mlflow: Contender, source: Source) -> Turn:
    """All in one body: it takes parts only for stores that are not a folder."""
    put = artifacts_client.put((HOST, mlflow.port), f"{mlflow_peer.FILES}/{NAME}", source.file, range(source.size))
    with Watch(mlflow.process) as watch:
        cpu, started = mlflow.cpu(), time.perf_counter()
        artifacts_client.send([put], 1)
        seconds = time.perf_counter() - started
        cpu = mlflow.cpu() - cpu
    return Turn(seconds, seconds, cpu, watch.seen)


def many(arena: Arena, options: argparse.Namespace, figures: Figures) -> None:
    """Small files in one artifact; at last all of them come back as a tar."""
    folder, artifact = COPIES / "small", ""
    for connections in options.connections:
        artifacts_arena.empty(BLOBS, COPIES)
        sources = _small_files(folder, options.files)
        turn, artifact = arena.upload(sources, connections)
        figures.many[f"{connections} connection{'s' * (connections > 1)}"] = turn
    resource, target = archive_of(arena.box, artifact), PLACE / "copies" / "tar"
    with Watch(arena.box.server.process) as watch:
        cpu, started = arena.box.server.cpu(), time.perf_counter()
        artifacts_receiver.fetch(resource, target)
        seconds = time.perf_counter() - started
        cpu = arena.box.server.cpu() - cpu
    figures.archive = Turn(seconds, seconds, cpu, watch.seen)
    artifacts_arena.empty(BLOBS, COPIES)


def _small_files(folder: Path, count: int) -> dict[str, Source]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    sources = {}
    for number in range(count):
        file = folder / f"{number:05}.bin"
        file.write_bytes(os.urandom(4096))
        sources[file.name] = artifacts_client.digested(file, 8 * MIB)
    return sources
