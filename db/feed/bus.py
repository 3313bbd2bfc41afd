"""Hints between processes: which streams somebody has just committed to.

A hint carries no data. One that is lost costs a second at most, until the next look at the heads, so nothing here waits
for anything, or is tried twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final, Protocol
from uuid import UUID

INTERVAL: Final = 0.005  # seconds between two hints of a process
MOST_BYTES: Final = 7_900  # of a hint: PostgreSQL takes 7 999
DIGITS: Final = 32

Heard = Callable[[Iterable[UUID] | None], None]
"""Told of streams that may have moved; of all of them (None) after something may have been missed."""


class Bus(Protocol):
    """A way to the other processes."""

    async def send(self, text: str) -> None:
        """Let all others hear it, or nobody when the way is closed."""

    async def hear(self, heard: Heard) -> None:
        """Hear what others send, for ever; whatever happens to the way, it is opened anew."""


class Outbox:
    """Sends what this process commits to: at once, but not more than one hint in five milliseconds.

    Never in the writing transaction: `NOTIFY` there takes a lock that all commits of the database wait for.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: set[UUID] = set()
        self._sending: asyncio.Task[None] | None = None

    def add(self, _tenant_id: UUID, streams: Collection[UUID]) -> None:
        """These streams have new numbers."""
        self._waiting.update(streams)
        if self._waiting and self._sending is None:
            self._sending = asyncio.create_task(self._send())

    async def close(self) -> None:
        """Send what waits, and be done."""
        if self._sending is not None:
            await asyncio.gather(self._sending, return_exceptions=True)

    async def _send(self) -> None:
        try:
            while self._waiting:
                streams, self._waiting = self._waiting, set()
                for text in written(streams):
                    await self._bus.send(text)
                await asyncio.sleep(INTERVAL)
        finally:
            self._sending = None


def written(streams: Iterable[UUID]) -> Iterator[str]:
    """Streams as the texts of hints."""
    digits = [stream.hex for stream in streams]
    most = MOST_BYTES // DIGITS
    for begin in range(0, len(digits), most):
        yield "".join(digits[begin : begin + most])


def read(text: str) -> Sequence[UUID] | None:
    """The streams that a hint names; None, which means all of them, for what is no hint of ours."""
    with contextlib.suppress(ValueError):
        return [UUID(text[begin : begin + DIGITS]) for begin in range(0, len(text), DIGITS)]
    return None
