"""What tests share: a PostgreSQL, and for each test a database that it may commit to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from db import server_role
from db.blobs.disk import open_disk
from db.engine import Database
from tests import postgres as embedded
from tests.s3 import server


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Postgres]:
    with embedded.running(tmp_path_factory.mktemp("postgres")) as postgres:
        yield postgres


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.S3Server]:
    """A server that speaks S3, with a bucket."""
    with server.serving(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
async def empty_dsn(postgres: embedded.Postgres) -> AsyncIterator[str]:
    """An empty database."""
    async with postgres.new_database(embedded.EMPTY) as dsn:
        yield dsn


@pytest.fixture
async def dsn(postgres: embedded.Postgres) -> AsyncIterator[str]:
    """A migrated database, as its owner."""
    async with postgres.new_database() as dsn:
        yield dsn


@pytest.fixture
async def database(dsn: str, tmp_path: Path) -> AsyncIterator[Database]:
    """Connections to `dsn` and a store of files, as the server has them."""
    database = await Database.connect(dsn, role=server_role.NAME)
    database.blobs = open_disk(tmp_path / "blobs")
    yield database
    await database.close()
