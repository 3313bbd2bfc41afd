"""Stretches of series: taken out of rows of the tail, put together, and written as segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from db.metrics import segment, summary, tail
from db.metrics.columns import NONE, Columns, Ints, Mask, together
from db.metrics.instant import microseconds, moment
from db.metrics.segment import PART, SIZE
from db.metrics.summary import Records

# fmt: off
COLUMNS: Final = (
    "series_id", "position", "count", "first_seq", "last_seq", "min_step", "max_step", "min_time", "max_time",
    "recorded_until", "summary", "parts", "data",
)
# fmt: on
"""Of a row of `metric_segment`, those that `written` gives."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Points of one series in order of arrival, with the number in the feed and the time of recording of each."""

    columns: Columns
    seqs: Ints
    recorded: Ints

    def between(self, begin: int, end: int) -> Stretch:
        """Some of the points."""
        return self.at(slice(begin, end))

    def at(self, which: Mask | slice) -> Stretch:
        """Those that are chosen."""
        return Stretch(self.columns.at(which), self.seqs[which], self.recorded[which])

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """The points of a segment. When each was recorded is known no better than of the last."""
        columns, seqs = segment.decode(row["data"])
        return cls(columns, seqs, np.full(len(columns), microseconds(row["recorded_until"])))


@dataclass(frozen=True, slots=True)
class Sorted:
    """The points of several series, one series after the other: those of `ids[i]` begin at `begins[i]`."""

    ids: Ints
    begins: Ints
    points: Stretch

    def size(self, number: int) -> int:
        """How many points a series has."""
        return int(self.begins[number + 1] - self.begins[number])

    def stretch(self, number: int) -> Stretch:
        """The points of a series."""
        return self.points.between(int(self.begins[number]), int(self.begins[number + 1]))


def sorted_into_series(rows: Sequence[Mapping[str, Any]], known: Sequence[int]) -> Sorted:
    """The points in rows of the tail, but for those of series that are not known (any more)."""
    tails = [tail.decode(row["data"]) for row in rows]
    counts = np.concatenate([one.counts for one in tails])
    ids, which = np.unique(np.concatenate([one.ids for one in tails]), return_inverse=True)
    # Short numbers are sorted by counting them.
    series = np.repeat(which.astype(np.min_scalar_type(len(ids))), counts)
    order = np.argsort(series, kind="stable")
    is_known = np.isin(ids, np.array(known, np.int64))
    if not is_known.all():
        order = order[is_known[series[order]]]
    sizes = np.bincount(series, minlength=len(ids))[is_known]
    return Sorted(ids[is_known], np.concatenate(([0], np.cumsum(sizes))), _points(rows, tails, order))


def _points(rows: Sequence[Mapping[str, Any]], tails: Sequence[tail.Tail], order: Ints) -> Stretch:
    """The points of rows in another order."""
    sizes = [len(one.columns) for one in tails]
    columns = together([one.columns for one in tails]).at(order)
    seqs = np.repeat(np.array([row["seq"] for row in rows], np.int64), sizes)[order]
    recorded = np.repeat(np.array([microseconds(row["recorded_at"]) for row in rows], np.int64), sizes)[order]
    return Stretch(columns, seqs, recorded)


@dataclass(frozen=True, slots=True)
class Grown:
    """What a series has from `position` on, once points were added; `like` are the bytes of the segment before.

    When `is_hasty`, full segments are written like it, too: three times as fast, and hardly longer.
    """

    series_id: int
    position: int
    points: Stretch
    like: bytes | None = None
    is_hasty: bool = False

    @classmethod
    def of(cls, row: Mapping[str, Any], after: Stretch) -> Self:
        """The points of a segment that was not full, and those that come after them."""
        return cls(row["series_id"], row["position"], joined([Stretch.of(row), after]), row["data"])

    def cut(self) -> Iterator[Grown]:
        """Segment by segment. Only one that will be written again is written as the one before it."""
        for begin in range(0, len(self.points.seqs), SIZE):
            points = self.points.between(begin, begin + SIZE)
            like = self.like if self.is_hasty or len(points.seqs) < SIZE else None
            yield Grown(self.series_id, self.position + begin, points, like)


def joined(stretches: Sequence[Stretch]) -> Stretch:
    """Points one behind the other."""
    return Stretch(
        together([one.columns for one in stretches]),
        np.concatenate([one.seqs for one in stretches]),
        np.concatenate([one.recorded for one in stretches]),
    )


def written(grown: Sequence[Grown]) -> list[tuple[Any, ...]]:
    """The rows of the segments that hold these points."""
    cut = [each for one in grown for each in one.cut()]
    sizes = np.array([len(one.points.seqs) for one in cut], np.int64)
    parts = _figures([one.points.columns for one in cut], sizes)
    counts = -(-sizes // PART)
    begins = np.cumsum(counts) - counts
    wholes = summary.merge(parts, begins)
    return [
        _row(one, wholes[number : number + 1], parts[begin : begin + count])
        for number, (one, begin, count) in enumerate(zip(cut, begins.tolist(), counts.tolist(), strict=True))
    ]


def _figures(columns: Sequence[Columns], sizes: Ints) -> Records:
    """A record for each 512 points of each segment, all in one go: for short ones that is most of the work."""
    flat = together(columns)
    positions = np.arange(len(flat)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return summary.of_points(flat, positions, np.flatnonzero(positions % PART == 0))


def _row(one: Grown, whole: Records, parts: Records) -> tuple[Any, ...]:
    points = one.points
    ranges = (int(whole[name][0]) for name in ("min_step", "max_step", "min_time", "max_time"))
    return (
        one.series_id,
        one.position,
        len(points.seqs),
        int(points.seqs[0]),
        int(points.seqs[-1]),
        *(None if bound == NONE else bound for bound in ranges),
        moment(int(points.recorded.max())),
        summary.pack(whole),
        summary.pack(parts),
        segment.encode(points.columns, points.seqs, one.like),
    )
