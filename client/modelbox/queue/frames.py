"""Frames: the bytes of a queue's files.

    frame   = magic (4) | payload length (4) | number (8) | CRC-32 of number and payload (4) | payload
    payload = head, as JSON | NUL | body

All numbers are little-endian. The magic and the checksum let a reader go on behind damage.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

MAGIC: Final = b"\xf5MB1"
HEADER: Final = struct.Struct("<4sIQI")
LARGEST: Final = 1 << 28
"""No payload is longer; a length beyond it is damage."""

SEARCHED: Final = 1 << 20
DEEPEST: Final = 16
"""What is nested deeper is cut off, when JSON does not take it as it is."""


@dataclass(frozen=True)
class Frame:
    """One thing that was said. `start` and `end` are its place in the file."""

    number: int
    head: dict[str, Any]
    body: bytes
    start: int
    end: int

    @property
    def kind(self) -> str:
        """What it is: `points`, `event`, `checkpoint`, ..."""
        kind: str = self.head["kind"]
        return kind


@dataclass(frozen=True)
class Gap:
    """Bytes that are no frame: `is_tail` when nothing whole follows, as where a writer was killed."""

    start: int
    end: int
    is_tail: bool


def packed(number: int, head: dict[str, Any], body: bytes = b"") -> bytes:
    """A frame as bytes.

    Raises:
        ValueError: it is too long.
    """
    payload = _json(head).encode() + b"\0" + body
    if len(payload) > LARGEST:
        raise ValueError(f"{len(payload)} bytes are too many for one frame")
    return HEADER.pack(MAGIC, len(payload), number, _checksum(number, payload)) + payload


def _json(head: dict[str, Any]) -> str:
    try:
        return json.dumps(head, separators=(",", ":"), default=str)
    except (TypeError, ValueError, RecursionError):  # Keys that are no texts, or what holds itself.
        return json.dumps(_plain(head, 0), separators=(",", ":"), default=str)


def _plain(value: Any, depth: int) -> Any:
    """As JSON can hold it: keys as texts, and what is deeper than anybody reads left out."""
    if isinstance(value, dict):
        return {str(key): _plain(one, depth + 1) for key, one in value.items()} if depth < DEEPEST else "..."
    if isinstance(value, list | tuple):
        return [_plain(one, depth + 1) for one in value] if depth < DEEPEST else "..."
    return value


def read(file: BinaryIO, offset: int = 0) -> Iterator[Frame | Gap]:
    """The frames of a file from a frame's border on, and what is between them that is none."""
    file.seek(offset)
    while True:
        found = _frame_at(file, offset)
        if found is None:
            follows = _next(file, offset + 1)
            if follows is not None and (found := _frame_at(file, offset)) is not None:
                yield found  # It was being written when we looked first.
                offset = found.end
                continue
            end = file.seek(0, 2) if follows is None else follows
            if end > offset:
                yield Gap(offset, end, follows is None)
            if follows is None:
                return
            offset = follows
            continue
        yield found
        offset = found.end


def _frame_at(file: BinaryIO, offset: int) -> Frame | None:
    file.seek(offset)
    header = file.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    magic, length, number, checksum = HEADER.unpack(header)
    if magic != MAGIC or length > LARGEST:
        return None
    payload = file.read(length)
    if len(payload) < length or _checksum(number, payload) != checksum:
        return None
    head, _, body = payload.partition(b"\0")
    return Frame(number, json.loads(head), body, offset, offset + HEADER.size + length)


def _next(file: BinaryIO, offset: int) -> int | None:
    """Where the next whole frame begins."""
    overlap = len(MAGIC) - 1
    while True:
        file.seek(offset)
        piece = file.read(SEARCHED)
        at = piece.find(MAGIC)
        if at >= 0:
            if _frame_at(file, offset + at) is not None:
                return offset + at
            offset += at + 1
        elif len(piece) <= overlap:
            return None
        else:
            offset += len(piece) - overlap


def _checksum(number: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(number.to_bytes(8, "little")))
