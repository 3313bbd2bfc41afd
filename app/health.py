"""Whether the process lives, whether it can serve, and its numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app import measures
from app.gateway import bearer_token
from db import migrate
from db.errors import Unavailable
from graphql_schema.errors import RequestError

if TYPE_CHECKING:
    from app.measures import Measures
    from db.access import Caller
    from db.engine import Database

PATIENCE: Final = 2.0
"""Seconds that the database has to answer: shorter than what those who ask us wait."""


@dataclass
class Readiness:
    """Whether requests should be sent here."""

    database: Database
    draining: bool = False

    async def obstacle(self) -> str | None:
        """What stands against it; None when nothing does."""
        if self.draining:
            return "draining"
        if self.database.in_use >= self.database.size:
            return None  # Busy is not away, and what is asked here should not wait in line.
        try:
            async with asyncio.timeout(PATIENCE), self.database.connection() as connection:
                return None if await migrate.is_migrated(connection) else "schema"
        except (Unavailable, TimeoutError, asyncpg.PostgresError):  # It may answer, and yet be broken.
            return "database"


def health_routes(readiness: Readiness) -> list[BaseRoute]:
    """What may be asked by everyone."""

    async def alive(_request: Request) -> Response:
        return _json({"status": "ok"})

    async def ready(_request: Request) -> Response:
        obstacle = await readiness.obstacle()
        if obstacle:
            return _json({"status": "not ready", "obstacle": obstacle}, 503)
        return _json({"status": "ready"})

    return [Route("/healthz", alive, name="healthz"), Route("/readyz", ready, name="readyz")]


def metrics_routes(
    numbers: Measures, database: Database, sign_in: Callable[[str | None], Awaitable[Caller]]
) -> list[BaseRoute]:
    """The numbers, for who may sign in: names of operations and their counts tell of the users' work."""

    async def metrics(request: Request) -> Response:
        try:
            await sign_in(bearer_token(request.headers))
        except RequestError as error:
            return _json({"errors": [error.formatted()]}, 401, {"WWW-Authenticate": "Bearer"})
        except Unavailable as error:
            return _json({"errors": [{"message": error.message, "extensions": {"code": error.code}}]}, 503)
        await numbers.sample(database)
        return Response(numbers.exposition(), headers={"Content-Type": measures.CONTENT_TYPE})

    return [Route("/metrics", metrics, name="metrics")]


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    stored = {"Cache-Control": "no-store", **(headers or {})}
    return Response(orjson.dumps(value), status, stored, media_type="application/json")
