"""Who follows a subscription: what they ask for, with whom they share it, and what they may see now."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping
from typing import Any, Final

from graphql import Visitor, visit
from graphql.language import VariableNode

from db.access import Caller
from db.engine import Database
from db.errors import Denied, NotFound
from db.read.sql import Environment
from graphql_schema.broadcast import Live, now
from graphql_schema.callers import FRESH_SECONDS, environment
from graphql_schema.live_query import LiveFrames
from graphql_schema.operation import Operation
from graphql_schema.subscriptions.stream import Frames, Target

TAKEN_AWAY: Final = "You may no longer read what you follow: your role there was taken away."


class Subscriber:
    """A caller with an operation and its variables. `target` is what these name, once that is found."""

    def __init__(
        self, live: Live, database: Database, caller: Caller, operation: Operation, values: Mapping[str, Any]
    ) -> None:
        self.live = live
        self.database = database
        self.caller = caller
        self.target: Target
        self._operation = operation
        self._values = values
        self._version = 0
        self._looked_at = 0.0
        self._may_see = False

    def frames(self) -> Frames | LiveFrames:
        """The subscription as it is compiled for those who may see as much."""
        return self._operation.frames(self._values, restricted=self.caller.scope is not None)

    def environment(self) -> Environment:
        """The variables, and what the caller brings to every statement."""
        return environment(self.caller, self._values)

    async def find(self, frames: Frames | LiveFrames) -> None:
        """Find what is followed.

        Raises:
            NotFound: there is no such thing in the caller's sight.
        """
        caller, env = self.caller, self.environment()
        key = (*self._asked(frames), sight(caller))
        self.target = await self.live.found(key, lambda: frames.find(self.database, caller, env))
        self.target.check_sight(caller)

    def key(self, frames: Frames | LiveFrames) -> Hashable:
        """Equal for all who are to be shown the same."""
        who = self.caller.actor_id if frames.is_personal else None
        return (*self._asked(frames), self.target, sight(self.caller), who)

    def is_old(self, version: int) -> bool:
        """Whether it has to be looked anew what the caller may see, when the roles are of this version."""
        return version != self._version or now() - self._looked_at > FRESH_SECONDS

    async def look(self, version: int) -> bool:
        """Find out what the caller may see now; whether it is something else.

        Raises:
            NotFound: they may not see what they want to follow.
            Denied: they may no longer see what they follow.
            Unauthenticated: the token stands no more.
        """
        caller = await self.live.callers.now(self.caller, version)
        try:
            self.target.check_sight(caller)
        except NotFound as error:
            if self._may_see:
                raise Denied(TAKEN_AWAY) from error
            raise
        self._may_see = True
        self._version, self._looked_at = version, now()
        before, self.caller = self.caller, caller
        return sight(caller) != sight(before)

    def _asked(self, frames: Frames | LiveFrames) -> tuple[Operation, bytes]:
        """What is asked for, but for where to begin."""
        begun_by = frames.begin if frames.begin and uses(self._operation, frames.begin) == 1 else None
        values = {name: value for name, value in self._values.items() if name != begun_by}
        written_values = repr(sorted(values.items())).encode("utf-8", "surrogatepass")
        return self._operation, hashlib.sha256(written_values).digest()


def uses(operation: Operation, variable: str) -> int:
    """How often an operation uses a variable: where it only says where to begin, it says so once."""
    counting = _Counting(variable)
    for node in (operation.definition.selection_set, *operation.fragments.values()):
        visit(node, counting)
    return counting.count


class _Counting(Visitor):
    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.count = 0

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        """Called by the library."""
        self.count += node.name.value == self._name


def sight(caller: Caller) -> Hashable:
    """What of a caller decides what they see."""
    return (caller.tenant_id, None if caller.scope is None else tuple(sorted(caller.scope)))
