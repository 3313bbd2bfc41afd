"""The graph as a caller meets it: documents in, `data` out, over a real database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from db.access import Caller, Role
from db.engine import Database
from db.identifiers import new_id
from graphql_schema.executor import Context, execute
from graphql_schema.schema import documents

MAKE_NAMESPACE = "mutation ($path: String!) { createNamespace(input: {path: $path}) { created } }"
TENANT = "SELECT id FROM tenant WHERE name = $1"
NEW_TENANT = "INSERT INTO tenant (id, name, created_at) VALUES ($1, $2, now())"
NEW_ACTOR = "INSERT INTO actor (tenant_id, id, kind, name, created_at) VALUES ($1, $2, 'USER', $3, now())"
NEW_GRANT = """
    INSERT INTO role_grant (tenant_id, id, actor_id, namespace_id, role, created_at) VALUES ($1, $2, $3, $4, $5, now())
"""
PLACE = "SELECT id FROM namespace WHERE tenant_id = $1 AND path = $2 AND visible"


@dataclass(frozen=True)
class Graph:
    """Runs documents as one caller."""

    database: Database
    caller: Caller

    async def __call__(self, query: str, /, **variables: Any) -> dict[str, Any]:
        """The `data` of the response.

        Raises:
            RequestErrors: the request was refused as a whole.
        """
        context = Context(self.database, self.caller, "test-request")
        response = orjson.loads(await execute(documents.prepare(query), variables, context))
        assert "errors" not in response, response
        data: dict[str, Any] = response["data"]
        return data

    async def change(self, query: str, /, **variables: Any) -> dict[str, Any]:
        """The payload of a document's only mutation, which must not be refused."""
        (payload,) = (await self(query, **variables)).values()
        assert not payload.get("userErrors"), payload
        changed: dict[str, Any] = payload
        return changed

    async def refused(self, query: str, /, **variables: Any) -> dict[str, Any]:
        """The only error of a document's only mutation, which must be refused."""
        (payload,) = (await self(query, **variables)).values()
        (error,) = payload["userErrors"]
        refusal: dict[str, Any] = error
        return refusal

    def by(self, caller: Caller) -> Graph:
        """The same graph, as somebody else meets it."""
        return Graph(self.database, caller)


@dataclass(frozen=True)
class Callers:
    """Makes users with one role each."""

    admin: Graph

    async def __call__(self, role: Role | str, namespace: str | None = None, *, tenant: str = "default") -> Caller:
        """A new user with a role on a namespace and all below it (on the whole tenant without one).

        The namespace is made when it is missing, in the tenant `default`.
        """
        if namespace is not None:
            await self.admin.change(MAKE_NAMESPACE, path=namespace)
        held = Role[role] if isinstance(role, str) else role
        actor = new_id()
        name = f"{held.name.lower()}-{actor.hex[-6:]}"
        async with self.admin.database.connection() as connection:
            home: UUID = await connection.fetchval(TENANT, tenant) or new_id()
            if await connection.fetchval(TENANT, tenant) is None:
                await connection.execute(NEW_TENANT, home, tenant)
            await connection.execute(NEW_ACTOR, home, actor, name)
            place = await connection.fetchval(PLACE, home, namespace) if namespace else None
            await connection.execute(NEW_GRANT, home, new_id(), actor, place, held.name)
        return Caller(home, actor, name, "USER", {place: held})
