"""Artifacts, checkpoints and versions: what waits for files, in the order in which it was said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelbox import transfer
from modelbox.errors import ModelBoxError, Refused, Unreachable
from modelbox.points import Columns, encoded
from modelbox.queue.frames import Frame
from modelbox.queue.progress import Place
from modelbox.queue.spool import FILES
from modelbox.sender import documents
from modelbox.sender.queue_reader import QueueReader
from modelbox.sender.session import BLOCKING, Session
from modelbox.transfer import Local

CHECKPOINT = "checkpoint"


class FilesLane:
    """Sends one thing after the other; each can be repeated."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._reader = QueueReader(session.folder)
        self._ways = {"artifact": self._artifact, CHECKPOINT: self._checkpoint, "register": self._register}

    def step(self) -> bool:
        """Send the next; whether there was one.

        Raises:
            Unreachable: later.
            Refused: only who may do it is in question.
        """
        last = None
        for found in self._reader.read(self._session.progress.files):
            last = found.after
            way = self._ways.get(found.frame.kind)
            if way is None:
                continue
            is_there = self._is_taken(way, found.frame)
            self._session.sent()
            self._advance(found.after)
            if is_there:  # What was refused stays, for the only copy may be ours.
                self._forget_copies(found.frame)
            return True
        if last is not None:
            self._advance(last, durable=False)
        return False

    def _is_taken(self, way: Callable[[Frame], None], frame: Frame) -> bool:
        """Send it; whether the server took it, and not put aside."""
        try:
            way(frame)
        except Unreachable:
            raise
        except ModelBoxError as error:
            if error.code in BLOCKING:
                raise
            self._session.put_aside(Refused(error.code, error.message), frame.head)
            return False
        return True

    def _advance(self, place: Place, *, durable: bool = True) -> None:
        self._session.keep(lambda progress: setattr(progress, "files", place), durable=durable)

    def _artifact(self, frame: Frame) -> None:
        self._upload(self._experiment, frame.head["name"], frame, kind=frame.head["artifact_kind"],
                     metadata=frame.head["metadata"] or None)  # fmt: skip

    def _upload(self, object_id: str, name: str, frame: Frame, **also: Any) -> str:
        files = [Local(path, self._whole_copy(copy, size)) for path, copy, size in frame.head["files"]]
        given = {key: value for key, value in also.items() if value is not None}
        return transfer.upload(self._session.server, object_id, name, files, **given)

    def _copy(self, name: str) -> Path:
        return self._session.folder / FILES / name

    def _whole_copy(self, name: str, size: int) -> Path:
        """A copy that is as long as it was made: nobody waited for the disk to keep it, and the power may have gone."""
        copy = self._copy(name)
        if not copy.is_file() or copy.stat().st_size != size:
            raise ModelBoxError("NO_SUCH_FILE", f"{copy} is not whole any more, as after a loss of power.")
        return copy

    def _forget_copies(self, frame: Frame) -> None:
        for _, copy, _ in frame.head.get("files", ()):
            self._copy(copy).unlink(missing_ok=True)

    def _checkpoint(self, frame: Frame) -> None:
        """Make it, send its files and its metrics, and commit it: from then on a job can go on from it."""
        head = frame.head
        about = {key: value for key, value in head["about"].items() if value is not None}
        wanted = {"experimentId": self._experiment, "expectedShards": head["shards"] or 1, **about}
        if head["metadata"]:
            wanted["metadata"] = head["metadata"]
        made = self._session.server.change(documents.CHECKPOINT, {**wanted, "idempotencyKey": self._key(frame)})
        id_: str = made["checkpoint"]["id"]
        if made["checkpoint"]["status"] == "PENDING":  # Else we were killed after all was done.
            self._send_shard(id_, frame)
            self._metrics(id_, frame)
            self._commit(id_, is_sharded=head["shards"] is not None)
        self._learn(id_)

    def _send_shard(self, checkpoint: str, frame: Frame) -> None:
        shard = frame.head["shard"] or 0
        name = "files" if frame.head["shards"] is None else f"shard {shard}"
        self._upload(checkpoint, name, frame, kind="CHECKPOINT", shard=shard)

    def _key(self, frame: Frame) -> str:
        """The same for all ranks that save shards of one checkpoint."""
        head = frame.head
        if head["shards"] is None:
            return self._session.key(frame.number)
        return f"{self._session.run_id}/{CHECKPOINT}/{head['begun_at']}/{head['about']['step']}"

    def _metrics(self, checkpoint: str, frame: Frame) -> None:
        if not frame.head["metrics"]:
            return
        columns = Columns()
        step = frame.head["about"]["step"]
        columns.add(*encoded([(step, frame.head["at"], frame.head["metrics"])], []))
        call = {"objectId": checkpoint, "columns": columns.table(), "writer": self._session.writer, "sequence": 0}
        self._session.server.change(documents.POINTS, call)

    def _commit(self, checkpoint: str, *, is_sharded: bool) -> None:
        try:
            self._session.server.change(documents.COMMIT, {"id": checkpoint})
        except Refused as error:
            if not (is_sharded and error.code == "UPLOAD_INCOMPLETE"):
                raise  # The rank that sends the last shard commits.

    def _learn(self, checkpoint: str) -> None:
        self._session.keep(lambda progress: progress.learned.__setitem__(CHECKPOINT, checkpoint))

    def _register(self, frame: Frame) -> None:
        head = frame.head
        namespace = self._session.about["namespace"]
        model = self._session.server.change(documents.MODEL, {"name": head["model"], "namespace": namespace})["model"]
        also = {"version": head["version"], "uniqueTags": head["tags"], "metadata": head["metadata"]}
        given = {key: value for key, value in also.items() if value}
        wanted = {"modelId": model["id"], "idempotencyKey": self._session.key(frame.number), **given}
        checkpoint = self._session.progress.learned.get(CHECKPOINT)
        if checkpoint is not None:
            self._session.server.change(documents.PROMOTE, {"checkpointId": checkpoint, **wanted})
        else:
            self._session.server.change(documents.VERSION, {"experimentId": self._experiment, **wanted})

    @property
    def _experiment(self) -> str:
        found = self._session.progress.experiment
        assert found is not None  # noqa: S101 - the lane begins only then
        return found
