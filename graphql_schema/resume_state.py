"""What a job that was killed goes on from."""

from __future__ import annotations

from typing import Final

from db import tables
from db.read.checkpoint import leg
from db.read.link import by_column, children_by, complete_files
from db.read.order import by_column as ordered_by
from db.read.source import CHECKPOINT, FILE, SERIES
from db.read.window import Window
from graphql_schema.artifact import File
from graphql_schema.checkpoint import Checkpoint
from graphql_schema.fields import column, computed, entity, listed, one
from graphql_schema.metric import MetricSeries, current_leg
from graphql_schema.scalars import JSON, MetricValue, SafeInt
from graphql_schema.selection import Selected

MAX_FILES: Final = 100_000
MAX_SERIES: Final = 1_000

FILES_COST: Final = 100
"""What so many files count as in a query's estimate: few checkpoints have more than their shards."""


def _files(_selected: Selected) -> Window:
    order = [ordered_by(tables.File, "artifact_id"), ordered_by(tables.File, "path")]
    return Window(FILE, order, MAX_FILES, complete_files, contained=True)


def _series(_selected: Selected) -> Window:
    order = [ordered_by(tables.Series, "key")]
    return Window(SERIES, order, MAX_SERIES, children_by("owner_id"), contained=True, where=[current_leg()])


@entity(CHECKPOINT)
class ResumeState:
    """The latest complete checkpoint of an experiment, with everything that a job needs to go on from it."""

    checkpoint: Checkpoint = one("The checkpoint.", by_column("id"), contained=True)
    step: SafeInt | None = column("The training step at which it was saved: go on behind it.")
    epoch: MetricValue | None = column("The epoch at which it was saved.")
    leg: SafeInt = computed("The leg that the experiment is on now; `resumeExperiment` begins the next.", leg)
    metadata: JSON = column("The checkpoint's metadata: what the job kept beside the files.")
    metrics: list[MetricSeries] = listed("The checkpoint's own series, by key; at most 1 000.", _series, expected=5)
    files: list[File] = listed(
        "The files of all its READY artifacts, artifact by artifact in the order of their creation, by path; at most"
        " 100 000. `artifact { name shard }` says which rank's each is.",
        _files,
        expected=FILES_COST,
    )
