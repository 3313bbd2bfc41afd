"""Which PostgreSQL a command works on: one that was named, or the embedded one of the data folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from app.configuration import masked
from db import migrate
from db.embedded import EmbeddedPostgres, dsn_of_running
from db.engine import Database
from db.verbs import namespaces

if TYPE_CHECKING:
    from app.settings import Settings


class DatabaseUnreachable(Exception):
    """The database does not answer, or refuses."""


@dataclass(frozen=True)
class Place:
    """A PostgreSQL that answers. `lives` tells whether an embedded one still runs."""

    dsn: str
    shown: str
    lives: Callable[[], bool] = lambda: True


@contextlib.contextmanager
def begun(settings: Settings) -> Iterator[Place]:
    """The PostgreSQL of a server: an embedded one is begun, and ended with the block.

    Call it on the main thread, before there is an event loop. Raises EmbeddedError.
    """
    if settings.database_url:
        url = settings.database_url.get_secret_value()
        yield Place(url, masked(url))
        return
    with EmbeddedPostgres(settings.data_dir, settings.pg_bin) as postgres:
        yield Place(postgres.dsn(), str(settings.data_dir), lambda: postgres.pid is not None)


@contextlib.contextmanager
def borrowed(settings: Settings) -> Iterator[Place]:
    """The same for a command that may run beside a server: its embedded PostgreSQL is used, too."""
    running = None if settings.database_url else dsn_of_running(settings.data_dir)
    if running:
        yield Place(running, str(settings.data_dir))
        return
    with begun(settings) as place:
        yield place


@contextlib.contextmanager
def explained(place: Place) -> Iterator[None]:
    """Turn the driver's errors into a sentence that names the database, without its password."""
    try:
        yield
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DatabaseUnreachable(
            f"The database at {place.shown} cannot be used: {reason.rstrip('.')}. "
            "`modelbox-server doctor` looks for the cause."
        ) from error


async def prepare(place: Place) -> str | None:
    """Bring the schema up to date; the role that a server should take on.

    Raises DatabaseUnreachable and MigrationRefused.
    """
    with explained(place):
        await migrate.migrate(place.dsn)
        await migrate.prepare_installation(place.dsn)
        await _make_default_namespace(place.dsn)
        return await migrate.server_role(place.dsn)


async def _make_default_namespace(dsn: str) -> None:
    """So that who follows `changes`, or may write without being admin, finds it from the first minute."""
    database = await Database.connect(dsn, size=1)
    try:
        await namespaces.make_default(database)
    finally:
        await database.close()
