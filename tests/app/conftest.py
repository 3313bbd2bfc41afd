"""A gateway on a real database, for the tests of the transports."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.gateway import Gateway
from db import access, server_role
from db.access import Caller
from db.engine import Database
from graphql_schema import schema
from graphql_schema.documents import Documents
from graphql_schema.errors import RequestError
from tests.postgres import Postgres


@pytest.fixture(scope="session")
async def kept_database(postgres: Postgres) -> AsyncIterator[Database]:
    """One database for all tests that only read, or do not mind each other's rows."""
    async with postgres.new_database() as dsn:
        database = await Database.connect(dsn, role=server_role.NAME)
        yield database
        await database.close()


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
