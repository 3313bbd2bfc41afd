"""The trainer's view of its sender: a process of its own, which reads the queue and talks to the server.

A process and not a thread, for a thread that packs and sends would take the interpreter from the training again and
again; and it goes on for a while when the training is killed. It is the same program as `modelbox sync`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from modelbox.warnings import Warnings

if TYPE_CHECKING:
    import subprocess

STATUS: Final = "status.json"
LOOK_SECONDS: Final = 0.05
LOOKS_SECONDS: Final = 1.0
LONGEST_PAUSE: Final = 60.0

_left: Final[list[int]] = []
"""Senders that nobody waits for any more: they end by themselves, and are asked about that when another begins."""


class Sending:
    """What happens to a queue while its run is under way."""

    def __init__(self, folder: Path, warnings: Warnings, *, is_online: bool) -> None:
        self._folder = folder
        self._warnings = warnings
        self._looked = 0.0
        self._pause = self._again = 0.5
        self._process = self._begun() if is_online else None

    def _begun(self) -> subprocess.Popen[bytes] | None:
        try:
            return _begun(self._folder)
        except Exception as error:  # noqa: BLE001 - no processes are left, or there is no interpreter
            message = f"Nothing can be sent from here ({error}). It is kept; run `modelbox sync --watch` beside it."
            self._warnings.tell("NO_SENDER", message)
            return None

    def look(self) -> None:
        """Pass on what the sender has to say; and begin another one, if it died. Called now and then."""
        now = time.monotonic()
        if self._process is None or now - self._looked < LOOKS_SECONDS:
            return
        self._looked = now
        for warning in self.status().get("warnings", ()):
            self._warnings.tell(warning["code"], warning["message"])
        if self._process.poll() not in (None, 0) and now >= self._again:
            self._pause = min(2 * self._pause, LONGEST_PAUSE)  # One that dies at once would else cost a core.
            self._again = now + self._pause
            self._process = self._begun() or self._process

    def status(self) -> dict[str, Any]:
        """What the sender last said about itself: `experiment`, `name`, `until`, `state`, `warnings`."""
        try:
            found: dict[str, Any] = json.loads((self._folder / STATUS).read_text())
        except (OSError, ValueError):
            return {}
        return found

    def wait_for_experiment(self, seconds: float) -> dict[str, Any]:
        """The status once the server knows the run, or what it is after so many seconds."""
        limit = time.monotonic() + seconds
        while self._process is not None and not (found := self.status()).get("experiment"):
            if time.monotonic() > limit or found.get("warnings"):
                break
            time.sleep(LOOK_SECONDS)
        return self.status()

    def wait_for(self, place: tuple[int, int], seconds: float) -> bool:
        """Wait until all before a place in the queue is sent, but not longer; whether it is."""
        limit = time.monotonic() + seconds
        while self._process is not None:
            if tuple(self.status().get("until", ())) >= place:
                return True
            if time.monotonic() > limit:
                break
            time.sleep(LOOK_SECONDS)
        return False

    def finish(self, seconds: float, lost: int) -> bool:
        """Wait until all is sent, but not longer; whether it is. Says what is left."""
        limit = time.monotonic() + seconds
        while self._process is not None and self._process.poll() is None and time.monotonic() < limit:
            if self.status().get("state") == "done":
                break
            time.sleep(LOOK_SECONDS)
        found = self.status()
        self._end()
        for warning in found.get("warnings", ()):
            self._warnings.tell(warning["code"], warning["message"])
        if lost:
            self._warnings.tell("POINTS_LOST", f"{lost:,} points were given up, for the disk was full.")
        if found.get("state") == "done":
            return True
        self._warnings.tell("NOT_SENT", f"Not all is sent yet. It is in {self._folder}; `modelbox sync` sends it.")
        return False

    def _end(self) -> None:
        """Let the sender know that nobody waits; it ends by itself."""
        import subprocess

        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            try:
                self._process.wait(0.5)
            except subprocess.TimeoutExpired:
                self._process.returncode = 0  # Python should not warn of it.
                _left.append(self._process.pid)

    def forget(self) -> None:
        """In a child after a fork: the sender is the parent's, which must be seen to die when it does."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            self._process.returncode = 0  # Not a child of ours.
            self._process = None


def _begun(folder: Path) -> subprocess.Popen[bytes]:
    """The pipe to it is never written to: that it closes tells the sender that the training has ended, or died."""
    import subprocess

    if getattr(sys, "frozen", False) or not sys.executable:  # It would be the training that begins again, and again.
        raise OSError("this program is no Python that could run it")
    _left[:] = [process for process in _left if not _has_ended(process)]
    return subprocess.Popen(
        [sys.executable, "-m", "modelbox.sender", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=_environment(),
        start_new_session=True,  # Ctrl-C is for the training.
    )


def _has_ended(process: int) -> bool:
    """Whether it ended; then nothing is left of it."""
    try:
        return os.waitpid(process, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def _environment() -> dict[str, str]:
    """Where the package is: the script may have said so in `sys.path`, or lie in an archive together with it."""
    home = Path(__file__).parents[1]
    if home.name in ("site-packages", "dist-packages"):
        return dict(os.environ)
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [*paths, str(home)]))}
