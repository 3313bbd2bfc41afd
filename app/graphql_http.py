"""GraphQL over HTTP: queries by GET and POST, mutations by POST, errors by one table of statuses."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app import graphql_request, graphql_sse, media_types, operations
from app.gateway import Gateway, Transport, given_token, request_id
from app.graphql_request import GraphQLRequest, bad_request
from app.graphql_sse import EventStream
from app.graphql_ws import GraphQLOverWebSocket
from app.limits import read_body
from app.token_watch import TokenWatch
from db.access import Caller
from graphql_schema import executor
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

HEADERS: Final = {
    media_type: (
        (b"content-type", f"{media_type}; charset=utf-8".encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    )
    for media_type in media_types.OFFERED
}
"""The headers of every answer, by its type."""

METHODS: Final = "GET, POST"
MAX_FIELDS: Final = 100


def graphql_routes(gateway: Gateway) -> list[BaseRoute]:
    """The route of GraphQL over HTTP."""
    return [Route("/graphql", GraphQLOverHTTP(gateway), name="graphql")]


class GraphQLFirst:
    """Middleware, to stand innermost: leads to GraphQL past the router and what guards the other routes.

    Those take as long as reading the request does, and wait beside every socket. GraphQL needs neither: it has one
    path, and answers its own errors.
    """

    def __init__(self, app: ASGIApp, path: str, gateway: Gateway) -> None:
        self._app = app
        self._path = path
        self._graphql: Mapping[str, ASGIApp] = {
            "http": GraphQLOverHTTP(gateway),
            "websocket": GraphQLOverWebSocket(gateway),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        graphql = self._graphql.get(scope["type"]) if scope.get("path") == self._path else None
        await (graphql or self._app)(scope, receive, send)


class GraphQLOverHTTP:
    """The application behind the route; it takes every method, to refuse the others in JSON."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._tokens = gateway.token_watch()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = _Exchange(self._gateway, self._tokens, scope, receive)
        answer = await exchange.answer()
        if isinstance(answer, EventStream):
            exchange.report("sse", await answer.serve(scope, receive, send))
            return
        status, headers, body = answer
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
        await send({"type": "http.response.body", "body": body})


RawHeaders = list[tuple[bytes, bytes]]
Answer = tuple[int, RawHeaders, bytes]


