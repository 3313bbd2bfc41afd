"""Models, and where their unique tags point and pointed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from db import tables
from db.read.link import (
    by_column,
    children_by,
    downloads_of_versions,
    experiment_of_versions,
    version_by_string,
    version_by_tag,
)
from db.read.order import by_column as ordered_by
from db.read.source import MODEL, MODEL_VERSION, TAG, TAG_CHANGE
from db.read.window import Window
from graphql_schema import listings
from graphql_schema.connection import Connection, many
from graphql_schema.fields import Argument, column, entity, given, listed, one, picked
from graphql_schema.node import ActorType, AuditEventType, DatasetUseType, Entity, Node
from graphql_schema.selection import Selected

if TYPE_CHECKING:
    from db.read.link import Link
    from graphql_schema.experiment import Experiment
    from graphql_schema.version import ModelVersion

VersionType = Annotated["ModelVersion", strawberry.lazy("graphql_schema.version")]
ExperimentType = Annotated["Experiment", strawberry.lazy("graphql_schema.experiment")]


@entity(TAG)
class UniqueTag:
    """A tag of a model: it points to one of its versions at a time."""

    tag: str = column("The tag, such as `prod`.")
    version: VersionType | None = one("The version it points to; null when that is deleted.", by_column("version_id"))
    at: datetime = column("Since when.")


@entity(TAG_CHANGE)
class TagChange(Node):
    """A move of a unique tag. Moves are never forgotten."""

    tag: str = column("The tag.")
    version: VersionType | None = one("Where it points since then; null when it was removed.", by_column("version_id"))
    previous_version: VersionType | None = one(
        "Where it pointed before; null when it was new.", by_column("previous_version_id")
    )
    actor: ActorType = one("Who moved it.", by_column("actor_id"), contained=True)
    at: datetime = column("When.")


def _by_version(selected: Selected) -> Link:
    return version_by_string(selected.arguments["version"].bind("text"))


def _by_tag(selected: Selected) -> Link:
    moment = given(selected, "asOf")
    return version_by_tag(selected.arguments["tag"].bind("text"), moment.bind("timestamptz") if moment else None)


@entity(MODEL)
class Model(Entity):
    """A task's standing object: its versions, and the datasets that train and judge them."""

    name: str = column("Unique in its namespace among what is not deleted.")
    owner: str | None = column("Who answers for it.")
    task: str | None = column("What it does, such as `image-classification`.")
    description: str | None = column("What it is.")
    versions: Connection[VersionType] = many(
        "Its versions, newest first.",
        lambda: listings.MODEL_VERSIONS,
        children_by("model_id"),
        contained=True,
    )
    version: VersionType | None = picked(
        "One of its versions, by its version string.",
        MODEL_VERSION,
        _by_version,
        Argument("version", str, "Exactly.", ...),
    )
    version_by_tag: VersionType | None = picked(
        "The version that a unique tag points to, now or at a moment.",
        MODEL_VERSION,
        _by_tag,
        Argument("tag", str, "The tag.", ...),
        Argument("asOf", datetime | None, "As it was then; now when absent."),
    )
    unique_tags: list[UniqueTag] = listed(
        "Its unique tags, by tag.",
        lambda _: Window(TAG, [ordered_by(tables.UniqueTag, "tag")], 1000, children_by("model_id"), True),
        expected=5,
    )
    tag_history: Connection[TagChange] = many(
        "Every move of its unique tags, latest first.",
        lambda: listings.TAG_CHANGES,
        children_by("model_id"),
        contained=True,
    )
    downloads: Connection[AuditEventType] = many(
        "Who read files of its versions, and when: the `DOWNLOAD` events of all of them, latest first.",
        lambda: listings.AUDIT_EVENTS,
        downloads_of_versions,
        contained=True,
    )
    datasets: Connection[DatasetUseType] = many(
        "The datasets that train and judge it, with their roles.",
        lambda: listings.DATASET_USES,
        children_by("object_id"),
        contained=True,
    )
    experiments: Connection[ExperimentType] = many(
        "The experiments that produced its versions, newest first.",
        lambda: listings.EXPERIMENTS,
        experiment_of_versions,
    )
