"""A gateway on a real database, for the tests of the transports."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog

from app import logs
from app.gateway import Gateway
from db import access
from db.access import Caller
from db.engine import Database
from graphql_schema import schema
from graphql_schema.documents import Documents
from graphql_schema.errors import RequestError
from tests.app.tokens import stored_token
from tests.postgres import Postgres


@pytest.fixture(autouse=True)
def _logs_as_they_were(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands that run inside a test say where lines go, for the whole process: not for the next test."""
    monkeypatch.setattr(logs, "_write_access", logs._write_access)
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**before)
    logging.captureWarnings(False)
    root.handlers, root.level = handlers, level


@pytest.fixture(scope="session")
async def kept_database(postgres: Postgres) -> AsyncIterator[Database]:
    """One database for all tests that only read, or do not mind each other's rows."""
    async with postgres.new_connections() as database:
        yield database


@pytest.fixture(scope="session")
def gateway(kept_database: Database) -> Gateway:
    """A gateway as a laptop has it: who sends no token is the local user."""

    async def authenticate(token: str | None) -> Caller:
        if token is None:
            return await access.local_caller(kept_database)
        try:
            return await access.authenticate(kept_database, token)
        except access.Unauthenticated as error:
            raise RequestError("UNAUTHENTICATED", error.message) from None

    async def still_valid(caller: Caller) -> bool:
        return await access.is_valid(kept_database, caller)

    return Gateway(
        database=kept_database,
        documents=Documents(schema.graphql_schema, schema.registry),
        authenticate=authenticate,
        still_valid=still_valid,
    )


@pytest.fixture
async def token(kept_database: Database) -> AsyncIterator[str]:
    """A token of the local user."""
    async with stored_token(kept_database) as token:
        yield token
