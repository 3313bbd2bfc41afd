"""The floor: the same answers by hand-written SQL, asyncpg's pool as it comes, and nothing else.

It knows its three questions, checks no access, and reads no request body. Its JSON is built as one would by
hand: `json_agg` over records, which is the fastest of PostgreSQL's own ways.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from uuid import UUID

import asyncpg
import uvicorn

INSTANT = """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""
FIELDS = f"""
    'exp_' || replace(id::text, '-', '') AS id, name, owner, status, framework, external_id AS "externalId",
    "group", to_char(started_at, {INSTANT}) AS "startedAt", to_char(ended_at, {INSTANT}) AS "endedAt", revision
"""
# Fifty models of a namespace, ten versions of each, five artifacts and five metrics of each of those.
NESTED = """
SELECT json_build_object('data', json_build_object('namespace', json_build_object('models',
    json_build_object('nodes', coalesce(json_agg(m), '[]')))))::text
FROM (
    SELECT 'mod_' || replace(model.id::text, '-', '') AS id, model.name, v.versions
    FROM model CROSS JOIN LATERAL (
        SELECT json_build_object('nodes', coalesce(json_agg(v), '[]')) AS versions
        FROM (
            SELECT 'ver_' || replace(version.id::text, '-', '') AS id, version.version, a.artifacts, s.metrics
            FROM model_version version
            CROSS JOIN LATERAL (
                SELECT json_build_object('nodes', coalesce(json_agg(a), '[]')) AS artifacts
                FROM (
                    SELECT 'art_' || replace(id::text, '-', '') AS id, name, kind, status
                    FROM artifact
                    WHERE tenant_id = $1 AND object_id = version.id AND deleted_at IS NULL
                    ORDER BY name LIMIT 5
                ) a
            ) a
            CROSS JOIN LATERAL (
                SELECT json_build_object('nodes', coalesce(json_agg(s), '[]')) AS metrics
                FROM (
                    SELECT key, count, last, min, max
                    FROM series
                    WHERE tenant_id = $1 AND owner_id = version.id AND leg = 0
                    ORDER BY key LIMIT 5
                ) s
            ) s
            WHERE version.tenant_id = $1 AND version.model_id = model.id AND version.deleted_at IS NULL
            ORDER BY version.id DESC LIMIT 10
        ) v
    ) v
    WHERE model.tenant_id = $1 AND model.deleted_at IS NULL
        AND model.namespace_id = (SELECT id FROM namespace WHERE tenant_id = $1 AND path = $2 AND visible)
    ORDER BY model.id DESC LIMIT 50
) m
"""
# One experiment by its id.
ONE = f"""
SELECT json_build_object('data', json_build_object('experiment', row_to_json(e)))::text
FROM (SELECT {FIELDS} FROM experiment WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL) e
"""
# The newest fifty experiments of a namespace.
PAGE = f"""
SELECT json_build_object('data', json_build_object('experiments',
    json_build_object('nodes', coalesce(json_agg(e), '[]'))))::text
FROM (
    SELECT {FIELDS}, description, to_char(created_at, {INSTANT}) AS "createdAt"
    FROM experiment
    WHERE tenant_id = $1 AND deleted_at IS NULL
        AND namespace_id = (SELECT id FROM namespace WHERE tenant_id = $1 AND path = $2 AND visible)
    ORDER BY experiment.id DESC LIMIT 50
) e
"""
STATEMENTS: dict[str, tuple[str, Callable[[str], object]]] = {
    "nested": (NESTED, str),
    "one": (ONE, UUID),
    "page": (PAGE, str),
}
HEADERS = [(b"content-type", b"application/json")]
Message = MutableMapping[str, Any]


class Floor:
    """The ASGI application."""

    def __init__(self, dsn: str, tenant: UUID) -> None:
        self.dsn, self.tenant = dsn, tenant
        self.pool: asyncpg.Pool | None = None

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer `/question/argument`."""
        if scope["type"] == "lifespan":
            return await self._live(receive, send)
        _, name, argument = scope["path"].split("/", 2)
        statement, read = STATEMENTS[name]
        assert self.pool
        answer = (await self.pool.fetchval(statement, self.tenant, read(argument))).encode()
        length = (b"content-length", str(len(answer)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, length]})
        await send({"type": "http.response.body", "body": answer})
        return None

    async def _live(
        self, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        await receive()
        self.pool = await asyncpg.create_pool(self.dsn)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.pool.close()
        await send({"type": "lifespan.shutdown.complete"})


if __name__ == "__main__":
    address, tenant, port = os.environ["DATABASE_URL"], sys.argv[1], int(sys.argv[2])
    uvicorn.run(Floor(address, UUID(tenant)), port=port, access_log=False, log_level="warning")
