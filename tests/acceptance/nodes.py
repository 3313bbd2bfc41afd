"""Servers and their PostgreSQL, each at one address, which are killed and begun again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import httpx
import psutil

from db.embedded import EmbeddedPostgres
from tests.acceptance.lossy_server import LOST
from tests.acceptance.server import PATIENCE, clean_environment

ROOT: Final = Path(__file__).parents[2]
NOTHING: Final[Mapping[str, str]] = {}
PORTS: Final = range(20_000, 32_000)
"""Below those that outgoing connections get: one of these could sit where a server is to come back."""


class Database:
    """A PostgreSQL at one address."""

    def __init__(self, folder: Path, link: Path) -> None:
        self._folder, self._link = folder, link
        self._running = EmbeddedPostgres(folder)

    def start(self) -> None:
        """Begin it, and lead the address to it."""
        dsn = self._running.start()
        place = dsn.partition("host=")[2].partition("&")[0]
        with contextlib.suppress(FileNotFoundError):
            self._link.unlink()
        self._link.symlink_to(place)
        self.address = dsn.replace(place, str(self._link))

    def kill(self) -> None:
        """Kill it with all that it began, as a power cut does, and begin it again."""
        pid = self._running.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        self._running.stop()
        self._running = EmbeddedPostgres(self._folder)
        self.start()

    def stop(self) -> None:
        """End it in order."""
        self._running.stop()


class Node:
    """A server at one address, of one process or of several."""

    def __init__(self, database: str, log: Path, *, lost: float, workers: int, variables: Mapping[str, str]) -> None:
        self.log = log
        self.port = _free_port()
        self.workers = workers
        self._environment = {
            **clean_environment(),
            **variables,
            LOST: str(lost),
            "MODELBOX_DATABASE_URL": database,
            "MODELBOX_WORKERS": str(workers),
            "PYTHONPATH": str(ROOT),
        }
        self._is_restarting = False
        self.process = self._begin()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def kill(self) -> None:
        """Kill it, and begin another; of several processes now and then only one, which it replaces itself."""
        children = psutil.Process(self.process.pid).children() if self.workers > 1 else []
        serving = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        if serving and random.random() < 0.5:
            random.choice(serving).kill()
            return
        self._is_restarting = True
        self.stop()
        self.process = self._begin()
        self._is_restarting = False

    def restart(self) -> None:
        """End it as an operator does, and begin another."""
        self._is_restarting = True
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        assert code in (0, 3, 130, -signal.SIGTERM), code  # It may have just begun, or have found no database.
        self.process = self._begin()
        self._is_restarting = False

    def revive(self) -> None:
        """Begin it again if it ended by itself, as whatever supervises a server does."""
        if self.process.poll() is not None and not self._is_restarting:
            self.process = self._begin()

    def stop(self) -> None:
        """Kill it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)

    async def ready(self) -> None:
        """Return when it serves."""
        async with asyncio.timeout(PATIENCE), httpx.AsyncClient(trust_env=False) as client:
            while True:
                self.revive()
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"http://{self.address}/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.05)

    def faults(self) -> list[str]:
        """The ends of the tracebacks in its log, but for those of the library of jobs when its connection is killed."""
        lines = [json.loads(line) for line in self.log.read_bytes().splitlines() if line.startswith(b"{")]
        texts = [line["exception"] for line in lines if "exception" in line]
        return [text[-1_500:] for text in texts if not ("pgqueuer" in text and text.endswith("connection is closed"))]

    def _begin(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.acceptance.lossy_server", "serve", "--port", str(self.port)],
                cwd=self._folder,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def _folder(self) -> Path:
        folder = self.log.with_suffix("")
        folder.mkdir(exist_ok=True)
        return folder


@contextlib.contextmanager
def running(
    folder: Path, lost: Sequence[float], *, workers: Sequence[int] = (), variables: Mapping[str, str] = NOTHING
) -> Iterator[Cluster]:
    """A PostgreSQL, and a server for each share of hints that it loses."""
    database = Database(folder / "data", folder / "pg")
    database.start()
    nodes: list[Node] = []
    try:
        for number, share in enumerate(lost):
            count = workers[number] if number < len(workers) else 1
            log = folder / f"server-{number}.log"
            nodes.append(Node(database.address, log, lost=share, workers=count, variables=variables))
        yield Cluster(database, nodes)
    finally:
        for node in nodes:
            node.stop()
        database.stop()


class Cluster:
    """All of them."""

    def __init__(self, database: Database, nodes: Sequence[Node]) -> None:
        self.database = database
        self.nodes = nodes

    async def storm(
        self, dice: random.Random, kinds: Sequence[str], seconds: float, progress: Callable[[], Awaitable[None]]
    ) -> None:
        """Kill and restart so many of each kind, spread over a while; before each there is some progress."""
        shuffled = dice.sample(kinds, len(kinds))
        async with asyncio.TaskGroup() as tasks:
            reviving = tasks.create_task(self._revive())
            for number, kind in enumerate(shuffled):
                await asyncio.gather(asyncio.sleep(seconds / len(kinds)), progress())
                node = self.nodes[number % len(self.nodes)]
                act = {"kill": node.kill, "restart": node.restart, "database": self.database.kill}[kind]
                await asyncio.to_thread(act)
            await asyncio.gather(*(node.ready() for node in self.nodes))
            reviving.cancel()

    async def _revive(self) -> None:
        while True:
            for node in self.nodes:
                node.revive()
            await asyncio.sleep(0.3)

    def faults(self) -> list[str]:
        """The ends of all tracebacks."""
        return [fault for node in self.nodes for fault in node.faults()]


def _free_port() -> int:
    while True:
        port = random.choice(PORTS)
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
