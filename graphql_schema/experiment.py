"""Experiments: training jobs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from db import tables
from db.read import value
from db.read.link import best_checkpoint, by_column, children_by, itself, latest_checkpoint
from db.read.order import by_column as ordered_by
from db.read.source import CHECKPOINT, EVENT_DURATION, EXPERIMENT, LEG
from db.read.window import Window
from graphql_schema import enums, listings
from graphql_schema.checkpoint_retention import CheckpointRetention
from graphql_schema.connection import Connection, many
from graphql_schema.event import Event, EventDuration
from graphql_schema.fields import Argument, column, computed, entity, listed, one, picked
from graphql_schema.filters import plain
from graphql_schema.leg import Leg
from graphql_schema.node import DatasetUseType, Entity
from graphql_schema.scalars import JSON, Cursor, MetricValue
from graphql_schema.selection import Selected

if TYPE_CHECKING:
    from db.read.link import Link
    from graphql_schema.checkpoint import Checkpoint
    from graphql_schema.resume_state import ResumeState
    from graphql_schema.version import ModelVersion

CheckpointType = Annotated["Checkpoint", strawberry.lazy("graphql_schema.checkpoint")]
ResumeStateType = Annotated["ResumeState", strawberry.lazy("graphql_schema.resume_state")]
VersionType = Annotated["ModelVersion", strawberry.lazy("graphql_schema.version")]
ExperimentType = Annotated["Experiment", strawberry.lazy("graphql_schema.experiment")]


def _best(selected: Selected) -> Link:
    mode = plain(selected.arguments["mode"].raw)
    return best_checkpoint(selected.arguments["metric"].bind("text"), least=mode == "MIN")


@entity(EXPERIMENT)
class Experiment(Entity):
    """One training job: its hyperparameters, environment, metrics, events and checkpoints."""

    name: str = column("Unique in its namespace among what is not deleted.")
    description: str | None = column("What it tries.")
    owner: str | None = column("Who answers for it.")
    framework: enums.Framework | None = column("The library that it trains with.")
    external_id: str | None = column("The trainer's own id of it; unique in its namespace.")
    status: enums.ExperimentStatus = column("Where it stands.")
    hyperparameters: JSON = column("What was chosen for it; typed, nested as the trainer likes.")
    environment: JSON = column("What it runs on: packages, host, commit, command.")
    group: str | None = column("What it is compared within, such as a sweep.")
    parent: ExperimentType | None = one("The experiment that it is part of.", by_column("parent_id"))
    children: Connection[ExperimentType] = many(
        "The experiments that are part of it, newest first.",
        lambda: listings.EXPERIMENTS,
        children_by("parent_id"),
    )
    started_at: datetime = column("When it began.")
    ended_at: datetime | None = column("When it finished; null while it has not.")
    heartbeat_at: datetime | None = computed("Its last sign of life.", value.heartbeat)
    stall_after_seconds: MetricValue = column("How long it may be silent before it is STALLED.", "stall_after")
    checkpoints: Connection[CheckpointType] = many(
        "Its checkpoints, newest first.",
        lambda: listings.CHECKPOINTS,
        children_by("experiment_id"),
        contained=True,
    )
    latest_checkpoint: CheckpointType | None = picked(
        "The complete checkpoint of the run's line with the greatest step: what a job resumes from.",
        CHECKPOINT,
        lambda _: latest_checkpoint,
    )
    best_checkpoint: CheckpointType | None = picked(
        "The complete checkpoint of the run's line whose own metric is best; without that metric they take no part.",
        CHECKPOINT,
        _best,
        Argument("metric", str, "The key of a series on the checkpoints.", ...),
        Argument("mode", enums.MetricMode, "Which end is the better one.", enums.MetricMode.MAX),
    )
    leg: int = column("How often it was resumed: the leg that it is on, 0 for the first.")
    legs: list[Leg] = listed(
        "Its resumptions, in their order; at most 1 000. What each left behind is read by `metrics(leg:)`.",
        lambda _: Window(LEG, [ordered_by(tables.Leg, "number")], 1000, children_by("experiment_id"), True),
    )
    resume_state: ResumeStateType | None = picked(
        "`latestCheckpoint` with everything that a job needs to go on from it, files included; null when there is"
        " none.",
        CHECKPOINT,
        lambda _: latest_checkpoint,
    )
    checkpoint_retention: CheckpointRetention | None = one(
        "Which of its checkpoints are kept; null when all are.", itself("checkpoint_retention"), contained=True
    )
    versions: Connection[VersionType] = many(
        "The model versions that it produced.", lambda: listings.MODEL_VERSIONS, children_by("experiment_id")
    )
    datasets: Connection[DatasetUseType] = many(
        "The datasets that it uses, with their roles.",
        lambda: listings.DATASET_USES,
        children_by("object_id"),
        contained=True,
    )
    timeline: Connection[Event] = many(
        "Its events from first to last, spans with their ends.",
        lambda: listings.TIMELINE,
        children_by("object_id"),
        contained=True,
        page=50,
    )
    event_durations: list[EventDuration] = listed(
        "How long its ended spans took, by name.",
        lambda _: Window(
            EVENT_DURATION, [ordered_by(tables.EventDuration, "name")], 1000, children_by("object_id"), True
        ),
        expected=5,
    )
    feed_cursor: Cursor = computed(
        "Where the stream of its namespace's changes stands: for `changes(after:)`.", value.stream_position
    )
