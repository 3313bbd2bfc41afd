"""Stretches of series: taken out of rows of the tail, put together, and written as segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from db.metrics import segment, summary, tail
from db.metrics.columns import NONE, Columns, Ints
from db.metrics.figures import microseconds, moment
from db.metrics.segment import SIZE

# fmt: off
COLUMNS: Final = (
    "tenant_id", "owner_id", "series_id", "leg", "position", "count", "first_seq", "last_seq", "min_step", "max_step",
    "min_time", "max_time", "recorded_until", "summary", "parts", "data",
)
# fmt: on
"""Of a row of `metric_segment`; those behind `leg` are what `written` gives."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Points of one series in order of arrival, with the number in the feed and the time of recording of each."""

    columns: Columns
    seqs: Ints
    recorded: Ints

    def between(self, begin: int, end: int) -> Stretch:
        """Some of the points."""
        part = slice(begin, end)
        given = self.columns
        columns = Columns(given.steps[part], given.times[part], given.values[part])
        return Stretch(columns, self.seqs[part], self.recorded[part])


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
    columns = Columns(
        np.concatenate([one.columns.steps for one in tails])[order],
        np.concatenate([one.columns.times for one in tails])[order],
        np.concatenate([one.columns.values for one in tails])[order],
    )
    seqs = np.repeat(np.array([row["seq"] for row in rows], np.int64), sizes)[order]
    recorded = np.repeat(np.array([microseconds(row["recorded_at"]) for row in rows], np.int64), sizes)[order]
    return Stretch(columns, seqs, recorded)


def continued(row: Mapping[str, Any], after: Stretch) -> Stretch:
    """The points of a segment, and those that come after them."""
    columns, seqs = segment.decode(row["data"])
    recorded = np.full(len(columns), microseconds(row["recorded_until"]))
    return Stretch(
        Columns(
            np.concatenate((columns.steps, after.columns.steps)),
            np.concatenate((columns.times, after.columns.times)),
            np.concatenate((columns.values, after.columns.values)),
        ),
        np.concatenate((seqs, after.seqs)),
        np.concatenate((recorded, after.recorded)),
    )


def written(stretch: Stretch, position: int) -> Iterator[tuple[Any, ...]]:
    """The segments that hold these points, whose first is the series' point number `position`."""
    for begin in range(0, len(stretch.columns), SIZE):
        yield position + begin, *_segment(stretch.between(begin, begin + SIZE))


def _segment(stretch: Stretch) -> tuple[Any, ...]:
    columns, seqs = stretch.columns, stretch.seqs
    parts = summary.summarise(columns)
    whole = summary.merge(parts, np.zeros(1, np.int64))
    ranges = (whole[0][name] for name in ("min_step", "max_step", "min_time", "max_time"))
    return (
        len(columns),
        int(seqs[0]),
        int(seqs[-1]),
        *(None if bound == NONE else int(bound) for bound in ranges),
        moment(int(stretch.recorded.max())),
        summary.pack(whole),
        summary.pack(parts),
        segment.encode(columns, seqs),
    )
