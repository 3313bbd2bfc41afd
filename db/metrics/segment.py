"""The bytes of a segment: up to 4 096 points of one series, compressed.

A column is 64-bit words. One of equal distances (also of one value, or of nothing) is its start and its distance.
Any other is taken as it is, as differences or as changed bits, whichever ends smallest, and cut into the eight bytes
of its words: the high ones hardly vary and shrink, the low ones of a measured double are noise and stay, which is
also what makes reading fast. Level 1 of zlib: level 6 takes four times as long and saves one byte in a hundred.

Layout, little-endian: version (a byte), CRC-32 of all that follows, number of points, number of runs of equal feed
numbers (32 bits each), then the columns: numbers and lengths of the runs, steps, times, values.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from db.metrics.columns import Columns, Ints
from db.metrics.tail import Damaged

SIZE: Final = 4096
"""Points of a full segment."""

PART: Final = 512
"""Points that one record of figures is about, where a segment keeps several."""

VERSION: Final = 1
LEVEL: Final = 1
EVEN, PLAIN, DIFFERENCES, CHANGES = range(4)
_HEAD: Final = struct.Struct("<BIII")
_EVEN: Final = struct.Struct("<Bqq")
_PLANES: Final = struct.Struct("<B8H")
_CHECKED_FROM: Final = 5  # behind the version and the checksum
_ORDINALS: Final = np.arange(SIZE, dtype=np.int64)

Bytes = npt.NDArray[np.uint8]


def encode(columns: Columns, seqs: Ints, like: bytes | None = None) -> bytes:
    """The bytes of these points; `seqs` are their numbers in the feed.

    With the bytes of a segment that they are `like`, columns are taken in its ways, and no other way is tried.
    """
    if not 0 < len(columns) <= SIZE:
        raise ValueError(f"A segment holds 1 to {SIZE} points, not {len(columns)}.")
    begins = np.flatnonzero(np.concatenate(([True], seqs[1:] != seqs[:-1])))
    lengths = np.diff(begins, append=len(seqs))
    words = (seqs[begins], lengths, columns.steps, columns.times, columns.values.view(np.int64))
    forms = _forms(like) if like else [None] * len(words)
    body = struct.pack("<II", len(columns), len(begins)) + b"".join(map(_written, words, forms))
    return struct.pack("<BI", VERSION, zlib.crc32(body)) + body


def decode(data: bytes) -> tuple[Columns, Ints]:
    """The points of a segment and their numbers in the feed.

    Raises:
        Damaged: these are not the bytes that were written.
    """
    if len(data) < _HEAD.size or data[0] != VERSION:
        raise Damaged("A segment of metrics has an unknown form.")
    _, checksum, points, runs = _HEAD.unpack_from(data)
    if zlib.crc32(memoryview(data)[_CHECKED_FROM:]) != checksum:
        raise Damaged("A segment of metrics is damaged: its checksum is not that of its bytes.")
    reader = _Reader(data)
    seqs = np.repeat(reader.column(runs), reader.column(runs))
    steps, times, values = reader.column(points), reader.column(points), reader.column(points)
    return Columns(steps, times, values.view(np.float64)), seqs


def _forms(data: bytes) -> list[int | None]:
    """How each column was taken; None where it was even."""
    forms: list[int | None] = []
    at = _HEAD.size
    while at < len(data):
        if data[at] == EVEN:
            forms.append(None)
            at += _EVEN.size
        else:
            form, *sizes = _PLANES.unpack_from(data, at)
            forms.append(form)
            at += _PLANES.size + sum(sizes)
    return forms


def _written(words: Ints, form: int | None) -> bytes:
    stride = int((words[1:2] - words[0:1]).sum())
    if bool((np.diff(words) == stride).all()):
        return _EVEN.pack(EVEN, int(words[0]), stride)
    if form is not None:
        return _planes(form, _TURNS[form](words))
    return min((_planes(form, turn(words)) for form, turn in _TURNS.items()), key=len)


def _differences(words: Ints) -> Ints:
    return np.diff(words, prepend=np.int64(0))


def _changes(words: Ints) -> Ints:
    return words ^ np.concatenate((np.zeros(1, np.int64), words[:-1]))


# Each turns words into others of the same number, and back.
_TURNS: Final[dict[int, Callable[[Ints], Ints]]] = {
    PLAIN: lambda words: words,
    DIFFERENCES: _differences,
    CHANGES: _changes,
}
_RETURNS: Final[dict[int, Callable[[Ints], Ints]]] = {
    PLAIN: lambda words: words,
    DIFFERENCES: np.cumsum,
    CHANGES: np.bitwise_xor.accumulate,
}


def _planes(form: int, words: Ints) -> bytes:
    """Words as eight planes of bytes. A plane of zeros is left out; one that zlib cannot shrink stays as it is."""
    rows = words.astype("<i8", copy=False).view(np.uint8).reshape(-1, 8)
    planes = [_plane(plane) for plane in np.ascontiguousarray(rows.T)]
    return _PLANES.pack(form, *map(len, planes)) + b"".join(planes)


def _plane(plane: Bytes) -> bytes:
    if not plane.any():
        return b""
    raw = plane.tobytes()
    if _is_noise(plane):
        return raw
    packed = zlib.compress(raw, LEVEL)
    return packed if len(packed) < len(raw) else raw


def _is_noise(plane: Bytes) -> bool:
    """Whether bytes are spread as random ones are, in vain for zlib; anything that repeats is spread wider.

    The squares of how often each byte occurs then add up to this much, give or take a tenth of the number of bytes.
    """
    counts = np.bincount(plane, minlength=256)
    expected = len(plane) ** 2 / 256 + len(plane)
    return abs(float(counts @ counts) - expected) < 0.3 * len(plane)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = _HEAD.size

    def column(self, count: int) -> Ints:
        form = self._data[self._at]
        if form == EVEN:
            _, start, stride = _EVEN.unpack_from(self._data, self._at)
            self._at += _EVEN.size
            return np.int64(start) + np.int64(stride) * _ORDINALS[:count]
        _, *sizes = _PLANES.unpack_from(self._data, self._at)
        self._at += _PLANES.size
        return _RETURNS[form](self._words(sizes, count))

    def _words(self, sizes: list[int], count: int) -> Ints:
        words = np.zeros((count, 8), np.uint8)
        for number, size in enumerate(sizes):
            if size:
                words[:, number] = np.frombuffer(self._plane(size, count), np.uint8)
        return words.view("<i8")[:, 0]

    def _plane(self, size: int, count: int) -> bytes | memoryview:
        begin = self._at
        self._at += size
        plane = memoryview(self._data)[begin : self._at]
        return plane if size == count else zlib.decompress(plane, bufsize=count)
