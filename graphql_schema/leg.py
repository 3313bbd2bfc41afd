"""Legs: the resumptions of an experiment."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from db.read.link import by_column
from db.read.source import LEG
from graphql_schema.fields import column, entity, one
from graphql_schema.node import ActorType
from graphql_schema.scalars import SafeInt

if TYPE_CHECKING:
    from graphql_schema.checkpoint import Checkpoint

CheckpointType = Annotated["Checkpoint", strawberry.lazy("graphql_schema.checkpoint")]


@entity(LEG)
class Leg:
    """A resumption of an experiment: points past its step, logged before it, are off the run's line since."""

    number: int = column("Counts the resumptions of the experiment, from 1.")
    from_step: SafeInt | None = column("The step that it went on from.")
    checkpoint: CheckpointType | None = one(
        "The checkpoint that it went on from; null when that is deleted, or when only a step was given.",
        by_column("checkpoint_id"),
    )
    started_at: datetime = column("When it began.")
    started_by: ActorType = one("Who resumed the experiment.", by_column("started_by"), contained=True)
