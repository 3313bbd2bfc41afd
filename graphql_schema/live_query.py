"""A live query: the rows of a window, and how they differ from what a follower was told.

One task evaluates the query for all who follow the same, and only when a stream moved that its rows depend on: the
namespace's, or that of the metrics of a row. A follower has no queue: a frame is the difference between the rows that
it knows and those of now. So who reads slowly is told less often, and everything.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final
from uuid import UUID

import msgspec

from db.access import access_stream
from db.engine import Database
from db.errors import Unavailable
from db.feed.feed import Feed, Watch
from db.metrics.stream import stream_of
from db.read import hole
from db.read.hole import Failure
from db.read.sql import Compiled, Environment
from graphql_schema import cursor
from graphql_schema.frame import Frame
from graphql_schema.response import with_errors
from graphql_schema.subscriptions.stream import Find, Target

REST: Final = 1.0
"""Seconds between two evaluations at least, and between two attempts while the database is away."""

RESTLESS: Final = 2.0
"""Seconds after which a query is evaluated again though nothing moved, when rows outside its window may come in."""

KEPT_FRAMES: Final = 64
"""Of one state: nearly all followers know the same, but everyone may come back with a cursor of their own."""

Texts = tuple[bytes, ...]
"""The JSON of a row, as each list of a frame selects it."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the window, and where its metric stream stood."""

    id: UUID
    seq: int
    texts: Texts


@dataclass(frozen=True)
class LiveFrames:
    """A compiled live query.

    `statement` returns a JSON list with a list for each row: the digits of its id, the number of its metric stream,
    and its JSON for each list of a frame. `write` makes a frame of a difference. `pause` is the least number of seconds
    between two evaluations; `is_restless` when its rows depend on more than their own streams.
    """

    statement: Compiled
    find: Find
    write: Callable[[Difference], bytes]
    pause: Callable[[Environment], float]
    is_restless: bool
    is_personal: bool
    after: Callable[[Environment], str | None] | None = None
    begin: str | None = None


@dataclass(frozen=True)
class State:
    """The rows of one evaluation, in order, and where the namespace's stream stood before it."""

    epoch: int
    seq: int
    rows: Sequence[Row]
    failures: Sequence[Failure] = ()
    frames: dict[int, tuple[Any, Frame]] = field(default_factory=dict, compare=False)
    """Frames that lead here, by the identity of what their readers knew; with that, so that it stays the only one."""

    @cached_property
    def cursor(self) -> str:
        """What to go on from; it tells which rows were there."""
        return cursor.encode(["q", self.epoch, self.seq, [[row.id.hex, row.seq] for row in self.rows]])

    @cached_property
    def known(self) -> Mapping[UUID, Texts | None]:
        """What who was told of it knows."""
        return {row.id: row.texts for row in self.rows}


@dataclass(frozen=True)
class Difference:
    """What changed for who knows other rows."""

    state: State
    added: Sequence[Row]
    updated: Sequence[Row]
    removed: Sequence[UUID]


def difference(known: Mapping[UUID, Texts | None], state: State) -> Difference:
    """Between the rows that somebody knows and those of a state. What is known as None may have changed."""
    here = {row.id for row in state.rows}
    return Difference(
        state,
        [row for row in state.rows if row.id not in known],
        [row for row in state.rows if row.id in known and known[row.id] != row.texts],
        [id_ for id_ in known if id_ not in here],
    )


@dataclass(frozen=True)
class LiveReading:
    """How the rows of one live query are read."""

    database: Database
    frames: LiveFrames
    target: Target
    env: Environment

    async def rows(self) -> tuple[list[Row], Sequence[Failure]]:
        """The rows as they are now."""
        async with self.database.connection() as connection:
            found, _ = await hole.answer(connection, self.frames.statement, self.env)
        listed = msgspec.json.decode(found.json, type=list[tuple[str, int, list[msgspec.Raw]]])
        return [Row(UUID(id_), seq, tuple(bytes(text) for text in texts)) for id_, seq, texts in listed], found.failures


