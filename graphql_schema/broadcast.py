"""One execution for all who follow the same: a frame is read and written once, however many get it.

Who follows with the same operation, the same variables (but for where they begin) and the same sight gets the same
bytes. A broadcast reads the frames as they come and keeps the latest; nobody has a queue of their own. Who begins
further back, or falls behind what is kept, reads alone by cursor until they meet it (`graphql_schema.follower`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Hashable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final

from db.access import Caller, access_stream
from db.engine import Database
from db.errors import NotFound, Unavailable
from db.feed.feed import Feed, Watch
from db.feed.position import Position, Span, check_kept, next_span, position_of
from db.read import hole
from db.read.sql import Environment
from graphql_schema.callers import Callers, failed
from graphql_schema.frame import Frame
from graphql_schema.live_query import LiveQueries
from graphql_schema.response import with_errors
from graphql_schema.subscriptions.stream import SPAN, TARGET, Frames, Shown, Target, written

MOST: Final = 500  # numbers a frame
HEARTBEAT_INTERVAL: Final = 20.0  # seconds
PAUSE: Final = 0.001  # seconds between two frames, and as many more for each who gets them:
PAUSE_EACH: Final = 0.00002
LONGEST_PAUSE: Final = 0.1
KEPT_FRAMES: Final = 64
KEPT_BYTES: Final = 4 << 20
AWAY_INTERVAL: Final = 1.0  # seconds between two attempts while the database is away


@dataclass(frozen=True)
class Reading:
    """How the frames of one broadcast are read."""

    database: Database
    frames: Frames
    target: Target
    env: Environment

    async def frame(self, span: Span) -> tuple[Frame, Shown]:
        """The frame of a span or of its beginning, and what is in it."""
        env = {**self.env, SPAN: span, TARGET: self.target}
        async with self.database.connection() as connection:
            if self.frames.read:
                shown = await self.frames.read(connection, env)
            else:
                found, (is_full,) = await hole.answer(connection, self.frames.statement, env)
                shown = Shown(found, is_full, span)
        return Frame(with_errors(shown.filled.json, shown.filled.failures), written(shown.span)), shown

    def pause(self) -> float:
        """The least number of seconds between two frames that are live."""
        return self.frames.pause(self.env) if self.frames.pause else 0

    def span(self, at: Position, upto: Position) -> Span:
        """What to read next on the way from one position to another."""
        return next_span(self.target.streams, at, upto, self.frames.most or MOST)


@dataclass(frozen=True, slots=True)
class Entry:
    """A frame that is kept. It is for all who stand anywhere from `before` to `floor`: nothing shows between those."""

    before: Position
    floor: Position
    after: Position
    frame: Frame
    is_last: bool = False


class Broadcast:
    """The frames of one subscription, read by one task for all its followers."""

    def __init__(self, feed: Feed, reading: Reading) -> None:
        self.reading = reading
        self.members = 0
        self.access = 0
        """Changes when roles or tokens do."""
        self.read = self.told = Position(0, ())
        """Up to where has been read, and up to where told: what lies between shows nothing."""
        self.failure: Exception | None = None
        self._feed = feed
        self._watch: Watch | None = None
        self._quiet: tuple[Position, asyncio.Future[tuple[Frame, Shown]]] | None = None
        self._kept: deque[Entry] = deque()
        self._bytes = 0
        self._next = 0
        self._told_at = 0.0
        self._is_behind = False
        self._sleepers: list[asyncio.Future[None]] = []
        self._advanced = asyncio.Event()
        self._begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run())

    async def end(self) -> Position:
        """Where the streams end now. Raises what ended the broadcast, if it has ended."""
        await asyncio.shield(self._begun)
        if self._watch is None:
            raise self.failure or Unavailable
        await self._watch.look()
        self._note_access(self._watch)
        heads = self._watch.heads()[:-1]
        return position_of(heads)

    async def frame(self, span: Span) -> tuple[Frame, Shown]:
        """A frame. One with nothing in it is the same for all who are at the same place, and read once."""
        if not span.is_empty or self.reading.frames.read:
            return await self.reading.frame(span)
        if self._quiet is None or self._quiet[0] != span.after or failed(self._quiet[1]):
            self._quiet = span.after, asyncio.ensure_future(self.reading.frame(span))
            self._quiet[1].add_done_callback(failed)  # nobody may be left to ask why
        return await asyncio.shield(self._quiet[1])

    def check_kept(self, at: Position) -> None:
        """Raises CursorExpired when not all that follows the position can be read."""
        if self._watch is not None:
            check_kept(at, self._watch.heads()[:-1])

    def number_at(self, at: Position) -> int | None:
        """The number of the frame that follows a position, when it is kept or the next to come."""
        if self.read.reaches(at) and at.reaches(self.told):
            return self._next
        for number, entry in enumerate(self._kept, self._next - len(self._kept)):
            if entry.floor.reaches(at) and at.reaches(entry.before):
                return number
        return None

    def is_kept(self, number: int) -> bool:
        """Whether it is there or yet to come, and not gone already."""
        return number >= self._next - len(self._kept)

    def entry(self, number: int) -> Entry | None:
        """A frame by its number; None while it is yet to come."""
        return self._kept[number - self._next] if number < self._next else None

    def appended(self) -> asyncio.Future[None]:
        """Done when there is a new frame, or another reason to look up; for one who waits, who may give up."""
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append(sleeper)
        return sleeper

    async def advanced(self) -> None:
        """Return when more has been read, whether it shows or not."""
        await self._advanced.wait()

    def close(self) -> None:
        """Stop reading."""
        self._task.cancel()

    async def _run(self) -> None:
        streams = (*self.reading.target.streams, access_stream(self.reading.env["$tenant"]))
        try:
            async with self._feed.following(self.reading.env["$tenant"], streams) as watch:
                self._begin(watch)
                await self._read_for_ever(watch)
        except Exception as error:  # noqa: BLE001 - every follower raises it
            self.failure = error
        finally:
            self._watch = None
            self._call()
            if not self._begun.done():
                self._begun.set_result(None)

    def _begin(self, watch: Watch) -> None:
        self._watch = watch
        self._told_at = now()
        self.read = self.told = position_of(watch.heads()[:-1])
        self._note_access(watch)
        self._begun.set_result(None)

    async def _read_for_ever(self, watch: Watch) -> None:
        answered = now()
        while True:
            watch.moved.clear()
            self._note_access(watch)
            try:
                pause = await self._read_on(watch)
                answered = now()
            except Unavailable:
                if now() - answered > HEARTBEAT_INTERVAL:
                    raise
                pause = AWAY_INTERVAL
            await asyncio.sleep(pause)

    async def _read_on(self, watch: Watch) -> float:
        """Read the next frame if there is one, or wait until there may be; how long to pause then, in seconds."""
        heads = watch.heads()[:-1]
        check_kept(self.read, heads)
        span = self.reading.span(self.read, position_of(heads))
        beat = self._told_at + HEARTBEAT_INTERVAL
        if span.is_empty and now() < beat:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(beat):
                    await watch.moved.wait()
            return 0
        if self._feed.is_blind:
            raise Unavailable
        frame, shown = await self.frame(span)
        span = shown.span
        floor, self.read = self.read, span.upto
        # What a filter hides all of is told when it ends a backlog, or when nothing was told for long.
        if shown.is_full or shown.is_last or now() >= beat or (self._is_behind and not span.catching_up):
            self._is_behind = span.catching_up
            self._append(Entry(self.told, floor, span.upto, frame, shown.is_last))
        self._advanced = _called(self._advanced)
        pause = min(PAUSE + PAUSE_EACH * self.members, LONGEST_PAUSE)
        return pause if span.catching_up else max(pause, self.reading.pause())

    def _append(self, entry: Entry) -> None:
        self.told, self._told_at = entry.after, now()
        self._kept.append(entry)
        self._bytes += len(entry.frame.json)
        self._next += 1
        while len(self._kept) > 1 and (len(self._kept) > KEPT_FRAMES or self._bytes > KEPT_BYTES):
            self._bytes -= len(self._kept.popleft().frame.json)
        self._wake()

    def _note_access(self, watch: Watch) -> None:
        seq = watch.heads()[-1].seq
        if seq != self.access:
            self.access = seq
            self._call()

    def _call(self) -> None:
        self._advanced = _called(self._advanced)
        self._wake()

    def _wake(self) -> None:
        sleepers, self._sleepers = self._sleepers, []
        for sleeper in sleepers:
            if not sleeper.done():
                sleeper.set_result(None)


class Live:
    """All broadcasts of a process, and who it knows its followers to be."""

    def __init__(self, feed: Feed, database: Database) -> None:
        self.feed = feed
        self.callers = Callers(database)
        self.queries = LiveQueries(feed)
        self._broadcasts: dict[Hashable, Broadcast] = {}
        self._finding: dict[Hashable, asyncio.Future[Target]] = {}

    async def found(self, key: Hashable, find: Callable[[], Coroutine[Any, Any, Target]]) -> Target:
        """What is to be followed. All who come back at once after a restart ask for the same, and it is found once.

        Raises:
            NotFound: it is not there. Whoever asked first may have asked too early for the others.
        """
        finding = self._finding.get(key)
        if finding is not None:
            with contextlib.suppress(NotFound):
                return await asyncio.shield(finding)
        finding = self._finding[key] = asyncio.ensure_future(find())
        finding.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(finding)

    def _forget(self, key: Hashable, finding: asyncio.Future[Target]) -> None:
        failed(finding)  # nobody may be left to ask why
        if self._finding.get(key) is finding:
            del self._finding[key]

    def access_of(self, caller: Caller) -> AbstractAsyncContextManager[Watch]:
        """What moves when roles or tokens change in the caller's tenant."""
        return self.feed.following(caller.tenant_id, (access_stream(caller.tenant_id),))

    def join(self, key: Hashable, reading: Reading) -> Broadcast:
        """The broadcast of all who follow the same, which this key tells; begun with this reading if it is new."""
        broadcast = self._broadcasts.get(key)
        if broadcast is None or broadcast.failure is not None:
            broadcast = self._broadcasts[key] = Broadcast(self.feed, reading)
        broadcast.members += 1
        return broadcast

    def leave(self, key: Hashable, broadcast: Broadcast) -> None:
        """The last who leaves ends it."""
        broadcast.members -= 1
        if not broadcast.members:
            broadcast.close()
            if self._broadcasts.get(key) is broadcast:
                del self._broadcasts[key]


def _called(event: asyncio.Event) -> asyncio.Event:
    """Wake all who wait for an event; the next one to wait for."""
    event.set()
    return asyncio.Event()


def now() -> float:
    """The time by which everything here is paced, in seconds."""
    return asyncio.get_running_loop().time()
