"""The servers that files are sent to, and where all of it lies."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import asyncpg

from benchmarks import artifacts_client, mlflow_peer, trackers
from benchmarks.artifacts_client import MIB, Source
from benchmarks.artifacts_report import Turn
from benchmarks.artifacts_watch import Watch
from benchmarks.contenders import Contender, free_port, running
from benchmarks.store import FOLDER
from benchmarks.trackers import PROGRAM, ModelBox
from db.embedded import EmbeddedPostgres

PLACE: Final = FOLDER / "artifacts"
BLOBS: Final = PLACE / "blobs"
COPIES: Final = PLACE / "copies"
"""What `cp`, the floor and those who fetch write."""

MLFLOW: Final = PLACE / "mlflow"
MADE: Final = ("postgres", BLOBS.name, COPIES.name, MLFLOW.name, "s3")
S3_DATABASE: Final = "s3"


@dataclass(frozen=True)
class Arena:
    """All that runs."""

    postgres: EmbeddedPostgres
    box: ModelBox
    owner: str
    """An object whose artifacts are made."""

    floor: Contender
    mlflow: Contender | None
    source: Path

    def upload(self, sources: Mapping[str, Source], connections: int) -> tuple[Turn, str]:
        """Files into a new artifact; how that went, and the artifact's id."""
        return upload(self.box, self.owner, sources, connections)


def empty(*folders: Path) -> None:
    """Remove what a turn left, and wait until the disk has nothing to do."""
    for folder in folders:
        for file in folder.rglob("*"):
            if file.is_file():
                file.unlink()
    os.sync()


@contextlib.contextmanager
def arena(size: int, part_size: int, *, with_mlflow: bool) -> Iterator[Arena]:
    """All but S3, begun anew."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with PLACE.joinpath("lock").open("w") as lock, contextlib.ExitStack() as stack:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"Another run uses {PLACE}; two would tell nothing anyway.") from None
        for name in MADE:
            stack.callback(shutil.rmtree, PLACE / name, ignore_errors=True)
            shutil.rmtree(PLACE / name, ignore_errors=True)
        COPIES.mkdir()
        postgres = stack.enter_context(EmbeddedPostgres(PLACE / "postgres"))
        asyncio.run(_create(postgres, mlflow_peer.DATABASE, S3_DATABASE))
        box = stack.enter_context(modelbox(postgres.dsn(), {"MODELBOX_BLOB_URL": f"file://{BLOBS.absolute()}"}))
        mlflow = None
        if with_mlflow:
            mlflow = stack.enter_context(mlflow_peer.serving(postgres.dsn(mlflow_peer.DATABASE), 1, artifacts=MLFLOW))
        floor = stack.enter_context(_floor(part_size))
        (owner,) = box.make_runs(1)
        yield Arena(postgres, box, owner, floor, mlflow, random_file(size))


async def _create(postgres: EmbeddedPostgres, *names: str) -> None:
    admin = await asyncpg.connect(postgres.dsn("postgres"))
    for name in names:
        await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()


@contextlib.contextmanager
def modelbox(dsn: str, where: Mapping[str, str], name: str = "ModelBox") -> Iterator[ModelBox]:
    """A ModelBox with its default settings, but for where files are kept. Its log has its name."""
    port = free_port()
    command = [str(PROGRAM), "serve", "--port", str(port), "--data-dir", "server"]
    settings = {"MODELBOX_DATABASE_URL": dsn, **where}
    with running(name, command, port, settings, FOLDER.absolute()) as server:
        box = ModelBox(server, trackers.token(settings), dsn)
        box.ask(
            f'mutation {{ createNamespace(input: {{path: "{trackers.NAMESPACE}"}}) {{ userErrors {{ message }} }} }}'
        )
        yield box


def _floor(part_size: int) -> contextlib.AbstractContextManager[Contender]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.artifacts_floor", str(port), str(COPIES.absolute()), str(part_size)]
    return running("files-floor", command, port, {}, Path.cwd())


def random_file(size: int) -> Path:
    """A file of random bytes, so many MiB, made once."""
    file = PLACE / f"random-{size}"
    if not file.exists() or file.stat().st_size != size * MIB:
        print(f"Writing {size} MiB of random bytes")
        with file.open("wb") as opened:
            for _ in range(size):
                opened.write(os.urandom(MIB))
    return file


def changed(file: Path, before: Source | None, part_size: int) -> Source:
    """The file with other bytes at its beginning, so that nobody has it already."""
    with file.open("r+b") as opened:
        opened.write(os.urandom(32))
    found = artifacts_client.digested(file, part_size)
    return found if before is None else replace(before, digest=found.digest, part_digests=found.part_digests)


def copy(source: Path, *, durably: bool = True) -> Turn:
    """The time that `cp` takes, and that until the disk has it all."""
    target = COPIES / "copy"
    started = time.perf_counter()
    subprocess.run(["cp", "--reflink=never", source, target], check=True)
    copied = time.perf_counter() - started
    if durably:
        subprocess.run(["sync", target], check=True)
    return Turn(copied, time.perf_counter() - started)


def upload(box: ModelBox, owner: str, sources: Mapping[str, Source], connections: int) -> tuple[Turn, str]:
    """Files into a new artifact; how that went, and the artifact's id."""
    with Watch(box.server.process) as watch:
        cpu = box.server.cpu()
        sent = artifacts_client.upload(box, owner, os.urandom(8).hex(), sources, connections)
        cpu = box.server.cpu() - cpu
    return Turn(sent.accepted, sent.ready, cpu, watch.seen, sent.begun), sent.artifact
