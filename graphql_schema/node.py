"""What every object has: an id, and for entities a place, a history, and everything that can hang on them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import strawberry

from db.read import value
from db.read.link import by_column, children_by
from db.read.sql import Pieces, Statement
from graphql_schema import listings
from graphql_schema.connection import Connection, many
from graphql_schema.fields import Argument, ComputedRead, column, given, one, read_field
from graphql_schema.metric import LEG, MetricSeries, metric_read, series_scope
from graphql_schema.scalars import JSON, SafeInt
from graphql_schema.selection import Selected

if TYPE_CHECKING:
    from graphql_schema.artifact import Artifact
    from graphql_schema.audit import AuditEvent
    from graphql_schema.dataset import DatasetUse
    from graphql_schema.event import Event
    from graphql_schema.namespace import Namespace
    from graphql_schema.viewer import Actor

NamespaceType = Annotated["Namespace", strawberry.lazy("graphql_schema.namespace")]
ArtifactType = Annotated["Artifact", strawberry.lazy("graphql_schema.artifact")]
EventType = Annotated["Event", strawberry.lazy("graphql_schema.event")]
AuditEventType = Annotated["AuditEvent", strawberry.lazy("graphql_schema.audit")]
ActorType = Annotated["Actor", strawberry.lazy("graphql_schema.viewer")]
DatasetUseType = Annotated["DatasetUse", strawberry.lazy("graphql_schema.dataset")]


def _metadata(selected: Selected) -> Callable[[Statement, str], Pieces]:
    keys = given(selected, "keys")
    return partial(value.metadata, keys.bind("text[]") if keys else None)


@strawberry.interface(description="Anything with an id. Ids say their type in a prefix and sort by creation.")
class Node:
    id: strawberry.ID = column("Opaque, unique over all types, and never reused.")


@strawberry.interface(
    description="A stored object: it has a place, a history, and can carry metrics, files and events."
)
class Entity(Node):
    namespace: NamespaceType = one("Where it lives.", by_column("namespace_id"), contained=True)
    created_at: datetime = column("When it was created.")
    created_by: ActorType = one("Who created it.", by_column("created_by"), contained=True)
    updated_at: datetime = column("When it was last changed. Metrics, events and heartbeats do not count.")
    revision: SafeInt = column("Counts its changes from 1; give it to `ifRevision` to change only what you saw.")
    labels: list[str] = column("Free words, sorted.")
    metadata: JSON = read_field(
        ComputedRead(_metadata),
        "What callers keep with it: JSON values of any depth, keys may hold `/`.",
        [Argument("keys", list[str] | None, "Only these keys of the first level; all when absent.")],
    )
    metrics: Connection[MetricSeries] = many(
        "Its metric series, by key.",
        lambda: listings.SERIES,
        children_by("owner_id"),
        contained=True,
        page=50,
        scope=series_scope,
        arguments=[
            Argument("keys", list[str] | None, "Only these keys."),
            Argument("keyPrefix", str | None, "Only keys that begin with this."),
            Argument(
                "keyPattern",
                str | None,
                "Only keys that a glob matches as a whole, such as `val/*`: `*` is any run of characters, `/` too, and"
                " `?` any single one.",
            ),
            LEG,
        ],
    )
    metric: MetricSeries | None = metric_read()
    artifacts: Connection[ArtifactType] = many(
        "Its artifacts, by name.", lambda: listings.ARTIFACTS, children_by("object_id"), contained=True
    )
    events: Connection[EventType] = many(
        "What outside systems reported of it, latest first.",
        lambda: listings.EVENTS,
        children_by("object_id"),
        contained=True,
    )
    audit_events: Connection[AuditEventType] = many(
        "What ModelBox recorded of it, latest first.",
        lambda: listings.AUDIT_EVENTS,
        children_by("object_id"),
        contained=True,
    )
