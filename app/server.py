"""One process that serves: uvicorn, the application, its database connections, and their end in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import uvicorn
import uvloop

from app.connections import Config, HttpConnection, SocketConnection
from app.health import Readiness
from app.main import create_app
from db.engine import Database

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from app.settings import Settings
    from app.workers import Assignment

CLOSE_SECONDS: Final = 5.0
COLLECT_AFTER: Final = (50_000, 20, 50)
"""Objects until the collector looks at the young ones; then how often at those until it looks at older ones."""

KEEP_ALIVE_SECONDS: Final = 75
"""Longer than the 60 s of common load balancers, so that it is they who close an idle connection."""


def run(
    assignment: Assignment,
    sockets: Sequence[socket.socket],
    *,
    signals: Sequence[signal.Signals],
    when_ready: Callable[[], None],
    is_over: Callable[[], bool] = lambda: False,
) -> None:
    """Serve until one of the signals comes, or `is_over`. The sockets are closed at the end."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(assignment, sockets, _Ends(signals, when_ready, is_over)))


@dataclass(frozen=True)
class _Ends:
    """How serving begins to be over, and whom to tell that it has begun."""

    signals: Sequence[signal.Signals]
    when_ready: Callable[[], None]
    is_over: Callable[[], bool]


async def _serve(assignment: Assignment, sockets: Sequence[socket.socket], ends: _Ends) -> None:
    settings = assignment.settings
    database = await Database.connect(
        assignment.dsn,
        size=settings.database_pool_size,
        statement_timeout=settings.statement_timeout,
        role=assignment.role,
    )
    try:
        readiness = Readiness(database)
        app = create_app(settings, database, readiness)
        server = _Server(configured(app, settings), readiness, settings.drain_delay, ends)
        await server.serve(list(sockets))
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await database.close()


def configured(app: ASGIApp, settings: Settings) -> Config:
    """How uvicorn serves. It sends no pings of its own: those of the protocol show that the program behind lives."""
    return Config(
        app,
        http=HttpConnection,
        ws=SocketConnection,
        ws_max_size=settings.max_body_bytes,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_timeout),
    )


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it is ready and when it is draining."""

    def __init__(self, config: uvicorn.Config, readiness: Readiness, delay: float, ends: _Ends) -> None:
        super().__init__(config)
        self._readiness = readiness
        self._delay = delay
        self._ends = ends

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What is here now stays, so the collector need not look at it again; nor, every 700 objects, at what thousands
        # of sockets and their tasks hold: that took half of the time of a result that goes to 5 000 of them.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECT_AFTER)
        self._ends.when_ready()

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._ends.is_over()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._readiness.draining = True
        waited = 0.0
        while waited < self._delay and not self.force_exit:
            await asyncio.sleep(0.1)
            waited += 0.1
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals without raising them again at the end, as uvicorn does: ours is a clean end."""
        before = {each: signal.signal(each, self.handle_exit) for each in self._ends.signals}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
