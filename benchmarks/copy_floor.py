"""The floor of ingestion: a bare ASGI application that copies the points of a call into a table of rows.

It reads the same JSON columns, checks nothing, and forgets who sent them. One call is one binary COPY of a row for
each point, which commits by itself, over connections that are not reset between calls. The table has no index: there
is no cheaper way to keep rows.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Final

import asyncpg
import orjson
import uvicorn

TABLE: Final = "CREATE TABLE row (run text, key text, step bigint, wall_time bigint, value double precision)"
COLUMNS: Final = ("run", "key", "step", "wall_time", "value")
CONNECTIONS: Final = 10
"""As many as a ModelBox server opens."""
Message = MutableMapping[str, Any]


class CopyFloor:
    """The ASGI application."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.idle: asyncio.LifoQueue[asyncpg.Connection] = asyncio.LifoQueue()

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Store the body's points, then say so."""
        if scope["type"] == "lifespan":
            return await self._live(receive, send)
        call = orjson.loads(await _body(receive))
        connection = await self.idle.get()
        try:
            await connection.copy_records_to_table("row", records=_rows(call), columns=COLUMNS)
        finally:
            self.idle.put_nowait(connection)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})
        return None

    async def _live(
        self, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        await receive()
        for _ in range(CONNECTIONS):
            self.idle.put_nowait(await asyncpg.connect(self.dsn))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        while not self.idle.empty():
            await self.idle.get_nowait().close()
        await send({"type": "lifespan.shutdown.complete"})


async def _body(receive: Callable[[], Awaitable[Message]]) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message["body"])
        if not message["more_body"]:
            return b"".join(parts)


def _rows(call: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    run, steps, times = call["run"], call["steps"], call["wallTimes"]
    for key, values in call["values"].items():
        for step, time, value in zip(steps, times, values, strict=True):
            yield run, key, step, time, value


if __name__ == "__main__":
    address, port = os.environ["DATABASE_URL"], int(sys.argv[1])
    uvicorn.run(CopyFloor(address), port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning")
