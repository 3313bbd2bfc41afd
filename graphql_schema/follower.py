"""One who follows a subscription: from where they begin, through what they missed, to what is broadcast.

Backlog and live are one path, so there is no seam: every frame begins where the one before ended, whether it was read
alone or by the broadcast.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from db.errors import Lagged
from db.feed.position import Position, Span
from graphql_schema import broadcast as broadcasts
from graphql_schema.broadcast import Broadcast, Reading, now
from graphql_schema.frame import Frame
from graphql_schema.subscriber import Subscriber
from graphql_schema.subscriptions.stream import Frames, read_position, written

FAR_BEHIND: Final = 10_000  # numbers


class Follower:
    """Asked for one frame after the other. Whoever opens it closes it."""

    def __init__(self, who: Subscriber) -> None:
        self._who = who
        self._broadcast: Broadcast
        self._key: Hashable = None
        self._at: Position
        self._number: int | None = None
        self._is_over = False
        self._is_behind = True
        self._told_at = 0.0

    async def open(self, after: str | None = None) -> None:
        """Find what is followed, and the place to begin: after that cursor, or where the arguments say.

        Raises:
            NotFound: there is no such thing in the caller's sight.
            CursorExpired: what comes next is no longer kept.
            RequestErrors: the cursor is of other streams.
        """
        frames = self._frames()
        await self._who.find(frames)
        if after is None and frames.after:
            after = frames.after(self._who.environment())
        begin = None if after is None else read_position(after, self._who.target.streams)
        self._at = begin or await self._join()
        if begin:
            await self._join()
        await self._look_at_access()
        self._broadcast.check_kept(self._at)
        self._told_at = now()

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
            if self._who.is_old(self._broadcast.access):
                await self._look_at_access()
            elif self._number is None:
                frame = await self._read_alone()
                if frame is not None:
                    break
            elif self._broadcast.is_kept(self._number):
                await self._broadcast.appended()
            else:
                self._fall_behind()
        self._told_at = now()
        return frame

    def close(self) -> None:
        """Follow no longer."""
        if self._key is not None:
            self._who.live.leave(self._key, self._broadcast)
            self._key = None

    def _at_hand(self) -> Frame | None:
        """The next frame of the broadcast, if it is there, and may be told."""
        number, broadcast = self._number, self._broadcast
        if self._is_over or number is None or not broadcast.is_kept(number) or self._who.is_old(broadcast.access):
            return None
        entry = broadcast.entry(number)
        if entry is None:
            return None
        self._at, self._number, self._is_over = entry.after, number + 1, entry.is_last
        return entry.frame

    def _fall_behind(self) -> None:
        coalesces = self._broadcast.reading.frames.coalesces
        if not coalesces and self._at.distance(self._broadcast.read) > FAR_BEHIND:
            raise Lagged(cursor=written(Span(self._who.target.streams, self._at, self._at)))
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
        is_due = now() - self._told_at >= broadcasts.HEARTBEAT_INTERVAL
        return frame if shown.is_full or is_level or is_due or self._is_over else None

    def _meet(self) -> None:
        """Go on with the broadcast, if that is where it is."""
        if not self._is_behind:
            self._number = self._broadcast.number_at(self._at)

    async def _look_at_access(self) -> None:
        """Find out what the caller may do now, and go on with what they may see."""
        if await self._who.look(self._broadcast.access):
            await self._join()
            self._meet()

    async def _join(self) -> Position:
        """Follow together with all who see the same; the end of the streams."""
        self.close()
        who, frames = self._who, self._frames()
        self._key = who.key(frames)
        reading = Reading(who.database, frames, who.target, who.environment())
        self._broadcast, self._number = who.live.join(self._key, reading), None
        return await self._broadcast.end()

    def _frames(self) -> Frames:
        frames = self._who.frames()
        assert isinstance(frames, Frames)
        return frames
