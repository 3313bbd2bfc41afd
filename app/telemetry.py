"""What the server tells about itself while it works: a line for each request, numbers for Prometheus.

No line and no number ever holds a token, a variable's value or the text of a query: what is known of
an operation is its name, its kind and the code it was refused with.
"""

from __future__ import annotations

import re
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import logs
from app.gateway import Finished, new_request_id
from app.measures import Measures

_SANE_ID: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_LONGEST_PATH: Final = 256

log = structlog.get_logger("modelbox.access")


@dataclass(slots=True)
class Exchange:
    """One HTTP request or one socket, while it lasts."""

    request_id: str
    began: float
    actor: str | None = None
    finished: Finished | None = None
    status: int | None = None

    @property
    def seconds(self) -> float:
        """How long it has lasted."""
        return time.perf_counter() - self.began


_CURRENT: Final[ContextVar[Exchange | None]] = ContextVar("exchange", default=None)


def note_actor(name: str) -> None:
    """Say who makes the current request."""
    if exchange := _CURRENT.get():
        exchange.actor = name


class Observer:
    """Takes what the transports report of each operation."""

    def __init__(self, measures: Measures) -> None:
        self._measures = measures

    def operation(self, finished: Finished) -> None:
        """Count an operation. One of a request becomes part of its line; one of a socket has its own."""
        self._measures.operation(finished)
        exchange = _CURRENT.get()
        if exchange and finished.transport != "websocket":
            exchange.finished = finished
            return
        line = {"request_id": finished.request_id, "duration_ms": _milliseconds(finished.seconds)}
        logs.access("operation", line | _who_and_what(exchange.actor if exchange else None, finished))


class RequestTelemetry:
    """Middleware: gives each request its id, and writes its line when it is over.

    An `X-Request-ID` that looks sane is kept, so that one id runs through proxy, server and client.
    An exception that nobody caught is logged here, whole, and answered without its text.
    """

    def __init__(self, app: ASGIApp, measures: Measures) -> None:
        self._app = app
        self._measures = measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and tell of it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(_request_id(scope), time.perf_counter())
        scope.setdefault("state", {})["request_id"] = exchange.request_id
        token = _CURRENT.set(exchange)
        follow = self._follow_request if scope["type"] == "http" else self._follow_socket
        try:
            await follow(exchange, scope, receive, send)
        finally:
            _CURRENT.reset(token)

    async def _follow_request(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        name = (b"x-request-id", exchange.request_id.encode())

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = [*message.get("headers", ()), name]
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        except Exception:
            log.exception("unexpected", request_id=exchange.request_id)
            if exchange.status is None:
                await _answer_masked(exchange, send_marked)
        finally:
            self._measures.request(exchange.status)
            self._write("request", exchange, scope, method=scope["method"], status=exchange.status)

    async def _follow_socket(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_watched(message: Message) -> None:
            if message["type"] == "websocket.close":
                exchange.status = message.get("code", 1000)
            await send(message)

        async def receive_watched() -> Message:
            message = await receive()
            if message["type"] == "websocket.disconnect" and exchange.status is None:
                exchange.status = message.get("code")
            return message

        try:
            await self._app(scope, receive_watched, send_watched)
        except Exception:
            log.exception("unexpected", request_id=exchange.request_id)
            if exchange.status is None:
                await send_watched({"type": "websocket.close", "code": 1011})
        finally:
            self._write("socket", exchange, scope, code=exchange.status)

    def _write(self, event: str, exchange: Exchange, scope: Scope, **more: Any) -> None:
        client = scope.get("client")
        line = {
            **more,
            "path": _path(scope),
            "request_id": exchange.request_id,
            "duration_ms": _milliseconds(exchange.seconds),
            "client": client[0] if client else None,
        }
        logs.access(event, line | _who_and_what(exchange.actor, exchange.finished))


def _who_and_what(actor: str | None, finished: Finished | None) -> dict[str, Any]:
    if finished is None:
        return {"actor": actor}
    named = {"actor": actor, "operation": finished.name, "kind": finished.kind}
    return {**named, "error": finished.code} if finished.code else named


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return str(value, "ascii")
    return new_request_id()


def _path(scope: Scope) -> str:
    """The path as it was sent, still encoded: decoded, it could move the cursor of a terminal."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode("ascii", "backslashreplace")
    return raw[:_LONGEST_PATH].decode("ascii", "backslashreplace")


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


async def _answer_masked(exchange: Exchange, send: Send) -> None:
    message = "Something went wrong on the server's side. Its log says more about this requestId."
    extensions = {"code": "INTERNAL_SERVER_ERROR", "requestId": exchange.request_id}
    body = orjson.dumps({"errors": [{"message": message, "extensions": extensions}]})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})
