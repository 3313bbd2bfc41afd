"""The root of all subscriptions, and how they are followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import strawberry

from db.access import Caller, authenticate
from db.engine import Database
from db.errors import DomainError, NotFound
from db.feed.follow import Place, Position, Span
from db.read.condition import AtOrBelow, Compare, Condition, InSpan
from db.read.order import by_column
from db.read.plan import Leaf, Plan, Rows, compiled_frame
from db.read.source import AUDIT_EVENT
from db.read.sql import Bind, Compiled, Expression, Statement
from db.read.window import Window
from db.tables import AuditEvent as AuditEventTable
from graphql_schema import cursor, enums
from graphql_schema.audit import AuditEvent
from graphql_schema.errors import RequestError, RequestErrors
from graphql_schema.fields import Argument, given, read_field
from graphql_schema.filters import plain
from graphql_schema.scalars import Cursor
from graphql_schema.selection import Selected

SPAN = "$span"
PLACE = "$place"


@dataclass(frozen=True)
class FrameRead:
    """A value that the frame brings: its cursor, or whether there is more behind it."""

    value: Any

    def plan(self, selected: Selected) -> Plan:
        bind = Bind(lambda env: self.value(env[SPAN], env[PLACE]), "text")
        return Leaf(lambda statement, alias: [Expression(statement.bind(bind))])


def written(span: Span, place: Place) -> str:
    """The cursor behind a span, as JSON; `value.stream_position` in `db.read` writes the same."""
    return f'"{cursor.encode(["f", span.epoch, [[place.root_id.hex, span.upto]]])}"'


def read_position(text: str, place: Place) -> Position:
    """The position in the namespace's stream that a cursor tells.

    Raises:
        RequestErrors: it is no cursor of that stream.
    """
    try:
        kind, epoch, [[stream, seq]] = cursor.decode(text)
        if kind == "f" and UUID(stream) == place.root_id and type(epoch) is type(seq) is int:
            return Position(epoch, seq)
    except (ValueError, TypeError, AttributeError):
        pass
    message = "Argument 'after': this is not a cursor of this stream. Use a `feedCursor` or a frame's `cursor` of it."
    raise RequestErrors([RequestError("BAD_USER_INPUT", message, extensions={"argument": "after"})])


def _rows(selected: Selected) -> Window:
    """The audit events of the frame's span, filtered by the subscription's arguments."""
    conditions: list[Condition] = [
        InSpan(
            Bind(lambda env: env[PLACE].root_id, "uuid"),
            Bind(lambda env: env[SPAN].after, "bigint"),
            Bind(lambda env: env[SPAN].upto, "bigint"),
        ),
        AtOrBelow(Bind(lambda env: env[PLACE].id, "uuid")),
    ]
    for argument, column in (("types", "kind"), ("actions", "action")):
        if value := given(selected, argument):
            conditions.append(Compare(column, "in", value.bind("text[]", plain)))
    return Window(AUDIT_EVENT, [by_column(AuditEventTable, "seq")], 1_000, where=conditions)


@dataclass(frozen=True)
class ChangesRead:
    """The list of a frame; the arguments stand on the subscription."""

    def plan(self, selected: Selected) -> Plan:
        root = selected.planner.subscribed
        assert root is not None
        with selected.planner.repeated(20):
            return Rows(_rows(root), selected.object())


@strawberry.type(description="Changes that were committed together or shortly after each other, in their order.")
class ChangeBatch:
    cursor: Cursor = strawberry.field(
        description="Where the stream stands after this frame: give it to `after` to go on from here.",
        metadata={"read": FrameRead(written)},
    )
    catching_up: bool = strawberry.field(
        description="True while there are older changes to come; false when this frame is up to date.",
        metadata={"read": FrameRead(lambda span, _: "true" if span.catching_up else "false")},
    )
    changes: list[AuditEvent] = strawberry.field(
        description="The changes; empty in a heartbeat, at least every 20 seconds.", metadata={"read": ChangesRead()}
    )


@dataclass(frozen=True)
class SubscriptionRead:
    """`changes`: the frame is planned like any object."""

    def plan(self, selected: Selected) -> Plan:
        selected.planner.subscribed = selected
        return selected.object()


@strawberry.type(
    description="What can be followed live. Frames come in order, once each, and can be resumed by cursor."
)
class Subscription:
    changes: ChangeBatch = read_field(
        SubscriptionRead(),
        "What ModelBox records in a namespace and all below it: every create, update, delete and restore, in the"
        " order of commits, without gaps. Ends with `CURSOR_EXPIRED` when `after` is past retention or of another"
        " epoch: query again, and go on from its `feedCursor`.",
        [
            Argument("namespace", str, "The path of a namespace; the stream is its root's.", "default"),
            Argument("types", list[enums.ObjectKind] | None, "Only changes of these types of objects."),
            Argument("actions", list[enums.AuditAction] | None, "Only these actions."),
            Argument("after", Cursor | None, "Begin after this cursor; from now on when absent."),
        ],
    )


@dataclass(frozen=True)
class Frames:
    """A compiled subscription: the statement of a frame, which also tells whether anything is in it."""

    key: str
    statement: Compiled
    namespace: Any
    after: Any


def compiled_frames(key: str, selected: Selected, *, restricted: bool) -> Frames:
    """The statement of every frame of a subscription."""
    statement = Statement(restricted)
    pieces = [f'{{"data":{{"{key}":', *SubscriptionRead().plan(selected).render(statement, ""), "}}"]
    after = given(selected, "after")
    return Frames(
        key,
        compiled_frame(pieces, _rows(selected), statement),
        selected.arguments["namespace"].get,
        after.get if after else None,
    )


async def renewed(database: Database, caller: Caller) -> Caller:
    """The caller with today's roles: grants and tokens may have changed since the last frame.

    Raises:
        Unauthenticated: the token stands no more.
    """
    return caller if caller.token is None else await authenticate(database, caller.token)


def refusal(error: DomainError) -> RequestErrors:
    """Why a subscription ends."""
    extensions = {"argument": ".".join(error.path)} if error.path else {}
    return RequestErrors([RequestError(error.code, error.message, extensions=extensions)])


def require_sight(caller: Caller, place: Place, path: str) -> None:
    """Raises NotFound unless the caller may read the namespace."""
    if caller.role_on(place.lineage) is None:
        raise NotFound(f"There is no namespace {path!r}, or you may not see it.", path=("namespace",))
