"""Notices when a token behind open sockets and streams is revoked or expires."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from db.access import Caller
from db.errors import Unavailable


class TokenWatch:
    """Looks at each token once per interval, however many streams were opened with it, in one task for all of them."""

    def __init__(self, still_valid: Callable[[Caller], Awaitable[bool]], *, every: float) -> None:
        self._still_valid = still_valid
        self._every = every
        self._looking: dict[str | None, asyncio.Task[None]] = {}
        self._watching: dict[str | None, set[Callable[[], None]]] = {}

    def begin(self, caller: Caller, tell: Callable[[], None]) -> None:
        """Call `tell` when the caller's token is no longer good."""
        if caller.token not in self._looking:
            self._watching[caller.token] = set()
            self._looking[caller.token] = asyncio.create_task(self._look(caller))
        self._watching[caller.token].add(tell)

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
            await asyncio.sleep(self._every)
            # While the database is away nobody can be told anything that needs the token.
            with contextlib.suppress(Unavailable):
                valid = await self._still_valid(caller)
        for tell in tuple(self._watching[caller.token]):
            tell()
