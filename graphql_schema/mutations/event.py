"""Events that outside systems report."""

from __future__ import annotations

from datetime import datetime

import strawberry

from db.access import Role
from db.verbs import events
from graphql_schema.event import Event
from graphql_schema.mutation import Payload, changed, given, mutation, optional, payload, retry_key, told
from graphql_schema.scalars import JSON


@strawberry.input(
    description="Something that happened to an object. Two are the same event when object, source and `externalId` are"
    " equal; without `externalId`, when object, source, `name` and `at` are."
)
class EventInput:
    object_id: strawberry.ID = given("The object that it happened to; an entity of any type.")
    name: str = given("What happened, such as `checkpoint_write`; 1 to 255 characters, none of them `/`, `:` or `@`.")
    source: str = given("Who says so; 1 to 255 characters, as for `name`.", default="trainer")
    external_id: str | None = optional("The source's own id of it, 1 to 255 characters.")
    at: datetime | None = optional(
        "When it happened, or began; the server's time of the call when absent. A retry of an event without"
        " `externalId` is known by it."
    )
    ended_at: datetime | None = optional(
        "When it ended, not before it began (`INVALID`); absent for a moment, or while a span still runs."
    )
    metadata: JSON | None = optional("A JSON object of what the source adds.")


@strawberry.input(description="Events of any number of objects.")
class LogEventsInput:
    events: list[EventInput] = given("At most 1 000, in any order.")
    idempotency_key: str | None = retry_key()


@payload
class LogEventsPayload(Payload):
    """The events as they are stored, by position in the input."""

    events: list[Event] | None = changed("The events, in the order of the input; null when refused.", "events")
    created: list[bool] | None = told(
        "For each, in the same order: false when it was known already, or stood earlier in the same call.", "created"
    )


@strawberry.type
class EventMutations:
    """Mutations of events."""

    log_events: LogEventsPayload = mutation(
        "Store events, each once however often it is sent. One that is known gets the end that is given, if it has"
        " none yet; nothing else of it changes. All are stored or none: one that is refused is named by its index, as"
        ' in `["input", "events", "17", "endedAt"]`. Events are not audited, but numbered in the stream of their root'
        " namespace.",
        events.log,
        Role.WRITER,
        LogEventsInput,
    )
