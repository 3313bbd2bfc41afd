"""How both transports run an operation: within its time, and with our own faults masked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

import orjson
import structlog
from starlette.types import Scope

from app.gateway import Gateway, address_of
from app.graphql_request import GraphQLRequest
from db.access import Caller
from db.errors import Unavailable
from graphql_schema import executor
from graphql_schema.errors import RequestError, RequestErrors
from graphql_schema.operation import Operation

logger: Final = structlog.get_logger(__name__)

RETRY_AFTER: Final = 2
"""Seconds after which to try again, when nobody knows better."""


async def answer(  # noqa: PLR0917
    gateway: Gateway, operation: Operation, request: GraphQLRequest, caller: Caller, request_id: str, scope: Scope
) -> bytes:
    """The complete result of a query or mutation. `scope` is of the request, or of its socket.

    Raises:
        RequestError: `LIMIT_EXCEEDED`, it takes too long.
    """
    context = gateway.context(caller, request_id, address_of(scope))
    seconds = gateway.limits.execution_seconds
    if operation.kind == "query" and seconds >= gateway.database.longest_read:
        # It ends in time by itself, by the database's clock; a second one would cost a tenth of a small read.
        return await executor.execute(operation, request.variables, context)
    try:
        async with asyncio.timeout(seconds) as limit:
            return await executor.execute(operation, request.variables, context)
    except TimeoutError:
        if not limit.expired():
            raise
        raise _too_slow(operation.kind, seconds, request_id) from None


def refusals(error: Exception, request_id: str) -> Sequence[RequestError]:
    """What the caller is told about an exception; ours are logged here and shown as an id only."""
    if isinstance(error, RequestErrors):
        return error.errors
    if isinstance(error, RequestError):
        return [error]
    if isinstance(error, Unavailable):
        return [_away(request_id)]
    logger.error("operation failed", request_id=request_id, exc_info=error)
    return [
        RequestError(
            "INTERNAL_SERVER_ERROR",
            "The server failed to answer. Its log says why, under the id in `requestId`.",
            extensions={"requestId": request_id},
        )
    ]


def dump_errors(errors: Sequence[RequestError]) -> bytes:
    """The errors as a JSON list."""
    entries: list[dict[str, Any]] = [error.formatted() for error in errors]
    try:
        return orjson.dumps(entries)
    except orjson.JSONEncodeError:
        # A message may quote half a surrogate pair, which only this encoder can escape.
        return json.dumps(entries).encode()


def _away(request_id: str) -> RequestError:
    return RequestError(
        "SERVICE_UNAVAILABLE",
        "The database does not answer at the moment. Nothing was changed unless you were told so; try again.",
        extensions={"requestId": request_id, "retryAfter": RETRY_AFTER},
    )


def _too_slow(kind: str, seconds: float, request_id: str) -> RequestError:
    # Stopped in the middle of a commit, nobody knows whether it came through.
    remedy = (
        "It may have been done: send it again with the same `idempotencyKey`, or look."
        if kind == "mutation"
        else "Ask for less at once: smaller pages, fewer levels."
    )
    return RequestError(
        "LIMIT_EXCEEDED",
        f"The operation took longer than the limit `seconds` of {seconds:g}. {remedy}",
        extensions={"limit": "seconds", "maximum": seconds, "requestId": request_id},
    )