class _Exchange:
    """One request and what is known about its answer so far.

    Written on ASGI itself: the library's request and response objects would take a quarter of the
    time of a small query.
    """

    def __init__(self, gateway: Gateway, tokens: TokenWatch, scope: Scope, receive: Receive) -> None:
        self._gateway = gateway
        self._tokens = tokens
        self._scope = scope
        self._receive = receive
        self._method: str = scope["method"]
        self._headers = _joined(scope["headers"])
        self._request_id = request_id(scope)
        self._media_type = media_types.JSON
        self._takes_events = False
        self._operation: Operation | None = None
        self._started = time.perf_counter()

    async def answer(self) -> Answer | EventStream:
        """Status, headers and body; or what makes them bit by bit."""
        try:
            result = await self._result()
        except Exception as error:  # noqa: BLE001 - logged there, and masked
            return self._refusal(operations.refusals(error, self._request_id))
        if isinstance(result, EventStream):
            return result
        if self._media_type == media_types.EVENTS:
            self.report("sse", None)
            return 200, [*graphql_sse.HEADERS], graphql_sse.whole(result)
        self.report("http", None)
        return 200, [*HEADERS[self._media_type]], result

    def report(self, transport: Transport, code: str | None) -> None:
        """Tell of its end."""
        self._gateway.report(transport, self._request_id, self._operation, code=code, started=self._started)

    async def _result(self) -> bytes | EventStream:
        """The result; every check comes before what costs more than it."""
        if self._method not in ("GET", "POST"):
            raise _method_not_allowed("This address answers GET and POST.", METHODS)
        self._negotiate()
        token = given_token(self._headers.get("authorization", ""))
        caller = await self._gateway.authenticate(token)
        request = await self._parameters()
        operation = self._operation = self._gateway.documents.prepare(request.query, request.operation_name)
        self._check_kind(operation.kind)
        if operation.kind == "subscription":
            return await self._stream(operation, request, caller)
        return await operations.answer(self._gateway, operation, request, caller, self._request_id, self._scope)

    async def _stream(self, operation: Operation, request: GraphQLRequest, caller: Caller) -> EventStream:
        context = self._gateway.context(caller, self._request_id)
        after = self._headers.get("last-event-id") or None
        frames = executor.subscribe(operation, request.variables, context, after=after)
        stream = EventStream(self._gateway, self._tokens, caller, self._request_id, frames)
        await stream.open()
        return stream

    def _negotiate(self) -> None:
        accept = self._headers.get("accept")
        self._takes_events = accept is not None and media_types.takes_events(accept)
        media_type = media_types.EVENTS if self._takes_events else None
        media_type = media_types.negotiate(accept) or media_type
        if media_type is None:
            raise RequestError(
                "NOT_ACCEPTABLE",
                f"Answers come as {media_types.GRAPHQL}, {media_types.JSON} or {media_types.EVENTS}, in UTF-8;"
                " the Accept header allows none of them.",
            )
        self._media_type = media_type

    async def _parameters(self) -> GraphQLRequest:
        if self._method == "GET":
            return graphql_request.read(_url_parameters(self._scope["query_string"]))
        self._check_content_type()
        body = await read_body(self._receive, self._headers, self._gateway.limits.body_bytes)
        if not body:
            raise bad_request("The body is empty. Send a JSON object with the key `query`.")
        return graphql_request.read_body(body)

    def _check_content_type(self) -> None:
        if not media_types.is_json(self._headers.get("content-type", "")):
            raise RequestError(
                "UNSUPPORTED_MEDIA_TYPE",
                f"The body must be sent as {media_types.JSON}, in UTF-8, and say so in Content-Type.",
            )

    def _check_kind(self, kind: str) -> None:
        if kind == "subscription" and not self._takes_events:
            raise RequestError(
                "NOT_ACCEPTABLE",
                "Subscriptions are served at this same address over WebSocket, by the subprotocol"
                f" graphql-transport-ws, and as events to requests with `Accept: {media_types.EVENTS}`.",
            )
        if kind != "subscription" and self._headers.get("last-event-id"):
            raise bad_request("`Last-Event-ID` says where to go on with a subscription; this is none.")
        if kind == "mutation" and self._method == "GET":
            raise _method_not_allowed("Mutations are sent by POST.", "POST")

    def _refusal(self, errors: Sequence[RequestError]) -> Answer:
        code = errors[0].code
        self.report("http" if self._media_type != media_types.EVENTS else "sse", code)
        legacy = self._media_type == media_types.JSON and code in WELL_FORMED
        more = [(name.encode(), value.encode()) for name, value in self._headers_of(errors[0]).items()]
        body = b'{"errors":' + operations.dump_errors(errors) + b"}"
        headers = HEADERS.get(self._media_type, HEADERS[media_types.GRAPHQL])
        return 200 if legacy else STATUS.get(code, 400), [*headers, *more], body

    def _headers_of(self, error: RequestError) -> Mapping[str, str]:
        match error.code:
            case "UNAUTHENTICATED":
                was_given = "authorization" in self._headers
                return {"WWW-Authenticate": 'Bearer realm="modelbox"' + ', error="invalid_token"' * was_given}
            case "METHOD_NOT_ALLOWED":
                return {"Allow": error.extensions["allow"]}
            case "RATE_LIMITED" | "SERVICE_UNAVAILABLE":
                return {"Retry-After": str(error.extensions.get("retryAfter", operations.RETRY_AFTER))}
            case "UNSUPPORTED_MEDIA_TYPE":
                return {"Accept-Post": media_types.JSON, "Accept-Encoding": "gzip, deflate"}
        return {}


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers by name; what is given several times is joined by commas, as HTTP says."""
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


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
