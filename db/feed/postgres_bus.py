"""The bus by PostgreSQL itself: `LISTEN` and `NOTIFY`, on a connection that must not lead through a pooler."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any, Final

import asyncpg
import structlog

from db.engine import AWAY, DRIVER, Database
from db.errors import Unavailable
from db.feed.bus import Heard, read

CHANNEL: Final = "modelbox_feed"
CHECK_INTERVAL: Final = 15.0  # seconds: a connection that was cut silently is noticed
PATIENCE: Final = 5.0  # seconds that a statement may take
FIRST_WAIT: Final = 0.1  # seconds until the first attempt to connect again; each next one waits twice as long
LONGEST_WAIT: Final = 5.0

LOST: Final = (*AWAY, *DRIVER, TimeoutError, Unavailable)

log = structlog.get_logger(__name__)


class PostgresBus:
    """Hints as notifications of the database that all processes share."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: asyncpg.Connection[Any] | None = None
        self._turn = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether hints come and go."""
        return self._connection is not None

    async def send(self, text: str) -> None:
        """Notify; while there is no connection, others have to look by themselves."""
        with contextlib.suppress(*LOST):
            async with self._turn:
                if self._connection is not None:
                    await self._connection.execute("SELECT pg_notify($1, $2)", CHANNEL, text, timeout=PATIENCE)

    async def hear(self, heard: Heard) -> None:
        """Listen, and connect again for ever."""
        wait = FIRST_WAIT
        while True:
            try:
                connection = await self._database.dedicated()
                try:
                    await self._listen(connection, heard)
                    wait = FIRST_WAIT
                    await self._until_lost(connection)
                finally:
                    self._connection = None
                    connection.terminate()
            except LOST as error:
                log.info("hints of other processes are not heard; connecting again", reason=str(error), seconds=wait)
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            wait = min(wait * 2, LONGEST_WAIT)

    async def _listen(self, connection: asyncpg.Connection[Any], heard: Heard) -> None:
        own = connection.get_server_pid()

        def notified(_connection: object, pid: int, _channel: str, text: object) -> None:
            if pid != own:
                heard(read(str(text)))

        await connection.add_listener(CHANNEL, notified)
        self._connection = connection
        heard(None)

    async def _until_lost(self, connection: asyncpg.Connection[Any]) -> None:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        while not (lost.is_set() or connection.is_closed()):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_INTERVAL):
                    await lost.wait()
                    return
            async with self._turn:
                await connection.execute("SELECT 1", timeout=PATIENCE)
