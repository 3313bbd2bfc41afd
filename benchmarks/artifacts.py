"""Measures files: ModelBox beside `cp` to the same disk, in one run.

`make bench-artifacts` runs it; `ARGS="--help"` lists what can be changed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks import artifacts_client, artifacts_report, report, trackers
from benchmarks.artifacts_client import MIB, Source
from benchmarks.artifacts_report import CP, MODELBOX, Figures, Turn
from benchmarks.artifacts_watch import Watch
from benchmarks.contenders import free_port, running
from benchmarks.store import FOLDER
from benchmarks.trackers import PROGRAM, ModelBox
from db.embedded import EmbeddedPostgres

PARTS: Final = ("upload", "files")
PLACE: Final = FOLDER / "artifacts"


@dataclass(frozen=True)
class Arena:
    """All that runs."""

    box: ModelBox
    owner: str
    """An object whose artifacts are made."""

    blobs: Path
    copies: Path
    source: Path

    def empty(self) -> None:
        """Remove what a turn left, and wait until the disk has nothing to do."""
        for folder in (self.blobs, self.copies):
            for file in folder.rglob("*"):
                if file.is_file():
                    file.unlink()
        os.sync()


def main() -> None:
    """Begin all servers, measure, print."""
    options = _options()
    figures = Figures(os.getloadavg()[0], options.size_mib, options.files)
    with _arena(options) as arena:
        for name, part in {"upload": _uploads, "files": _many}.items():
            if name in options.only:
                print(f"Measuring {name}", flush=True)
                try:
                    part(arena, options, figures)
                except RuntimeError as error:  # The other parts can still tell something.
                    figures.failed[name] = str(error)
    text = artifacts_report.tables(figures)
    print(text)
    if options.record:
        report.record(text, "artifacts")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-artifacts", description=__doc__)
    parser.add_argument("--size-mib", type=int, default=1024, help="of the one big file")
    parser.add_argument("--part-mib", type=int, default=8, help="of which it consists")
    parser.add_argument("--files", type=int, default=10_000, help="of 4 kB each")
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=PARTS, help=f"of: {', '.join(PARTS)}")
    parser.add_argument("--record", action="store_true", help="write the tables into benchmarks/README.md")
    return parser.parse_args()


@contextlib.contextmanager
def _arena(options: argparse.Namespace) -> Iterator[Arena]:
    PLACE.mkdir(parents=True, exist_ok=True)
    with PLACE.joinpath("lock").open("w") as lock, contextlib.ExitStack() as stack:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"Another run uses {PLACE}; two would tell nothing anyway.") from None
        for name in ("postgres", "blobs", "copies"):
            stack.callback(shutil.rmtree, PLACE / name, ignore_errors=True)
            shutil.rmtree(PLACE / name, ignore_errors=True)
        (PLACE / "copies").mkdir()
        postgres = stack.enter_context(EmbeddedPostgres(PLACE / "postgres"))
        box = stack.enter_context(_modelbox(postgres.dsn(), PLACE / "blobs"))
        (owner,) = box.make_runs(1)
        yield Arena(box, owner, PLACE / "blobs", PLACE / "copies", _source(options.size_mib))


@contextlib.contextmanager
def _modelbox(dsn: str, blobs: Path) -> Iterator[ModelBox]:
    port = free_port()
    command = [str(PROGRAM), "serve", "--port", str(port), "--data-dir", "server"]
    settings = {"MODELBOX_DATABASE_URL": dsn, "MODELBOX_BLOB_URL": f"file://{blobs.absolute()}"}
    with running("ModelBox", command, port, settings, FOLDER.absolute()) as server:
        box = ModelBox(server, trackers.token(settings), dsn)
        box.ask(
            f'mutation {{ createNamespace(input: {{path: "{trackers.NAMESPACE}"}}) {{ userErrors {{ message }} }} }}'
        )
        yield box


def _source(size: int) -> Path:
    """A file of random bytes, so many MiB, made once."""
    file = PLACE / f"random-{size}"
    if not file.exists() or file.stat().st_size != size * MIB:
        print(f"Writing {size} MiB of random bytes")
        with file.open("wb") as opened:
            for _ in range(size):
                opened.write(os.urandom(MIB))
    return file


def _changed(file: Path, before: Source | None, part_size: int) -> Source:
    """The file with other bytes at its beginning, so that nobody has it already."""
    with file.open("r+b") as opened:
        opened.write(os.urandom(32))
    found = artifacts_client.digested(file, part_size)
    return found if before is None else replace(before, digest=found.digest, part_digests=found.part_digests)


def _uploads(arena: Arena, options: argparse.Namespace, figures: Figures) -> None:
    """One big file."""
    _copy(arena)  # The first one does not count: it leaves the file in the page cache.
    turns = [None, *options.connections]
    source = None
    for round_ in range(options.rounds):
        for connections in turns if round_ % 2 == 0 else turns[::-1]:
            source = _changed(arena.source, source, options.part_mib * MIB)
            arena.empty()
            if connections is None:
                figures.add(CP, _copy(arena))
            else:
                figures.add(f"{MODELBOX}, {connections}", _upload(arena, {"model.bin": source}, connections))
    arena.empty()


def _copy(arena: Arena) -> Turn:
    """The time that `cp` takes, and that until the disk has it all."""
    target = arena.copies / "copy"
    started = time.perf_counter()
    subprocess.run(["cp", "--reflink=never", arena.source, target], check=True)
    copied = time.perf_counter() - started
    subprocess.run(["sync", target], check=True)
    return Turn(copied, time.perf_counter() - started)


def _upload(arena: Arena, sources: dict[str, Source], connections: int) -> Turn:
    with Watch(arena.box.server.process) as watch:
        cpu = arena.box.server.cpu()
        sent = artifacts_client.upload(arena.box, arena.owner, os.urandom(8).hex(), sources, connections)
        cpu = arena.box.server.cpu() - cpu
    return Turn(sent.accepted, sent.ready, cpu, watch.seen, sent.begun)


def _many(arena: Arena, options: argparse.Namespace, figures: Figures) -> None:
    """Small files in one artifact."""
    folder = PLACE / "copies" / "small"
    for connections in options.connections:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        sources = {}
        for number in range(options.files):
            file = folder / f"{number:05}.bin"
            file.write_bytes(os.urandom(4096))
            sources[file.name] = artifacts_client.digested(file, 8 * MIB)
        figures.many[connections] = _upload(arena, sources, connections)
        arena.empty()


if __name__ == "__main__":
    main()
