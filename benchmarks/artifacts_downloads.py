"""Files on their way out: one big one, whole, in ranges and as a tar, beside `cp`, the floor and MLflow."""

from __future__ import annotations

import argparse
import functools
import hashlib
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import artifacts_arena, artifacts_client, artifacts_receiver, mlflow_peer
from benchmarks.artifacts_arena import BLOBS, COPIES, MLFLOW, Arena
from benchmarks.artifacts_client import HOST, MIB, Source
from benchmarks.artifacts_receiver import Resource
from benchmarks.artifacts_report import CP, FLOOR, MODELBOX, TAR, Figures, Turn
from benchmarks.artifacts_report import MLFLOW as MLFLOW_NAME
from benchmarks.artifacts_watch import Watch
from benchmarks.contenders import Contender
from benchmarks.trackers import ModelBox

NAME: Final = "model.bin"
STRETCH: Final = 64 * MIB
"""What a request for a range asks for."""

PLACES: Final = """query ($id: ID!) { node(id: $id) { ... on Artifact {
  archiveUrl allFiles { downloadUrl } } } }"""


@dataclass(frozen=True)
class Way:
    """One way of getting the file: who sends it, and what is done for it."""

    server: Contender | None
    fetch: Callable[[Path], None]


def one(arena: Arena, options: argparse.Namespace, figures: Figures) -> None:
    """One big file, which the page cache holds, as it does for `cp`."""
    race = figures.race("download", options.size_mib)
    artifacts_arena.empty(BLOBS, COPIES, MLFLOW)
    source = artifacts_arena.changed(arena.source, None, options.part_mib * MIB)
    ways = _ways(arena, source, options)
    for round_ in range(-1, options.rounds):  # The first round does not count: it looks at what came.
        for name in list(ways) if round_ % 2 == 0 else reversed(ways):
            turn = _timed(ways[name])
            if round_ < 0:
                _check(source, is_tar=name == TAR)
            else:
                race.add(name, turn)
    race.turns = {name: race.turns[name] for name in ways}
    artifacts_arena.empty(BLOBS, COPIES, MLFLOW)


def _ways(arena: Arena, source: Source, options: argparse.Namespace) -> dict[str, Way]:
    _, artifact = arena.upload({NAME: source}, max(options.connections))
    resource, server = file_of(arena.box, artifact), arena.box.server
    ways = {CP: Way(None, lambda _: _copied(source.file))}
    floor = Resource((HOST, arena.floor.port), f"/{NAME}")
    (COPIES / NAME).hardlink_to(source.file)  # It sends what lies in its folder.
    ways |= _in_ranges(FLOOR, arena.floor, floor, source.size, options)
    if arena.mlflow:
        path = f"{mlflow_peer.FILES}/{NAME}"
        put = artifacts_client.put((HOST, arena.mlflow.port), path, source.file, range(source.size))
        artifacts_client.send([put], 1)
        mlflow = Resource((HOST, arena.mlflow.port), path)
        ways[MLFLOW_NAME] = Way(arena.mlflow, functools.partial(artifacts_receiver.fetch, mlflow))
    ways |= _in_ranges(MODELBOX, server, resource, source.size, options)
    ways[TAR] = Way(server, functools.partial(artifacts_receiver.fetch, archive_of(arena.box, artifact)))
    return ways


def _in_ranges(
    who: str, server: Contender, resource: Resource, size: int, options: argparse.Namespace
) -> Iterator[tuple[str, Way]]:
    """Whole by one request, and in ranges over several connections."""
    yield f"{who}, whole", Way(server, functools.partial(artifacts_receiver.fetch, resource))
    for count in options.connections:
        if count > 1:
            fetch = functools.partial(
                artifacts_receiver.fetch_ranges, resource, size=size, stretch=STRETCH, connections=count
            )
            yield f"{who}, {count} ranges", Way(server, fetch)


def _copied(file: Path) -> None:
    artifacts_arena.copy(file, durably=False)


def _timed(way: Way) -> Turn:
    target = COPIES / "copy"
    target.unlink(missing_ok=True)
    artifacts_arena.empty()
    if way.server is None:
        started = time.perf_counter()
        way.fetch(target)
        seconds = time.perf_counter() - started
        return Turn(seconds, seconds)
    with watched(way.server) as turns:
        way.fetch(target)
    return turns[0]


@contextmanager
def watched(server: Contender) -> Iterator[list[Turn]]:
    """What is done within, as a turn, once it is over."""
    turns: list[Turn] = []
    with Watch(server.process) as watch:
        cpu, started = server.cpu(), time.perf_counter()
        yield turns
        seconds = time.perf_counter() - started
        cpu = server.cpu() - cpu
    turns.append(Turn(seconds, seconds, cpu, watch.seen))


def _check(source: Source, *, is_tar: bool) -> None:
    """Whether what was fetched is the file."""
    target = COPIES / "copy"
    if not is_tar:
        is_right = artifacts_receiver.same(source.file, target)
    else:
        with tarfile.open(target) as tar:
            content = tar.extractfile(NAME)
            assert content
            is_right = f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}" == source.digest  # type: ignore[arg-type]
    if not is_right:
        raise RuntimeError("What was fetched is not the file that was uploaded.")


def file_of(box: ModelBox, artifact: str) -> Resource:
    """Where the only file of an artifact is read."""
    (file,) = box.ask(PLACES, id=artifact)["node"]["allFiles"]
    return _resource(box, file["downloadUrl"])


def archive_of(box: ModelBox, artifact: str) -> Resource:
    """Where all files of an artifact are read."""
    return _resource(box, box.ask(PLACES, id=artifact)["node"]["archiveUrl"])


def _resource(box: ModelBox, url: str) -> Resource:
    return Resource((HOST, box.server.port), f"/{url}", {"Authorization": f"Bearer {box.token}"})
