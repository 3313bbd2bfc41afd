"""Notices when a token behind open sockets and streams is revoked or expires."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

import structlog

from db.access import Caller
from db.errors import DomainError

log = structlog.get_logger("modelbox.tokens")

AWAY_SECONDS: Final = 1.0
"""Between two attempts while the database is away."""

EXPIRY_MARGIN: Final = 0.1
"""Seconds after its end at which a token is looked at."""


class Moving(Protocol):
    """Something whose moves are waited for."""

    moved: asyncio.Event


Following = Callable[[Caller], AbstractAsyncContextManager[Moving]]
"""Of a caller: what moves when roles or tokens change in their tenant."""


class TokenWatch:
    """Looks at a token when roles or tokens change in its tenant, in one task for all that was opened with it.

    It also looks after each interval, and when the token expires. Without `following`, which tells of changes, the
    interval is all there is.
    """

    def __init__(
        self, still_valid: Callable[[Caller], Awaitable[bool]], *, every: float, following: Following | None = None
    ) -> None:
        self._still_valid = still_valid
        self._every = every
        self._following = following or _nothing
        self._looking: dict[str | None, asyncio.Task[None]] = {}
        self._watching: dict[str | None, set[Callable[[], None]]] = {}

    def begin(self, caller: Caller, tell: Callable[[], None]) -> None:
        """Call `tell` when the caller's token is no longer good."""
        self._watching.setdefault(caller.token, set()).add(tell)
        looking = self._looking.get(caller.token)
        # One that is done has told all who were there, which this one was not.
        if looking is None or looking.done():
            self._looking[caller.token] = asyncio.create_task(self._look(caller))

    def end(self, caller: Caller, tell: Callable[[], None]) -> None:
        """Call it no more."""
        watching = self._watching.get(caller.token, set())
        watching.discard(tell)
        if not watching and caller.token in self._looking:
            del self._watching[caller.token]
            self._looking.pop(caller.token).cancel()

    async def _look(self, caller: Caller) -> None:
        valid = True
        while valid:
            try:
                async with self._following(caller) as watch:
                    while valid := await self._still_valid(caller):
                        await self._wait(caller, watch.moved)
                        watch.moved.clear()
            except DomainError:
                pass  # While the database is away or busy nobody can be told anything that needs the token.
            except Exception:
                # Without this task a token could be revoked, and what it opened would go on.
                log.exception("a token could not be looked at")
            if valid:
                await asyncio.sleep(min(self._every, AWAY_SECONDS))
        for tell in tuple(self._watching[caller.token]):
            tell()

    async def _wait(self, caller: Caller, moved: asyncio.Event) -> None:
        seconds = self._every
        if caller.expires_at is not None:
            seconds = min(seconds, max(0.0, (caller.expires_at - datetime.now(UTC)).total_seconds()) + EXPIRY_MARGIN)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await moved.wait()


@dataclass(frozen=True)
class _Still:
    moved: asyncio.Event = field(default_factory=asyncio.Event)


@contextlib.asynccontextmanager
async def _nothing(_caller: Caller) -> AsyncIterator[_Still]:
    yield _Still()
