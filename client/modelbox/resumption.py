"""Going on from a checkpoint: which one, its files, and the word to the server that a new leg begins."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from modelbox import ranks
from modelbox.connection import Connection
from modelbox.credentials import token
from modelbox.errors import Unreachable
from modelbox.queue import origin
from modelbox.queue.lease import Taken
from modelbox.queue.spool import ABOUT, remove
from modelbox.transfer import download, inside

if TYPE_CHECKING:
    from modelbox.configuration import Configuration
    from modelbox.run import Run

PATIENCE_SECONDS: Final = 120.0
PAUSE_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 0.1

STATE: Final = """query ($by: ExperimentBy!) { experiment(by: $by) { id metrics(first: 100) { nodes { lastStep } }
  resumeState { step epoch metadata checkpoint { id } metrics { key last }
  files { path size digest downloadUrl artifact { name shard } } } } }"""


@dataclass(frozen=True)
class Resumed:
    """What a training goes on from."""

    step: int | None
    """Of the checkpoint; go on behind it."""

    epoch: float | None
    metadata: dict[str, Any]
    metrics: dict[str, float]
    folder: Path
    """Where the files are."""

    files: list[Path] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The file, if it is one; else the folder."""
        return self.files[0] if len(self.files) == 1 else self.folder


def connect(settings: Configuration) -> Connection:
    """A connection to the server that is set. Raises ModelBoxError, if the token must not go there."""
    return Connection(settings.server, token(settings.server))


def patiently(ask: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """What comes of a question, asked until the server answers. Raises Unreachable, when it does not."""
    limit = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except Unreachable as error:
            if time.monotonic() > limit:
                raise
            time.sleep(error.wait_seconds or PAUSE_SECONDS)


def resume(run: Run, folder: Path | None, shard: int | None) -> Resumed | None:
    """The run's latest checkpoint, here; None if it has none. The run's line goes on behind it.

    Of several ranks the first says so, for all, and waits until that is known: let the others wait for it before they
    log or save anything.

    Raises:
        Unreachable: no server answers, and from where to go on cannot be known.
        Refused: it does not let us.
    """
    if run.settings.mode != "online":
        return None
    server = connect(run.settings)
    _send_left(run, server)
    run.sending.wait_for_experiment(PATIENCE_SECONDS)
    by = {"externalId": {"namespace": run.settings.namespace, "name": run.id}}
    found = patiently(lambda: server.ask(STATE, by=by))["experiment"]
    if found is None:
        return None
    state = found["resumeState"]
    if state is None:
        if any(each["lastStep"] is not None for each in found["metrics"]["nodes"]):
            _begin_leg(run, None, 0)
        return None
    place = folder or run.settings.folder / "fetched" / run.id / state["checkpoint"]["id"]
    place = place if shard is None else place / f"shard-{shard}"
    fetched = _fetched(server, state["files"], place, shard)
    _begin_leg(run, state["checkpoint"]["id"], state["step"])
    metrics = {each["key"]: float(each["last"]) for each in state["metrics"] if each["last"] is not None}
    return Resumed(state["step"], state["epoch"], state["metadata"], metrics, place, fetched)


def _begin_leg(run: Run, checkpoint: str | None, step: int | None) -> None:
    """Only when the server knows of the new leg may a checkpoint be made: one of the old would be left behind."""
    if ranks.rank() == 0:
        run.say_resumed(checkpoint, step)
        run.wait(PATIENCE_SECONDS)


def _send_left(run: Run, server: Connection) -> None:
    """Send what processes of the run left that are gone: checkpoints that were saved, and points of the old leg."""
    for path in sorted((run.settings.folder / run.id).glob(f"*/{ABOUT}")):
        try:
            if origin.is_gone(json.loads(path.read_text())):
                _send_folder(path.parent, server)
        except (FileNotFoundError, ValueError):
            continue  # Its sender was through, and removed it.


def _send_folder(folder: Path, server: Connection) -> None:
    """Send a folder to its end, or wait for who is at it: the sender of a process that was killed goes on for a bit."""
    from modelbox.sender.drain import Drain
    from modelbox.sender.session import ASIDE, Session

    limit = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            is_sent = Drain(Session(folder, server)).once(is_dead=True, patience=PATIENCE_SECONDS)
        except Taken:
            if time.monotonic() > limit:
                raise Unreachable(f"What is left in {folder} is still being sent.") from None
            time.sleep(LOOK_SECONDS)
        else:
            if is_sent and not (folder / ASIDE).exists():
                remove(folder)
            return


def _fetched(server: Connection, files: list[dict[str, Any]], folder: Path, shard: int | None) -> list[Path]:
    """All files, each below the name of its shard if there are several; or those of one shard."""
    if shard is not None:
        files = [file for file in files if file["artifact"]["shard"] == shard]
    shards = {file["artifact"]["shard"] for file in files}
    found = []
    for file in files:
        below = folder if len(shards) == 1 else folder / f"shard-{file['artifact']['shard']}"
        found.append(patiently(partial(download, server, file, inside(below, file["path"]))))
    return found
