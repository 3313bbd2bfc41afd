"""Model versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import strawberry

from db.read import value
from db.read.link import by_column, children_by
from db.read.source import MODEL_VERSION
from graphql_schema import enums, listings
from graphql_schema.connection import Connection, many
from graphql_schema.fields import column, computed, entity, one
from graphql_schema.node import DatasetUseType, Entity

if TYPE_CHECKING:
    from graphql_schema.checkpoint import Checkpoint
    from graphql_schema.experiment import Experiment
    from graphql_schema.model import Model

ModelType = Annotated["Model", strawberry.lazy("graphql_schema.model")]
ExperimentType = Annotated["Experiment", strawberry.lazy("graphql_schema.experiment")]
CheckpointType = Annotated["Checkpoint", strawberry.lazy("graphql_schema.checkpoint")]


@entity(MODEL_VERSION)
class ModelVersion(Entity):
    """One trained model: its files, metadata, metrics, labels and unique tags. It always belongs to a model."""

    version: str = column("Unique among the model's versions: the caller's string, or the next whole number.")
    name: str = computed("Its own name; the model's when it has none.", value.version_name)
    description: str | None = column("What it is.")
    framework: enums.Framework | None = column("The library that it was made with.")
    status: enums.ModelVersionStatus = column("Whether it can be used.")
    model: ModelType = one("The model that it is a version of.", by_column("model_id"), contained=True)
    experiment: ExperimentType | None = one(
        "The experiment that produced it; null when unknown or not yours to see.", by_column("experiment_id")
    )
    checkpoint: CheckpointType | None = one(
        "The checkpoint that it was made from; null when unknown or not yours to see.",
        by_column("checkpoint_id"),
    )
    unique_tags: list[str] = computed("The model's unique tags that point to it, sorted.", value.unique_tags)
    datasets: Connection[DatasetUseType] = many(
        "The datasets that it was trained or judged on, with their roles; each use carries metrics.",
        lambda: listings.DATASET_USES,
        children_by("object_id"),
        contained=True,
    )
