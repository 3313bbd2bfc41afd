"""How fast frames come: the argument `every` of subscriptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from db.access import Caller
from db.engine import Database
from db.read.sql import Environment
from graphql_schema.arguments import refused
from graphql_schema.fields import Argument
from graphql_schema.selection import Selected
from graphql_schema.subscriptions.stream import Find, Target

LONGEST: Final = 60_000
"""Milliseconds."""

Pause = Callable[[Environment], float]
"""The least number of seconds between two frames that are live. It refuses a number that is none."""


def every(least: int = 0) -> Argument:
    """The argument; `least` is also what it is when absent."""
    text = f"At most one frame in so many milliseconds, {least} to {LONGEST}; what comes meanwhile is in the next."
    return Argument("every", int, text, least)


def pause_of(selected: Selected, least: int = 0) -> Pause:
    """What the argument says."""
    value = selected.arguments["every"]

    def pause(env: Environment) -> float:
        milliseconds: int = value.get(env)
        if not least <= milliseconds <= LONGEST:
            raise refused(f"must be from {least} to {LONGEST} milliseconds; got {milliseconds}.", value.path)
        return milliseconds / 1_000

    return pause


def paced(find: Find, pause: Pause) -> Find:
    """The same, after a look at the pace."""

    async def found(database: Database, caller: Caller, env: Environment) -> Target:
        pause(env)
        return await find(database, caller, env)

    return found
