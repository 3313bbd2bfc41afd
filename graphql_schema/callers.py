"""Who holds a token now: looked up once for all who ask after the same change."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from db.access import Caller, authenticate
from db.engine import Database
from db.read.sql import Environment

MOST_KEPT: Final = 10_000
FRESH_SECONDS: Final = 20.0
"""After which a token is looked at again though nobody changed anything: it may have expired."""


@dataclass(frozen=True)
class _Looked:
    version: int
    at: float
    found: asyncio.Future[Caller]


def environment(caller: Caller, values: Mapping[str, Any]) -> Environment:
    """The variables, and what the caller brings to every statement."""
    return {
        **values,
        "$tenant": caller.tenant_id,
        "$scope": caller.scope,
        "$actor": caller.actor_id,
    }


class Callers:
    """Callers as their tokens and roles make them, after a version of all roles."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[str, _Looked] = OrderedDict()

    async def now(self, caller: Caller, version: int) -> Caller:
        """The caller with the roles of that version or a later one.

        Raises:
            Unauthenticated: the token stands no more.
            Unavailable: the database does not answer.
        """
        if caller.token is None:
            return caller
        loop = asyncio.get_running_loop()
        kept = self._kept.get(caller.token)
        if kept is None or kept.version < version or loop.time() - kept.at > FRESH_SECONDS or failed(kept.found):
            found = asyncio.ensure_future(authenticate(self._database, caller.token))
            found.add_done_callback(failed)  # nobody may be left to ask why
            kept = self._kept[caller.token] = _Looked(version, loop.time(), found)
            self._kept.move_to_end(caller.token)
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        # Shielded, because the one who asked first may leave before the others have their answer.
        return await asyncio.shield(kept.found)


def failed(found: asyncio.Future[Any]) -> bool:
    """Whether what was looked up came to nothing; with a look at the error, which the loop would else complain of."""
    return found.done() and (found.cancelled() or found.exception() is not None)
