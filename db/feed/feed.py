"""The feed of a process: where the streams stand that somebody here follows.

Numbers of a stream are dense, and their order is the order of commits (`db.transaction`), so seeing a head at *n* means
that all up to *n* can be read. One task looks at heads, for everybody: at those that a hint names at once, at all of
them every second. Hints (of this process's own commits, and by the bus of other processes') carry no data and may be
lost: then a second passes until the look. While nobody follows anything, there is no task.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from typing import Final
from uuid import UUID

import structlog

from db.engine import Database
from db.errors import DomainError, Unavailable
from db.feed.bus import Bus, Outbox
from db.feed.position import Head

LOOK_INTERVAL: Final = 1.0  # seconds between two looks at all heads
PAUSE: Final = 0.001  # seconds between any two looks: what is committed meanwhile is seen by one
PATIENCE: Final = 1.0  # seconds until the next look when the database is away

MOVED = """
    SELECT f.stream_id, coalesce(h.seq, 0) AS seq, coalesce(h.min_seq, 0) AS min_seq,
        coalesce(h.epoch, i.epoch) AS epoch
    FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[])
        AS f(tenant_id, stream_id, seq, min_seq, epoch)
    CROSS JOIN (SELECT epoch FROM installation LIMIT 1) i
    LEFT JOIN stream_head h ON h.tenant_id = f.tenant_id AND h.stream_id = f.stream_id
    WHERE (coalesce(h.seq, 0), coalesce(h.min_seq, 0), coalesce(h.epoch, i.epoch)) IS DISTINCT FROM
        (f.seq, f.min_seq, f.epoch)
"""
"""The heads that are not as they were seen last; a stream without any record stands at 0."""

UNSEEN: Final = Head(-1, -1, -1)

log = structlog.get_logger(__name__)


class Watch:
    """The streams that one reader follows. `moved` is set when one of them has moved; the reader clears it."""

    def __init__(self, feed: Feed, tenant_id: UUID, streams: Sequence[UUID]) -> None:
        self._feed = feed
        self.tenant_id = tenant_id
        self.streams = tuple(streams)
        self.moved = asyncio.Event()

    def heads(self) -> list[Head]:
        """Where each stream stood at the last look."""
        return [self._feed.head(stream) for stream in self.streams]

    async def look(self) -> None:
        """Return when all of them have been looked at, from now on.

        Raises:
            Unavailable: the database does not answer.
        """
        await self._feed.look(self.streams)


class _Followed:
    """A stream that somebody follows."""

    __slots__ = ("head", "tenant_id", "watches")

    def __init__(self, tenant_id: UUID) -> None:
        self.tenant_id = tenant_id
        self.head = UNSEEN
        self.watches: set[Watch] = set()


class Feed:
    """Looks at heads for all followers of a process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._followed: dict[UUID, _Followed] = {}
        self._dirty: set[UUID] = set()
        self._asking: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self.is_blind = False
        """Whether the last look failed: nobody knows where streams stand now."""

    @contextlib.asynccontextmanager
    async def following(self, tenant_id: UUID, streams: Sequence[UUID]) -> AsyncIterator[Watch]:
        """A watch over streams of a tenant, which have been looked at once.

        Raises:
            Unavailable: the database does not answer.
        """
        watch = Watch(self, tenant_id, streams)
        for stream in watch.streams:
            self._followed.setdefault(stream, _Followed(tenant_id)).watches.add(watch)
        if self._looking is None:
            self._database.committed.listeners.append(self._on_commit)
            self._looking = asyncio.create_task(self._look_for_ever())
        try:
            await watch.look()
            watch.moved.clear()
            yield watch
        finally:
            self._leave(watch)

    def head(self, stream: UUID) -> Head:
        """Where a followed stream stood at the last look."""
        return self._followed[stream].head

    def hint(self, streams: Iterable[UUID] | None = None) -> None:
        """These streams may have moved; all of them may have, when nobody knows which."""
        dirty = self._followed.keys() if streams is None else self._followed.keys() & set(streams)
        if dirty:
            self._dirty |= dirty
            self._wake.set()

    async def look(self, streams: Iterable[UUID]) -> None:
        """Return when these streams have been looked at, from now on.

        Raises:
            Unavailable: the database does not answer.
        """
        done = asyncio.get_running_loop().create_future()
        self._asking.append(done)
        self.hint(streams)
        await done

    @contextlib.asynccontextmanager
    async def connected(self, bus: Bus) -> AsyncIterator[None]:
        """Hear of other processes' commits, and let them hear of this one's, while the block runs."""
        outbox = Outbox(bus)
        hearing = asyncio.create_task(bus.hear(self.hint))
        self._database.committed.listeners.append(outbox.add)
        try:
            yield
        finally:
            self._database.committed.listeners.remove(outbox.add)
            await outbox.close()
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)

    def _on_commit(self, _tenant_id: UUID, streams: Collection[UUID]) -> None:
        self.hint(streams)

    def _leave(self, watch: Watch) -> None:
        for stream in watch.streams:
            followed = self._followed[stream]
            followed.watches.discard(watch)
            if not followed.watches:
                del self._followed[stream]
        if not self._followed and self._looking is not None:
            self._database.committed.listeners.remove(self._on_commit)
            self._looking.cancel()
            self._looking = None
            self._dirty.clear()

    async def _look_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + LOOK_INTERVAL
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
            if loop.time() >= due:
                due = loop.time() + LOOK_INTERVAL
                self._dirty.update(self._followed)
            await asyncio.sleep(PAUSE if await self._look() else PATIENCE)

    async def _look(self) -> bool:
        """Look at all that are dirty; whether that was possible."""
        self._wake.clear()
        dirty, self._dirty = self._dirty & self._followed.keys(), set()
        asking, self._asking = self._asking, []
        try:
            await self._read(list(dirty))
        except Exception as error:
            # Whoever waits is told; without this task nobody would be told of anything again.
            if not isinstance(error, DomainError):
                log.exception("heads of streams could not be read")
            self._dirty |= dirty
            self.is_blind = True
            _tell(asking, error if isinstance(error, DomainError) else Unavailable())
            return False
        self.is_blind = False
        _tell(asking, None)
        return True

    async def _read(self, streams: Sequence[UUID]) -> None:
        if not streams:
            return
        known = [self._followed[stream] for stream in streams]
        async with self._database.connection() as connection:
            moved = await connection.fetch(
                MOVED,
                [each.tenant_id for each in known],
                streams,
                [each.head.seq for each in known],
                [each.head.min_seq for each in known],
                [each.head.epoch for each in known],
            )
        for row in moved:
            self._move(row["stream_id"], Head(row["seq"], row["min_seq"], row["epoch"]))

    def _move(self, stream: UUID, head: Head) -> None:
        # Whoever followed it may have left during the look.
        followed = self._followed.get(stream)
        if followed is not None:
            followed.head = head
            for watch in followed.watches:
                watch.moved.set()


def _tell(asking: Sequence[asyncio.Future[None]], error: Exception | None) -> None:
    for waiting in asking:
        if waiting.done():
            continue
        if error is None:
            waiting.set_result(None)
        else:
            waiting.set_exception(error)
