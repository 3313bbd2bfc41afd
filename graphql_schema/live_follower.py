"""One who follows a live query: told of what changed since they were told last."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Hashable, Mapping
from typing import Any, Final
from uuid import UUID

from db.access import Caller
from db.engine import Database
from db.errors import CursorExpired, Denied, NotFound
from db.read.sql import Environment
from graphql_schema import cursor
from graphql_schema.broadcast import HEARTBEAT_INTERVAL, Live
from graphql_schema.callers import FRESH_SECONDS, environment
from graphql_schema.errors import RequestError, RequestErrors
from graphql_schema.follower import TAKEN_AWAY, sight, uses
from graphql_schema.frame import Frame
from graphql_schema.live_query import LiveFrames, LiveQuery, LiveReading, State, Texts
from graphql_schema.operation import Operation
from graphql_schema.subscriptions.stream import Target

NOTHING: Final[Mapping[UUID, Texts | None]] = {}


class LiveFollower:
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
        self._query: LiveQuery
        self._key: Hashable = None
        self._known: Mapping[UUID, Texts | None] = NOTHING
        self._state: State | None = None
        self._after: str | None = None
        self._is_open = False
        self._access = 0
        self._looked_at = self._told_at = 0.0

    async def open(self, after: str | None = None) -> None:
        """Find what is followed: from that cursor on, or where the arguments say, or from nothing.

        Raises:
            NotFound: there is no such namespace in the caller's sight.
            CursorExpired: the cursor is of another epoch.
            RequestErrors: the cursor is not one of a live query.
            Unavailable: the database does not answer.
        """
        frames, env = self._frames(), self._environment()
        self._target = await frames.find(self._database, self._caller, env)
        self._target.check_sight(self._caller)
        self._after = after if after is not None or frames.after is None else frames.after(env)
        self._join()
        await self._look_at_access()
        await self._first_state()
        if self._after is not None:
            _, seq, _ = _read(self._after)
            self._known = known_of(self._after, await self._query.state_at(seq))
        self._is_open, self._told_at = True, _now()

    async def next(self) -> Frame | None:
        """The next frame, once there is one.

        Raises:
            Denied: the caller may no longer read what is followed.
            Unauthenticated: the token stands no more.
        """
        while True:
            if self._query.failure is not None:
                raise self._query.failure
            if self._query.access != self._access or _now() - self._looked_at > FRESH_SECONDS:
                await self._look_at_access()
            state = self._query.state
            if state is not None and (self._is_news(state) or _now() - self._told_at >= HEARTBEAT_INTERVAL):
                frame = self._query.frame(self._known)
                self._state, self._known, self._told_at = state, state.known, _now()
                return frame
            await self._wait()

    def close(self) -> None:
        """Follow no longer."""
        if self._key is not None:
            self._live.queries.leave(self._key, self._query)
            self._key = None

    def _is_news(self, state: State) -> bool:
        """Whether its rows are others than those that were told; the first state always is."""
        if self._state is None:
            return True
        return state is not self._state and state.known != self._known

    async def _wait(self) -> None:
        # Without a state there is nothing to tell, however long ago it is that something was told.
        left = None if self._query.state is None else max(0.0, self._told_at + HEARTBEAT_INTERVAL - _now())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._query.changed()

    async def _first_state(self) -> State:
        while self._query.state is None:
            if self._query.failure is not None:
                raise self._query.failure
            await self._query.changed()
        return self._query.state

    async def _look_at_access(self) -> None:
        version = self._query.access
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
            self._join()

    def _join(self) -> None:
        """Follow together with all who see the same."""
        self.close()
        frames = self._frames()
        who = self._caller.actor_id if frames.is_personal else None
        begun_by = frames.begin if frames.begin and uses(self._operation, frames.begin) == 1 else None
        values = {name: value for name, value in self._values.items() if name != begun_by}
        written_values = repr(sorted(values.items())).encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(written_values).digest()
        self._key = (self._operation, digest, self._target, sight(self._caller), who)
        reading = LiveReading(self._database, frames, self._target, self._environment())
        self._query = self._live.queries.join(self._key, reading)

    def _frames(self) -> LiveFrames:
        frames = self._operation.frames(self._values, restricted=self._caller.scope is not None)
        assert isinstance(frames, LiveFrames)
        return frames

    def _environment(self) -> Environment:
        return environment(self._caller, self._values)


def known_of(text: str, state: State) -> Mapping[UUID, Texts | None]:
    """What who has this cursor knows of a state: rows whose streams did not move are as they were told.

    Raises:
        CursorExpired: it is of another epoch.
        RequestErrors: it is no cursor of a live query.
    """
    epoch, seq, seqs = _read(text)
    if epoch != state.epoch or seq > state.seq:
        raise CursorExpired(path=("after",))
    now = {row.id: row for row in state.rows}
    is_quiet = seq == state.seq
    return {
        id_: now[id_].texts if is_quiet and id_ in now and now[id_].seq == number else None
        for id_, number in seqs.items()
    }


def _read(text: str) -> tuple[int, int, Mapping[UUID, int]]:
    try:
        kind, epoch, seq, pairs = cursor.decode(text)
        seqs = {UUID(id_): number for id_, number in pairs}
        if kind == "q" and all(type(number) is int for number in (epoch, seq, *seqs.values())):
            return epoch, seq, seqs
    except (ValueError, TypeError, AttributeError):
        pass
    message = "Argument 'after': this is not a cursor of this stream. Use a frame's `cursor` of it."
    raise RequestErrors([RequestError("BAD_USER_INPUT", message, extensions={"argument": "after"})])


def _now() -> float:
    return asyncio.get_running_loop().time()
