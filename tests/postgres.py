"""A PostgreSQL for the tests of one process, and a migrated database of its own for each test."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from db import embedded, migrate

TEMPLATE = "template_modelbox"
EMPTY = "template1"


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
        yield self._server.dsn(name)
        await self.run(f'DROP DATABASE "{name}" WITH (FORCE)')

    async def run(self, statement: str) -> None:
        """Run a statement about databases, outside them."""
        connection = await asyncpg.connect(self._server.dsn("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def make_template(self) -> None:
        """Make the database that others are copies of."""
        await self.run(f'CREATE DATABASE "{TEMPLATE}"')
        dsn = self._server.dsn(TEMPLATE)
        await migrate.migrate(dsn)
        await migrate.prepare_installation(dsn)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Postgres]:
    """A PostgreSQL that forgets in a crash, which tests can afford."""
    server = embedded.EmbeddedPostgres(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(embedded.SETTINGS, "fsync", "off")
        server.start()
    with server:
        postgres = Postgres(server)
        asyncio.run(postgres.make_template())
        yield postgres
