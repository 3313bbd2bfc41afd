"""From a folder into a server: the same runs, whatever their ids are there; done again, it changes nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from modelbox.archive import documents, layout, points
from modelbox.archive.export import paged
from modelbox.connection import Connection
from modelbox.errors import ModelBoxError, Refused
from modelbox.transfer import Local, upload

COPIED: Final = ("description", "owner", "framework", "group", "hyperparameters", "environment", "labels", "metadata")
OUTCOMES: Final = frozenset({"COMPLETED", "FAILED", "KILLED", "PREEMPTED"})
EVENTS_A_CALL: Final = 100


def restore(server: Connection, folder: Path, namespace: str | None, told: Callable[[str], None] = print) -> None:
    """Make the runs of an archive, in their namespaces or in another one, and compare what is there with it.

    Raises:
        Refused, Unreachable: as the server says.
        ModelBoxError: `DAMAGED_ARCHIVE`; `NOT_THE_SAME`, if the server has something else in the end.
    """
    for id_ in layout.opened(folder):
        told(_Restoring(server, folder, id_, namespace).run())


class _Restoring:
    """One run on its way."""

    def __init__(self, server: Connection, folder: Path, id_: str, namespace: str | None) -> None:
        self._server = server
        self._folder = folder
        self._place = layout.run_folder(folder, id_)
        self._run: dict[str, Any] = json.loads((self._place / layout.RUN).read_text(encoding="utf-8"))
        self._namespace = namespace or self._run["namespace"]["path"]
        self._key = f"import {id_}"

    def run(self) -> str:
        """Make all of it; the name that it has there."""
        made = self._experiment()
        owners = {self._run["id"]: made["id"]}
        complete = set()
        for checkpoint in self._run["checkpoints"]:
            there = self._checkpoint(made["id"], checkpoint)
            owners[checkpoint["id"]] = there["id"]
            if there["status"] == "READY" and _shards(checkpoint):
                complete.add(checkpoint["id"])  # It was imported before, and takes no files any more.
        self._points(owners)
        self._events(made["id"])
        self._artifacts(made["id"], self._run)
        for checkpoint in self._run["checkpoints"]:
            if checkpoint["id"] not in complete:
                self._artifacts(owners[checkpoint["id"]], checkpoint)
                self._commit(owners[checkpoint["id"]], checkpoint)
        self._finish(made["id"])
        self._compare(owners)
        return str(made["name"])

    def _experiment(self) -> dict[str, Any]:
        wanted = {name: self._run[name] for name in COPIED if self._run[name] not in (None, [], {})}
        wanted |= {"namespace": self._namespace, "startedAt": self._run["startedAt"], "name": self._run["name"]}
        wanted["externalId"] = self._run["externalId"] or self._run["id"]
        try:
            made: dict[str, Any] = self._server.change(documents.CREATE, wanted)["experiment"]
        except Refused as error:
            if error.code != "CONFLICT":
                raise
            wanted["name"] = f"{wanted['name']}-{self._run['id'][-6:]}"
            made = self._server.change(documents.CREATE, wanted)["experiment"]
        return made

    def _checkpoint(self, experiment: str, checkpoint: dict[str, Any]) -> dict[str, Any]:
        names = ("name", "step", "epoch", "labels", "metadata")
        wanted = {name: checkpoint[name] for name in names if checkpoint[name] not in (None, [], {})}
        wanted |= {"experimentId": experiment, "pinned": checkpoint["isPinned"]}
        if shards := _shards(checkpoint):
            wanted["expectedShards"] = len(shards)
        key = f"import {checkpoint['id']} into {experiment}"
        made: dict[str, Any] = self._server.change(documents.CHECKPOINT, {**wanted, "idempotencyKey": key})[
            "checkpoint"
        ]
        return made

    def _lines(self) -> Iterator[dict[str, Any]]:
        if (self._place / layout.PARQUET).exists():
            return points.read_parquet(self._place / layout.PARQUET)
        return layout.read_lines(self._place / layout.POINTS)

    def _points(self, owners: dict[str, str]) -> None:
        sequences: Counter[str] = Counter()
        for line in self._lines():
            owner = owners[line["owner"]]
            call = {"objectId": owner, "writer": self._key, "sequence": sequences[owner]}
            self._server.change(documents.LOG, {**call, "columns": points.table(line)})
            sequences[owner] += 1

    def _events(self, experiment: str) -> None:
        events = [
            {key: value for key, value in {**event, "objectId": experiment}.items() if value is not None}
            for event in layout.read_lines(self._place / layout.EVENTS)
        ]
        for at in range(0, len(events), EVENTS_A_CALL):
            self._server.change(documents.LOG_EVENTS, {"events": events[at : at + EVENTS_A_CALL]})

    def _artifacts(self, owner: str, about: dict[str, Any]) -> None:
        for artifact in about["artifacts"]:
            also = {"kind": artifact["kind"], "metadata": artifact["metadata"] or None, "shard": artifact["shard"]}
            given = {key: value for key, value in also.items() if value is not None}
            stored = [file for file in artifact["allFiles"] if file["downloadUrl"] is not None]
            if stored:
                local = [Local(file["path"], layout.blob(self._folder, file["digest"])) for file in stored]
                upload(self._server, owner, artifact["name"], local, **given)
            self._track(owner, artifact)

    def _track(self, owner: str, artifact: dict[str, Any]) -> None:
        names = ("path", "uri", "digest", "size", "mediaType")
        files = [
            {name: file[name] for name in names if file[name] is not None}
            for file in artifact["allFiles"]
            if file["downloadUrl"] is None
        ]
        if files:
            about = {"name": artifact["name"], "kind": artifact["kind"], "files": files}
            self._server.change(documents.TRACK, {"objectId": owner, "artifacts": [about]})

    def _commit(self, id_: str, checkpoint: dict[str, Any]) -> None:
        if checkpoint["status"] == "READY" and _shards(checkpoint):
            self._server.change(documents.COMMIT, {"id": id_})

    def _finish(self, experiment: str) -> None:
        if self._run["status"] in OUTCOMES:
            about = {"id": experiment, "status": self._run["status"], "endedAt": self._run["endedAt"]}
            self._server.change(documents.FINISH, {key: value for key, value in about.items() if value is not None})

    def _compare(self, owners: dict[str, str]) -> None:
        """Every series has as many points of its kind as before, and every file its digest."""
        for old, new in owners.items():
            wanted = {(each["key"], each["kind"], each["count"]) for each in self._run["series"][old]}
            there = paged(self._server, documents.METRICS, new, "metrics")
            missing = wanted - {(each["key"], each["kind"], each["count"]) for each in there}
            if missing:
                key, kind, count = min(missing)
                raise ModelBoxError(
                    "NOT_THE_SAME", f"{key!r} should have {count:,} points of {kind} there, and has not."
                )


def _shards(checkpoint: dict[str, Any]) -> set[int]:
    """The numbers of its shards."""
    return {artifact["shard"] for artifact in checkpoint["artifacts"] if artifact["shard"] is not None}
