"""Namespaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import strawberry

from db.read import value
from db.read.link import by_column, children_by
from db.read.order import by_id
from db.read.source import NAMESPACE, ROLE_GRANT
from db.read.window import Window
from graphql_schema import listings
from graphql_schema.connection import Connection, many
from graphql_schema.fields import column, computed, entity, listed, one, read_field
from graphql_schema.node import AuditEventType, Entity, EventType
from graphql_schema.scalars import Cursor
from graphql_schema.usage import Usage, UsageRead
from graphql_schema.viewer import RoleGrant

if TYPE_CHECKING:
    from graphql_schema.dataset import Dataset
    from graphql_schema.experiment import Experiment
    from graphql_schema.model import Model

ModelType = Annotated["Model", strawberry.lazy("graphql_schema.model")]
ExperimentType = Annotated["Experiment", strawberry.lazy("graphql_schema.experiment")]
DatasetType = Annotated["Dataset", strawberry.lazy("graphql_schema.dataset")]
NamespaceType = Annotated["Namespace", strawberry.lazy("graphql_schema.namespace")]


@entity(NAMESPACE)
class Namespace(Entity):
    """A path such as `vision/cifar`: groups models and experiments of a team. Roles on it hold for all below it."""

    path: str = column("Its whole path.")
    name: str = column("The last part of its path.")
    description: str | None = column("What it is for.")
    raw_metric_days: int | None = column(
        "After how many days raw metric points are rolled up here; null: as above it. Each 512 points then leave their"
        " least, greatest, mean and last value. 1 to 36 500."
    )
    effective_raw_metric_days: int | None = computed(
        "The same as it holds: its own setting, or that of the nearest namespace above it which has one. Null: raw"
        " points are kept for ever.",
        value.raw_metric_days,
    )
    usage: Usage = read_field(
        UsageRead(), "What it and all below it keep in the store of files; counted when it is asked for."
    )
    parent: NamespaceType | None = one("The namespace above it; null at a root.", by_column("parent_id"))
    children: Connection[NamespaceType] = many(
        "The namespaces directly below it, by path.",
        lambda: listings.NAMESPACES,
        children_by("parent_id"),
        contained=True,
    )
    models: Connection[ModelType] = many(
        "The models in it, newest first.",
        lambda: listings.MODELS,
        children_by("namespace_id"),
        contained=True,
    )
    experiments: Connection[ExperimentType] = many(
        "The experiments in it, newest first.",
        lambda: listings.EXPERIMENTS,
        children_by("namespace_id"),
        contained=True,
    )
    datasets: Connection[DatasetType] = many(
        "The datasets in it, newest first.",
        lambda: listings.DATASETS,
        children_by("namespace_id"),
        contained=True,
    )
    members: list[RoleGrant] = listed(
        "Roles granted on it; those on namespaces above it hold too and are listed there.",
        lambda _: Window(ROLE_GRANT, [by_id(descending=False)], 1000, children_by("namespace_id"), True),
        expected=10,
    )
    events: Connection[EventType] = many(
        "Events of all objects in it, latest first.",
        lambda: listings.EVENTS,
        children_by("namespace_id"),
    )
    feed_cursor: Cursor = computed(
        "Where the stream of its changes stands; for `changes(after:)`.", value.stream_position
    )
    audit_events: Connection[AuditEventType] = many(
        "What ModelBox recorded of it and of all objects in it, latest first.",
        lambda: listings.AUDIT_EVENTS,
        children_by("namespace_id"),
        contained=True,
    )
