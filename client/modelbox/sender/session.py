"""What both lanes of a sender share: the server, how far they are, and what there is to say about it."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from modelbox.connection import Connection
from modelbox.errors import Refused
from modelbox.queue import progress as kept
from modelbox.queue.lease import Lease
from modelbox.queue.progress import Progress
from modelbox.queue.spool import ABOUT
from modelbox.sending import STATUS

BLOCKING: Final = frozenset({"UNAUTHENTICATED", "FORBIDDEN"})
"""What concerns all that is sent: nothing is put aside because of it, for a token or a role may come."""

ASIDE: Final = "refused.jsonl"
STATUS_SECONDS: Final = 0.5


class Session:
    """One folder on its way to one server."""

    def __init__(self, folder: Path, server: Connection) -> None:
        self.folder = folder
        self.server = server
        self.about: dict[str, Any] = json.loads((folder / ABOUT).read_text())
        self.lease = Lease(folder)
        self.progress: Progress = kept.load(folder)
        self.sent_points = 0
        self.last_sent = time.monotonic()
        self._lock = threading.Lock()
        self._said = 0.0
        self._status: dict[str, Any] = {"state": "beginning", "warnings": []}

    @property
    def run_id(self) -> str:
        """The experiment's external id."""
        found: str = self.about["run"]
        return found

    @property
    def writer(self) -> str:
        """The name by which the server knows this folder's points."""
        found: str = self.about["writer"]
        return found

    def key(self, number: int) -> str:
        """What makes the mutation of a frame one that can be repeated."""
        return f"{self.run_id}/{self.writer}/{number}"

    def keep(self, change: Callable[[Progress], None], *, durable: bool = True) -> None:
        """Change how far we are, and have it on the disk."""
        with self._lock:
            changed = deepcopy(self.progress)
            change(changed)
            if durable:
                kept.keep(self.folder, changed)
            self.progress = changed  # Only now: a plan that the disk did not take must not be sent.

    def sent(self, points: int = 0) -> None:
        """Note that the server took something."""
        self.sent_points += points
        self.last_sent = time.monotonic()
        self.say(state="sending")

    def put_aside(self, error: Refused, about: Mapping[str, Any]) -> None:
        """Keep what the server does not want where a person finds it, and say so."""
        line = json.dumps({"code": error.code, "message": error.message, "what": about})
        with (self.folder / ASIDE).open("a") as file:
            file.write(f"{line}\n")
        self.warn(error.code, f"{error.message} Refused: {_named(about)}; it is kept in {self.folder / ASIDE}.")

    def warn(self, code: str, message: str) -> None:
        """Have it told to the trainer, once a code."""
        with self._lock:
            warnings = self._status["warnings"]
            if any(each["code"] == code for each in warnings):
                return
            warnings.append({"code": code, "message": message})
        self.say(now=True)

    def say(self, *, now: bool = False, **about: Any) -> None:
        """Write the status, a few times a second at most."""
        with self._lock:
            changed = {key: value for key, value in about.items() if self._status.get(key) != value}
            self._status |= about
            moment = time.monotonic()
            if not (now or changed) and moment - self._said < STATUS_SECONDS:
                return
            self._said = moment
            self._status |= {"sentPoints": self.sent_points, "experiment": self.progress.experiment}
            with contextlib.suppress(OSError):  # A full disk; what is said goes on being sent.
                kept.replace(self.folder / STATUS, json.dumps(self._status), durable=False)


def _named(about: Mapping[str, Any]) -> str:
    name = about.get("key") or about.get("name") or about.get("model") or ""
    return f"{about.get('kind', 'points')} {name}".strip()
