"""The trainer's end of the probe: begins it, and puts what it finds into the run's metadata."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from modelbox.configuration import Configuration
    from modelbox.run import Run

LONGEST_SECONDS: Final = 20.0
"""After which it is ended; each of its questions has its own, shorter time."""

END_SECONDS: Final = 2.0
"""How long the end of a run waits for it."""

MOST: Final = 1 << 20

# Without `site`, the variables of Python and the script's folder: it begins at once, and nothing there can change it.
_COMMAND: Final = ("-I", "-S", "-c", (
    "import json, sys; wanted = json.loads(sys.stdin.buffer.read()); sys.path.append(wanted['client']);"
    "from modelbox.capture.probe import main; main(wanted)"
))  # fmt: skip


class Probing:
    """Looks ten times a second, and never waits, until the end."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._content = bytearray()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_over = False
        self._limit = time.monotonic() + LONGEST_SECONDS

    def tick(self) -> None:
        """Begin it, or read what it has found."""
        if self._is_over:
            return
        if self._process is None:
            self._begin()
        elif self._read(0) is False or time.monotonic() > self._limit:
            self._stop()

    def end(self) -> None:
        """Wait for what it still finds, but not long."""
        limit = min(self._limit, time.monotonic() + END_SECONDS)
        if self._process is None and not self._is_over:
            self._begin()
        while not self._is_over and (rest := limit - time.monotonic()) > 0:
            if not self._read(rest):
                break
        self._stop()

    def _begin(self) -> None:
        wanted = _wanted(self._run.settings)
        if not sys.executable or not any(wanted[name] for name in ("git", "packages", "gpus")):
            self._is_over = True
            return
        self._process = subprocess.Popen(
            [sys.executable, *_COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        with contextlib.suppress(OSError), _pipe(self._process.stdin) as pipe:
            pipe.write(json.dumps(wanted).encode())

    def _read(self, seconds: float) -> bool | None:
        """Take what is there, or comes in so many seconds; False at its end, None if there was nothing."""
        if self._process is None:
            return False
        pipe = _pipe(self._process.stdout)
        poll = select.poll()  # `select` knows the first thousand files only.
        poll.register(pipe, select.POLLIN)
        if not poll.poll(seconds * 1000):
            return None
        some = os.read(pipe.fileno(), 1 << 16)
        self._content += some
        *lines, rest = self._content.split(b"\n")
        self._content = bytearray(rest)
        for line in lines:
            found: dict[str, Any] = json.loads(line)
            self._run.metadata(**found)
        return bool(some) and len(rest) < MOST

    def _stop(self) -> None:
        self._is_over = True
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            _pipe(self._process.stdout).close()
            self._process = None


def _wanted(settings: Configuration) -> dict[str, Any]:
    from modelbox.capture import git

    root = git.root_of_code() if settings.capture_git else None
    here = str(Path.cwd())
    return {
        "client": str(Path(__file__).parents[2]),
        "path": [place or here for place in sys.path],
        "git": None if root is None else str(root),
        "diff": settings.capture_diff,
        "packages": settings.capture_packages,
        "gpus": settings.capture_host,
    }


def _pipe(given: IO[bytes] | None) -> IO[bytes]:
    assert given is not None  # noqa: S101 - both were asked for
    return given
