"""GraphQL over HTTP: queries by GET and POST, mutations by POST, errors by one table of statuses."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from app import graphql_request, media_types, operations
from app.gateway import Gateway, bearer_token, request_id
from app.graphql_request import GraphQLRequest, bad_request
from app.limits import read_body
from graphql_schema.errors import RequestError
from graphql_schema.operation import Operation

STATUS: Final[Mapping[str, int]] = {
    "BAD_REQUEST": 400,
    "GRAPHQL_PARSE_FAILED": 400,
    "GRAPHQL_VALIDATION_FAILED": 400,
    "OPERATION_RESOLUTION_FAILURE": 400,
    "BAD_USER_INPUT": 400,
    "LIMIT_EXCEEDED": 400,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "METHOD_NOT_ALLOWED": 405,
    "NOT_ACCEPTABLE": 406,
    "PAYLOAD_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "RATE_LIMITED": 429,
    "INTERNAL_SERVER_ERROR": 500,
    "SERVICE_UNAVAILABLE": 503,
}
"""The status of an answer without `data`, by the code of its first error."""

WELL_FORMED: Final = frozenset(
    {
        "GRAPHQL_PARSE_FAILED",
        "GRAPHQL_VALIDATION_FAILED",
        "OPERATION_RESOLUTION_FAILURE",
        "BAD_USER_INPUT",
    }
)
"""Refusals of a well-formed request, which a client that reads only `application/json` gets as 200."""

METHODS: Final = "GET, POST"
MAX_FIELDS: Final = 100


def graphql_routes(gateway: Gateway) -> list[BaseRoute]:
    """The route of GraphQL over HTTP."""
    return [Route("/graphql", GraphQLOverHTTP(gateway), name="graphql")]


class GraphQLOverHTTP:
    """The application behind the route; it takes every method, to refuse the others in JSON."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = _Exchange(self._gateway, Request(scope, receive), request_id(scope))
        response = await exchange.respond()
        await response(scope, receive, send)


@dataclass
class _Exchange:
    """One request and what is known about its answer so far."""

    gateway: Gateway
    request: Request
    request_id: str
    media_type: str = media_types.JSON
    operation: Operation | None = None
    started: float = field(default_factory=time.perf_counter)

    async def respond(self) -> Response:
        try:
            response = self._response(200, await self._result())
            self._report(None)
        except Exception as error:  # noqa: BLE001 - logged there, and masked
            errors = operations.refusals(error, self.request_id)
            response = self._refusal(errors)
            self._report(errors[0].code)
        return response

    async def _result(self) -> bytes:
        """The result; every check comes before what costs more than it."""
        if self.request.method not in ("GET", "POST"):
            raise _method_not_allowed("This address answers GET and POST.", METHODS)
        self._negotiate()
        caller = await self.gateway.authenticate(bearer_token(self.request.headers))
        request = await self._parameters()
        self.operation = self.gateway.documents.prepare(request.query, request.operation_name)
        self._check_kind(self.operation.kind)
        return await operations.answer(self.gateway, self.operation, request, caller, self.request_id)

    def _negotiate(self) -> None:
        accept = ",".join(self.request.headers.getlist("accept"))
        media_type = media_types.negotiate(accept)
        if media_type is None:
            raise RequestError(
                "NOT_ACCEPTABLE",
                f"Answers come as {media_types.GRAPHQL} or {media_types.JSON}, in UTF-8;"
                " the Accept header allows neither.",
            )
        self.media_type = media_type

    async def _parameters(self) -> GraphQLRequest:
        if self.request.method == "GET":
            return graphql_request.read(_url_parameters(self.request.scope["query_string"]))
        self._check_content_type()
        body = await read_body(self.request, self.gateway.limits.body_bytes)
        if not body:
            raise bad_request("The body is empty. Send a JSON object with the key `query`.")
        value = graphql_request.decode(body, "The body")
        if isinstance(value, dict):
            graphql_request.refuse_repeated(body)
        return graphql_request.read(value)

    def _check_content_type(self) -> None:
        given = self.request.headers.getlist("content-type")
        kind, parameters = media_types.parse(given[0]) if len(given) == 1 else ("", {})
        if kind != media_types.JSON or not media_types.is_utf8(parameters):
            raise RequestError(
                "UNSUPPORTED_MEDIA_TYPE",
                f"The body must be sent as {media_types.JSON}, in UTF-8, and say so in Content-Type.",
            )

    def _check_kind(self, kind: str) -> None:
        if kind == "subscription":
            raise RequestError(
                "NOT_ACCEPTABLE",
                "Subscriptions are served over WebSocket, by the subprotocol graphql-transport-ws,"
                " at this same address.",
            )
        if kind == "mutation" and self.request.method == "GET":
            raise _method_not_allowed("Mutations are sent by POST.", "POST")

    def _refusal(self, errors: Sequence[RequestError]) -> Response:
        code = errors[0].code
        legacy = self.media_type == media_types.JSON and code in WELL_FORMED
        response = self._response(
            200 if legacy else STATUS.get(code, 400), b'{"errors":' + operations.dump_errors(errors) + b"}"
        )
        response.headers.update(self._headers_of(errors[0]))
        return response

    def _response(self, status: int, body: bytes) -> Response:
        return Response(
            body,
            status,
            headers={
                "Content-Type": f"{self.media_type}; charset=utf-8",
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
            },
        )

    def _headers_of(self, error: RequestError) -> Mapping[str, str]:
        match error.code:
            case "UNAUTHENTICATED":
                was_given = "authorization" in self.request.headers
                return {"WWW-Authenticate": 'Bearer realm="modelbox"' + ', error="invalid_token"' * was_given}
            case "METHOD_NOT_ALLOWED":
                return {"Allow": error.extensions["allow"]}
            case "RATE_LIMITED" | "SERVICE_UNAVAILABLE":
                return {"Retry-After": str(error.extensions.get("retryAfter", operations.RETRY_AFTER))}
            case "UNSUPPORTED_MEDIA_TYPE":
                return {"Accept-Post": media_types.JSON, "Accept-Encoding": "gzip, deflate"}
        return {}

    def _report(self, code: str | None) -> None:
        self.gateway.report("http", self.request_id, self.operation, code=code, started=self.started)


def _url_parameters(query_string: bytes) -> dict[str, Any]:
    """The parameters of a GET as a JSON body would hold them; an empty operation name is none."""
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise bad_request("The URL's query must be at most 100 parameters in percent-encoded UTF-8.") from None
    graphql_request.refuse_repeated_names([name for name, _ in pairs])
    parameters: dict[str, Any] = dict(pairs)
    parameters["operationName"] = parameters.get("operationName") or None
    for name in ("variables", "extensions"):
        if name in parameters:
            parameters[name] = graphql_request.decode(parameters[name], f"`{name}`")
    return parameters


def _method_not_allowed(message: str, allow: str) -> RequestError:
    return RequestError("METHOD_NOT_ALLOWED", message, extensions={"allow": allow})
