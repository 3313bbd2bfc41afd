"""Figures of stretches of a series: what a sample needs of them without their points.

Whatever is merged of smaller stretches is the same, bit for bit, as if it had been made of the points: extremes are
the first of equal ones, and sums run from left to right, over the points of each 512, over those sums in each
segment, and over the segments' sums.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from db.metrics.columns import NONE, Columns, Floats, Ints, Mask
from db.metrics.segment import PART
from db.metrics.tail import Damaged

VERSION: Final = 65
"""Unlike any of a segment, so that neither is taken for the other."""

SHARE: Final = 2.0**-32
"""What sums are scaled by, so that none is beyond a double: exact but for values below 1e-298."""

POINT: Final = np.dtype([("position", "<i8"), ("step", "<i8"), ("time", "<i8"), ("value", "<f8")])
"""A point of the stretch."""

SUMMARY: Final = np.dtype(
    [
        ("count", "<i4"),
        ("non_finite", "<i4"),
        ("stepped", "<i4"),
        ("timed", "<i4"),
        ("sum", "<f8"),
        ("min_step", "<i8"),
        ("max_step", "<i8"),
        ("min_time", "<i8"),
        ("max_time", "<i8"),
        ("least", POINT),
        ("greatest", POINT),
        ("last", POINT),
        ("odd", POINT),
    ]
)
"""One stretch of a series.

Points: all, the non-finite, those with a step, those with a time; the sum of the finite values times `SHARE`; the
range of steps and of times, `NONE` where there is none; the points with the least and the greatest finite value, the
last point, and the first that is not finite. Points that do not exist are arbitrary ones: the counts tell.
"""

Records = npt.NDArray[np.void]
"""An array of `SUMMARY`."""

_HEAD: Final = struct.Struct("<BI")


def _bytes_of(name: str) -> str:
    kind, offset = SUMMARY.fields[name][:2]  # type: ignore[index]
    return f"substring(summary FROM {_HEAD.size + offset + 1} FOR {kind.itemsize})"


PAST_SQL: Final = f"(coalesce(min_step > $3, false) AND {_bytes_of('stepped')} = {_bytes_of('count')})"
"""Of a row of `metric_segment`, in SQL: whether all its points have a step, and one greater than `$3`."""


def summarise(columns: Columns, size: int = PART) -> Records:
    """One record for each `size` points (`PART`, or a multiple). Positions count from the first of all points."""
    positions = np.arange(len(columns), dtype=np.int64)
    parts = of_points(columns, positions, np.arange(0, len(columns), PART))
    return parts if size == PART else merge(parts, np.arange(0, len(parts), size // PART))


def pack(records: Records) -> bytes:
    """Records as they are stored."""
    body = records.tobytes()
    return _HEAD.pack(VERSION, zlib.crc32(body)) + body


def unpack(stored: Sequence[bytes]) -> tuple[Records, Ints]:
    """The records in several stored values, one behind the other, and how many each holds.

    Raises:
        Damaged: one is not what was written.
    """
    for data in stored:
        if len(data) < _HEAD.size or data[0] != VERSION or (len(data) - _HEAD.size) % SUMMARY.itemsize:
            raise Damaged("Figures of metrics have an unknown form.")
        if zlib.crc32(memoryview(data)[_HEAD.size :]) != _HEAD.unpack_from(data)[1]:
            raise Damaged("Figures of metrics are damaged: their checksum is not that of their bytes.")
    counts = np.array([len(data) // SUMMARY.itemsize for data in stored], np.int64)
    return np.frombuffer(b"".join([data[_HEAD.size :] for data in stored]), SUMMARY), counts


def moved(records: Records, by: Ints) -> Records:
    """The same records, with positions that count from elsewhere: `by` is added to each record's own."""
    copy = records.copy()
    for name in ("least", "greatest", "last", "odd"):
        copy[name]["position"] += by
    return copy


