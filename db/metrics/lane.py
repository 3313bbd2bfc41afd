"""Group commit: calls that log at the same time share one transaction, and each is answered after its commit.

While transactions run, the next calls gather; so the more there is to do, the larger the groups become. A lone call
waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg

from db.access import Caller
from db.engine import Database
from db.errors import DomainError, Overloaded, Unavailable
from db.metrics.append import Logged, append
from db.metrics.batch import Batch, batches
from db.transaction import Answer, Call, Finish, Transaction, answered

GROUPS: Final = 2
GROUP_CALLS: Final = 512
GROUP_POINTS: Final = 200_000
MOST_WAITING: Final = 4_096
"""Calls that may wait; more would be held in memory only to be told that it took too long."""


@dataclass
class Waiting:
    """A call that waits for its turn."""

    caller: Caller
    request_id: str
    call: Call
    batches: Sequence[Batch]
    answer: Answer
    finish: Finish | None
    done: asyncio.Future[str]

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody waits any more: they were told that it took too long, or left."""
        return self.done.cancelled()

    @property
    def point_count(self) -> int:
        """How many points it brings."""
        return sum(batch.point_count for batch in self.batches)


class Lane:
    """The calls of one tenant, group by group.

    Two groups may be under way: while PostgreSQL works for one, the calls of the other are read. The second is begun
    when as many wait as the first holds, or else a few early calls would always make a small one.
    """

    def __init__(self, database: Database, tenant_id: UUID) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._waiting: deque[Waiting] = deque()
        self._running: dict[asyncio.Task[None], int] = {}

    async def run(self, waiting: Waiting) -> str:
        """The answer to a call, once what it brought is durable.

        Raises:
            Overloaded: too many wait already.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise Overloaded
        self._waiting.append(waiting)
        self._begin()
        return await waiting.done

    def _begin(self) -> None:
        """Begin the next group, if there is enough for one."""
        sizes = [*self._running.values()]
        if self._waiting and len(sizes) < GROUPS and len(self._waiting) >= max(sizes, default=0):
            group = self._next_group()
            task = asyncio.create_task(self._run_group(group))
            self._running[task] = len(group)
            task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._begin()

    def _next_group(self) -> list[Waiting]:
        while self._waiting[0].is_abandoned and len(self._waiting) > 1:
            self._waiting.popleft()
        group = [self._waiting.popleft()]
        points = group[0].point_count
        while self._waiting and len(group) < GROUP_CALLS:
            points += self._waiting[0].point_count
            if points > GROUP_POINTS:
                break
            group.append(self._waiting.popleft())
        return group

    async def _run_group(self, group: Sequence[Waiting], *, is_wary: bool = False) -> None:
        """Answer all calls of a group. Where one spoils it for all, once more with a closer look at each.

        Where that does not find it, each half by itself, and so on.
        """
        try:
            await self._commit(group, is_wary=is_wary)
        except Exception as error:  # noqa: BLE001 - each caller is told
            if len(group) == 1 or not _is_of_one(error):
                for waiting in group:
                    _tell(waiting, error)
                return
            middle = len(group) // 2 if is_wary else len(group)
            for part in (group[:middle], group[middle:]):
                if left := [waiting for waiting in part if not waiting.is_abandoned]:
                    await self._run_group(left, is_wary=True)

    async def _commit(self, group: Sequence[Waiting], *, is_wary: bool) -> None:
        async with self._database.transaction() as connection:
            calls = [_logged(connection, waiting) for waiting in group]
            moved = await append(calls, is_wary=is_wary)
            answers = [await _answer(connection, *pair) for pair in zip(group, calls, strict=True)]
            first = calls[0].tx
            for call in calls[1:]:
                first.absorb(call.tx)
            await first.settle()
        self._database.committed(self._tenant_id, moved | first.moved)
        for waiting, answer in zip(group, answers, strict=True):
            _tell(waiting, answer)


def _is_of_one(error: Exception) -> bool:
    """Whether one call may have spoiled it for all.

    When the database went away, nobody knows what was stored. To send it again is for those who can tell a replay.
    """
    ours = ValueError | TypeError | LookupError | ArithmeticError
    return isinstance(error, DomainError | asyncpg.PostgresError | ours) and not isinstance(error, Unavailable)


def _logged(connection: asyncpg.Connection[Any], waiting: Waiting) -> Logged:
    tx = Transaction(connection, waiting.caller, waiting.call.role, waiting.request_id)
    arguments = waiting.call.arguments
    return Logged(tx, waiting.batches, arguments.get("writer"), arguments.get("sequence"))


async def _answer(connection: asyncpg.Connection[Any], waiting: Waiting, call: Logged) -> str | DomainError:
    if call.error is not None:
        return call.error
    return await answered(connection, call.result(), waiting.answer, waiting.finish)


def _tell(waiting: Waiting, outcome: str | Exception) -> None:
    if waiting.done.done():
        return  # Nobody waits any more.
    if isinstance(outcome, Exception):
        waiting.done.set_exception(outcome)
    else:
        waiting.done.set_result(outcome)


async def log(  # noqa: PLR0917 - a `Lane` of `db.transaction`
    database: Database, caller: Caller, request_id: str, call: Call, answer: Answer, finish: Finish | None
) -> str:
    """Store a call's points together with others that come meanwhile, and return its answer's JSON.

    Raises:
        DomainError: the call is refused, and nothing of it is written.
    """
    lane = database.lanes.get(caller.tenant_id)
    if lane is None:
        lane = database.lanes[caller.tenant_id] = Lane(database, caller.tenant_id)
    done = asyncio.get_running_loop().create_future()
    return await lane.run(Waiting(caller, request_id, call, batches(call.arguments), answer, finish, done))
