"""`init`: a run begins, at once and without a server."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Literal

from modelbox import configuration, ranks
from modelbox.configuration import Configuration
from modelbox.errors import ModelBoxError
from modelbox.queue import origin
from modelbox.queue.spool import NoSpool, Spool
from modelbox.run import Run
from modelbox.sending import Sending
from modelbox.warnings import Warnings

TERMINATED_SECONDS: Final = 10.0

current: Run | None = None
"""The run that was begun last."""

_own: Final = threading.local()
"""The `run` that was begun last by each thread: `modelbox.log` and its like go there."""

_open: Final[list[Run]] = []
"""Runs of this process that are to be ended with it; once there was one, the hooks are there."""


def init(
    namespace: str | None = None,
    name: str | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    *,
    labels: Sequence[str] = (),
    description: str | None = None,
    group: str | None = None,
    parent: str | None = None,
    framework: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    retention: Mapping[str, Any] | None = None,
    stall_after: float | None = None,
    run_id: str | None = None,
    every_rank: bool = False,
    server: str | None = None,
    mode: Literal["online", "offline", "disabled"] | None = None,
    folder: str | Path | None = None,
    quiet: bool = False,
) -> Run:
    """Begin a run; or, with the `run_id` of one (or `MODELBOX_RUN_ID`), go on with it.

    A name that is taken gets an ending of its own. Of a job of several processes only rank 0 logs, unless
    `every_rank` is set: then each is a writer of the same run. Never raises because of a server; `retention` is a
    `CheckpointRetentionInput`, and a run that says nothing for `stall_after` seconds is STALLED.

    Raises:
        ModelBoxError: `CONFIGURATION`, for settings that are none.
    """
    flags = {"namespace": namespace, "server": server, "mode": mode, "folder": folder, "run_id": run_id}
    settings = configuration.load(**flags)
    wanted = {
        "name": name, "namespace": settings.namespace, "hyperparameters": _parameters(hyperparameters),
        "labels": list(labels), "description": description, "group": group, "parentId": parent,
        "framework": framework, "metadata": _plain(metadata), "checkpointRetention": _plain(retention),
        "stallAfterSeconds": stall_after,
    }  # fmt: skip
    beginning = Beginning(settings, wanted, Warnings(is_quiet=quiet))
    return _made_current(beginning.run(every_rank=every_rank), is_quiet=quiet)


def _made_current(run: Run, *, is_quiet: bool) -> Run:
    """What a script without a variable of its own means by "the run" is this one from now on."""
    from modelbox.watch import watch

    global current  # noqa: PLW0603
    current = _own.run = run
    _at_the_end(run)
    watch(run, is_quiet=is_quiet)
    return run


def _plain(given: Any) -> dict[str, Any] | None:
    """Hyperparameters as people have them: mappings, and namespaces such as argparse makes."""
    if given is None:
        return None
    return {**given} if isinstance(given, Mapping) else {**vars(given)}


def _parameters(given: Any) -> Any:
    """Hyperparameters, with the secrets hidden that came along with them."""
    from modelbox.capture.secrets import redacted

    return redacted(_plain(given))


class Beginning:
    """What a run, and each process that is forked from it, begins with."""

    def __init__(self, settings: Configuration, wanted: Mapping[str, Any], warnings: Warnings) -> None:
        self._settings = settings
        given = {key: value for key, value in wanted.items() if value not in (None, [])}
        self._wanted = {"startedAt": datetime.now(UTC).isoformat(), **given}
        self._warnings = warnings
        self._id = settings.run_id or os.urandom(16).hex()

    def run(self, *, every_rank: bool) -> Run:
        """The run of this process."""
        rank = ranks.rank()
        if every_rank and self._settings.run_id is None:
            self._id = ranks.next_run() or self._id
        if self._settings.mode == "disabled" or (rank and not every_rank):
            return self._silent()
        try:
            return self._begun(is_primary=rank == 0)
        except OSError as error:
            message = f"The queue at {self._settings.folder} cannot be made ({error.strerror}). Nothing is logged."
            self._warnings.tell("QUEUE_FULL", message)
            return self._silent()

    def _begun(self, *, is_primary: bool) -> Run:
        from modelbox.capture.environment import at_once

        writer = f"{ranks.rank()}-{os.urandom(6).hex()}"
        folder = self._settings.folder / _as_folder(self._id) / writer
        about = {
            "version": 1, "server": self._settings.server, "namespace": self._settings.namespace, "run": self._id,
            "writer": writer, "is_primary": is_primary, **origin.here(),
        }  # fmt: skip
        spool = Spool(folder, about)
        start = {**self._wanted, "environment": at_once(self._settings), "externalId": self._id}
        spool.append({"kind": "start", "input": start}, durable=True)
        sending = Sending(folder, self._warnings, is_online=self._settings.mode == "online")
        run = Run(self._id, self._settings, spool, sending, self._warnings)
        _see_forks()
        _of_forks[:] = [*((by, each) for by, each in _of_forks if not each.is_finished), (self, run)]
        return run

    def _silent(self) -> Run:
        return Run(self._id, self._settings, NoSpool(), Sending(Path(os.devnull), self._warnings, is_online=False),
                   self._warnings)  # fmt: skip

    def forked(self, run: Run) -> None:
        """In a child: the parent's files and sender are not ours; the first that is logged makes our own."""
        run.sending.forget()
        run.in_child(lambda: self._begun(is_primary=False))


