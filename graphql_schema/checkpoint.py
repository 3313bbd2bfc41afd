"""Checkpoints of experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import strawberry

from db.read.checkpoint import is_left_behind, shards_expected, shards_missing, shards_received
from db.read.link import by_column, children_by, itself
from db.read.source import CHECKPOINT
from graphql_schema import enums, listings
from graphql_schema.connection import Connection, many
from graphql_schema.fields import column, computed, entity, one
from graphql_schema.node import Entity
from graphql_schema.scalars import MetricValue, SafeInt

if TYPE_CHECKING:
    from graphql_schema.experiment import Experiment
    from graphql_schema.version import ModelVersion

ExperimentType = Annotated["Experiment", strawberry.lazy("graphql_schema.experiment")]
VersionType = Annotated["ModelVersion", strawberry.lazy("graphql_schema.version")]


@entity(CHECKPOINT)
class CheckpointShards:
    """The shards of a checkpoint: the files that each rank saves, uploaded as an artifact with the rank's number."""

    expected: SafeInt = computed("How many there are when it is complete.", shards_expected)
    received: SafeInt = computed("How many are there: uploaded and verified.", shards_received)
    missing: list[SafeInt] = computed("The numbers of the others, from 0, rising.", shards_missing)


@entity(CHECKPOINT)
class Checkpoint(Entity):
    """A saved state of an experiment at a step: what a job resumes from."""

    name: str | None = column("A name for people.")
    step: SafeInt | None = column("The training step at which it was saved.")
    epoch: MetricValue | None = column("The epoch at which it was saved; fractions are allowed.")
    status: enums.CheckpointStatus = column("Whether a job can resume from it.")
    is_pinned: bool = column("It is kept, whatever the experiment's `checkpointRetention` says.", "pinned")
    leg: int = column("The leg of the experiment that it was saved on, 0 for the first.")
    is_left_behind: bool = computed(
        "Whether the experiment was resumed from an earlier step since: it is off the run's line then, is neither the"
        " latest nor the best, and no rule of `checkpointRetention` keeps it. To resume from it puts it back.",
        is_left_behind,
    )
    shards: CheckpointShards | None = one(
        "What it consists of; null for one that was complete at once.", itself("expected_shards"), contained=True
    )
    experiment: ExperimentType = one("The experiment that it belongs to.", by_column("experiment_id"), contained=True)
    versions: Connection[VersionType] = many(
        "The model versions that were made from it.",
        lambda: listings.MODEL_VERSIONS,
        children_by("checkpoint_id"),
    )
