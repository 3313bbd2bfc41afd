"""What `modelbox sync` does: sends what is left in a folder of queues, of whatever runs, from whatever machine."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from modelbox.connection import Connection
from modelbox.credentials import token
from modelbox.errors import ModelBoxError, Refused, Unreachable
from modelbox.queue import origin
from modelbox.queue.lease import Taken
from modelbox.queue.spool import ABOUT, remove
from modelbox.sender.drain import Drain
from modelbox.sender.session import ASIDE, Session

State = Literal["sent", "partly", "taken", "unreachable", "refused", "damaged"]
QUIET_SECONDS: Final = 120.0
"""A queue that says nothing of its end, and was written to so short a while ago, may still be written to."""


@dataclass(frozen=True)
class Synced:
    """What became of one writer's queue."""

    run: str
    writer: str
    state: State
    points: int = 0
    message: str = ""


def queues(folder: Path) -> list[Path]:
    """The folders of all writers below a folder, or the folder itself if it is one."""
    if (folder / ABOUT).is_file():
        return [folder]
    return sorted(path.parent for path in folder.glob(f"*/*/{ABOUT}"))


def sync(folder: Path, server: str | None = None) -> Iterator[Synced]:
    """Send every queue to its end, one after the other. A queue that is told of whole is removed.

    With `server`, they go there and not where their trainings wanted: for one that has another address now.
    """
    for queue in queues(folder):
        yield _sync(queue, server)


def _sync(queue: Path, server: str | None) -> Synced:
    try:
        return _sent(queue, server)
    except (OSError, ValueError, LookupError, TypeError) as error:  # Of one; the others are to be sent all the same.
        about = f"{queue} cannot be read, or written to: {type(error).__name__}: {error}."
        return Synced(queue.parent.name, queue.name, "damaged", message=about)


def _sent(queue: Path, server: str | None) -> Synced:
    session = Session(queue, Connection("http://unknown"))
    run, writer = session.run_id, session.writer
    try:
        address = server or session.about["server"]
        session.server = Connection(address, token(address))
        is_over = Drain(session).once(is_dead=_age(queue) > QUIET_SECONDS and not _lives(session.about))
    except Taken as holder:
        return Synced(run, writer, "taken", message=f"It is being sent by {holder}.")
    except Unreachable as error:
        return Synced(run, writer, "unreachable", session.sent_points, error.message)
    except Refused as error:
        return Synced(run, writer, "refused", session.sent_points, error.message)
    except ModelBoxError as error:
        return Synced(run, writer, "refused", session.sent_points, str(error))
    if is_over and not (queue / ASIDE).exists():
        remove(queue)
    return Synced(run, writer, "sent" if is_over else "partly", session.sent_points)


def _lives(about: Mapping[str, Any]) -> bool:
    """Whether it is known that its process does, however long it was silent: it still writes into these files."""
    is_here = about.get("host") == os.uname().nodename and about.get("boot") == origin.boot()
    return is_here and not origin.is_gone(about)


def _age(queue: Path) -> float:
    """Seconds since something was put in, by the clock of this machine."""
    return time.time() - max((path.stat().st_mtime for path in queue.glob("*.frames")), default=0.0)
