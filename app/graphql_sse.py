"""GraphQL over Server-Sent Events: the "distinct connections mode" of the protocol GraphQL over SSE.

A request that accepts `text/event-stream` gets its results as events `next`, then `complete`. What goes wrong before
the first of them is an ordinary answer with its status. The `id` of an event is the cursor behind it, which browsers
send back as `Last-Event-ID` when they reconnect. A stream that ends without `complete` is one to go on with.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine, Sequence
from functools import lru_cache
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from app import media_types, operations
from app.connections import STOP
from app.gateway import Gateway
from app.token_watch import TokenWatch
from db.access import Caller
from graphql_schema.errors import RequestError
from graphql_schema.frame import Frame

HEADERS: Final = (
    (b"content-type", f"{media_types.EVENTS}; charset=utf-8".encode()),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
)
"""Of every stream. nginx would keep events back until there are some kilobytes of them."""

FIRST_SECONDS: Final = 1.0
"""How long the head of the answer waits for the first result, so that a refusal can still be its status."""

COMPLETE: Final = b"event: complete\ndata:\n\n"
"""With empty data, for browsers pass over an event that has none."""

COMMENT: Final = b":\n\n"


def event(result: bytes, cursor: str = "") -> bytes:
    """A result as an event; one line, for line breaks stand only between the tokens of JSON."""
    text = result.replace(b"\r", b" ").replace(b"\n", b" ")
    place = f"id: {cursor}\n".encode() if cursor else b""
    return b"event: next\n%bdata: %b\n\n" % (place, text)


def whole(result: bytes) -> bytes:
    """The stream of an operation with one result."""
    return event(result) + COMPLETE


@lru_cache(maxsize=16)
def _shared(frame: Frame) -> bytes:
    """Written once for all who get the same frame."""
    return event(frame.json, frame.cursor)


class Over(Exception):
    """The stream is to end, with these bytes as its last; None when nobody listens any more."""

    def __init__(self, last: bytes | None, code: str | None = None) -> None:
        super().__init__(last, code)
        self.last = last
        self.code = code


class EventStream:
    """A subscription whose first result has been waited for.

    One task reads what the client sends, which is only that it has left; another sends results; a timer sees to
    comments and to the end of its time. Whoever finds a reason to end raises `Over`.
    """

    def __init__(
        self,
        gateway: Gateway,
        tokens: TokenWatch,
        caller: Caller,
        request_id: str,
        frames: AsyncGenerator[Frame, None],
    ) -> None:
        self._gateway = gateway
        self._tokens = tokens
        self._caller = caller
        self._request_id = request_id
        self._frames = frames
        self._first: asyncio.Future[Frame | None] | None = None
        self._tasks = asyncio.TaskGroup()
        self._sent_at = self._opened = _now()
        self._send: Send
        self._timer: asyncio.TimerHandle

    async def open(self) -> None:
        """Wait a moment for the first result.

        Raises:
            RequestErrors: the subscription is refused.
        """
        self._first = asyncio.ensure_future(anext(self._frames, None))
        try:
            await asyncio.wait([self._first], timeout=FIRST_SECONDS)
            if self._first.done():
                self._first.result()
        except BaseException:
            await self._close()
            raise

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> str | None:
        """Until it completes, its client leaves, or it may last no longer; the code of a refusal, if there was one."""
        self._send = send
        over = Over(None)
        self._gateway.count_subscriptions(1)
        self._tokens.begin(self._caller, self._revoked)
        self._timer = self._call_later()
        scope.setdefault("state", {})[STOP] = self._stop
        try:
            async with self._tasks:
                await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS]})
                self._tasks.create_task(self._send_all())
                await _until_gone(receive)
        except* Over as group:
            over = _first(group)
        finally:
            self._timer.cancel()
            self._tokens.end(self._caller, self._revoked)
            self._gateway.count_subscriptions(-1)
            await self._close()
        if over.last is not None:
            await send({"type": "http.response.body", "body": over.last})
        return over.code

    async def _send_all(self) -> None:
        """Send every result, then end."""
        assert self._first is not None  # noqa: S101 - opened before it is served
        try:
            frame = await self._first
            while frame is not None:
                await self._write(_shared(frame))
                frame = await anext(self._frames, None)
        except Exception as error:  # noqa: BLE001 - logged there, and masked
            raise _refused(operations.refusals(error, self._request_id)) from None
        raise Over(COMPLETE)

    async def _write(self, text: bytes) -> None:
        self._sent_at = _now()
        await self._send({"type": "http.response.body", "body": text, "more_body": True})

    def _wake(self) -> None:
        """What is due when the clock says so: an end, or a comment when nothing was sent for a while."""
        self._timer = self._call_later()
        if _now() - self._opened >= self._gateway.limits.socket_seconds:
            self._stop()
        elif _now() - self._sent_at >= self._half_silence:
            self._start(self._write(COMMENT))

    def _revoked(self) -> None:
        self._start(_raise(_refused([RequestError("UNAUTHENTICATED", "The token is no longer valid.")])))

    def _stop(self) -> None:
        """End it so that the client begins it again where it was."""
        self._start(_raise(Over(b"")))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Have a task do it, unless the stream is ending already."""
        try:
            self._tasks.create_task(work)
        except RuntimeError:
            work.close()

    @property
    def _half_silence(self) -> float:
        return self._gateway.limits.keep_alive_seconds / 2

    def _call_later(self) -> asyncio.TimerHandle:
        left = self._opened + self._gateway.limits.socket_seconds - _now()
        return asyncio.get_running_loop().call_later(max(0.0, min(self._half_silence, left)), self._wake)

    async def _close(self) -> None:
        """Let go of what is followed, now and not when the garbage is collected."""
        if self._first is not None and not self._first.done():
            self._first.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._first
        await self._frames.aclose()


def _refused(errors: Sequence[RequestError]) -> Over:
    return Over(whole(b'{"errors":' + operations.dump_errors(errors) + b"}"), errors[0].code)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    raise Over(None)


async def _raise(over: Over) -> None:
    raise over


def _first(group: BaseExceptionGroup[Over]) -> Over:
    first = group.exceptions[0]
    return first if isinstance(first, Over) else _first(first)


def _now() -> float:
    return asyncio.get_running_loop().time()
