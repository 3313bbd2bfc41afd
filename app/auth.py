"""Signing in: from a bearer token, or from being the only user of this machine, to a caller."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from app import telemetry
from db import access
from graphql_schema.errors import RequestError

if TYPE_CHECKING:
    from db.access import Caller
    from db.engine import Database

FRESH_SECONDS: Final = 1.0
"""How long a revoked token, or a role taken away, may still work."""

MOST_KEPT: Final = 10_000
HOW_TO_SIGN_IN: Final = (
    "Sign in: send the header `Authorization: Bearer mbx_…`, or the same in the payload of `connection_init`. "
    "`modelbox-server token create` makes a token."
)


class SignIn:
    """Finds who makes a request, and remembers it for a second.

    With `open_to_local_user`, a request without a token is the local user's for as long as no token
    is stored: whoever stores one means to tell people apart.
    """

    def __init__(self, database: Database, *, open_to_local_user: bool) -> None:
        self._database = database
        self._open = open_to_local_user
        self._looking: dict[str | None, asyncio.Future[Caller]] = {}
        self._kept: OrderedDict[str | None, tuple[float, Caller]] = OrderedDict()

    async def __call__(self, token: str | None) -> Caller:
        """The caller.

        Raises:
            RequestError: `UNAUTHENTICATED`.
            Unavailable: the database does not answer.
        """
        until, caller = self._kept.get(token, (0.0, None))
        if caller is None or until < time.monotonic():
            caller = await self._looked_up(token)
        telemetry.note_actor(caller.name)
        return caller

    async def _looked_up(self, token: str | None) -> Caller:
        """Found anew, once for all requests that want to know at the same time."""
        looking = self._looking.get(token)
        if looking is None:
            looking = self._looking[token] = asyncio.ensure_future(self._found(token))
            looking.add_done_callback(lambda done: self._remember(token, done))
        # Shielded, because the one who asked first may leave before the others have their answer.
        return await asyncio.shield(looking)

    def _remember(self, token: str | None, done: asyncio.Future[Caller]) -> None:
        self._looking.pop(token, None)
        if not done.cancelled() and done.exception() is None:
            self._keep(token, done.result())

    async def still_valid(self, caller: Caller) -> bool:
        """Whether the caller could sign in again now."""
        return await access.is_valid(self._database, caller)

    async def _found(self, token: str | None) -> Caller:
        try:
            if token is not None:
                return await access.authenticate(self._database, token)
            if self._open and not await access.has_tokens(self._database):
                return await access.local_caller(self._database)
        except access.Unauthenticated as error:
            raise RequestError("UNAUTHENTICATED", error.message) from None
        raise RequestError("UNAUTHENTICATED", HOW_TO_SIGN_IN)

    def _keep(self, token: str | None, caller: Caller) -> None:
        self._kept[token] = (time.monotonic() + FRESH_SECONDS, caller)
        self._kept.move_to_end(token)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
