"""A seeded database, the same rows in memory, and the server's answers beside the reference's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import pytest
from graphql import DocumentNode, parse

from db import server_role
from db.access import Caller, Role
from db.engine import Database
from db.metrics.compact import compact
from graphql_schema.executor import Context, execute
from graphql_schema.schema import documents, sdl
from tests.differential import facets as _facets  # noqa: F401 - declares its part of the reference
from tests.differential import files as _files  # noqa: F401 - declares its part of the reference
from tests.differential import measured as _measured  # noqa: F401 - declares its part of the reference
from tests.differential.reference import answer, reference_schema
from tests.differential.seed import Row, Seed, rivals
from tests.differential.sight import Sight
from tests.differential.storage import CALLS
from tests.differential.store import Store, fill
from tests.postgres import Postgres

SCHEMA = reference_schema(sdl())
SEED = Seed(1)


COMPACTED = sorted({row["owner_id"] for row in SEED.rows["metric_batch"]})[::2]
"""Objects some of whose points were moved into segments."""


def batches(*, late: bool) -> list[Row]:
    """Rows of the tail: those that came before a compaction, and those after it."""
    return [row for row in SEED.rows["metric_batch"] if (row["seq"] % CALLS == 0) is late]


@dataclass(frozen=True)
class Pair:
    """The server and the reference over the same rows, for one caller."""

    database: Database
    store: Store
    caller: Caller

    @property
    def sight(self) -> Sight:
        return Sight(self.store, self.caller.scope, self.caller.actor_id)

    def by(self, scope: list[UUID] | None) -> Pair:
        """The same rows for a caller with a role on these namespaces alone."""
        grants: dict[UUID | None, Role] = {None: Role.READER} if scope is None else dict.fromkeys(scope, Role.READER)
        caller = Caller(self.caller.tenant_id, self.caller.actor_id, "caller", "USER", grants)
        return Pair(self.database, self.store, caller)

    async def actual(self, text: str, variables: dict[str, Any]) -> Any:
        """The server's data. Raises RequestErrors when it refuses."""
        context = Context(self.database, self.caller, "differential")
        response = orjson.loads(await execute(documents.prepare(text), variables, context))
        assert "errors" not in response, response
        return response["data"]

    def expected(self, document: str | DocumentNode, variables: dict[str, Any]) -> Any:
        """The reference's data."""
        parsed = parse(document) if isinstance(document, str) else document
        return answer(SCHEMA, parsed, variables, self.sight)


@pytest.fixture(scope="session")
async def pair(postgres: Postgres) -> AsyncIterator[Pair]:
    """The seeded rows, seen by somebody with a role in the whole tenant."""
    async with postgres.new_database() as dsn:
        owner = await Database.connect(dsn)
        async with owner.connection() as connection:
            await fill(connection, {**SEED.rows, "metric_batch": batches(late=False)})
            await fill(connection, rivals(SEED.rows, UUID(int=7)))
        for owner_id in COMPACTED:
            await compact(owner, SEED.tenant, owner_id)
        async with owner.connection() as connection:
            await fill(connection, {"metric_batch": batches(late=True)})
            await connection.execute("ANALYZE")
            store = await Store.load(connection, SEED.tenant, SEED.points)
        await owner.close()
        database = await Database.connect(dsn, role=server_role.NAME)
        actor = SEED.rows["actor"][0]["id"]
        yield Pair(database, store, Caller(SEED.tenant, actor, "caller", "USER", {None: Role.ADMIN}))
        await database.close()
