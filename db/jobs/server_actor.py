"""The server as an actor: who the audit trail names when nobody asked."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from db.access import Caller
from db.identifiers import new_id

NAME: Final = "modelbox"
"""The service account that acts when nobody asked. It has no token and no role: nobody can sign in as it."""

HIRE = """
    INSERT INTO actor (tenant_id, id, kind, name, description, created_at)
    VALUES ($1, $2, 'SERVICE_ACCOUNT', $3, 'The server itself, when nobody asked.', $4) ON CONFLICT DO NOTHING
"""
WHO = "SELECT id FROM actor WHERE tenant_id = $1 AND kind = 'SERVICE_ACCOUNT' AND name = $2"


async def of(connection: asyncpg.Connection[Any], tenant: UUID, now: datetime) -> Caller:
    """The server as an actor of a tenant, made when it first acts there."""
    actor = await connection.fetchval(WHO, tenant, NAME)
    if actor is None:
        await connection.execute(HIRE, tenant, new_id(), NAME, now)
        actor = await connection.fetchval(WHO, tenant, NAME)
    return Caller(tenant, actor, NAME, "SERVICE_ACCOUNT", {})
