"""Background work done at once, by whoever asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from db.engine import Database

Find = Callable[[Database, datetime], Awaitable[Sequence[str]]]
Do = Callable[[Database, str, datetime], Awaitable[int]]


async def done(find: Find, do: Do, database: Database, now: datetime) -> int:
    """Do all that is due; returns how much it was."""
    return sum([await do(database, piece, now) for piece in await find(database, now)])
