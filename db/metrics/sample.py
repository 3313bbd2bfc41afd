"""Few points that show a series of any length: deterministic, and the same before and after compaction.

The points in range fall into buckets by position, `position >> k`, with the least `k` that leaves few enough. So
buckets of 512 points or more can be made of records of figures as well as of points, and come out the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

import numpy as np

from db.metrics import lttb, summary
from db.metrics.axis import Join, Range
from db.metrics.columns import Columns, Floats, Ints, Mask, together
from db.metrics.segment import PART, SIZE
from db.metrics.summary import Records

PART_BITS: Final = PART.bit_length() - 1
SEGMENT_BITS: Final = SIZE.bit_length() - 1
PRESELECTED: Final = 4
"""LTTB chooses from so many times the points that it may keep."""


class Method(StrEnum):
    """What stays of a bucket: its extremes, its last point, or its mean; or of the whole, the points of LTTB."""

    MINMAX = "MINMAX"
    LTTB = "LTTB"
    LAST = "LAST"
    MEAN = "MEAN"


@dataclass(frozen=True, slots=True)
class Ask:
    """How a series is sampled, and where."""

    max_points: int
    method: Method = Method.MINMAX
    range: Range = field(default_factory=Range)

    @property
    def buckets(self) -> int:
        """The most buckets that this can come to."""
        if self.method is Method.LTTB:
            return PRESELECTED * self.max_points // 2
        return _budget(self.max_points, self.method, non_finite=0)


@dataclass(frozen=True, slots=True)
class Points:
    """Points of one series, in order of position."""

    positions: Ints
    columns: Columns

    def __len__(self) -> int:
        return len(self.positions)

    def at(self, which: Ints | Mask | slice) -> Points:
        """Some of them."""
        return Points(self.positions[which], self.columns.at(which))


@dataclass(frozen=True, slots=True)
class Known:
    """What is at hand of a series: points, and figures of the stretches whose points are not.

    Both are in order of position, and no point is in both. `rolled` tells which stretches have nothing else left.
    """

    points: Points
    records: Records
    rolled: Mask

    @property
    def count(self) -> int:
        """How many points all this is about."""
        return len(self.points) + int(self.records["count"].sum())

    @property
    def finer(self) -> Mask:
        """Of which stretches there is more than these figures: points, or else figures of each part."""
        return ~self.rolled | (self.records["count"] > PART)

    @property
    def non_finite_count(self) -> int:
        """How many of them are not finite."""
        here = int(np.count_nonzero(~np.isfinite(self.points.columns.values)))
        return here + int(self.records["non_finite"].sum())


@dataclass(frozen=True, slots=True)
class Missing:
    """Figures do not suffice: the positions of the segments of which the finest is needed that is left."""

    positions: Ints


@dataclass(frozen=True, slots=True)
class Sampled:
    """The points that show a series, in order of x and then of position.

    `x` is steps as integers, or seconds or another metric's values as doubles. `raw_count` points were in range,
    `non_finite_count` of them not finite; `is_exact` says that they are all here.
    """

    points: Points
    x: Ints | Floats
    raw_count: int
    non_finite_count: int
    method: Method
    is_exact: bool


def sample(known: Known, ask: Ask, other: Columns | None = None) -> Sampled | Missing:
    """The points that show what is in range; `other` are all points of the metric that is x.

    Points without an x are not in range. Where points were rolled up, those count that are left.
    """
    line = _Line(ask.range, Join.of(ask.range, other) if other is not None else None)
    inside, partly = line.sides(known.records)
    here = _in_range(known, inside, partly, line, ask.method)
    if isinstance(here, Missing):
        return here
    shape = ask.method is Method.LTTB
    chosen = _shape(here, ask, line) if shape else _of_buckets(here, ask.method, ask.max_points)
    if isinstance(chosen, Missing):
        return chosen
    chosen, keys = line.in_order(chosen)
    return Sampled(
        points=chosen,
        x=line.x(keys),
        raw_count=here.count,
        non_finite_count=here.non_finite_count,
        method=ask.method,
        is_exact=here.count <= ask.max_points and not known.rolled[inside | partly].any(),
    )


def points_in(known: Known, range_: Range) -> Points | Missing:
    """All points in range, in order of position; where points were rolled up, those that are left."""
    line = _Line(range_, None)
    here = _in_range(known, *line.sides(known.records), line, Method.MINMAX)
    return here if isinstance(here, Missing) else _all(here, Method.MINMAX)


@dataclass(frozen=True, slots=True)
class _Line:
    """Where points lie on the axis, be it their own or that of another metric."""

    range: Range
    join: Join | None

    def sides(self, records: Records) -> tuple[Mask, Mask]:
        """Of which stretches all points are within, and of which only some may be."""
        if self.join or not len(records):
            return np.zeros(len(records), np.bool_), np.ones(len(records), np.bool_)
        return self.range.sides(records)

    def within(self, points: Points) -> Mask:
        """Which points are in range."""
        keys = self.keys(points)
        if self.join:
            return ~np.isnan(keys)
        return (keys >= self.range.low) & (keys <= self.range.high)

    def keys(self, points: Points) -> Ints | Floats:
        """What points are ordered by."""
        if self.join:
            return self.join.keys(points.columns)
        return self.range.keys(points.columns, points.positions)

    def in_order(self, points: Points) -> tuple[Points, Ints | Floats]:
        """Points in order of x and then of position, and their keys."""
        keys = self.keys(points)
        order = np.lexsort((points.positions, keys))
        return points.at(order), keys[order]

    def x(self, keys: Ints | Floats) -> Ints | Floats:
        """What the caller sees of keys."""
        return keys if self.join else self.range.x(keys)


def _in_range(known: Known, inside: Mask, partly: Mask, line: _Line, method: Method) -> Known | Missing:
    """The points in range, and the figures of the stretches that are wholly in range."""
    points = known.points
    if partly.any():
        partial = Known(points, known.records[partly], known.rolled[partly])
        if partial.finer.any():
            return _missing(partial)
        points = _together(points, _left(partial.records, method))
    within = line.within(points)
    points = points if within.all() else points.at(within)
    return Known(points, known.records[inside], known.rolled[inside])


def _shape(here: Known, ask: Ask, line: _Line) -> Points | Missing:
    """What LTTB chooses of a selection by extremes. Of what is not finite stays what stays there too."""
    few = _of_buckets(here, Method.MINMAX, ask.max_points)
    many = _of_buckets(here, Method.MINMAX, PRESELECTED * ask.max_points)
    if isinstance(few, Missing) or isinstance(many, Missing):
        return few if isinstance(few, Missing) else many
    odd = few.at(~np.isfinite(few.columns.values))
    room = ask.max_points - len(odd)
    if here.count <= ask.max_points or room < lttb.FEWEST:
        return few
    finite, keys = line.in_order(many.at(np.isfinite(many.columns.values)))
    x = np.asarray(line.x(keys), np.float64)
    return _together(odd, finite.at(lttb.chosen(x, finite.columns.values, room)))


def _of_buckets(here: Known, method: Method, most: int) -> Points | Missing:
    """At most so many points, by a method that looks at each bucket by itself."""
    if here.count <= most:
        return _all(here, method)
    non_finite = here.non_finite_count
    bits = _bits(here, _budget(most, method, non_finite=non_finite))
    if bits < PART_BITS:
        points = _all(here, method)
        return points if isinstance(points, Missing) else _fine(points, bits, method, with_odd=most > 2)
    buckets = _coarse(here, bits)
    if isinstance(buckets, Missing):
        return buckets
    return _picked(buckets, method, with_odd=most > 2)


def _all(here: Known, method: Method) -> Points | Missing:
    """All points; where they were rolled up, those that stand for them."""
    if not len(here.records):
        return here.points
    return _missing(here) if here.finer.any() else _together(here.points, _left(here.records, method))


def _budget(most: int, method: Method, *, non_finite: int) -> int:
    """How many buckets so many points are enough for."""
    if method in (Method.LAST, Method.MEAN):
        return most
    return max(1, most // (3 if non_finite and most > 2 else 2))


def _bits(here: Known, budget: int) -> int:
    """The least `k` with which `position >> k` takes at most `budget` values."""
    firsts, lasts = _runs(here)
    bits = max(0, (here.count - 1) // budget).bit_length() - 1
    while True:
        bits = max(bits, 0)
        low, high = firsts >> bits, lasts >> bits
        if int((high - low).sum()) + len(low) - int(np.count_nonzero(low[1:] == high[:-1])) <= budget:
            return bits
        bits += 1


def _runs(here: Known) -> tuple[Ints, Ints]:
    """The first and the last position of each stretch without a gap, in order."""
    positions = here.points.positions
    breaks = np.flatnonzero(np.diff(positions) != 1)
    lasts = here.records["last"]["position"]
    firsts = np.concatenate((lasts - here.records["count"] + 1, positions[:1], positions[breaks + 1]))
    lasts = np.concatenate((lasts, positions[breaks], positions[-1:]))
    order = np.argsort(firsts)
    return firsts[order], lasts[order]


def _fine(points: Points, bits: int, method: Method, *, with_odd: bool) -> Points:
    """Of buckets smaller than a record's stretch, which are made of points alone."""
    starts = _starts(points.positions >> bits)
    if method is Method.LAST:
        return points.at(np.append(starts, len(points))[1:] - 1)
    if method is Method.MEAN:
        return _means(summary.of_points(points.columns, points.positions, starts))
    finite = np.isfinite(points.columns.values)
    least, greatest = summary.extremes(points.columns.values, finite, starts)
    if finite.all():
        return points.at(np.unique(np.concatenate((least, greatest))))
    odd, some = summary.first(~finite, starts), finite[least]
    own = (odd >= starts) & (odd < np.append(starts, len(points))[1:])
    return points.at(np.unique(np.concatenate((least[some], greatest[some], odd[own & (with_odd | ~some)]))))


