"""GraphQL over WebSocket: the subprotocol graphql-transport-ws, for operations of every kind."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog
from starlette.datastructures import Headers
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import Message as Event
from starlette.types import Receive, Scope, Send

from app import ws_messages
from app.connections import CLOSE_SECONDS, WRITE
from app.gateway import Gateway, bearer_token, request_id, token_in
from app.token_watch import TokenWatch
from app.ws_messages import Close, Complete, ConnectionInit, Gone, Ping, Subscribe
from app.ws_operation import SocketOperation
from db.access import Caller
from db.errors import Unavailable
from graphql_schema.errors import RequestError

logger: Final = structlog.get_logger(__name__)


def socket_routes(gateway: Gateway) -> list[BaseRoute]:
    """The route of GraphQL over WebSocket."""
    return [WebSocketRoute("/graphql", GraphQLOverWebSocket(gateway), name="graphql-socket")]


class GraphQLOverWebSocket:
    """The application behind the route.

    Written on ASGI itself: the library's socket object would cost each result a tenth more. What a
    peer that does not read costs is bounded by `app.connections`.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._tokens = gateway.token_watch()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket until its end."""
        is_ours = ws_messages.SUBPROTOCOL in scope["subprotocols"]
        await receive()
        try:
            await send({"type": "websocket.accept", "subprotocol": ws_messages.SUBPROTOCOL if is_ours else None})
            if not is_ours:
                reason = f"Only the subprotocol {ws_messages.SUBPROTOCOL} is spoken here."
                await send({"type": "websocket.close", "code": ws_messages.WRONG_SUBPROTOCOL, "reason": reason})
                return
        except OSError:  # It has left already.
            return
        self._gateway.count_sockets(1)
        try:
            await Socket(self._gateway, self._tokens, scope, receive, send).serve()
        finally:
            self._gateway.count_sockets(-1)


class Socket:
    """One connection: a loop that reads, a task for each operation, and one timer for all that is due at some time.

    Whoever finds a reason to end the connection raises `Close`; the task group ends all others.
    """

    __slots__ = (
        "_caller",
        "_gateway",
        "_is_alive",
        "_limits",
        "_opened",
        "_operations",
        "_pace",
        "_receive",
        "_scope",
        "_send",
        "_tasks",
        "_timer",
        "_tokens",
        "_write",
    )

    def __init__(self, gateway: Gateway, tokens: TokenWatch, scope: Scope, receive: Receive, send: Send) -> None:
        self._gateway = gateway
        self._limits = gateway.limits
        self._tokens = tokens
        self._scope, self._receive, self._send = scope, receive, send
        self._write = scope["extensions"].get(WRITE)
        self._tasks = asyncio.TaskGroup()
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._caller: Caller | None = None
        self._pace = Pace(self._limits.messages_per_second)
        self._opened = _now()
        self._is_alive = True
        self._timer = _call_at(self._opened + self._limits.init_seconds, self._wake)

    async def serve(self) -> None:
        """Until the client leaves, breaks the protocol, or may stay no longer."""
        close: Close | None = None
        try:
            async with self._tasks:
                await self._read()
        except* Gone:
            pass
        except* Close as group:
            close = _first(group)
        except* Exception:
            logger.exception("socket failed", request_id=request_id(self._scope))
            close = Close(ws_messages.INTERNAL_ERROR, "The server failed; its log says why.")
        finally:
            self._timer.cancel()
            if self._caller is not None:
                self._tokens.end(self._caller, self._revoked)
        if close is not None:
            await self._end(close)

    async def send(self, text: str) -> None:
        """Send one message, as soon as the peer has taken enough of those before.

        Raises:
            Gone: the peer has left, or does not read.
        """
        try:
            await self._send({"type": "websocket.send", "text": text})
        except OSError:
            raise Gone from None

    async def send_result(self, *parts: bytes) -> None:
        """Send one message that is bytes already. Raises Gone."""
        if self._write is None or not self._write(*parts):
            await self.send(b"".join(parts).decode())

    def forget(self, operation_id: str) -> None:
        """The id of an operation that ends is free again."""
        if self._operations.get(operation_id) is asyncio.current_task():
            del self._operations[operation_id]

    async def _read(self) -> None:
        while True:
            text = self._text(await self._receive())
            self._is_alive = True
            await self._pace.wait()
            match ws_messages.read(text):
                case ConnectionInit(payload):
                    await self._initialise(payload)
                case Ping(payload):
                    await self.send(ws_messages.pong(payload))
                case Subscribe() as message:
                    await self._begin(message)
                case Complete(operation_id):
                    self._stop(operation_id)

    def _wake(self) -> None:
        """What is due when the clock says so: an end, or a ping."""
        ends = self._opened + self._limits.socket_seconds
        if self._caller is None:
            self._start(_raise(Close(ws_messages.INIT_TIMEOUT, "Connection initialisation timeout")))
        elif _now() >= ends:
            self._start(_raise(Close(ws_messages.GOING_AWAY, "The socket is too old. Connect and sign in again.")))
        elif not self._is_alive:
            self._start(_raise(Close(ws_messages.GOING_AWAY, "No message came since the last ping.")))
        else:
            self._is_alive = False
            self._start(self.send(ws_messages.ping()))
            self._timer = _call_at(min(_now() + self._limits.ping_seconds, ends), self._wake)

    def _revoked(self) -> None:
        self._start(_raise(Close(ws_messages.FORBIDDEN, "The token is no longer valid.")))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Have a task do it, unless the socket is ending already."""
        try:
            self._tasks.create_task(work)
        except RuntimeError:
            work.close()

    def _text(self, event: Event) -> str:
        if event["type"] == "websocket.disconnect":
            raise Gone
        text = event.get("text")
        if not isinstance(text, str):
            raise Close(ws_messages.MALFORMED, "Binary frames are not read. Send JSON in text frames.")
        limit = self._limits.frame_bytes if self._caller else self._limits.first_frame_bytes
        if len(text) > limit or (len(text) * 4 > limit and len(text.encode(errors="replace")) > limit):
            raise Close(ws_messages.MALFORMED, f"The frame is larger than {limit} bytes.")
        return text

    async def _initialise(self, payload: Any) -> None:
        if self._caller is not None:
            raise Close(ws_messages.SECOND_INIT, "Too many initialisation requests")
        try:
            token = _token(payload) or bearer_token(Headers(scope=self._scope))
            caller = await self._gateway.authenticate(token)
        except RequestError as error:
            raise Close(ws_messages.FORBIDDEN, error.message) from None
        except Unavailable as error:
            raise Close(ws_messages.BAD_GATEWAY, error.message) from None
        self._caller = caller
        self._tokens.begin(caller, self._revoked)
        self._timer.cancel()
        # Spread, for after a restart thousands connect within the same second.
        first = self._limits.ping_seconds * random.uniform(0.5, 1)  # noqa: S311 - nobody gains by guessing it
        self._timer = _call_at(min(_now() + first, self._opened + self._limits.socket_seconds), self._wake)
        await self.send(ws_messages.ack())

    async def _begin(self, message: Subscribe) -> None:
        if self._caller is None:
            raise Close(ws_messages.UNAUTHORIZED, "Unauthorized")
        if message.id in self._operations:
            raise Close(ws_messages.ID_IN_USE, f"Subscriber for {message.id} already exists")
        if len(self._operations) >= self._limits.operations:
            await self.send(ws_messages.refused(message.id, [_too_many(self._limits.operations)]))
            return
        operation = SocketOperation(self._gateway, self, message, self._caller, self._scope)
        self._operations[message.id] = self._tasks.create_task(operation.run())

    def _stop(self, operation_id: str) -> None:
        """Stop an operation; one that has just ended by itself is no fault of the client's."""
        task = self._operations.pop(operation_id, None)
        if task is not None:
            task.cancel()

    async def _end(self, close: Close) -> None:
        with contextlib.suppress(OSError, RuntimeError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._send({"type": "websocket.close", "code": close.code, "reason": close.reason})


class Pace:
    """Lets a second's worth of messages pass at once, and holds up those beyond.

    While a message waits nothing more is read, so that the flood stays in the sender's buffers.
    """

    def __init__(self, per_second: int) -> None:
        self._interval = 1 / per_second
        self._due = 0.0

    async def wait(self) -> None:
        """Until this message may be looked at."""
        now = _now()
        self._due = max(self._due, now - 1.0) + self._interval
        if self._due > now:
            await asyncio.sleep(self._due - now)


def _token(payload: Any) -> str | None:
    """The token in the payload of `connection_init`."""
    for name, value in (payload or {}).items():
        if name.lower() == "authorization" and value != "":
            return token_in(value) if isinstance(value, str) else token_in("")
        if name == "token":
            return token_in(f"Bearer {value}")
    return None


def _too_many(maximum: int) -> RequestError:
    return RequestError(
        "LIMIT_EXCEEDED",
        f"More operations than the limit `operations` of {maximum} are running on this socket."
        " Complete some, or open another socket.",
        extensions={"limit": "operations", "maximum": maximum},
    )


async def _raise(close: Close) -> None:
    raise close


def _first(group: BaseExceptionGroup[Close]) -> Close:
    first = group.exceptions[0]
    return first if isinstance(first, Close) else _first(first)


def _call_at(when: float, what: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_at(when, what)


def _now() -> float:
    return asyncio.get_running_loop().time()
