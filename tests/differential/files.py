"""The reference of files and checkpoints, by plain loops. The seed stores no bytes: all its files are tracked."""

from __future__ import annotations

import math
from typing import Any
from uuid import UUID

from tests.differential.paging import listed
from tests.differential.reference import COLUMNS, FIELDS, Args, field, in_order, link
from tests.differential.seed import Row
from tests.differential.sight import Sight, Thing, as_thing

COLUMNS["Checkpoint.isPinned"] = "pinned"


@field("File.artifact")
def _artifact(see: Sight, row: Row, args: Args) -> Any:
    return link("artifact", "artifact_id")(see, row, args)


@field("File.downloadUrl")
def _download_url(see: Sight, row: Row, args: Args) -> Any:
    return None if row["blob_id"] is None else f"files/fil_{row['id'].hex}"


@field("File.isDamaged")
def _is_damaged(see: Sight, row: Row, args: Args) -> Any:
    blobs = see.store.rows["blob"]
    return any(blob["id"] == row["blob_id"] and blob["damaged_at"] is not None for blob in blobs)


@field("Artifact.archiveUrl")
def _archive_url(see: Sight, row: Row, args: Args) -> Any:
    return f"artifacts/art_{row['id'].hex}.tar"


@field("Artifact.allFiles")
def _all_files(see: Sight, row: Row, args: Args) -> Any:
    files = see.store.where("file", artifact_id=row["id"])
    return [as_thing("file", file) for file in sorted(files, key=lambda file: file["path"].encode())]


@field("Artifact.uploads")
def _uploads(see: Sight, row: Row, args: Args) -> Any:
    return in_order("upload", see.store.where("upload", artifact_id=row["id"]))


@field("Model.downloads")
def _downloads(see: Sight, row: Row, args: Args) -> Any:
    versions = {version["id"] for version in see.store.where("model_version", model_id=row["id"])}
    events = [e for e in see.store.where("audit_event", action="DOWNLOAD") if e["object_id"] in versions]
    return listed(see, "audit_event", events, args, page=10)


@field("Namespace.usage")
def _usage(see: Sight, row: Row, args: Args) -> Any:
    assert not see.store.rows["blob"]
    nothing = dict.fromkeys(("fileCount", "fileBytes", "storedBytes", "uploadBytes"), 0)
    return {"__typename": "Usage", **nothing, "quotaBytes": row["storage_quota"]}


@field("Checkpoint.shards")
def _shards(see: Sight, row: Row, args: Args) -> Any:
    expected = row["expected_shards"]
    if expected is None:
        return None
    artifacts = see.store.where("artifact", object_id=row["id"], status="READY", deleted_at=None)
    received = {artifact["shard"] for artifact in artifacts} - {None}
    missing = [number for number in range(expected) if number not in received]
    return {"expected": expected, "received": len(received), "missing": missing}


@field("Experiment.checkpointRetention")
def _retention(see: Sight, row: Row, args: Args) -> Any:
    assert row["checkpoint_retention"] is None
    return None


@field("Experiment.legs")
def _legs(see: Sight, row: Row, args: Args) -> Any:
    legs = see.store.where("leg", experiment_id=row["id"])
    return [Thing("Leg", leg) for leg in sorted(legs, key=lambda leg: leg["number"])]


FIELDS.update({"Leg.checkpoint": link("checkpoint", "checkpoint_id"), "Leg.startedBy": link("actor", "started_by")})


@field("Checkpoint.isLeftBehind")
def _is_left_behind(see: Sight, row: Row, args: Args) -> Any:
    return left_behind(see, row)


def left_behind(see: Sight, row: Row) -> bool:
    """Whether a checkpoint's experiment was resumed from before its step, since it was saved or gone on from."""
    since = row["leg"]
    behind = False
    for leg in sorted(see.store.where("leg", experiment_id=row["experiment_id"]), key=lambda leg: leg["number"]):
        if leg["checkpoint_id"] == row["id"]:
            behind = False
        elif leg["number"] > since and row["step"] is not None and leg["from_step"] < row["step"]:
            behind = True
    return behind


@field("Experiment.resumeState")
def _resume_state(see: Sight, row: Row, args: Args) -> Any:
    found: Any = _latest(see, row)
    return found and Thing("ResumeState", found)


def _latest(see: Sight, row: Row) -> Row | None:
    complete = complete_checkpoints(see, row["id"])
    order = [((float("-inf") if each["step"] is None else each["step"]), each["id"], each) for each in complete]
    return max(order, key=lambda each: each[:2])[2] if order else None


def complete_checkpoints(see: Sight, experiment: UUID) -> list[Row]:
    """Those of the line, the oldest first."""
    rows = see.store.where("checkpoint", experiment_id=experiment, status="READY", deleted_at=None)
    return sorted((row for row in rows if not left_behind(see, row)), key=lambda row: row["id"])


@field("Experiment.latestCheckpoint")
def _latest_checkpoint(see: Sight, row: Row, args: Args) -> Any:
    found = _latest(see, row)
    return found and as_thing("checkpoint", found)


@field("Experiment.bestCheckpoint")
def _best(see: Sight, row: Row, args: Args) -> Any:
    best: tuple[float, Row] | None = None
    for checkpoint in complete_checkpoints(see, row["id"]):
        series = next(see.store.where("series", owner_id=checkpoint["id"], key=args["metric"], leg=0), None)
        value = series["last"] if series else None
        if value is None or not math.isfinite(value):
            continue
        score = -value if args["mode"] == "MIN" else value
        if best is None or score >= best[0]:
            best = (score, checkpoint)
    return as_thing("checkpoint", best[1]) if best else None


@field("ResumeState.checkpoint")
def _checkpoint(see: Sight, row: Row, args: Args) -> Any:
    return as_thing("checkpoint", row)


@field("ResumeState.leg")
def _leg(see: Sight, row: Row, args: Args) -> Any:
    return next(see.store.where("experiment", id=row["experiment_id"]))["leg"]


@field("ResumeState.metrics")
def _metrics(see: Sight, row: Row, args: Args) -> Any:
    series = see.store.where("series", owner_id=row["id"], leg=0)
    return [as_thing("series", each) for each in sorted(series, key=lambda each: each["key"].encode())]


@field("ResumeState.files")
def _files(see: Sight, row: Row, args: Args) -> Any:
    artifacts = see.store.where("artifact", object_id=row["id"], status="READY", deleted_at=None)
    files = [file for artifact in artifacts for file in see.store.where("file", artifact_id=artifact["id"])]
    ordered = sorted(files, key=lambda file: (file["artifact_id"], file["path"].encode()))
    return [as_thing("file", file) for file in ordered]