def _coarse(here: Known, bits: int) -> Records | Missing:
    """Buckets of whole records, those of the points among them."""
    if bits < SEGMENT_BITS and (here.records["count"] > PART).any():
        return _missing(here)
    records, points = here.records, here.points
    places = records["last"]["position"] >> PART_BITS
    if len(points):
        parts = points.positions >> PART_BITS
        starts = _starts(parts)
        carried, records = _carried(records, places, parts[starts])
        more = summary.of_points(points.columns, points.positions, starts, carried)
        order = np.argsort(np.concatenate((places, parts[starts])), kind="stable")
        records = np.concatenate((records, more))[order]
    for level in sorted({PART_BITS, min(bits, SEGMENT_BITS), bits}):
        starts = _starts(records["last"]["position"] >> level)
        if len(starts) < len(records):
            records = summary.merge(records, starts)
    return records


def _carried(records: Records, places: Ints, parts: Ints) -> tuple[Floats, Records]:
    """The sums of records whose parts go on in points; the points' records take them over."""
    carried = np.zeros(len(parts))
    _, ours, theirs = np.intersect1d(places, parts, return_indices=True)
    if not len(ours):
        return carried, records
    records = records.copy()
    carried[theirs] = records["sum"][ours]
    records["sum"][ours] = 0.0
    return carried, records


