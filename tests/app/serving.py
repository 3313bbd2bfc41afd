"""An application behind a real socket, in the loop of its test."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from app import listening
from app.server import configured
from app.settings import Settings


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, *, stall_seconds: float = 20.0, **settings: Any) -> AsyncIterator[str]:
    """Serve on a free port of the loopback address, with connections as the server has them; `host:port`."""
    config = configured(app, Settings(shutdown_timeout=5, **settings))
    config.lifespan, config.stall_seconds = "off", stall_seconds
    server = uvicorn.Server(config)
    listener = listening.take("127.0.0.1", 0)[0]
    with listener:
        # asyncio leaves this out for a listener that it did not make: 40 ms between two small messages.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.create_task(server.serve([listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn offers nothing to wait for
            await asyncio.sleep(0.01)
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
