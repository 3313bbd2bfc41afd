"""The program `modelbox`, run as people run it."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLIENT = Path(__file__).parents[2] / "client"
PATIENCE = 60.0
COMMAND = [sys.executable, "-m", "modelbox"]


@dataclass(frozen=True)
class Ended:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        """Its table, as another program reads it."""
        return [line.split("\t") for line in self.out.splitlines()]


def modelbox(*words: str, given: str = "", **variables: str) -> Ended:
    """Run a command to its end, without a terminal."""
    ended = subprocess.run(
        [*COMMAND, *words],
        input=given,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def environment(**variables: str) -> dict[str, str]:
    """The test's environment, with the client to be imported."""
    return {**os.environ, "PYTHONPATH": str(CLIENT), **variables}


def begun(*words: str, **variables: str) -> subprocess.Popen[str]:
    """Begin a command that does not end by itself."""
    return subprocess.Popen(
        [*COMMAND, *words],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def at_a_terminal(*words: str, asked: str = "", typed: str = "", **variables: str) -> tuple[int, str]:
    """Run a command at a terminal, whose user types when asked; the exit code, and all that was shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [*COMMAND, *words], environment(TERM="xterm", **variables))
    shown, is_waiting = b"", bool(asked)
    while piece := _read(terminal):
        shown += piece
        if is_waiting and asked.encode() in shown:
            os.write(terminal, typed.encode())
            is_waiting = False
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def _read(terminal: int) -> bytes:
    """What is shown next; nothing at the end."""
    ready, _, _ = select.select([terminal], [], [], PATIENCE)
    assert ready, "nothing is shown any more"
    try:
        return os.read(terminal, 65536)
    except OSError:  # How Linux tells the end.
        return b""
