"""An application behind a real socket, in the loop of its test."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import uvicorn
from starlette.types import ASGIApp


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, ws_max_size: int = 8 * 1_048_576) -> AsyncIterator[str]:
    """Serve on a free port of the loopback address; `host:port`."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=5, ws_max_size=ws_max_size)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
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
