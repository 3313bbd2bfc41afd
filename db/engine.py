"""Connections to PostgreSQL: a small pool that hands out the connection used last.

asyncpg's own pool resets a connection with a query at every release, which costs nearly half the
throughput of small reads. Nothing here leaves state behind on a connection (no session settings,
no temporary tables, no listeners), so there is nothing to reset but an open transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias
from uuid import UUID

import asyncpg
import orjson

from db.errors import Overloaded, TooSlow, Unavailable

if TYPE_CHECKING:
    from db.blobs.store import BlobStore

AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)
"""What a connection meets when PostgreSQL is away, restarting or full."""

DRIVER = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What the driver raises beside those."""

Connection: TypeAlias = "asyncpg.Connection[Any]"

STATEMENT_CACHE = 500
PATIENCE: Final = 2.0  # seconds that a request waits for a free connection
QUEUE: Final = 100  # requests that may wait, for each connection
ZERO: Final = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL's
MICROSECOND: Final = timedelta(microseconds=1)


class Committed:
    """Called after a commit with the tenant and the streams that it gave numbers in; tells all who listen."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[UUID, Collection[UUID]], None]] = []

    def __call__(self, tenant_id: UUID, streams: Collection[UUID]) -> None:
        """Tell them; none of them waits for anything."""
        for listener in self.listeners:
            listener(tenant_id, streams)


class Database:
    """At most `size` connections to one PostgreSQL, opened when first needed."""

    def __init__(self, dsn: str, *, size: int, statement_timeout: float, role: str | None) -> None:
        self._dsn = dsn
        self._size = size
        self._idle: deque[asyncpg.Connection[Any]] = deque()
        self._open: set[asyncpg.Connection[Any]] = set()
        self._free = asyncio.Semaphore(size)
        self._waiting = 0
        self.committed = Committed()
        self.blobs: BlobStore | None = None
        """Where files are kept; set by who opens it. See `db.blobs.store`."""
        self.verifying: dict[UUID, asyncio.Task[None]] = {}
        """Uploads whose bytes this process is looking through: see `db.blobs.verification`."""
        self.lanes: dict[UUID, Any] = {}
        """Of each tenant, the calls that share transactions: see `db.metrics.lane`."""
        self.longest_read = PATIENCE + statement_timeout
        """Seconds after which `read` on an open connection has ended by itself, one way or the other."""
        self._settings = {
            "application_name": "modelbox",
            "timezone": "UTC",
            "jit": "off",
            "statement_timeout": str(int(statement_timeout * 1000)),
            "idle_in_transaction_session_timeout": "60000",
            **({"role": role} if role else {}),
        }

    @classmethod
    async def connect(
        cls, dsn: str, *, size: int = 10, statement_timeout: float = 8.0, role: str | None = None
    ) -> Self:
        """A pool whose first connection is open. `statement_timeout` is in seconds.

        Raises:
            Unavailable: PostgreSQL does not answer.
        """
        database = cls(dsn, size=size, statement_timeout=statement_timeout, role=role)
        async with database.connection():
            return database

    async def dedicated(self) -> asyncpg.Connection[Any]:
        """A connection outside the pool, for who listens; the caller closes it.

        Raises:
            Unavailable: PostgreSQL does not answer.
        """
        return await self._new()

    async def close(self) -> None:
        """Close every connection; those in use end their statement first."""
        for connection in list(self._open):
            with contextlib.suppress(*AWAY, TimeoutError):
                await connection.close(timeout=5)
        self._open.clear()
        self._idle.clear()

    @property
    def in_use(self) -> int:
        """How many connections are working."""
        return len(self._open) - len(self._idle)

    @property
    def size(self) -> int:
        """The most connections that this pool opens."""
        return self._size

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        """A connection of one's own; an open transaction is rolled back at the end.

        Raises:
            Unavailable: PostgreSQL does not answer, or went away meanwhile.
            Overloaded: all connections are busy, and stay so.
            TooSlow: a statement passed the time limit.
        """
        await self._admit()
        try:
            connection = await self._take()
            try:
                yield connection
            except BaseException as error:
                _raise_named(error, connection)
                raise
            finally:
                self._give_back(connection)
        finally:
            self._free.release()

    async def read(self, statement: str, arguments: Sequence[Any]) -> Any:
        """The first column of a statement's first row.

        The same as by `connection()`, without the context manager, which would take as long as the
        rest of the pool.

        Raises:
            Unavailable, Overloaded, TooSlow: as `connection`.
        """
        await self._admit()
        try:
            connection = await self._take()
            try:
                return await connection.fetchval(statement, *arguments)
            except BaseException as error:
                _raise_named(error, connection)
                raise
            finally:
                self._give_back(connection)
        finally:
            self._free.release()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        """A connection inside a transaction: committed at the end, rolled back by an exception."""
        async with (
            self.connection() as connection,
            connection.transaction(),
        ):
            yield connection

    async def _admit(self) -> None:
        """Wait for a turn, but not long and not behind too many: who is refused early can go elsewhere."""
        if not self._free.locked():
            await self._free.acquire()
            return
        if self._waiting >= self._size * QUEUE:
            raise Overloaded
        self._waiting += 1
        try:
            async with asyncio.timeout(PATIENCE):
                await self._free.acquire()
        except TimeoutError as error:
            raise Overloaded from error
        finally:
            self._waiting -= 1

    async def _take(self) -> asyncpg.Connection[Any]:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._open.discard(connection)
        connection = await self._new()
        self._open.add(connection)
        return connection

    async def _new(self) -> asyncpg.Connection[Any]:
        # `max_cacheable_statement_size=0` lifts the limit of 15 kB, above which asyncpg would
        # silently prepare a statement anew each time.
        try:
            connection = await asyncpg.connect(
                self._dsn,
                server_settings=self._settings,
                statement_cache_size=STATEMENT_CACHE,
                max_cached_statement_lifetime=0,
                max_cacheable_statement_size=0,
                command_timeout=None,
                timeout=10,
            )
        except AWAY as error:
            raise Unavailable from error
        try:
            await _set_codecs(connection)
        except BaseException as error:
            connection.terminate()
            if isinstance(error, (*AWAY, *DRIVER)):  # It was there a moment ago.
                raise Unavailable from error
            raise
        return connection

    def _give_back(self, connection: asyncpg.Connection[Any]) -> None:
        if connection.is_closed():
            self._open.discard(connection)
            return
        if connection.is_in_transaction():
            # Somebody was cancelled in mid-transaction: cheaper to be safe than to be clever.
            self._open.discard(connection)
            connection.terminate()
            return
        self._idle.append(connection)


async def _set_codecs(connection: asyncpg.Connection[Any]) -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_encode, decoder=orjson.loads, format="text")
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", encoder=_microseconds, decoder=_moment, format="tuple"
    )


def _raise_named(error: BaseException, connection: asyncpg.Connection[Any]) -> None:
    """Raise an error of the driver by our name for it; all others are left to the caller."""
    if isinstance(error, asyncio.CancelledError):
        # The driver may be at a statement, a BEGIN say, whose end whoever gets the connection next would meet.
        connection.terminate()
    if isinstance(error, AWAY):
        raise Unavailable from error
    if isinstance(error, asyncpg.QueryCanceledError):
        raise TooSlow from error
    if isinstance(error, asyncpg.InternalClientError):
        # The driver has lost its place, as when the server's last words came in between; it would not find it again.
        connection.terminate()
        raise Unavailable from error
    # Of a connection that breaks in mid-statement, or while a transaction is rolled back because it broke, the driver
    # says many things. The same errors on one that lives, such as of arguments of the wrong type, are ours to mend.
    if isinstance(error, DRIVER) and (connection.is_closed() or isinstance(error.__context__, AWAY)):
        raise Unavailable from error


def _encode(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()


def _microseconds(moment: datetime) -> tuple[int]:
    """PostgreSQL's count. asyncpg by itself makes infinity of the first and the last moment of its calendar."""
    return ((moment - ZERO) // MICROSECOND,)


def _moment(found: tuple[int]) -> datetime:
    return ZERO + found[0] * MICROSECOND
