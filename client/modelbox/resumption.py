"""Going on from a checkpoint: which one, its files, and the word to the server that a new leg begins."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from modelbox.connection import Connection
from modelbox.credentials import token
from modelbox.errors import Unreachable
from modelbox.transfer import download, inside

if TYPE_CHECKING:
    from modelbox.configuration import Configuration
    from modelbox.run import Run

PATIENCE_SECONDS: Final = 120.0
PAUSE_SECONDS: Final = 2.0

STATE: Final = """query ($by: ExperimentBy!) { experiment(by: $by) { id resumeState {
  step epoch metadata checkpoint { id } metrics { key last }
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


def resume(run: Run, folder: Path | None) -> Resumed | None:
    """The run's latest checkpoint, here; None if it has none. The run's line goes on behind it.

    Raises:
        Unreachable: no server answers, and from where to go on cannot be known.
        Refused: it does not let us.
    """
    if run.settings.mode != "online":
        return None
    server = connect(run.settings)
    if run.sending.wait_for_experiment(PATIENCE_SECONDS).get("isNew", False):
        return None
    by = {"externalId": {"namespace": run.settings.namespace, "name": run.id}}
    found = patiently(lambda: server.ask(STATE, by=by))["experiment"]
    if found is None:
        return None
    state = found["resumeState"]
    if state is None:
        run.say_resumed(None, 0)
        return None
    place = folder or run.settings.folder / "fetched" / run.id / state["checkpoint"]["id"]
    fetched = _fetched(server, state["files"], place)
    run.say_resumed(state["checkpoint"]["id"], state["step"])
    metrics = {each["key"]: float(each["last"]) for each in state["metrics"] if each["last"] is not None}
    return Resumed(state["step"], state["epoch"], state["metadata"], metrics, place, fetched)


def _fetched(server: Connection, files: list[dict[str, Any]], folder: Path) -> list[Path]:
    """All files, each below the name of its shard if there are several."""
    shards = {file["artifact"]["shard"] for file in files}
    found = []
    for file in files:
        shard = file["artifact"]["shard"]
        below = folder if len(shards) == 1 else folder / f"shard-{shard}"
        found.append(patiently(partial(download, server, file, inside(below, file["path"]))))
    return found
