"""A training as the trainer sees it: everything it says is put into the queue, and nothing waits for a server."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

from modelbox import ranks, values
from modelbox.errors import ModelBoxError
from modelbox.queue.spool import NoSpool, Spool
from modelbox.recorder import Recorder
from modelbox.shown import Shown
from modelbox.warnings import of_disk

if TYPE_CHECKING:
    from modelbox.configuration import Configuration
    from modelbox.resumption import Resumed
    from modelbox.sending import Sending
    from modelbox.warnings import Warnings

Outcome: TypeAlias = Literal["COMPLETED", "FAILED", "KILLED", "PREEMPTED"]
FINISH_SECONDS: Final = 30.0
KNOWN_KEYS: Final = 100_000
"""So many keys are remembered as good."""


class Run:
    """One process of an experiment. Nothing here raises because of a server, a disk or a value: it warns, once."""

    def __init__(
        self, run_id: str, settings: Configuration, spool: Spool, sending: Sending, warnings: Warnings
    ) -> None:
        self.id = run_id
        """The experiment's `externalId`: made here, so that it exists before any server hears of it."""

        self.settings = settings
        self.warnings = warnings
        self.sending = sending
        self.resumed_step: int | None = None
        self.is_finished = False
        self.is_silent = isinstance(spool, NoSpool)
        """Whether nothing that is said goes anywhere."""

        self.outcome: Outcome = "COMPLETED"
        """How it ends when the script just ends."""

        self.tick: Callable[[], None] = lambda: None
        """Called ten times a second by a thread; what measures the machine hangs itself in here."""

        self.ending: Callable[[], None] = lambda: None
        """Called before it is said that it is over: the last that can still be added."""

        self.over: Callable[[Outcome, bool], None] = lambda outcome, is_sent: None
        """Called when it is over, with whether all is sent."""

        self.shown = Shown()
        """A few values of each series, for terminals and notebooks."""

        self._good: set[str] = set()
        self._attach(spool)

    def _attach(self, spool: Spool) -> None:
        self._spool = spool
        self._is_closed = False
        self._recorder = Recorder(spool, self.warnings, self._tick, self.shown.see)
        self._put = self._recorder.rows.append
        self._put_text = self._recorder.texts.append
        self._process = os.getpid()

    def in_child(self, begin: Callable[[], Run]) -> None:
        """After a fork: what is the parent's is left alone; the first that is said begins something of our own."""

        def first(row: Any) -> None:
            self._adopt(begin())
            (self._put if isinstance(row[2], dict) else self._put_text)(row)

        self._put = self._put_text = first
        self._recorder.forget()
        self._spool = NoSpool()
        self._of_parent = (self.tick, self.ending, self.over)  # What they hold must not be ended here, not even freed.
        self.tick = self.ending = lambda: None
        self.over = lambda outcome, is_sent: None
        self.is_finished = True  # The parent says how it ends.

    def _adopt(self, other: Run) -> None:
        """Become another process's run."""
        self.sending, self.warnings, self._spool = other.sending, other.warnings, other._spool
        self._recorder, self._put, self._put_text = other._recorder, other._put, other._put_text
        self._process, self.is_finished = os.getpid(), False
        _at_process_end(self.finish)

    # --- Points ---

    def log(self, data: Mapping[str, Any], step: int | None = None) -> None:
        """Log values: numbers, elements of tensors, texts, bytes, or mappings of them, whose keys join by `/`."""
        moment = time.time_ns() // 1000
        try:
            if type(step) is not int or not -values.STEPS < step < values.STEPS:
                step = self._step(step)
            row, good = {}, self._good
            for key, value in data.items():
                if type(value) is float and key in good:
                    row[key] = value
                else:
                    self._odd(key, value, step, moment, row)
            if row:
                self._put((step, moment, row))
        except Exception as error:  # noqa: BLE001 - a training does not end because of its diary
            self._warn(error)

    def _step(self, step: Any) -> int | None:
        try:
            return values.check_step(step)
        except ModelBoxError as error:
            self._warn(error)
            return None

    def _odd(self, key: Any, value: Any, step: int | None, moment: int, row: dict[str, float]) -> None:
        """A key that is new, or a value that is not just a float."""
        try:
            if isinstance(value, Mapping):
                for name, inner in values.flat(value, f"{key}/").items():
                    self._odd(name, inner, step, moment, row)
                return
            if key not in self._good:
                values.check_key(key)
                if len(self._good) < KNOWN_KEYS:
                    self._good.add(key)
            found = values.number(key, value)
        except ModelBoxError as error:
            self.warnings.tell(error.code, error.message, about=str(key)[:100])
            return
        except RecursionError:
            self.warnings.tell("BAD_METRIC", "A mapping holds itself, or is too deep.", about=str(key)[:100])
            return
        if isinstance(found, float):
            row[key] = found
        else:
            self._put_text((step, moment, key, *values.as_text(found)))

    def _late(self, _: Any) -> None:
        """Logged when it was over: nobody would write it any more."""
        if not self.is_silent:
            self.warnings.tell("RUN_FINISHED", "What is said after `finish` is not kept.")

    def _warn(self, error: Exception) -> None:
        if isinstance(error, ModelBoxError):
            self.warnings.tell(error.code, error.message)
        else:
            why = type(error).__name__
            with contextlib.suppress(Exception):  # Also this may be a stranger's code.
                why = f"{why}: {error}"
            self.warnings.tell("CLIENT_FAULT", f"Something was not logged: {why}.")

    # --- What happened ---

    def event(
        self, name: str, *, at: datetime | None = None, ended_at: datetime | None = None, **metadata: Any
    ) -> None:
        """Note that something happened now, or when it did."""
        with self._guarded():
            moment, key = _text(at or datetime.now(UTC)), os.urandom(16).hex()
            about = {"name": name, "externalId": key, "at": moment, "metadata": metadata}
            if ended_at is not None:
                about["endedAt"] = _text(ended_at)
            self._say("event", event=about)

    @contextlib.contextmanager
    def span(self, name: str, **metadata: Any) -> Iterator[None]:
        """Note when a piece of work began and how long it took, also when it fails."""
        began, key = datetime.now(UTC), os.urandom(16).hex()
        about = {"name": name, "externalId": key, "at": _text(began), "metadata": metadata}
        self._say("event", event=about)
        try:
            yield
        finally:
            self._say("event", event={**about, "endedAt": _text(datetime.now(UTC))})

    def alert(self, title: str, text: str = "", level: Literal["INFO", "WARN", "ERROR"] = "WARN") -> None:
        """An event that people should hear of."""
        self.event("alert", title=title, text=text, level=level)

    def metadata(self, **more: Any) -> None:
        """Set keys of the experiment's metadata; values are JSON."""
        self._say("metadata", metadata=more)

    def use_dataset(
        self,
        name: str,
        role: str = "train",
        *,
        digest: str | None = None,
        uri: str | None = None,
        schema: Mapping[str, Any] | None = None,
        profile: Mapping[str, Any] | None = None,
    ) -> None:
        """Note which data it learns from, or is judged by. The same name and digest are the same data in every run."""
        about = {"name": name, "digest": digest, "uri": uri, "schema": schema, "profile": profile}
        self._say("dataset", role=role, dataset={key: value for key, value in about.items() if value is not None})

    # --- Files ---

    def log_artifact(
        self, place: str | Path, name: str | None = None, kind: str | None = None, **metadata: Any
    ) -> None:
        """Keep a file, or all files of a folder, as an artifact. They are copied: change yours as you like."""
        with self._guarded():
            source = Path(place)
            self._say(
                "artifact", name=name or source.name, artifact_kind=kind, metadata=metadata, files=self._copied(source)
            )

    def track_artifact(self, uri: str, name: str, digest: str | None = None, size: int | None = None) -> None:
        """Note where something lies that is kept elsewhere. The server never opens it."""
        file = {"uri": uri, "digest": digest, "size": size}
        self._say("track", name=name, file={key: value for key, value in file.items() if value is not None})

    def checkpoint(
        self,
        place: str | Path,
        step: int | None = None,
        *,
        epoch: float | None = None,
        name: str | None = None,
        metrics: Mapping[str, float] | None = None,
        pinned: bool = False,
        shard: int | None = None,
        shards: int | None = None,
        **metadata: Any,
    ) -> None:
        """Save what the training goes on from. When this returns, a kill loses nothing of it.

        With `shards`, each rank saves its own, and it counts when all are there.
        """
        with self._guarded():
            copies = self._copied(Path(place))
            self._recorder.flush()
            about: dict[str, Any] = {"step": self._step(step), "epoch": epoch, "name": name, "pinned": pinned}
            numbers = self._numbers(metrics or {})
            self._say(
                "checkpoint", about=about, metadata=metadata, metrics=numbers, files=copies, shard=shard,
                shards=shards, begun_at=f"{self.resumed_step}{ranks.attempt()}",
            )  # fmt: skip

    def _numbers(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        """Those that are some: a checkpoint is not lost because of another."""
        row: dict[str, float] = {}
        for key, value in metrics.items():
            if isinstance(value, str | bytes | Mapping):
                self.warnings.tell("BAD_METRIC", f"{key!r} of a checkpoint is no number.", about=str(key)[:100])
            else:
                self._odd(key, value, None, 0, row)
        return row

    def _copied(self, source: Path) -> list[tuple[str, str, int]]:
        """Copies in the queue's folder, each with the path that it has in the artifact.

        Copies and not links: the next checkpoint is often written over the last one. On file systems that can, a copy
        shares the bytes until then.
        """
        from modelbox.transfer import copied

        return [] if self.is_silent else copied(source, self._spool.new_file)

    # --- Going on, and what comes of it ---

    def resume(self, folder: str | Path | None = None, *, shard: int | None = None) -> Resumed | None:
        """The latest checkpoint that is whole, its files, or those of one shard, fetched and verified; None if none is.

        From then on the run's line is what you log behind it. This one asks the server, and waits for it; and first
        sends what processes of the run have left in the queue that were killed on this machine.
        """
        from modelbox.resumption import resume

        found = resume(self, None if folder is None else Path(folder), shard)
        if found is not None:
            self.resumed_step = found.step
        return found

    def say_resumed(self, checkpoint: str | None, step: int | None) -> None:
        """Put it into the queue that points from here on follow a checkpoint."""
        self._recorder.flush()
        self._say("resume", checkpoint=checkpoint, step=step)

    def use(self, model: str, folder: str | Path | None = None) -> Path:
        """The files of a model version, named as `model:tag` or `model:version`; fetched and verified. Waits for it.

        Raises:
            ModelBoxError: it is not there, or cannot be fetched.
        """
        from modelbox.models import fetch

        used = fetch(self.settings, model, None if folder is None else Path(folder))
        self.metadata(**{f"uses/{model}": used.version})
        return used.folder

    def register(self, model: str, *, tags: Sequence[str] = (), version: str | None = None, **metadata: Any) -> None:
        """Make a model version of the run's last checkpoint, or of the run if it has none, with unique tags.

        A version that was there already keeps what it has. The model is made if need be.
        """
        self._say("register", model=model, tags=list(tags), version=version, metadata=metadata)

    # --- The end ---

    def finish(self, status: Outcome = "COMPLETED", timeout: float = FINISH_SECONDS) -> bool:
        """Say that it is over, and wait until all is sent, but not longer; whether it is.

        What is not sent then is in the queue: `modelbox sync` sends it.
        """
        if self.is_finished or os.getpid() != self._process:
            return True
        self.is_finished = True
        with self._guarded():
            self.ending()
        self._put = self._put_text = self._late
        with self._guarded():
            self._recorder.close()
        self._say("finish", status=status)
        with self._guarded():
            self._is_closed = True
            self._spool.close()
        if self.is_silent:
            return True
        is_sent = self.sending.finish(timeout, self._recorder.lost)
        with self._guarded():
            self.over(status, is_sent)
        return is_sent

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.finish(outcome_of(error))

    def _repr_html_(self) -> str:
        from modelbox.notebook import card

        return card(self)

    def flush(self) -> None:
        """Put everything logged so far into the queue's file."""
        self._recorder.flush()

    def wait(self, timeout: float = FINISH_SECONDS) -> bool:
        """Wait until the server has all that was said so far, checkpoints and their files too; whether it has.

        What it refused is not waited for: that is told on standard error.
        """
        if self.is_silent:
            return True
        self._recorder.flush()
        return self.sending.wait_for(self._spool.place, timeout)

    def _tick(self) -> None:
        with self._guarded():
            self.sending.look()
            self.tick()

    def _say(self, kind: str, **about: Any) -> None:
        """Append a frame that is on the disk when this returns."""
        if self._is_closed:
            self._late(kind)
            return
        with self._guarded():
            self._spool.append({"kind": kind, "at": time.time_ns() // 1000, **about}, durable=True)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.warnings.tell(*of_disk(error, self._spool.folder))
        except Exception as error:  # noqa: BLE001 - a training does not end because of its diary
            self._warn(error)


def outcome_of(error: BaseException | None) -> Outcome:
    """How a training ends that ends by an error, or by none."""
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return "COMPLETED"
    return "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"


def _at_process_end(finish: Callable[[], object]) -> None:
    """A child of `multiprocessing` ends without what `atexit` knows."""
    from multiprocessing.util import Finalize

    Finalize(None, finish, exitpriority=10)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