def _as_folder(run_id: str) -> str:
    """An id that others chose, as the name of a folder; what two have in common, their writers tell apart."""
    return "".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in run_id)[:100]


_of_forks: Final[list[tuple[Beginning, Run]]] = []
"""What a child must leave to its parent."""


@cache
def _see_forks() -> None:
    """Once a process: hooks cannot be taken back, and would keep every run of a sweep."""
    os.register_at_fork(after_in_child=_forked)


def _forked() -> None:
    for beginning, run in _of_forks:
        if not run.is_finished:
            beginning.forked(run)


def _at_the_end(run: Run) -> None:
    """See to it that a script that just ends, fails or is terminated is over for the server, too."""
    if not _open:
        hook = sys.excepthook

        def note(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            for each in _open:
                each.outcome = "KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED"
            hook(kind, error, trace)

        sys.excepthook = note
        atexit.register(lambda: [each.finish(each.outcome) for each in _open])
    _open[:] = [*(each for each in _open if not each.is_finished), run]
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminated)


def _terminated(number: int, _: FrameType | None) -> None:
    """A scheduler wants the machine back: say so, and end as we would have."""
    limit = time.monotonic() + TERMINATED_SECONDS
    for run in _open:
        run.finish("PREEMPTED", timeout=max(0.0, limit - time.monotonic()))
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _meant() -> Run | None:
    """The run that this thread began last; in one that began none, that which any began last."""
    own: Run | None = getattr(_own, "run", None)
    return own or current


def the_run() -> Run:
    """The run that was begun last, by this thread if it began one.

    Raises:
        ModelBoxError: `NO_RUN`, if there is none.
    """
    if (found := _meant()) is None:
        raise ModelBoxError("NO_RUN", "Nothing was begun. Call `modelbox.init(...)` first.")
    return found


def log(data: Mapping[str, Any], step: int | None = None) -> None:
    """Log values to the run that `the_run` is; without one, warn once."""
    if (found := _meant()) is None:
        _UNBEGUN.tell("NO_RUN", "Nothing was begun, so nothing is logged. Call `modelbox.init(...)` first.")
    else:
        found.log(data, step)


def finish(status: Literal["COMPLETED", "FAILED", "KILLED", "PREEMPTED"] = "COMPLETED", timeout: float = 30.0) -> bool:
    """End the run that `the_run` is; whether all of it is sent."""
    found = _meant()
    return found is None or found.finish(status, timeout)


_UNBEGUN: Final = Warnings()
