"""A real server in a process of its own, as an operator starts it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

import httpx
import psutil

from app.settings import PREFIX
from db.embedded_process import Identity, launch

COMMAND = Path(sys.executable).with_name("modelbox-server")
PATIENCE = 60.0
"""Seconds until a test gives up; what is measured says so."""


class Server:
    """A server that is being started. `ready()` waits until it serves."""

    def __init__(self, data_dir: Path, *words: str, identity: Identity | None = None) -> None:
        self.data_dir = data_dir
        self.began = time.monotonic()
        self.lines: list[dict[str, Any]] = []
        self.address = ""
        command: list[str | Path] = [COMMAND, "serve", "--port", "0", "--data-dir", str(data_dir), *words]
        self.process = _begin(command, data_dir.parent, identity)

    @property
    def pid(self) -> int:
        """The process id of what was started."""
        return self.process.pid

    def ready(self) -> float:
        """Wait until it serves; the seconds that took."""
        self.address = str(self.line("ready")["address"])
        return time.monotonic() - self.began

    def line(self, event: str) -> dict[str, Any]:
        """Wait for a line of the log."""
        for text in self._printed():
            self.lines.append(json.loads(text) if text.startswith(b"{") else {"event": text.decode().rstrip()})
            if self.lines[-1]["event"] == event:
                return self.lines[-1]
        raise AssertionError(f"it ended with {self.process.wait(PATIENCE)} and said {self.lines}")

    def graphql(self, query: str, **variables: Any) -> Any:
        """The data of an answer."""
        body = {"query": query, "variables": variables}
        answer = httpx.post(f"{self.address}/graphql", json=body, timeout=PATIENCE)
        assert "errors" not in answer.json(), answer.text
        return answer.json()["data"]

    def family(self) -> list[psutil.Process]:
        """The process and all that it began."""
        parent = psutil.Process(self.pid)
        return [parent, *parent.children(recursive=True)]

    def end(self, with_signal: signal.Signals) -> tuple[int, list[dict[str, Any]]]:
        """Send a signal to the session, and wait until nothing is left; the exit code and the last lines."""
        family = self.family()
        os.killpg(self.pid, with_signal)  # As Ctrl-C does: to all that the terminal's session holds.
        rest = [json.loads(text) for text in self._printed() if text.startswith(b"{")]
        code = self.process.wait(PATIENCE)
        _, alive = psutil.wait_procs(family, timeout=PATIENCE)
        assert alive == []
        assert processes_in(self.data_dir) == []
        return code, rest

    def discard(self) -> None:
        """Make sure that it does not outlive its test."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for each in self.family():
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
        self.process.wait(PATIENCE)
        self._printed().close()

    def _printed(self) -> IO[bytes]:
        return cast("IO[bytes]", self.process.stdout)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server with a database of its own, whose log somebody reads."""
    server = Server(folder / "data")
    server.ready()
    # A log that nobody reads would fill its pipe, and stop the server.
    threading.Thread(target=server.process.communicate, daemon=True).start()
    try:
        yield server
    finally:
        server.discard()


def run(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run another command to its end."""
    environment = {**clean_environment(), **variables}
    return subprocess.run(
        [COMMAND, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def clean_environment() -> Mapping[str, str]:
    """The environment without settings of the server."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def processes_in(folder: Path) -> list[psutil.Process]:
    """Processes that work below a folder, as all of a PostgreSQL's do."""
    return [each for each, place in _working_folders() if place.is_relative_to(folder.resolve())]


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that nobody tells of."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.02)


def _working_folders() -> Iterator[tuple[psutil.Process, Path]]:
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            yield each, Path(each.cwd())


def _begin(command: list[str | Path], cwd: Path, identity: Identity | None) -> subprocess.Popen[bytes]:
    """In a session of its own, as a terminal gives it; as another user if need be."""
    if identity is not None:
        return launch(command, identity, None, output=subprocess.PIPE)
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
