"""Events: what outside systems say happened."""

from __future__ import annotations

from datetime import datetime

from db.read import value
from db.read.link import by_column
from db.read.source import EVENT, EVENT_DURATION
from graphql_schema.fields import column, computed, entity, one
from graphql_schema.node import ActorType, Entity, Node
from graphql_schema.scalars import JSON, MetricValue, SafeInt


@entity(EVENT)
class Event(Node):
    """Something that a trainer, an inference engine or a pipeline says happened; a span when it has an end."""

    name: str = column("What happened, such as `checkpoint_write`.")
    source: str = column("Who says so, such as `trainer`.")
    external_id: str | None = column("The source's own id of it.", "external_id")
    at: datetime = column("When it happened, or began.")
    ended_at: datetime | None = column("When it ended; null for a moment, and for a span that still runs.")
    duration_ms: MetricValue | None = computed("From start to end, in milliseconds.", value.duration)
    metadata: JSON = column("What the source adds.")
    object: Entity | None = one("The object that it happened to.", by_column("object_id"))
    actor: ActorType = one("Who reported it.", by_column("actor_id"), contained=True)
    recorded_at: datetime = column("When the server stored it.")


@entity(EVENT_DURATION)
class EventDuration:
    """How long an object's spans of one name took, together."""

    name: str = column("The name of the spans.")
    count: SafeInt = column("How many of them have ended.")
    total_ms: MetricValue = column("Their durations' sum, in milliseconds.")
    mean_ms: MetricValue = column("Their mean duration, in milliseconds.")
    max_ms: MetricValue = column("The longest, in milliseconds.")
