"""Request bodies: read and decompressed piece by piece, never beyond the limit."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final

from starlette.types import Receive

from graphql_schema.errors import RequestError

ENCODINGS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""How zlib is told what to expect: a gzip header, or the zlib header that HTTP calls deflate."""


async def read_body(receive: Receive, headers: Mapping[str, str], limit: int) -> bytes:
    """The body as its sender meant it, at most `limit` bytes before and after decompression.

    Raises:
        RequestError: `PAYLOAD_TOO_LARGE`, `UNSUPPORTED_MEDIA_TYPE` for an unknown encoding,
            `BAD_REQUEST` when it cannot be decompressed or ends too soon.
    """
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise _too_large(limit)
    reader = _reader(headers.get("content-encoding", ""), limit)
    received = 0
    is_whole = False
    while not is_whole:
        message = await receive()
        if message["type"] != "http.request":
            raise RequestError("BAD_REQUEST", "The connection ended before the body did.")
        chunk = message.get("body", b"")
        received += len(chunk)
        if received > limit:
            raise _too_large(limit)
        reader.feed(chunk)
        is_whole = not message.get("more_body", False)
    return reader.end()


def _reader(encoding: str, limit: int) -> _Plain | _Compressed:
    known = encoding.strip().lower()
    if known in ("", "identity"):
        return _Plain()
    if known not in ENCODINGS:
        raise RequestError(
            "UNSUPPORTED_MEDIA_TYPE",
            "The body's Content-Encoding is not known here. Send it plain, or as gzip or deflate.",
        )
    return _Compressed(ENCODINGS[known], limit)


class _Plain:
    """Pieces that only have to be joined."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        self._chunks.append(chunk)

    def end(self) -> bytes:
        return b"".join(self._chunks)


class _Compressed:
    """Pieces of one compressed stream; asks zlib for one byte more than is left, never for all."""

    def __init__(self, window_bits: int, limit: int) -> None:
        self._stream = zlib.decompressobj(window_bits)
        self._limit = limit
        self._size = 0
        self._chunks: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        if self._stream.eof and chunk:
            raise _not_compressed()
        try:
            plain = self._stream.decompress(chunk, self._limit - self._size + 1)
        except zlib.error:
            raise _not_compressed() from None
        self._size += len(plain)
        if self._size > self._limit:
            raise _too_large(self._limit)
        self._chunks.append(plain)

    def end(self) -> bytes:
        if not self._stream.eof or self._stream.unused_data:
            raise _not_compressed()
        return b"".join(self._chunks)


def _too_large(limit: int) -> RequestError:
    return RequestError(
        "PAYLOAD_TOO_LARGE",
        f"The body is larger than the limit `body_bytes` of {limit}, counted after decompression. Send less at once.",
        extensions={"limit": "body_bytes", "maximum": limit},
    )


def _not_compressed() -> RequestError:
    return RequestError("BAD_REQUEST", "The body is not one whole stream of what its Content-Encoding says.")
