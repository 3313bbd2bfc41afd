"""A row of the tail: what one call logged on one object, written as it came, at the speed of a copy.

Calls have few shapes: one series of many steps, or many series at the same steps. So a column of steps or times
is one of:

- nothing: none was given;
- even: the same row for each series, of equal distances (also of a single value);
- tiled: the same row for each series;
- plain: all values.

Layout, little-endian: version and the two forms (a byte each), five unused, the number of series and of points
(32 bits each), ids (64 bits each), counts (32 bits each, filled up to 8 bytes), steps, times, values.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np

from db.metrics.columns import NONE, Columns, Ints

VERSION: Final = 1
NOTHING, EVEN, TILED, PLAIN = range(4)
_HEAD: Final = struct.Struct("<BBB5xII")


@dataclass(frozen=True, slots=True)
class Tail:
    """Points of several series: `counts[i]` points of the series `ids[i]`, one series after the other."""

    ids: Ints
    counts: Ints
    columns: Columns


class Damaged(Exception):
    """The bytes are not what was written."""


def encode(ids: Ints, counts: Ints, columns: Columns) -> bytes:
    """The bytes of a row."""
    step_form, steps = _written(columns.steps, counts)
    time_form, times = _written(columns.times, counts)
    short = counts.astype("<u4").tobytes()
    parts = (
        _HEAD.pack(VERSION, step_form, time_form, len(ids), len(columns)),
        ids.tobytes(),
        short + bytes(-len(short) % 8),
        steps,
        times,
        columns.values.tobytes(),
    )
    return b"".join(parts)


def _written(column: Ints, counts: Ints) -> tuple[int, bytes]:
    """The form that a column takes, and its bytes."""
    if not len(column):
        return NOTHING, b""
    rows = int(counts[0])
    row = column[:rows]
    is_tiled = len(counts) == 1 or (
        rows * len(counts) == len(column)
        and bool((counts == rows).all())
        and bool((column.reshape(-1, rows) == row).all())
    )
    if not is_tiled:
        return (NOTHING, b"") if bool((column == NONE).all()) else (PLAIN, column.tobytes())
    stride = int(row[1]) - int(row[0]) if rows > 1 else 0
    if rows > 1 and not (abs(stride) < 2**62 and bool((np.diff(row) == stride).all())):
        return TILED, row.tobytes()
    if row[0] == NONE:
        return NOTHING, b""
    return EVEN, struct.pack("<qq", int(row[0]), stride)


def decode(data: bytes) -> Tail:
    """The points of a row.

    Raises:
        Damaged: its length is not what it says.
    """
    if len(data) < _HEAD.size or data[0] != VERSION:
        raise Damaged("A row of the metric tail has an unknown form.")
    _, step_form, time_form, series, points = _HEAD.unpack_from(data)
    reader = _Reader(data)
    ids = reader.take("<i8", series)
    counts = reader.take("<u4", series).astype(np.int64)
    reader.align()
    if int(counts.sum()) != points:
        raise Damaged("A row of the metric tail does not hold the points that it counts.")
    steps = reader.column(step_form, series, points)
    times = reader.column(time_form, series, points)
    values = reader.take("<f8", points)
    reader.end()
    return Tail(ids, counts, Columns(steps, times, values))


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = _HEAD.size

    def take(self, kind: str, count: int) -> np.ndarray:
        size = np.dtype(kind).itemsize * count
        if self._at + size > len(self._data):
            raise Damaged("A row of the metric tail ends too early.")
        found = np.frombuffer(self._data, kind, count, self._at)
        self._at += size
        return found

    def align(self) -> None:
        self._at += -self._at % 8

    def column(self, form: int, series: int, points: int) -> Ints:
        if form == NOTHING or not series:
            return np.full(points, NONE, np.int64)
        rows = points // series
        if form == EVEN:
            start, stride = (int(word) for word in self.take("<i8", 2))
            return np.tile(start + stride * np.arange(rows, dtype=np.int64), series)
        if form == TILED:
            return np.tile(self.take("<i8", rows), series)
        return self.take("<i8", points)

    def end(self) -> None:
        if self._at != len(self._data):
            raise Damaged("A row of the metric tail is longer than it says.")