def of_points(columns: Columns, positions: Ints, starts: Ints, carried: Floats | None = None) -> Records:
    """One record for each run of points that begins at an index in `starts`.

    A sum may go on from points that come before: `carried` has it for each run.
    """
    records = np.empty(len(starts), SUMMARY)
    ends = np.append(starts, len(columns))[1:]
    finite = np.isfinite(columns.values)
    records["count"] = ends - starts
    records["non_finite"] = _counts(~finite, starts)
    records["stepped"] = _counts(columns.steps != NONE, starts)
    records["timed"] = _counts(columns.times != NONE, starts)
    records["min_step"], records["max_step"] = _range(columns.steps, starts)
    records["min_time"], records["max_time"] = _range(columns.times, starts)
    records["sum"] = fold(np.where(finite, columns.values, 0.0) * SHARE, starts, carried)
    least, greatest = extremes(columns.values, finite, starts)
    for name, indexes in (
        ("least", least),
        ("greatest", greatest),
        ("last", ends - 1),
        ("odd", first(~finite, starts)),
    ):
        chosen = records[name]
        chosen["position"] = positions[indexes]
        chosen["step"], chosen["time"] = columns.steps[indexes], columns.times[indexes]
        chosen["value"] = columns.values[indexes]
    return records


def merge(records: Records, starts: Ints) -> Records:
    """One record for each run of records that begins at an index in `starts`."""
    merged = np.empty(len(starts), SUMMARY)
    ends = np.append(starts, len(records))[1:]
    for name in ("count", "non_finite", "stepped", "timed"):
        merged[name] = np.add.reduceat(records[name], starts)
    for name in ("step", "time"):
        merged[f"min_{name}"] = _least(records[f"min_{name}"], starts)
        merged[f"max_{name}"] = np.maximum.reduceat(records[f"max_{name}"], starts)
    merged["sum"] = fold(records["sum"], starts)
    has_finite = records["count"] > records["non_finite"]
    least, _ = extremes(records["least"]["value"], has_finite, starts)
    _, greatest = extremes(records["greatest"]["value"], has_finite, starts)
    merged["least"], merged["greatest"] = records["least"][least], records["greatest"][greatest]
    merged["last"] = records["last"][ends - 1]
    merged["odd"] = records["odd"][first(records["non_finite"] > 0, starts)]
    return merged


def fold(values: Floats, starts: Ints, carried: Floats | None = None) -> Floats:
    """Sums of runs from left to right, whatever their lengths: so a run can be added up in several goes."""
    lengths = np.diff(starts, append=len(values))
    table = np.zeros((len(starts), 1 + int(lengths.max(initial=0))))
    if carried is not None:
        table[:, 0] = carried
    rows = np.repeat(np.arange(len(starts)), lengths)
    table[rows, 1 + np.arange(len(values)) - np.repeat(starts, lengths)] = values
    sums: Floats = np.add.accumulate(table, axis=1)[:, -1]
    return sums


def extremes(values: Floats, counted: Mask, starts: Ints) -> tuple[Ints, Ints]:
    """For each run the index of its least and of its greatest value; of equal ones, the first.

    Only values that are `counted` count; in a run without any, the indexes are arbitrary.
    """
    lengths = np.diff(starts, append=len(values))
    low, high = np.where(counted, values, np.inf), np.where(counted, values, -np.inf)
    return (
        first(low == np.repeat(np.minimum.reduceat(low, starts), lengths), starts),
        first(high == np.repeat(np.maximum.reduceat(high, starts), lengths), starts),
    )


def first(mask: Mask, starts: Ints) -> Ints:
    """For each run the first index that is marked; where none is, some index."""
    marked = np.flatnonzero(mask)
    if not len(marked):
        return starts
    return marked[np.minimum(np.searchsorted(marked, starts), len(marked) - 1)]


def _counts(mask: Mask, starts: Ints) -> Ints:
    counts: Ints = np.add.reduceat(mask, starts, dtype=np.int64)
    return counts


def _range(column: Ints, starts: Ints) -> tuple[Ints, Ints]:
    return _least(column, starts), np.maximum.reduceat(column, starts)


def _least(column: Ints, starts: Ints) -> Ints:
    """The least of each run that is not `NONE`, or else that. Less one, in 64 bits, it is greater than all others."""
    one = np.int64(1)
    least: Ints = np.minimum.reduceat(column - one, starts) + one
    return least
