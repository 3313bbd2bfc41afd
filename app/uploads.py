"""The parts of uploads, as bodies of `PUT`: written and hashed as they arrive, a piece at a time.

Nothing of a part counts before all of it is there and is what its digest says.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive

from app.gateway import Gateway, bearer_token, request_id
from app.refusals import refusal
from app.socket_body import ENDED, LONG, SILENT, SOCKET_BODY, STALL_SECONDS, SocketBody
from db.blobs import incoming
from db.blobs.clearing import remove_late
from db.blobs.incoming import Expected
from db.blobs.store import CHUNK, PIECES, BlobStore, Refused
from db.errors import Conflict, DigestMismatch, Invalid, NotFound, StoreUnavailable, Unavailable
from db.verbs.announced import MOST_PART
from graphql_schema.errors import RequestError

TOO_LARGE: Final = 9_999_999
"""Numbers of files and parts beyond this are none."""

TURN: Final = 1 << 24
"""The most bytes that a thread reads before others have their turn."""

DRAIN_SECONDS: Final = 30.0
"""For so long what is left of a refused body is read."""

STRANGERS: Final = 1 << 16
"""Bytes that are read from somebody who may not send any, so that the answer reaches them."""


def upload_routes(gateway: Gateway) -> list[BaseRoute]:
    """Where parts are sent that pass through the server."""
    return [Route("/uploads/{upload}/{file}/{part}", _Parts(gateway), methods=["PUT"], name="upload-part")]


class _Parts:
    """The application behind the route."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._under_way: set[tuple[Any, ...]] = set()

    async def __call__(self, scope: Any, receive: Receive, send: Any) -> None:
        body = _Body(receive, scope.get("extensions", {}).get(SOCKET_BODY))
        request = Request(scope, body)
        try:
            response = await self._put(request, body)
        except Exception as error:  # noqa: BLE001 - logged there, and masked
            await body.drain(STRANGERS if isinstance(error, RequestError | NotFound) else MOST_PART)
            response = refusal(error, request_id(scope), {} if body.is_over else {"Connection": "close"})
        finally:
            body.release()
        await response(scope, receive, send)

    async def _put(self, request: Request, body: _Body) -> Response:
        caller = await self._gateway.authenticate(bearer_token(request.headers))
        path = request.path_params
        expected = await incoming.expected(
            self._gateway.database, caller, path["upload"], _number(path["file"]), _number(path["part"])
        )
        _check_length(request, expected)
        if not expected.is_received:
            await self._receive(body, expected)
        return Response(status_code=204)

    async def _receive(self, body: _Body, expected: Expected) -> None:
        store = self._gateway.database.blobs
        if store is None or store.is_direct:
            raise StoreUnavailable("Parts are sent to the store itself. Ask `resumeUpload` where.")
        place = (expected.upload_id, expected.file_number, expected.part.number)
        if place in self._under_way:
            raise Conflict("This part is being sent by somebody else at this moment. Look again in a while.")
        self._under_way.add(place)
        try:
            await _write(store, expected, body)
            await incoming.note(self._gateway.database, expected)
        except BaseException:
            with contextlib.suppress(Unavailable):
                await remove_late(self._gateway.database, store, expected.upload_id, expected.session.key)
            raise
        finally:
            self._under_way.discard(place)


class _Body:
    """What a request sends, and whether that is over."""

    def __init__(self, receive: Receive, socket: SocketBody | None) -> None:
        self._receive = receive
        self.socket = socket
        """From which all of a long body is read that does not come in the first message."""

        self.is_over = False

    async def __call__(self) -> Message:
        try:
            async with asyncio.timeout(STALL_SECONDS):
                message = await self._receive()
        except TimeoutError:
            raise Invalid(SILENT) from None
        self.is_over = message["type"] != "http.request" or not message.get("more_body", False)
        if self.socket is not None and not self.is_over:
            self.socket.take(len(message.get("body", b"")))
        return message

    async def drain(self, limit: int) -> None:
        """Read what is left, but not for ever: a sender that is cut off in mid-sentence never learns why."""
        with contextlib.suppress(Invalid, TimeoutError):  # It sends no more.
            async with asyncio.timeout(DRAIN_SECONDS):
                while limit > 0 and not self.is_over:
                    if self.socket is not None and self.socket.is_taken:
                        await self.socket.drain(limit)
                        return
                    limit -= len((await self()).get("body", b""))

    def release(self) -> None:
        """Let the connection go on."""
        if self.socket is not None:
            self.socket.release()


