"""Background work as a queue of jobs in PostgreSQL: found from what is stored, claimed by one process, done once.

The queue is pgqueuer's; docs/decisions/0006 says why, and what it was made to leave out. It works on a connection of
its own, where it also listens. Nothing is put into it inside a transaction of ours.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import structlog
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence import qb
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import FailingListenerError, RetryRequested
from pgqueuer.domain.models import Job
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel

from db.engine import AWAY, Database
from db.errors import Overloaded, Unavailable
from db.jobs.names import CHANNEL, TABLES

log = structlog.get_logger("modelbox.jobs")

AT_ONCE: Final = 2
"""Jobs that a process does at the same time: they share its core with requests."""

LOST: Final = timedelta(seconds=30)
"""How long a process may say nothing of a job before another takes it up. It says something every half of that."""

LOOK: Final = timedelta(seconds=30)
"""Between two looks into the queue when nobody said that there was something new."""

PAUSE: Final = timedelta(seconds=1)
"""Between two looks while there is more to do than this process does at once."""

GRACE: Final = 2.0
"""Seconds that jobs under way get when the server ends. What is cancelled then is found and done again."""

RETRY: Final = timedelta(seconds=10)
LONGEST_RETRY: Final = timedelta(minutes=10)

# Given by name, because the library would else read them from the environment, `CHANNEL` and `FUNCTION` among them.
SETTINGS: Final = DBSettings(
    prefix="",
    db_schema=None,
    channel=Channel(CHANNEL),
    function="fn_pgqueuer_changed",
    queue_table=TABLES[0],
    queue_table_log=TABLES[1],
    schedules_table=TABLES[2],
    statistics_table=TABLES[3],
    queue_status_type="pgqueuer_status",
    trigger="tg_pgqueuer_changed",
    durability=Durability.durable,
    widen_id=False,
)


@dataclass(frozen=True)
class Work:
    """A kind of work: how its pieces are found and named, and how one is done.

    `find` looks at what is stored every `seconds`, in every process. A piece that waits or is being done already is
    not put into the queue again. `do` may be interrupted at any point, and called again.
    """

    name: str
    find: Callable[[Database, datetime], Awaitable[Sequence[str]]]
    do: Callable[[Database, str, datetime], Awaitable[Any]]
    seconds: float


class Queue:
    """The jobs of all processes, as one process takes part in them."""

    def __init__(self, database: Database, works: Sequence[Work]) -> None:
        self._database = database
        self.works = works
        self._queries: Queries | None = None

    @property
    def is_connected(self) -> bool:
        """Whether this process takes part now."""
        return self._queries is not None

    async def look(self, work: Work, now: datetime) -> None:
        """Put into the queue what is due, unless the queue is out of reach."""
        queries = self._queries
        if queries is None:
            return
        pieces = await work.find(self._database, now)
        if pieces:
            count = len(pieces)
            with _named_errors():
                await queries.enqueue(
                    [work.name] * count,
                    [piece.encode() for piece in pieces],
                    [0] * count,
                    dedupe_key=[f"{work.name} {piece}" for piece in pieces],
                    on_conflict="skip",
                )

    async def serve(self) -> None:
        """Do jobs until cancelled; those under way get a moment to end.

        Raises:
            Unavailable: the connection could not be had, or was lost.
        """
        connection = await self._database.dedicated()
        try:
            await _without_codecs(connection)
            self._queries = queries_on(connection)
            await self._work(self._queries, _end_of(connection))
        finally:
            self._queries = None
            with contextlib.suppress(*AWAY, TimeoutError):
                await connection.close(timeout=GRACE)

    async def _work(self, queries: Queries, lost: asyncio.Future[None]) -> None:
        manager = self._manager(queries)
        running = asyncio.create_task(
            manager.run(
                dequeue_timeout=LOOK,
                batch_size=1,
                max_concurrent_tasks=AT_ONCE,
                shutdown_on_listener_failure=True,
                heartbeat_timeout=LOST,
                log_aggregation_interval=timedelta(0),
            )
        )
        try:
            await asyncio.wait({running, lost}, return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                raise Unavailable
            with _named_errors():
                await running
        finally:
            manager.shutdown.set()
            await asyncio.wait({running}, timeout=GRACE)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def _manager(self, queries: Queries) -> QueueManager:
        manager = QueueManager(queries, channel=Channel(CHANNEL))
        manager.min_dequeue_poll_interval = PAUSE
        for work in self.works:
            manager.entrypoint(work.name, accepts_context=False)(self._handler(work))
        return manager

    def _handler(self, work: Work) -> Callable[[Job], Awaitable[None]]:
        """Does one job. One that fails is tried again, later each time: its cause may be gone by then."""

        async def handle(job: Job) -> None:
            piece = (job.payload or b"").decode()
            try:
                await work.do(self._database, piece, datetime.now(UTC))
            except (Unavailable, Overloaded) as error:  # /readyz says so.
                raise RetryRequested(RETRY, type(error).__name__) from error
            except Exception as error:
                log.exception("job failed", job=work.name, piece=piece, attempt=job.attempts + 1)
                delay = min(RETRY * 2 ** min(job.attempts, 10), LONGEST_RETRY)
                raise RetryRequested(delay, type(error).__name__) from error

        return handle


def queries_on(connection: asyncpg.Connection[Any]) -> Queries:
    """The library's statements, on a connection as the driver opens it."""
    return Queries(
        AsyncpgDriver(connection),
        qbe=qb.QueryBuilderEnvironment(SETTINGS),
        qbq=qb.QueryQueueBuilder(SETTINGS),
        qbs=qb.QuerySchedulerBuilder(SETTINGS),
    )


async def _without_codecs(connection: asyncpg.Connection[Any]) -> None:
    """Undo what the pool does to its connections: the library gives and expects JSON as text."""
    for name in ("jsonb", "timestamptz"):
        await connection.reset_type_codec(name, schema="pg_catalog")


def _end_of(connection: asyncpg.Connection[Any]) -> asyncio.Future[None]:
    """Done when the connection is lost: the library itself would not notice before its next look."""
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def note(_connection: Any) -> None:
        if not lost.done():
            lost.set_result(None)

    connection.add_termination_listener(note)
    return lost


@contextlib.contextmanager
def _named_errors() -> Iterator[None]:
    """Raises Unavailable for what a lost connection causes."""
    try:
        yield
    except (*AWAY, asyncpg.InterfaceError, asyncpg.InternalClientError, FailingListenerError) as error:
        raise Unavailable from error
