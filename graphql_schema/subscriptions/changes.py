"""`changes`: the audit events of a namespace and of all below it."""

from __future__ import annotations

import strawberry

from db.read.condition import Compare, Condition
from db.read.order import by_column
from db.read.source import AUDIT_EVENT
from db.read.window import Window
from db.tables import AuditEvent as AuditEventTable
from graphql_schema import enums
from graphql_schema.audit import AuditEvent
from graphql_schema.fields import Argument, given, read_field
from graphql_schema.filters import plain
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
)


def _window(selected: Selected) -> Window:
    """The audit events of the frame's span, filtered by the subscription's arguments."""
    conditions: list[Condition] = [IN_SPAN, BELOW_TARGET]
    for argument, column in (("types", "kind"), ("actions", "action")):
        if value := given(selected, argument):
            conditions.append(Compare(column, "in", value.bind("text[]", plain)))
    return Window(AUDIT_EVENT, [by_column(AuditEventTable, "seq")], ROWS, where=conditions)


@strawberry.type(description="Changes that were committed together or shortly after each other, in their order.")
class ChangeBatch:
    cursor: Cursor = cursor_field()
    catching_up: bool = catching_up_field("changes")
    changes: list[AuditEvent] = strawberry.field(
        description="The changes; empty in a heartbeat, at least every 20 seconds.",
        metadata={"read": RowsRead(_window)},
    )


CHANGES = read_field(
    RowFrames(lambda selected: namespace_at(selected.arguments["namespace"]), _window),
    "What ModelBox records in a namespace and all below it: every create, update, delete and restore, in the"
    " order of commits, without gaps. Ends with `CURSOR_EXPIRED` when `after` is past retention or of another"
    " epoch: query again, and go on from its `feedCursor`; with `LAGGED` when you read so slowly that more than 10 000"
    " changes wait for you: go on from the error's `cursor`; with `FORBIDDEN` when your role there is taken away.",
    [
        Argument("namespace", str, "The path of a namespace; the stream is its root's.", "default"),
        Argument("types", list[enums.ObjectKind] | None, "Only changes of these types of objects."),
        Argument("actions", list[enums.AuditAction] | None, "Only these actions."),
        Argument("after", Cursor | None, "Begin after this cursor; from now on when absent."),
        every(),
    ],
)
