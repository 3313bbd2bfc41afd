"""`changes`: the audit events of a namespace and of all below it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import strawberry

from db.access import Caller
from db.engine import Database
from db.errors import NotFound
from db.feed import place
from db.feed.place import Place
from db.read.condition import AtOrBelow, Compare, Condition, InSpan
from db.read.order import by_column
from db.read.plan import Plan, Rows, compiled_frame
from db.read.source import AUDIT_EVENT
from db.read.sql import Bind, Environment, Statement
from db.read.window import Window
from db.tables import AuditEvent as AuditEventTable
from graphql_schema import enums
from graphql_schema.arguments import Value
from graphql_schema.audit import AuditEvent
from graphql_schema.fields import Argument, given, read_field
from graphql_schema.filters import plain
from graphql_schema.scalars import Cursor
from graphql_schema.selection import Selected
from graphql_schema.subscriptions.pace import every, paced, pause_of
from graphql_schema.subscriptions.stream import (
    CATCHING_UP,
    CURSOR,
    SPAN,
    TARGET,
    Find,
    Frames,
    Target,
    began,
    frame_pieces,
)

ROWS: Final = 1_000


IN_SPAN: Final = InSpan(
    Bind(lambda env: env[SPAN].streams[0], "uuid"),
    Bind(lambda env: env[SPAN].after.seqs[0], "bigint"),
    Bind(lambda env: env[SPAN].upto.seqs[0], "bigint"),
)
"""The rows that a frame of one stream is of."""

BELOW_TARGET: Final = AtOrBelow(Bind(lambda env: env[TARGET].facts, "uuid"))
"""The rows of the followed namespace, and of all below it."""


def of_place(found: Place, missing: str, path: tuple[str, ...], facts: object) -> Target:
    """What is followed, when that is recorded in a namespace's stream."""
    return Target((found.root_id,), (found.lineage,), facts, missing, path)


def namespace_at(path: Value) -> Find:
    """Finds the namespace that an argument names."""

    async def find(database: Database, caller: Caller, env: Environment) -> Target:
        text = path.get(env)
        missing = f"There is no namespace {text!r}, or you may not see it."
        found = await place.at_path(database, caller.tenant_id, text)
        if found is None:
            raise NotFound(missing, path=path.path)
        return of_place(found, missing, path.path, found.id)

    return find


def _window(selected: Selected) -> Window:
    """The audit events of the frame's span, filtered by the subscription's arguments."""
    conditions: list[Condition] = [IN_SPAN, BELOW_TARGET]
    for argument, column in (("types", "kind"), ("actions", "action")):
        if value := given(selected, argument):
            conditions.append(Compare(column, "in", value.bind("text[]", plain)))
    return Window(AUDIT_EVENT, [by_column(AuditEventTable, "seq")], ROWS, where=conditions)


@dataclass(frozen=True)
class ChangesRead:
    """The list of a frame; the arguments stand on the subscription."""

    def plan(self, selected: Selected) -> Plan:
        root = selected.planner.subscribed
        assert root is not None
        with selected.planner.repeated(20):
            return Rows(_window(root), selected.object())


@strawberry.type(description="Changes that were committed together or shortly after each other, in their order.")
class ChangeBatch:
    cursor: Cursor = strawberry.field(
        description="Where the stream stands after this frame: give it to `after` to go on from here.",
        metadata=CURSOR,
    )
    catching_up: bool = strawberry.field(
        description="True while there are older changes to come; false when this frame is up to date.",
        metadata=CATCHING_UP,
    )
    changes: list[AuditEvent] = strawberry.field(
        description="The changes; empty in a heartbeat, at least every 20 seconds.", metadata={"read": ChangesRead()}
    )


@dataclass(frozen=True)
class ChangeFrames:
    """`changes`: the frame is planned like any object."""

    def plan(self, selected: Selected) -> Plan:
        selected.planner.subscribed = selected
        return selected.object()

    def frames(self, key: str, selected: Selected, *, restricted: bool) -> Frames:
        statement = Statement(restricted)
        pieces = frame_pieces(key, self.plan(selected), statement)
        pause = pause_of(selected)
        find = paced(namespace_at(selected.arguments["namespace"]), pause)
        return Frames(compiled_frame(pieces, _window(selected), statement), find, *began(selected), pause=pause)


CHANGES = read_field(
    ChangeFrames(),
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