def _starts(groups: Ints) -> Ints:
    """Where each run of equal numbers begins."""
    return np.flatnonzero(np.concatenate((np.ones(min(len(groups), 1), np.bool_), groups[1:] != groups[:-1])))


def _missing(here: Known) -> Missing:
    return Missing(np.unique(here.records["last"]["position"][here.finer] >> SEGMENT_BITS << SEGMENT_BITS))


def _left(records: Records, method: Method) -> Points:
    """What stands for the points of stretches that were rolled up."""
    picked = _picked(records, method, with_odd=True)
    return picked if method in (Method.LAST, Method.MEAN) else _together(picked, _points(records["last"]))


def _picked(records: Records, method: Method, *, with_odd: bool) -> Points:
    """What a method keeps of buckets."""
    if method is Method.LAST:
        return _points(records["last"])
    if method is Method.MEAN:
        return _means(records)
    return _extremes(records, with_odd=with_odd)


def _extremes(records: Records, *, with_odd: bool) -> Points:
    finite = records["count"] > records["non_finite"]
    odd = (records["non_finite"] > 0) & (with_odd | ~finite)
    found = np.concatenate((records["least"][finite], records["greatest"][finite], records["odd"][odd]))
    return _points(found[np.unique(found["position"], return_index=True)[1]])


def _means(records: Records) -> Points:
    """For each record the mean, at its last point; where nothing is finite, the first value."""
    finite = records["count"] - records["non_finite"]
    means = records["sum"] / np.maximum(finite, 1) / summary.SHARE
    # Rounding may put the mean of equal values beside them; a mean of zero has no sign.
    means = np.clip(means, records["least"]["value"], records["greatest"]["value"]) + 0.0
    last = _points(records["last"])
    values = np.where(finite > 0, means, records["odd"]["value"])
    return replace(last, columns=replace(last.columns, values=values))


def _points(found: Records) -> Points:
    return Points(found["position"].copy(), Columns(found["step"].copy(), found["time"].copy(), found["value"].copy()))


def _together(one: Points, other: Points) -> Points:
    """The points of both, in order of position, none twice."""
    if not len(one) or not len(other):
        return one if len(one) else other
    positions = np.concatenate((one.positions, other.positions))
    positions, which = np.unique(positions, return_index=True)
    return Points(positions, together([one.columns, other.columns]).at(which))
