"""Notices when a token behind open sockets is revoked or expires."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from db.access import Caller
from db.errors import Unavailable


class TokenWatch:
    """Looks at each token once per interval, however many sockets were opened with it."""

    def __init__(self, still_valid: Callable[[Caller], Awaitable[bool]], *, every: float) -> None:
        self._still_valid = still_valid
        self._every = every
        self._looking: dict[str | None, asyncio.Task[None]] = {}
        self._sockets: dict[str | None, int] = {}

    async def until_invalid(self, caller: Caller) -> None:
        """Return when the caller's token is no longer good."""
        token = caller.token
        self._sockets[token] = self._sockets.get(token, 0) + 1
        if token not in self._looking:
            self._looking[token] = asyncio.create_task(self._look(caller))
        looking = self._looking[token]
        try:
            await asyncio.shield(looking)
        finally:
            self._leave(token, looking)

    def _leave(self, token: str | None, looking: asyncio.Task[None]) -> None:
        self._sockets[token] -= 1
        if not self._sockets[token]:
            del self._sockets[token], self._looking[token]
            looking.cancel()

    async def _look(self, caller: Caller) -> None:
        valid = True
        while valid:
            await asyncio.sleep(self._every)
            # While the database is away nobody can be told anything that needs the token.
            with contextlib.suppress(Unavailable):
                valid = await self._still_valid(caller)
