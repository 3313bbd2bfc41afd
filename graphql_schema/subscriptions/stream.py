"""What all subscriptions have in common: whom they follow, their cursors, and the statement of a frame.

A new one is a field of `Subscription` whose read makes `Frames`; the rest, from waiting to sharing, it gets as all do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from graphql import VariableNode

from db.access import Caller
from db.engine import Connection, Database
from db.errors import NotFound
from db.feed.position import Position, Span
from db.read.hole import Filled
from db.read.plan import Leaf, Plan
from db.read.sql import ACTOR, Bind, Compiled, Environment, Expression
from graphql_schema import cursor
from graphql_schema.errors import RequestError, RequestErrors
from graphql_schema.fields import given
from graphql_schema.selection import Selected

SPAN: Final = "$span"
TARGET: Final = "$target"


@dataclass(frozen=True)
class Target:
    """What one subscription follows: streams in the order of their ids, and the namespaces that it looks into.

    `facts` is what the statement of its frames needs to know of it. `missing` is said to who may not see it all.
    """

    streams: tuple[UUID, ...]
    lineages: tuple[tuple[UUID, ...], ...]
    facts: Any
    missing: str
    path: tuple[str, ...]

    def check_sight(self, caller: Caller) -> None:
        """Raises NotFound unless the caller may read all that is followed."""
        if not all(caller.role_on(lineage) for lineage in self.lineages):
            raise NotFound(self.missing, path=self.path)


Find = Callable[[Database, Caller, Environment], Coroutine[Any, Any, Target]]
"""Finds what a caller's arguments name. It raises NotFound."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What was read for a frame: its JSON, whether there is anything in it, and the span that it is of.

    The span may end before the one that was asked for. After one that `is_last` nothing follows.
    """

    filled: Filled
    is_full: bool
    span: Span
    is_last: bool = False


Read = Callable[[Connection, Environment], Awaitable[Shown]]
"""Reads a frame of the SPAN and the TARGET in the environment."""


@dataclass(frozen=True)
class Frames:
    """A compiled subscription.

    `statement` returns a frame's JSON, and beside it whether there is anything in it; it finds SPAN and TARGET in its
    environment. `after` finds the cursor to begin at, and `begin` names the variable that holds it. A frame holds
    `most` numbers, 500 unless told. Who was up to date once and then falls far behind is dropped, because each row
    counts; where it `coalesces`, the next frame is only a larger one. `read` reads frames that are more than a
    statement; `pause` is the least number of seconds between two that are live.
    """

    statement: Compiled
    find: Find
    after: Callable[[Environment], str | None] | None = None
    begin: str | None = None
    most: int | None = None
    coalesces: bool = False
    read: Read | None = None
    pause: Callable[[Environment], float] | None = None

    @property
    def is_personal(self) -> bool:
        """Whether what is in it depends on who asks, and not only on what they may see."""
        return any(bind is ACTOR for bind in self.statement.binds)


def began(selected: Selected) -> tuple[Callable[[Environment], str | None] | None, str | None]:
    """How to find the argument `after`, and the name of its variable, if it is one."""
    value = given(selected, "after")
    nodes = [node.value for node in selected.nodes[0].arguments or () if node.name.value == "after"]
    names = [node.name.value for node in nodes if isinstance(node, VariableNode)]
    return value.get if value else None, names[0] if names else None


def written(span: Span) -> str:
    """The cursor behind a span; `value.stream_position` in `db.read` writes the same."""
    pairs = zip(span.streams, span.upto.seqs, strict=True)
    return cursor.encode(["f", span.upto.epoch, [[stream.hex, seq] for stream, seq in pairs]])


def read_position(text: str, streams: Sequence[UUID]) -> Position:
    """The position in these streams that a cursor tells. It may tell of others, too.

    Raises:
        RequestErrors: it is no cursor of these streams.
    """
    try:
        kind, epoch, pairs = cursor.decode(text)
        seqs = {UUID(stream): seq for stream, seq in pairs}
        position = Position(epoch, tuple(seqs[stream] for stream in streams))
        if kind == "f" and all(type(number) is int for number in (epoch, *position.seqs)):
            return position
    except (ValueError, TypeError, AttributeError, KeyError):
        pass
    message = "Argument 'after': this is not a cursor of this stream. Use a `feedCursor` or a frame's `cursor` of it."
    raise RequestErrors([RequestError("BAD_USER_INPUT", message, extensions={"argument": "after"})])


@dataclass(frozen=True)
class FrameRead:
    """A value of the frame itself, as JSON."""

    value: Callable[[Span], str]

    def plan(self, selected: Selected) -> Plan:
        bind = Bind(lambda env: self.value(env[SPAN]), "text")
        return Leaf(lambda statement, alias: [Expression(statement.bind(bind))])


CURSOR: Final[Mapping[str, Any]] = {"read": FrameRead(lambda span: f'"{written(span)}"')}
CATCHING_UP: Final[Mapping[str, Any]] = {"read": FrameRead(lambda span: "true" if span.catching_up else "false")}


def frame_pieces(key: str, plan: Plan, statement: Any) -> list[Any]:
    """The JSON of a whole result."""
    return [f'{{"data":{{"{key}":', *plan.render(statement, ""), "}}"]
