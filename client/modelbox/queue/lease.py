"""Who sends what is in a folder: one process at a time, on whatever machine.

Locks do not work on every network file system, so a lease is a file that its holder touches every few seconds. What
the file server's clock says about it is compared with what it says about a file of our own: no two machines' clocks
are. On one machine a lock is taken as well, which ends with its process.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import Any, Final

from modelbox.queue.origin import boot

NAME: Final = "lease"
TOUCHED_SECONDS: Final = 5.0
STALE_SECONDS: Final = 30.0


class Taken(Exception):
    """Somebody else sends; the text says who."""


class Lease:
    """Held from `take` to `release`; `touch` it every few seconds."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._file = -1
        self._token = f"{socket.gethostname()}:{os.getpid()}:{time.time_ns()}"
        self._touched = 0.0

    def take(self) -> None:
        """Become the one who sends.

        Raises:
            Taken: another process does.
        """
        if (holder := self._holder()) is not None:
            raise Taken(holder)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with contextlib.suppress(OSError):  # Not every file system has locks.
                self._lock()
            self._write()
        except BaseException:
            os.close(self._file)
            self._file = -1
            raise

    def _holder(self) -> str | None:
        """Who holds it, unless that was not heard of for a while, or is a dead process of this machine."""
        try:
            about, touched = json.loads(self._path.read_text()), self._path.stat().st_mtime
        except (OSError, ValueError):
            return None
        if not about.get("holder") or self._now() - touched > STALE_SECONDS or _is_dead(about):
            return None
        return f"process {about['pid']} on {about['host']}"

    def _now(self) -> float:
        """The file server's time."""
        probe = self._path.with_name(f"{NAME}.{self._token.replace(':', '-')}")
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink()
        return now

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Taken("another process on this machine") from None

    def _write(self) -> None:
        about = {"holder": self._token, "host": socket.gethostname(), "pid": os.getpid(), "boot": boot()}
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps(about).encode(), 0)
        self._touched = time.monotonic()

    def touch(self) -> None:
        """Say that we are still there, if it is time.

        Raises:
            Taken: another process thought that we were not.
        """
        if time.monotonic() - self._touched < TOUCHED_SECONDS:
            return
        with contextlib.suppress(OSError, ValueError):
            about: dict[str, Any] = json.loads(self._path.read_text())
            if about.get("holder") not in (self._token, None):
                raise Taken(f"process {about['pid']} on {about['host']}")
        os.utime(self._path)
        self._touched = time.monotonic()

    def release(self) -> None:
        """Let others send."""
        if self._file >= 0:
            if self._is_ours():
                os.ftruncate(self._file, 0)
                os.pwrite(self._file, b"{}", 0)
            os.close(self._file)
            self._file = -1

    def _is_ours(self) -> bool:
        """Whether nobody took it, thinking that we were gone."""
        with contextlib.suppress(OSError, ValueError):
            return bool(json.loads(self._path.read_text()).get("holder") == self._token)
        return False


def _is_dead(about: dict[str, Any]) -> bool:
    """Whether it was a process of this machine, and is none now."""
    if about.get("host") != socket.gethostname() or about.get("boot") != boot():
        return False
    try:
        os.kill(int(about["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
