"""The parts of uploads, as bodies of `PUT`: written and hashed as they arrive, a megabyte at a time.

Nothing of a part counts before all of it is there and is what its digest says.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive

from app.gateway import Gateway, bearer_token, request_id
from app.refusals import refusal
from db.blobs import incoming
from db.blobs.clearing import remove_late
from db.blobs.incoming import Expected
from db.blobs.store import CHUNK, PIECES, BlobStore, Refused
from db.errors import Conflict, DigestMismatch, Invalid, NotFound, StoreUnavailable, Unavailable
from db.verbs.announced import MOST_PART
from graphql_schema.errors import RequestError

TOO_LARGE: Final = 9_999_999
"""Numbers of files and parts beyond this are none."""


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
        body = _Body(receive)
        request = Request(scope, body)
        try:
            response = await self._put(request)
        except Exception as error:  # noqa: BLE001 - logged there, and masked
            await body.drain(STRANGERS if isinstance(error, RequestError | NotFound) else MOST_PART)
            response = refusal(error, request_id(scope), {"Connection": "close"})
        await response(scope, receive, send)

    async def _put(self, request: Request) -> Response:
        caller = await self._gateway.authenticate(bearer_token(request.headers))
        path = request.path_params
        expected = await incoming.expected(
            self._gateway.database, caller, path["upload"], _number(path["file"]), _number(path["part"])
        )
        _check_length(request, expected)
        if not expected.is_received:
            await self._receive(request, expected)
        return Response(status_code=204)

    async def _receive(self, request: Request, expected: Expected) -> None:
        store = self._gateway.database.blobs
        if store is None or store.is_direct:
            raise StoreUnavailable("Parts are sent to the store itself. Ask `resumeUpload` where.")
        place = (expected.upload_id, expected.file_number, expected.part.number)
        if place in self._under_way:
            raise Conflict("This part is being sent by somebody else at this moment. Look again in a while.")
        self._under_way.add(place)
        try:
            await _write(store, expected, request.receive)
            await incoming.note(self._gateway.database, expected)
        except BaseException:
            with contextlib.suppress(Unavailable):
                await remove_late(self._gateway.database, store, expected.upload_id, expected.session.key)
            raise
        finally:
            self._under_way.discard(place)


class _Body:
    """What a request sends, and whether that is over."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_over = False

    async def __call__(self) -> Message:
        message = await self._receive()
        self._is_over = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def drain(self, limit: int) -> None:
        """Read what is left, but not for ever: a sender that is cut off in mid-sentence never learns why."""
        while limit > 0 and not self._is_over:
            limit -= len((await self()).get("body", b""))


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


async def _write(store: BlobStore, expected: Expected, receive: Receive) -> None:
    """Write a part as it arrives. While one piece is hashed and written, the next is received.

    Raises:
        DigestMismatch: the bytes are not those announced.
        Invalid: they are too few or too many.
    """
    part, digest, offset = expected.part, hashlib.sha256(), expected.part.offset
    writing: asyncio.Future[Any] | None = None
    try:
        async for pieces in _gathered(receive, part.size):
            if writing is not None:
                await writing
            writing = asyncio.ensure_future(store.write(expected.session, offset, pieces, digest))
            offset += sum(map(len, pieces))
        if writing is not None:
            await writing
    except Refused as error:
        raise Conflict("The upload was completed while the part was sent.") from error
    finally:
        if writing is not None:
            await asyncio.wait({writing})
    if offset - part.offset != part.size:
        raise Invalid(f"The part has {part.size} bytes; {offset - part.offset} came.")
    if digest.digest() != part.digest:
        raise DigestMismatch(
            f"The bytes of part {part.number} are sha256:{digest.hexdigest()}, not as announced. Send it again; or,"
            " if the file changed, begin the upload anew."
        )


async def _gathered(receive: Receive, size: int) -> AsyncIterator[list[bytes]]:
    """A body as lists of the pieces in which it came, each of some CHUNK bytes: nothing is copied.

    Raises:
        Invalid: it is longer than `size`, or the connection ended before it did.
    """
    pieces: list[bytes] = []
    waiting = total = 0
    while True:
        message: Message = await receive()
        if message["type"] != "http.request":
            raise Invalid("The connection ended before the part did.")
        if body := message.get("body", b""):
            pieces.append(body)
            waiting, total = waiting + len(body), total + len(body)
        if total > size:
            raise Invalid(f"The part has {size} bytes; more came.")
        is_whole = not message.get("more_body", False)
        if pieces and (is_whole or waiting >= CHUNK or len(pieces) == PIECES):
            yield pieces
            pieces, waiting = [], 0
        if is_whole:
            return
