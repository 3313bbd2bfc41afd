"""A PostgreSQL for the tests of one process, and a migrated database of its own for each test."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from db import embedded, migrate, server_role
from db.embedded_folder import is_alive
from db.engine import Database

TEMPLATE = "template_modelbox"
EMPTY = "template1"
MEMORY = Path("/dev/shm")
ROOM = 4 << 30  # bytes free in it
PREFIX = "modelbox-tests-"


class Postgres:
    """The running PostgreSQL, and the databases in it."""

    def __init__(self, server: embedded.EmbeddedPostgres) -> None:
        self._server = server
        self._numbers = itertools.count(1)

    @contextlib.asynccontextmanager
    async def new_database(self, template: str = TEMPLATE) -> AsyncIterator[str]:
        """The address of a new database: a copy of `template`, dropped at the end."""
        name = f"test_{next(self._numbers)}"
        await self.run(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        try:
            yield self._server.dsn(name)
        finally:
            await self.run(f'DROP DATABASE "{name}" WITH (FORCE)')

    @contextlib.asynccontextmanager
    async def new_connections(self) -> AsyncIterator[Database]:
        """Connections to a new migrated database, as the server has them."""
        async with self.new_database() as dsn:
            database = await Database.connect(dsn, role=server_role.NAME)
            yield database
            await database.close()

    async def run(self, statement: str) -> None:
        """Run a statement about databases, outside them."""
        async with connected(self._server.dsn("postgres")) as connection:
            await connection.execute(statement)

    async def make_template(self) -> None:
        """Make the database that others are copies of."""
        await self.run(f'CREATE DATABASE "{TEMPLATE}"')
        dsn = self._server.dsn(TEMPLATE)
        await migrate.migrate(dsn)
        await migrate.prepare_installation(dsn)


@contextlib.asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """One connection of the driver, with nothing of ours on it."""
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Postgres]:
    """A PostgreSQL that forgets in a crash, which tests can afford; `folder` is for want of a faster one."""
    with contextlib.ExitStack() as stack:
        server = embedded.EmbeddedPostgres(stack.enter_context(in_memory()) or folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(embedded.SETTINGS, "fsync", "off")
            stack.enter_context(server)
        postgres = Postgres(server)
        asyncio.run(postgres.make_template())
        yield postgres


@contextlib.contextmanager
def in_memory() -> Iterator[Path | None]:
    """A folder in memory, where Linux has room: copying a database is five times faster there.

    Another run that was killed could not remove its own; it holds memory, so this one does.
    """
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM:
        yield None
        return
    for folder in MEMORY.glob(f"{PREFIX}*"):
        if not is_alive(int(folder.name.split("-")[-2])):
            shutil.rmtree(folder, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=MEMORY))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
