"""One who follows a subscription: from where they begin, through what they missed, to what is broadcast.

Backlog and live are one path, so there is no seam: every frame begins where the one before ended, whether it was read
alone or by the broadcast.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Hashable, Mapping
from typing import Any, Final

from graphql import Visitor, visit
from graphql.language import VariableNode

from db.access import Caller
from db.engine import Database
from db.errors import Denied, Lagged, NotFound
from db.feed.position import Position, Span
from db.read.sql import Environment
from graphql_schema import broadcast as broadcasts
from graphql_schema.broadcast import Broadcast, Live, Reading
from graphql_schema.callers import FRESH_SECONDS, environment
from graphql_schema.frame import Frame
from graphql_schema.operation import Operation
from graphql_schema.subscriptions.stream import Frames, Target, read_position, written

FAR_BEHIND: Final = 10_000  # numbers
TAKEN_AWAY: Final = "You may no longer read what you follow: your role there was taken away."


class Follower:
    """Asked for one frame after the other. Whoever opens it closes it."""

    def __init__(
        self, live: Live, database: Database, caller: Caller, operation: Operation, values: Mapping[str, Any]
    ) -> None:
        self._live = live
        self._database = database
        self._caller = caller
        self._operation = operation
        self._values = values
        self._target: Target
        self._broadcast: Broadcast
        self._key: Hashable = None
        self._at: Position
        self._number: int | None = None
        self._is_open = self._is_over = False
        self._is_behind = True
        self._access = 0
        self._looked_at = self._told_at = 0.0

    async def open(self, after: str | None = None) -> None:
        """Find what is followed, and the place to begin: after that cursor, or where the arguments say.

        Raises:
            NotFound: there is no such thing in the caller's sight.
            CursorExpired: what comes next is no longer kept.
            RequestErrors: the cursor is of other streams.
        """
        frames, env = self._frames(), self._environment()
        asked = (*self._asked(frames), sight(self._caller))
        self._target = await self._live.found(asked, lambda: frames.find(self._database, self._caller, env))
        self._target.check_sight(self._caller)
        if after is None and frames.after:
            after = frames.after(env)
        begin = None if after is None else read_position(after, self._target.streams)
        self._at = begin or await self._join()
        if begin:
            await self._join()
        await self._look_at_access()
        self._broadcast.check_kept(self._at)
        self._is_open, self._told_at = True, _now()

    async def next(self) -> Frame | None:
        """The next frame, once there is one; None when nothing follows any more.

        Raises:
            Denied: the caller may no longer read what is followed.
            Unauthenticated: the token stands no more.
            Lagged: too much waits.
        """
        # What is at hand is told without another coroutine: a thousand followers come by here for each frame.
        while (frame := self._at_hand()) is None:
            if self._is_over:
                return None
            if self._broadcast.failure is not None:
                raise self._broadcast.failure
            if self._is_access_old():
                await self._look_at_access()
            elif self._number is None:
                frame = await self._read_alone()
                if frame is not None:
                    break
            elif self._broadcast.is_kept(self._number):
                await self._broadcast.appended()
            else:
                self._fall_behind()
        self._told_at = _now()
        return frame

    def close(self) -> None:
        """Follow no longer."""
        if self._key is not None:
            self._live.leave(self._key, self._broadcast)
            self._key = None

    def _at_hand(self) -> Frame | None:
        """The next frame of the broadcast, if it is there, and may be told."""
        number, broadcast = self._number, self._broadcast
        if self._is_over or number is None or not broadcast.is_kept(number) or self._is_access_old():
            return None
        entry = broadcast.entry(number)
        if entry is None:
            return None
        self._at, self._number, self._is_over = entry.after, number + 1, entry.is_last
        return entry.frame

    def _is_access_old(self) -> bool:
        return self._broadcast.access != self._access or _now() - self._looked_at > FRESH_SECONDS

    def _fall_behind(self) -> None:
        coalesces = self._broadcast.reading.frames.coalesces
        if not coalesces and self._at.distance(self._broadcast.read) > FAR_BEHIND:
            raise Lagged(cursor=written(Span(self._target.streams, self._at, self._at)))
        self._number, self._is_behind = None, True

    async def _read_alone(self) -> Frame | None:
        """The frame of what the broadcast has passed already; None when there is nothing to tell of it."""
        span = self._broadcast.reading.span(self._at, self._broadcast.read)
        if span.is_empty and not self._is_behind:
            await self._broadcast.advanced()
            self._meet()
            return None
        frame, shown = await self._broadcast.frame(span)
        span, self._is_over = shown.span, shown.is_last
        is_level = self._is_behind and not span.catching_up
        self._at, self._is_behind = span.upto, span.catching_up
        self._meet()
        is_due = _now() - self._told_at >= broadcasts.HEARTBEAT_INTERVAL
        return frame if shown.is_full or is_level or is_due or self._is_over else None

    def _meet(self) -> None:
        """Go on with the broadcast, if that is where it is."""
        if not self._is_behind:
            self._number = self._broadcast.number_at(self._at)

    async def _look_at_access(self) -> None:
        """Find out what the caller may do now, and go on with what they may see."""
        version = self._broadcast.access
        caller = await self._live.callers.now(self._caller, version)
        try:
            self._target.check_sight(caller)
        except NotFound as error:
            if self._is_open:
                raise Denied(TAKEN_AWAY) from error
            raise
        self._access, self._looked_at = version, _now()
        before, self._caller = self._caller, caller
        if sight(caller) != sight(before):
            await self._join()
            self._meet()

    async def _join(self) -> Position:
        """Follow together with all who see the same; the end of the streams."""
        self.close()
        frames = self._frames()
        who = self._caller.actor_id if frames.is_personal else None
        self._key = (*self._asked(frames), self._target, sight(self._caller), who)
        reading = Reading(self._database, frames, self._target, self._environment())
        self._broadcast, self._number = self._live.join(self._key, reading), None
        return await self._broadcast.end()

    def _asked(self, frames: Frames) -> tuple[Operation, bytes]:
        """What is asked for, but for where to begin."""
        begun_by = frames.begin if frames.begin and uses(self._operation, frames.begin) == 1 else None
        values = {name: value for name, value in self._values.items() if name != begun_by}
        written_values = repr(sorted(values.items())).encode("utf-8", "surrogatepass")
        return self._operation, hashlib.sha256(written_values).digest()

    def _frames(self) -> Frames:
        frames = self._operation.frames(self._values, restricted=self._caller.scope is not None)
        assert isinstance(frames, Frames)
        return frames

    def _environment(self) -> Environment:
        return environment(self._caller, self._values)


def uses(operation: Operation, variable: str) -> int:
    """How often an operation uses a variable: where it only says where to begin, it says so once."""
    counting = _Counting(variable)
    for node in (operation.definition.selection_set, *operation.fragments.values()):
        visit(node, counting)
    return counting.count


class _Counting(Visitor):
    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.count = 0

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        """Called by the library."""
        self.count += node.name.value == self._name


def sight(caller: Caller) -> Hashable:
    """What of a caller decides what they see."""
    return (caller.tenant_id, None if caller.scope is None else tuple(sorted(caller.scope)))


def _now() -> float:
    return asyncio.get_running_loop().time()
