"""What subscriptions to rows have in common that are recorded in a namespace's stream: audit events, and events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import strawberry

from db.access import Caller
from db.engine import Database
from db.errors import NotFound
from db.feed import place
from db.feed.place import Place
from db.read.condition import AtOrBelow, InSpan
from db.read.plan import Plan, Rows, compiled_frame
from db.read.sql import Bind, Environment, Statement
from db.read.window import Window
from graphql_schema.arguments import Value
from graphql_schema.selection import Selected
from graphql_schema.subscriptions.pace import paced, pause_of
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
EXPECTED: Final = 20
"""Rows of a frame, for its cost."""

IN_SPAN: Final = InSpan(
    Bind(lambda env: env[SPAN].streams[0], "uuid"),
    Bind(lambda env: env[SPAN].after.seqs[0], "bigint"),
    Bind(lambda env: env[SPAN].upto.seqs[0], "bigint"),
)
"""The rows that a frame of one stream is of."""

BELOW_TARGET: Final = AtOrBelow(Bind(lambda env: env[TARGET].facts, "uuid"))
"""The rows of the followed namespace, and of all below it."""

Chosen = Callable[[Selected], Window]
"""Of a subscription with its arguments: the rows of a frame."""


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


@dataclass(frozen=True)
class RowsRead:
    """The list of a frame; the arguments stand on the subscription around it."""

    chosen: Chosen

    def plan(self, selected: Selected) -> Plan:
        with selected.planner.repeated(EXPECTED):
            return Rows(self.chosen(selected.outer), selected.object())


@dataclass(frozen=True)
class RowFrames:
    """A subscription to rows: its frame is planned like any object."""

    find: Callable[[Selected], Find]
    chosen: Chosen

    def plan(self, selected: Selected) -> Plan:
        with selected.planner.within(selected):
            return selected.object()

    def frames(self, key: str, selected: Selected, *, restricted: bool) -> Frames:
        pause, statement = pause_of(selected), Statement(restricted)
        find = paced(self.find(selected), pause)
        text = compiled_frame(frame_pieces(key, self.plan(selected), statement), self.chosen(selected), statement)
        return Frames(text, find, *began(selected), pause=pause)


def cursor_field() -> Any:
    """The field that tells where to go on."""
    return strawberry.field(
        description="Where the stream stands after this frame: give it to `after` to go on from here.", metadata=CURSOR
    )


def catching_up_field(rows: str) -> Any:
    """The field that tells whether this frame is the last of a backlog."""
    return strawberry.field(
        description=f"True while there are older {rows} to come; false when this frame is up to date.",
        metadata=CATCHING_UP,
    )
