"""Points, events and metadata: what is small, and goes in the order in which it was said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from modelbox.errors import Refused
from modelbox.points import Columns, Measure
from modelbox.queue.frames import Frame
from modelbox.queue.progress import Place, Plan
from modelbox.sender import documents
from modelbox.sender.queue_reader import Found, QueueReader
from modelbox.sender.session import BLOCKING, Session

MOST_POINTS: Final = 10_000
MOST_KEYS: Final = 1_000
MOST_CELLS: Final = 100_000
MOST_BYTES: Final = 4 << 20
MOST: Final = 100
"""Frames of a call."""

BARE: Final = frozenset({"name", "namespace", "externalId", "startedAt"})
"""What a run cannot be without."""

TOGETHER: Final = frozenset({"points", "event"})
"""Kinds of which several go in one call."""

SLOW: Final = frozenset({"artifact", "checkpoint", "register"})
"""Kinds of the other lane."""


class QuickLane:
    """Sends one call after the other; a call is the same whenever it is repeated."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._reader = QueueReader(session.folder)
        self.ending: str | None = None
        """How the training ended, once that was read: it is the last that it says."""

        self._ways: dict[str, Callable[[Frame], None]] = {
            "start": self._start,
            "metadata": self._metadata,
            "track": self._track,
            "dataset": self._dataset,
            "resume": self._resume,
        }

    @property
    def damaged(self) -> int:
        """Bytes of the queue that could not be read."""
        return self._reader.damaged

    def step(self) -> bool:
        """Send the next call; whether there was one.

        Raises:
            Unreachable: later.
            Refused: only who may do it is in question.
        """
        progress = self._session.progress
        if progress.plan is None:
            group = self._gathered()
            if not group:
                return False
            if group[0].frame.kind != "points":
                self._send_frames(group)
                return True
            self._plan(group[-1].after)
        self._send_plan()
        return True

    # --- What goes frame by frame ---

    def _gathered(self) -> list[Found]:
        """The next frames that go in one call; those of the other lane are passed by."""
        group, last = _Group(), None
        for found in self._reader.read(self._session.progress.points):
            if found.frame.kind == "finish":
                self.ending = str(found.frame.head["status"])
                break
            if found.frame.kind not in SLOW and not group.take(found):
                break
            last = found.after
        if not group.members and last is not None:
            self._advance(last, durable=False)
        return group.members

    def _send_frames(self, group: list[Found]) -> None:
        try:
            self._send_group([found.frame for found in group])
        except Refused as error:
            if error.code in BLOCKING or group[0].frame.kind == "start":
                raise
            if len(group) > 1:  # It may be one of them: the others are not to be kept out.
                for found in group:
                    self._send_frames([found])
                return
            self._session.put_aside(error, group[0].frame.head)
        self._session.sent()
        self._advance(group[-1].after)

    def _send_group(self, frames: list[Frame]) -> None:
        kind = frames[0].kind
        if kind == "event":
            self._events(frames)
        elif kind in self._ways:
            self._ways[kind](frames[0])
        else:
            raise Refused("CLIENT_FAULT", f"A newer client wrote {kind!r}, which this one does not know.")

    def _advance(self, place: Place, *, durable: bool = True) -> None:
        self._session.keep(lambda progress: setattr(progress, "points", place), durable=durable)

    def _start(self, frame: Frame) -> None:
        """Make the experiment, or find it; one of that name that is another's leaves ours the name with an ending."""
        wanted = dict(frame.head["input"])
        other = {**wanted, "name": f"{wanted.get('name')}-{self._session.run_id[:6]}"}
        try:
            answer = self._session.server.change(documents.CREATE, wanted)
            if answer["experiment"]["externalId"] != self._session.run_id:
                answer = self._session.server.change(documents.CREATE, other)
        except Refused as error:
            if error.code == "INVALID":  # Hyperparameters that are too large, say: better a run without them than none.
                bare = {key: value for key, value in wanted.items() if key in BARE}
                answer = self._session.server.change(documents.CREATE, bare)
                self._session.put_aside(error, frame.head)
            elif error.code == "CONFLICT" and "name" in wanted:
                answer = self._session.server.change(documents.CREATE, other)
            else:
                raise
        made = answer["experiment"]
        self._session.keep(lambda progress: setattr(progress, "experiment", made["id"]))
        self._session.say(now=True, name=made["name"], isNew=answer["created"])

    def _events(self, frames: list[Frame]) -> None:
        events = [{"objectId": self._experiment, **frame.head["event"]} for frame in frames]
        self._session.server.change(documents.EVENTS, {"events": events})

    def _metadata(self, frame: Frame) -> None:
        about = {"objectId": self._experiment, "metadata": frame.head["metadata"]}
        self._session.server.change(documents.METADATA, about)

    def _track(self, frame: Frame) -> None:
        artifact = {"name": frame.head["name"], "files": [{"path": frame.head["name"], **frame.head["file"]}]}
        self._session.server.change(documents.TRACK, {"objectId": self._experiment, "artifacts": [artifact]})

    def _dataset(self, frame: Frame) -> None:
        """Make it, or find it, and note the use. Both can be repeated."""
        wanted = {"namespace": self._session.about["namespace"], **frame.head["dataset"]}
        made = self._session.server.change(documents.DATASET, wanted)["dataset"]
        use = {"objectId": self._experiment, "datasetId": made["id"], "role": frame.head["role"]}
        self._session.server.change(documents.USE, use)

    def _resume(self, frame: Frame) -> None:
        place = {"checkpointId": frame.head["checkpoint"]} if frame.head["checkpoint"] else {"step": frame.head["step"]}
        about = {"id": self._experiment, **place, "idempotencyKey": self._session.key(frame.number)}
        self._session.server.change(documents.RESUME, about)

    @property
    def _experiment(self) -> str | None:
        return self._session.progress.experiment

    # --- Points ---

    def _plan(self, until: Place) -> None:
        sequence = self._session.progress.sequence
        self._session.keep(lambda progress: setattr(progress, "plan", Plan(sequence, until)))

    def _send_plan(self) -> None:
        plan = self._session.progress.plan
        assert plan is not None  # noqa: S101 - its caller made it
        columns = self._columns(plan.until)
        if plan.series is None:
            try:
                self._send(columns, plan.sequence)
            except Refused as error:
                if error.code in BLOCKING:
                    raise
                plan.series = 0
                self._session.keep(lambda progress: setattr(progress, "plan", plan))
            else:
                self._done(plan.until, plan.sequence + 1)
                return
        self._send_apart(columns, plan)

    def _send_apart(self, columns: Columns, plan: Plan) -> None:
        """Each series by itself, so that one that is refused keeps no other out."""
        columns_alone = columns.apart()
        while plan.series is not None and plan.series < len(columns_alone):
            key, alone = columns_alone[plan.series]
            try:
                self._send(alone, plan.sequence)
            except Refused as error:
                if error.code in BLOCKING:
                    raise
                self._session.put_aside(error, {"key": key, "columns": alone.table()})
            plan.sequence, plan.series = plan.sequence + 1, plan.series + 1
            self._session.keep(lambda progress: setattr(progress, "plan", plan))
        self._done(plan.until, plan.sequence)

    def _columns(self, until: Place) -> Columns:
        columns = Columns()
        for found in self._reader.read(self._session.progress.points):
            if (found.after.file, found.after.offset) > (until.file, until.offset):
                break
            if found.frame.kind == "points":
                columns.add(found.frame.head, found.frame.body)
        return columns

    def _send(self, columns: Columns, sequence: int) -> None:
        about: dict[str, Any] = {"objectId": self._experiment, "columns": columns.table()}
        call = {"writer": self._session.writer, "sequence": sequence}
        self._session.server.change(documents.POINTS, about | call)
        self._session.sent(columns.point_count)

    def _done(self, until: Place, sequence: int) -> None:
        def change(progress: Any) -> None:
            progress.points, progress.sequence, progress.plan = until, sequence, None

        # Should this be lost, the plan that is on the disk is sent again, and known.
        self._session.keep(change, durable=False)


class _Group:
    """Frames of one kind that go in one call."""

    def __init__(self) -> None:
        self.members: list[Found] = []
        self._measure = Measure()
        self._size = 0

    def take(self, found: Found) -> bool:
        """Take one more frame, if it goes with those that are there."""
        kind = found.frame.kind
        if self.members and (kind != self.members[0].frame.kind or kind not in TOGETHER or len(self.members) == MOST):
            return False
        self._size += found.frame.end - found.frame.start
        if kind == "points":
            self._measure.add(found.frame.head)
        if self.members and not self._fits():
            return False
        self.members.append(found)
        return True

    def _fits(self) -> bool:
        measure = self._measure
        return (
            self._size <= MOST_BYTES
            and measure.points <= MOST_POINTS
            and len(measure.keys) <= MOST_KEYS
            and measure.cells <= MOST_CELLS
        )
