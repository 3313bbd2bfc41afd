"""The life of a server: take the port, begin PostgreSQL, serve, and end all in the reverse order."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

import structlog

from app import database, listening, logs, workers
from app.workers import Assignment
from db import access
from db.engine import Database

if TYPE_CHECKING:
    from app.database import Place
    from app.settings import Settings

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STEADY_SECONDS: Final = 5.0
"""A PostgreSQL that died sooner after its start will not be begun again: it would die again."""

log = structlog.get_logger("modelbox.process")


class Exposed(Exception):
    """Others could reach the server, and nobody could be told apart."""


class PostgresDied(Exception):
    """The embedded PostgreSQL ends as soon as it is begun."""


def serve(settings: Settings) -> None:
    """Serve until a signal comes. Call it on the main thread.

    An embedded PostgreSQL that dies is begun again, and the serving processes with it.
    """
    with _terminable(), _taken(settings) as sockets:
        is_first = True
        while True:
            began = time.monotonic()
            with database.begun(settings) as place:
                _serve_once(settings, place, sockets, _announcement(settings, place, sockets, loud=is_first))
                if place.lives():
                    return
            if time.monotonic() - began < STEADY_SECONDS:
                raise PostgresDied(
                    f"The embedded PostgreSQL ended unexpectedly. Its log is {settings.data_dir / 'postgres.log'}."
                )
            log.error("postgres died; starting it again")
            is_first = False


def _serve_once(settings: Settings, place: Place, sockets: list[socket.socket], announce: Callable[[], None]) -> None:
    """Serve with one PostgreSQL, for as long as it lives."""
    role = asyncio.run(_prepare(settings, place))
    assignment = Assignment(settings, place.dsn, role)
    if settings.workers > 1:
        with _counting_folder(settings) as folder:
            workers.supervise(
                assignment,
                sockets,
                folder=folder,
                when_ready=announce,
                is_over=lambda: not place.lives(),
            )
        return
    from app import server  # noqa: PLC0415 - a parent of workers needs none of what it loads

    server.run(
        assignment,
        [each.dup() for each in sockets],  # uvicorn closes them, and we may need them again.
        signals=SIGNALS,
        when_ready=announce,
        is_over=lambda: not place.lives(),
    )


async def _prepare(settings: Settings, place: Place) -> str | None:
    role = await database.prepare(place)
    why = "every request needs a token" if settings.auth == "required" else settings.exposed
    if why:
        with database.explained(place):
            await _expect_tokens(place, why)
    return role


async def _expect_tokens(place: Place, why: str) -> None:
    """Refuse to begin what nobody could sign in to. Raises Exposed."""
    connections = await Database.connect(place.dsn, size=1)
    try:
        if await access.has_tokens(connections):
            return
    finally:
        await connections.close()
    raise Exposed(
        f"No token is stored, and {why}, so nobody could be told apart. Make a token first: "
        "`modelbox-server token create admin --role ADMIN`; or serve this machine alone: "
        "`modelbox-server serve --host 127.0.0.1`."
    )


def _announcement(settings: Settings, place: Place, sockets: list[socket.socket], *, loud: bool) -> Callable[[], None]:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"http://{host}:{listening.port_of(sockets)}{settings.base_path}"

    def announce() -> None:
        if loud and not logs.is_json(settings):
            line = f"ModelBox is ready on {address} (data in {place.shown}). Press Ctrl-C to stop."
            print(line, file=sys.stderr, flush=True)  # noqa: T201 - the one line for people
        else:
            log.info("ready", address=address, data=place.shown, workers=settings.workers)

    return announce


@contextlib.contextmanager
def _taken(settings: Settings) -> Iterator[list[socket.socket]]:
    sockets = listening.take(settings.host, settings.port)
    try:
        yield sockets
    finally:
        listening.release(sockets)


@contextlib.contextmanager
def _counting_folder(settings: Settings) -> Iterator[Path]:
    """A folder for what the workers count, emptied of what workers before them left."""
    folder = settings.data_dir.absolute() / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the start as Ctrl-C does: by unwinding, not by dropping dead."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
