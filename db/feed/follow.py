"""Following a stream: which numbers are there to be read next.

Numbers of a stream are dense, and their order is the order of commits (`db.transaction`), so seeing
the head at *n* means that all up to *n* can be read. Backlog and live are one path: look at the
head, hand out what is between it and the cursor, wait, look again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from db.engine import Database
from db.errors import CursorExpired, NotFound

BATCH: Final = 500  # numbers a frame
LOOK_INTERVAL: Final = 0.2  # seconds
HEARTBEAT_INTERVAL: Final = 20.0  # seconds

HEAD = """
    SELECT coalesce(h.seq, 0) AS seq, coalesce(h.min_seq, 0) AS min_seq, coalesce(h.epoch, i.epoch) AS epoch
    FROM (SELECT epoch FROM installation LIMIT 1) i
    LEFT JOIN stream_head h ON h.tenant_id = $1 AND h.stream_id = $2
"""
"""Where a stream stands, and from where on it is kept; before its first record it stands at 0."""

PLACE = "SELECT id, root_id, lineage FROM namespace WHERE tenant_id = $1 AND path = $2 AND visible"


@dataclass(frozen=True)
class Position:
    """A place in a stream: after which number, in which epoch."""

    epoch: int
    seq: int


@dataclass(frozen=True)
class Span:
    """Numbers to read: after one, up to another. `catching_up` when there are more behind it already."""

    epoch: int
    after: int
    upto: int
    catching_up: bool

    @property
    def is_empty(self) -> bool:
        """A heartbeat: nothing to read, only the cursor to be told."""
        return self.after == self.upto


@dataclass(frozen=True)
class Place:
    """A namespace to follow: its stream is its root's."""

    id: UUID
    root_id: UUID
    lineage: list[UUID]


async def place_of(database: Database, tenant_id: UUID, path: str) -> Place:
    """The namespace of a path.

    Raises:
        NotFound: there is none.
    """
    async with database.connection() as connection:
        row = await connection.fetchrow(PLACE, tenant_id, path)
    if row is None:
        raise NotFound(f"There is no namespace {path!r}, or you may not see it.", path=("namespace",))
    return Place(row["id"], row["root_id"], row["lineage"])


async def spans(database: Database, tenant_id: UUID, stream_id: UUID, after: Position | None) -> AsyncIterator[Span]:
    """What to read, for ever: first the backlog after a position, then what comes; from now on without one.

    The first span comes at once, though it may be empty: it tells the cursor.

    Raises:
        CursorExpired: the position is past retention, or of another epoch.
    """
    at, told = after, -HEARTBEAT_INTERVAL
    while True:
        async with database.connection() as connection:
            head = await connection.fetchrow(HEAD, tenant_id, stream_id)
        at = at or Position(head["epoch"], head["seq"])
        if at.epoch != head["epoch"] or not head["min_seq"] <= at.seq <= head["seq"]:
            raise CursorExpired(path=("after",))
        upto = min(head["seq"], at.seq + BATCH)
        if upto > at.seq or time.monotonic() - told >= HEARTBEAT_INTERVAL:
            yield Span(at.epoch, at.seq, upto, catching_up=upto < head["seq"])
            at, told = Position(at.epoch, upto), time.monotonic()
        if upto == head["seq"]:
            await asyncio.sleep(LOOK_INTERVAL)