class LiveQuery:
    """Evaluates one live query for all its followers."""

    def __init__(self, feed: Feed, reading: LiveReading) -> None:
        self.reading = reading
        self.members = 0
        self.access = 0
        """Changes when roles or tokens do."""
        self.failure: Exception | None = None
        self.state: State | None = None
        self._feed = feed
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def changed(self) -> None:
        """Return when there is a new state, or another reason to look up."""
        await self._changed.wait()

    async def state_at(self, seq: int) -> State:
        """A state that is not older than a number of the namespace's stream; the newest when there is no such number.

        Another process may have told somebody of what this one has not seen yet.

        Raises:
            Unavailable: the database does not answer.
        """
        stream = self.reading.target.streams[0]
        if self.failure is None and self.state is not None and self.state.seq < seq:
            await self._feed.look((stream,))
        while self.failure is None and self.state is not None:
            if self.state.seq >= min(seq, self._feed.head(stream).seq):
                return self.state
            with contextlib.suppress(TimeoutError):  # When its rows are the same, nobody is woken for a newer state.
                async with asyncio.timeout(REST):
                    await self.changed()
        raise self.failure or Unavailable

    def close(self) -> None:
        """Evaluate no more."""
        self._task.cancel()

    def frame(self, known: Mapping[UUID, Texts | None]) -> Frame:
        """The frame for who knows these rows; written once for all who know the same."""
        state = self.state
        assert state is not None
        kept = state.frames.get(id(known))
        if kept is None:
            json = with_errors(self.reading.frames.write(difference(known, state)), state.failures)
            kept = state.frames[id(known)] = known, Frame(json, state.cursor)
            if len(state.frames) > KEPT_FRAMES:
                del state.frames[next(iter(state.frames))]
        return kept[1]

    async def _run(self) -> None:
        tenant = self.reading.env["$tenant"]
        fixed = (self.reading.target.streams[0], access_stream(tenant))
        try:
            async with contextlib.AsyncExitStack() as stack:
                watch = await stack.enter_async_context(self._feed.following(tenant, fixed))
                while True:
                    watch.moved.clear()
                    self._note_access(watch)
                    is_read = await self._evaluate(watch)
                    watch = await self._follow_rows(stack, watch, fixed)
                    await asyncio.sleep(max(REST, self.reading.frames.pause(self.reading.env)))
                    if is_read:
                        await self._wait(watch)
        except Exception as error:  # noqa: BLE001 - every follower raises it
            self.failure = error
        finally:
            self._call()

    async def _evaluate(self, watch: Watch) -> bool:
        """Read the rows; whether that was possible."""
        head = watch.heads()[0]
        try:
            rows, failures = await self.reading.rows()
        except Unavailable:
            if self.state is None:
                raise
            return False
        before, self.state = self.state, State(head.epoch, head.seq, rows, failures)
        if before is not None and [(row.id, row.texts) for row in before.rows] == [(r.id, r.texts) for r in rows]:
            # Who is told next is told the newer cursor, but nobody is woken for it.
            return True
        self._call()
        return True

    async def _follow_rows(self, stack: contextlib.AsyncExitStack, watch: Watch, fixed: tuple[UUID, ...]) -> Watch:
        """A watch that also sees the metric streams of the rows; it is set off if one moved since they were read."""
        rows = self.state.rows if self.state else ()
        streams = (*fixed, *(stream_of(row.id) for row in rows))
        if streams != watch.streams:
            # The new one before the old one is left, so that the feed forgets no head.
            async with stack.pop_all():
                watch = await stack.enter_async_context(self._feed.following(self.reading.env["$tenant"], streams))
        moved = any(head.seq > row.seq for head, row in zip(watch.heads()[len(fixed) :], rows, strict=False))
        if moved or (self.state and watch.heads()[0].seq > self.state.seq):
            watch.moved.set()
        return watch

    async def _wait(self, watch: Watch) -> None:
        limit = RESTLESS if self.reading.frames.is_restless else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await watch.moved.wait()

    def _note_access(self, watch: Watch) -> None:
        seq = watch.heads()[1].seq
        if seq != self.access:
            self.access = seq
            self._call()

    def _call(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class LiveQueries:
    """All live queries of a process."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._queries: dict[Hashable, LiveQuery] = {}

    def join(self, key: Hashable, reading: LiveReading) -> LiveQuery:
        """The query of all who follow the same, which this key tells; begun with this reading if it is new."""
        query = self._queries.get(key)
        if query is None or query.failure is not None:
            query = self._queries[key] = LiveQuery(self._feed, reading)
        query.members += 1
        return query

    def leave(self, key: Hashable, query: LiveQuery) -> None:
        """The last who leaves ends it."""
        query.members -= 1
        if not query.members:
            query.close()
            if self._queries.get(key) is query:
                del self._queries[key]
