"""`events`: what outside systems say happened, in a namespace and all below it, or to one object."""

from __future__ import annotations

from typing import Final

import strawberry

from db.access import Caller
from db.engine import Database
from db.errors import NotFound
from db.feed import place
from db.read.condition import Compare, Condition
from db.read.order import by_column
from db.read.source import ENTITIES, EVENT
from db.read.sql import Bind, Environment
from db.read.window import Window
from db.tables import Event as EventTable
from graphql_schema.arguments import Value, prefix_of, refused
from graphql_schema.event import Event
from graphql_schema.fields import Argument, given, read_field
from graphql_schema.filters import filtered
from graphql_schema.listings import EVENTS as LISTING
from graphql_schema.lookup import decoded_id
from graphql_schema.scalars import Cursor
from graphql_schema.selection import Selected
from graphql_schema.subscriptions.pace import every
from graphql_schema.subscriptions.recorded import (
    BELOW_TARGET,
    IN_SPAN,
    ROWS,
    RowFrames,
    RowsRead,
    catching_up_field,
    cursor_field,
    namespace_at,
    of_place,
)
from graphql_schema.subscriptions.stream import TARGET, Find, Target

OF_TARGET: Final = Compare("object_id", "eq", Bind(lambda env: env[TARGET].facts, "uuid"))
"""The rows of the followed object."""


def owner_of(value: Value) -> Find:
    """Finds the object that an argument names.

    Raises:
        RequestErrors: it is no id of an object.
    """
    decode = decoded_id(tuple(source.prefix for source in ENTITIES), value.path)
    decode(value.raw)

    async def find(database: Database, caller: Caller, env: Environment) -> Target:
        text: str = value.get(env)
        id_ = decode(text)
        missing = f"There is no object {text}, or you may not see it."
        found = (await place.of_objects(database, caller.tenant_id, [(prefix_of(text), id_)])).get(id_)
        if found is None:
            raise NotFound(missing, path=value.path)
        return of_place(found, missing, value.path, id_)

    return find


def _find(selected: Selected) -> Find:
    namespace, owner = given(selected, "namespace"), given(selected, "objectId")
    if namespace and owner:
        raise refused("give either it or `objectId`, not both.", ("namespace",))
    if namespace:
        return namespace_at(namespace)
    if owner:
        return owner_of(owner)
    raise refused("give it, or `objectId`: one of them says what to follow.", ("namespace",))


def _window(selected: Selected) -> Window:
    """The events of the frame's span, filtered by the subscription's arguments."""
    conditions: list[Condition] = [IN_SPAN, OF_TARGET if given(selected, "objectId") else BELOW_TARGET]
    if wanted := given(selected, "filter"):
        conditions.append(filtered(wanted, LISTING.leaves))
    return Window(EVENT, [by_column(EventTable, "seq")], ROWS, where=conditions)


@strawberry.type(description="Events that were reported together or shortly after each other, in the order of commits.")
class EventBatch:
    cursor: Cursor = cursor_field()
    catching_up: bool = catching_up_field("events")
    events: list[Event] = strawberry.field(
        description="The events, as they are now; empty in a heartbeat, at least every 20 seconds.",
        metadata={"read": RowsRead(_window)},
    )


FOLLOWED_EVENTS: Final = read_field(
    RowFrames(_find, _window),
    "What outside systems say happened, in a namespace and all below it or to one object, as it is reported. An event"
    " comes once; one that gets its end later comes again, with the end. Ends with `CURSOR_EXPIRED` when `after` is"
    " past retention or of another epoch, with `LAGGED` when more than 10 000 changes and events wait for you (go on"
    " from the error's `cursor`), and with `FORBIDDEN` when your role there is taken away.",
    [
        Argument("namespace", str | None, "The path of a namespace; the stream is its root's."),
        Argument(
            "objectId", strawberry.ID | None, "The id of an object, in place of a namespace: only its own events."
        ),
        Argument("filter", LISTING.filter_type | None, "Only events that match."),
        Argument("after", Cursor | None, "Begin after this cursor; from now on when absent."),
        every(),
    ],
)
