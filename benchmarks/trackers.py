"""The servers that points are logged to: one PostgreSQL, a database of it for each."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import http.client
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson

from benchmarks import copy_floor, mlflow_peer
from benchmarks.compaction import compact_all
from benchmarks.contenders import Contender, free_port, running
from benchmarks.points import Shape
from benchmarks.store import FOLDER
from benchmarks.writers import Task
from db.embedded import EmbeddedPostgres

FLOOR: Final = "floor"
NAMESPACE: Final = "benchmark"
PROGRAM: Final = Path(sys.executable).with_name("modelbox-server")


@dataclass
class Tracker:
    """A server, and one way of logging points to it. Every writer has a run, and goes on where it stopped."""

    name: str
    server: Contender
    path: str
    form: str
    runs: list[str]
    token: str | None = None
    firsts: list[int] = field(default_factory=list)
    pace: float = 20.0
    """Calls a second that the last turn took: so many are prepared for the next."""

    finish: Callable[[], None] = lambda: None
    """Does what a turn put off."""

    def __post_init__(self) -> None:
        self.firsts = self.firsts or [0] * len(self.runs)

    def task(self, shape: Shape, seconds: float, **more: Any) -> Task:
        """What its writers do in the next turn."""
        return Task(
            port=self.server.port,
            path=self.path,
            form=self.form,
            token=self.token,
            runs=self.runs,
            firsts=self.firsts,
            keys=shape.keys,
            rows=shape.rows,
            seconds=seconds,
            prepared=1 + int(1.5 * seconds * self.pace / len(self.runs)),
            **more,
        )

    def move(self, made: Sequence[int], calls_a_second: float) -> None:
        """Remember how far the writers came, and how fast."""
        self.firsts = [first + count for first, count in zip(self.firsts, made, strict=True)]
        self.pace = calls_a_second


@dataclass(frozen=True)
class ModelBox:
    """A ModelBox server, and a token that may do everything."""

    server: Contender
    token: str
    dsn: str

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of an answer."""
        return orjson.loads(self.answer(query, **variables))["data"]

    def answer(self, query: str, **variables: Any) -> bytes:
        """An answer without errors."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=120)
        try:
            connection.request("POST", "/graphql", orjson.dumps({"query": query, "variables": variables}), headers)
            text = connection.getresponse().read()
        finally:
            connection.close()
        if b'"errors":' in text or b'"message":' in text:
            raise RuntimeError(text[:2000].decode())
        return text

    def make_runs(self, count: int) -> list[str]:
        """The ids of new experiments."""
        query = """mutation ($namespace: String!) { createExperiment(input: { namespace: $namespace }) {
            experiment { id } userErrors { code message } } }"""
        made = (self.ask(query, namespace=NAMESPACE) for _ in range(count))
        return [each["createExperiment"]["experiment"]["id"] for each in made]

    def tracker(self, name: str, form: str, runs: list[str]) -> Tracker:
        """A way of logging to it."""
        return Tracker(name, self.server, "/graphql", form, runs, self.token, finish=self.compact)

    def compact(self) -> None:
        """Leave nothing in the tail."""
        asyncio.run(compact_all(self.dsn))


@dataclass(frozen=True)
class Databases:
    """The PostgreSQL that all share."""

    postgres: EmbeddedPostgres
    pid: int

    @property
    def modelbox(self) -> str:
        return self.postgres.dsn()

    @property
    def mlflow(self) -> str:
        return self.postgres.dsn(mlflow_peer.DATABASE)

    @property
    def floor(self) -> str:
        return self.postgres.dsn(FLOOR)


@contextlib.contextmanager
def databases() -> Iterator[Databases]:
    """A new PostgreSQL, with three empty databases."""
    folder = FOLDER / "metrics"
    FOLDER.mkdir(exist_ok=True)
    with FOLDER.joinpath("metrics.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"Another run uses {folder}; two would tell nothing anyway.") from None
        shutil.rmtree(folder, ignore_errors=True)
        with EmbeddedPostgres(folder) as postgres:
            asyncio.run(_create(postgres))
            assert postgres.pid
            yield Databases(postgres, postgres.pid)


async def _create(postgres: EmbeddedPostgres) -> None:
    admin = await asyncpg.connect(postgres.dsn("postgres"))
    for name in (mlflow_peer.DATABASE, FLOOR):
        await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    connection = await asyncpg.connect(postgres.dsn(FLOOR))
    await connection.execute(copy_floor.TABLE)
    await connection.close()


@contextlib.contextmanager
def floor(dsn: str) -> Iterator[Contender]:
    """The floor, running."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.copy_floor", str(port)]
    with running(FLOOR, command, port, {"DATABASE_URL": dsn}, Path.cwd()) as server:
        yield server


@contextlib.contextmanager
def modelbox(dsn: str) -> Iterator[ModelBox]:
    """A ModelBox with its default settings, and with a namespace for the runs."""
    port = free_port()
    command = [str(PROGRAM), "serve", "--port", str(port), "--data-dir", "server"]
    settings = {"MODELBOX_DATABASE_URL": dsn}
    with running("ModelBox", command, port, settings, FOLDER.absolute()) as server:
        made = ModelBox(server, token(settings), dsn)
        made.ask(f'mutation {{ createNamespace(input: {{path: "{NAMESPACE}"}}) {{ userErrors {{ message }} }} }}')
        yield made


@contextlib.contextmanager
def ungrouped(dsn: str, token: str) -> Iterator[ModelBox]:
    """The same server, but with one transaction for each call."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.ungrouped", "serve", "--port", str(port), "--data-dir", "server"]
    settings = {"MODELBOX_DATABASE_URL": dsn, "PYTHONPATH": str(Path.cwd())}
    with running("ungrouped", command, port, settings, FOLDER.absolute()) as server:
        yield ModelBox(server, token, dsn)


def token(settings: dict[str, str]) -> str:
    command = [str(PROGRAM), "token", "create", "benchmark", "--role", "ADMIN", "--service-account"]
    made = subprocess.run(command, env=os.environ | settings, cwd=FOLDER, check=True, capture_output=True, text=True)
    *_, token = made.stdout.split()
    return str(token)