def _number(text: str) -> int:
    """A number in a path; what is none is no part of anything.

    Raises:
        NotFound: it is none.
    """
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(TOO_LARGE)):
        raise NotFound
    return int(text)


def _check_length(request: Request, expected: Expected) -> None:
    declared = request.headers.get("content-length")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RequestError("UNSUPPORTED_MEDIA_TYPE", "A part is sent as it is, without Content-Encoding.")
    if declared is not None and declared != str(expected.part.size):
        raise Invalid(f"The part has {expected.part.size} bytes; Content-Length says {declared[:20]}.")


async def _write(store: BlobStore, expected: Expected, body: _Body) -> None:
    """Write a part as it arrives.

    Raises:
        DigestMismatch: the bytes are not those announced.
        Invalid: they are too few or too many.
    """
    part, digest = expected.part, hashlib.sha256()
    try:
        count = await _write_messages(store, expected, body, digest)
        if not body.is_over and body.socket is not None:
            count += await _write_socket(store, expected, body.socket, count, digest)
    except Refused as error:
        raise Conflict("The upload was completed while the part was sent.") from error
    if count != part.size:
        raise Invalid(f"The part has {part.size} bytes; {count} came.")
    if digest.digest() != part.digest:
        raise DigestMismatch(
            f"The bytes of part {part.number} are sha256:{digest.hexdigest()}, not as announced. Send it again; or,"
            " if the file changed, begin the upload anew."
        )


async def _write_socket(
    store: BlobStore, expected: Expected, socket: SocketBody, begun: int, digest: hashlib._Hash
) -> int:
    """Write what is still in the socket; how many bytes it was."""
    offset, left = expected.part.offset + begun, expected.part.size - begun
    while left:
        count = await _finished(store.receive(expected.session, offset, min(left, TURN), socket.read_into, digest))
        offset, left = offset + count, left - count
        if left and count < LONG:
            await socket.wait()
    return expected.part.size - begun


async def _finished(work: Coroutine[Any, Any, int]) -> int:
    """What work in a thread comes to. Cancelled, it waits for the thread, which still reads and writes."""
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    finally:
        await asyncio.wait({running})


async def _write_messages(store: BlobStore, expected: Expected, body: _Body, digest: hashlib._Hash) -> int:
    """Write what comes as messages: all of a body, or the begin of one that goes on in its socket.

    While one piece is hashed and written, the next is received.
    """
    offset = expected.part.offset
    writing: asyncio.Future[Any] | None = None
    try:
        async for pieces in _gathered(body, expected.part.size):
            if writing is not None:
                await writing
            writing = asyncio.ensure_future(store.write(expected.session, offset, pieces, digest))
            offset += sum(map(len, pieces))
        if writing is not None:
            await writing
    finally:
        if writing is not None:
            await asyncio.wait({writing})
    return offset - expected.part.offset


async def _gathered(body: _Body, size: int) -> AsyncIterator[list[bytes]]:
    """A body as lists of the pieces in which it came, each of some CHUNK bytes: nothing is copied.

    Raises:
        Invalid: it is longer than `size`, or the connection ended before it did.
    """
    pieces: list[bytes] = []
    waiting = total = 0
    while True:
        message: Message = await body()
        if message["type"] != "http.request":
            raise Invalid(ENDED)
        if piece := message.get("body", b""):
            pieces.append(piece)
            waiting, total = waiting + len(piece), total + len(piece)
        if total > size:
            raise Invalid(f"The part has {size} bytes; more came.")
        is_last = body.is_over or body.socket is not None
        if pieces and (is_last or waiting >= CHUNK or len(pieces) == PIECES):
            yield pieces
            pieces, waiting = [], 0
        if is_last:
            return
