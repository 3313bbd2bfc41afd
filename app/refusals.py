"""Answers of plain HTTP routes that say no, in the shape and with the codes of GraphQL's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson
from starlette.responses import Response

from app import operations
from app.graphql_http import STATUS
from db.errors import DomainError, Unavailable
from graphql_schema.errors import RequestError

DOMAIN_STATUS: Final[Mapping[str, int]] = {
    **STATUS,
    "NOT_FOUND": 404,
    "INVALID": 400,
    "CONFLICT": 409,
    "UPLOAD_INCOMPLETE": 409,
    "DIGEST_MISMATCH": 422,
    "QUOTA_EXCEEDED": 507,
    "RANGE_NOT_SATISFIABLE": 416,
}
"""The status of an answer, by its code."""


def refusal(error: Exception, request_id: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a request that failed; a fault of ours is logged and masked."""
    told = _told(error, request_id)
    more = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **(headers or {})}
    if told.code == "UNAUTHENTICATED":
        more["WWW-Authenticate"] = "Bearer"
    if told.code == "SERVICE_UNAVAILABLE":
        more["Retry-After"] = str(operations.RETRY_AFTER)
    body = orjson.dumps({"errors": [told.formatted()]})
    return Response(body, DOMAIN_STATUS.get(told.code, 400), more, media_type="application/json")


def _told(error: Exception, request_id: str) -> RequestError:
    if isinstance(error, DomainError):
        extensions = {"requestId": request_id} if isinstance(error, Unavailable) else {}
        return RequestError(error.code, error.message, extensions=extensions)
    return operations.refusals(error, request_id)[0]
