"""One who follows a live query: told of what changed since they were told last."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Hashable, Mapping
from typing import Final
from uuid import UUID

from db.errors import CursorExpired
from graphql_schema import cursor
from graphql_schema.broadcast import HEARTBEAT_INTERVAL, now
from graphql_schema.errors import RequestError, RequestErrors
from graphql_schema.frame import Frame
from graphql_schema.live_query import LiveFrames, LiveQuery, LiveReading, State, Texts
from graphql_schema.subscriber import Subscriber

NOTHING: Final[Mapping[UUID, Texts | None]] = {}


class LiveFollower:
    """Asked for one frame after the other. Whoever opens it closes it."""

    def __init__(self, who: Subscriber) -> None:
        self._who = who
        self._query: LiveQuery
        self._key: Hashable = None
        self._known: Mapping[UUID, Texts | None] = NOTHING
        self._state: State | None = None
        self._told_at = 0.0

    async def open(self, after: str | None = None) -> None:
        """Find what is followed: from that cursor on, or where the arguments say, or from nothing.

        Raises:
            NotFound: there is no such namespace in the caller's sight.
            CursorExpired: the cursor is of another epoch.
            RequestErrors: the cursor is not one of a live query.
            Unavailable: the database does not answer.
        """
        frames = self._frames()
        await self._who.find(frames)
        if after is None and frames.after:
            after = frames.after(self._who.environment())
        self._join()
        await self._look_at_access()
        await self._first_state()
        if after is not None:
            _, seq, _ = _read(after)
            self._known = known_of(after, await self._query.state_at(seq))
        self._told_at = now()

    async def next(self) -> Frame | None:
        """The next frame, once there is one.

        Raises:
            Denied: the caller may no longer read what is followed.
            Unauthenticated: the token stands no more.
        """
        while True:
            if self._query.failure is not None:
                raise self._query.failure
            if self._who.is_old(self._query.access):
                await self._look_at_access()
            state = self._query.state
            if state is not None and (self._is_news(state) or now() - self._told_at >= HEARTBEAT_INTERVAL):
                frame = self._query.frame(self._known)
                self._state, self._known, self._told_at = state, state.known, now()
                return frame
            await self._wait()

    def close(self) -> None:
        """Follow no longer."""
        if self._key is not None:
            self._who.live.queries.leave(self._key, self._query)
            self._key = None

    def _is_news(self, state: State) -> bool:
        """Whether its rows are others than those that were told; the first state always is."""
        if self._state is None:
            return True
        return state is not self._state and state.known != self._known

    async def _wait(self) -> None:
        # Without a state there is nothing to tell, however long ago it is that something was told.
        left = None if self._query.state is None else max(0.0, self._told_at + HEARTBEAT_INTERVAL - now())
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
        if await self._who.look(self._query.access):
            self._join()

    def _join(self) -> None:
        """Follow together with all who see the same."""
        self.close()
        who, frames = self._who, self._frames()
        self._key = who.key(frames)
        self._query = who.live.queries.join(self._key, LiveReading(who.database, frames, who.target, who.environment()))

    def _frames(self) -> LiveFrames:
        frames = self._who.frames()
        assert isinstance(frames, LiveFrames)
        return frames


def known_of(text: str, state: State) -> Mapping[UUID, Texts | None]:
    """What who has this cursor knows of a state: rows whose streams did not move are as they were told.

    Raises:
        CursorExpired: it is of another epoch.
        RequestErrors: it is no cursor of a live query.
    """
    epoch, seq, seqs = _read(text)
    if epoch != state.epoch or seq > state.seq:
        raise CursorExpired(path=("after",))
    here = {row.id: row for row in state.rows}
    is_quiet = seq == state.seq
    return {
        id_: here[id_].texts if is_quiet and id_ in here and here[id_].seq == number else None
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
