"""What a point's x is, and which points are in a range of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from db.metrics.columns import NONE, Columns, Floats, Ints, Mask
from db.metrics.summary import Records

SECOND: Final = 1_000_000  # microseconds
LEAST: Final = NONE + 1
GREATEST: Final = 2**63 - 1


class Axis(StrEnum):
    """What x is. `STEP` of a series without any step is `POSITION`: who asks knows from its `first_step`."""

    STEP = "STEP"
    POSITION = "POSITION"
    WALL_TIME = "WALL_TIME"
    RELATIVE_TIME = "RELATIVE_TIME"
    METRIC = "METRIC"


@dataclass(frozen=True, slots=True)
class Range:
    """An axis, and the part of it that is asked for.

    `lower` and `upper` are both within; they are None, or numbers in the unit of x: steps, seconds, or values of the
    other metric. `origin` is where relative time begins, in microseconds since 1970.
    """

    axis: Axis = Axis.STEP
    lower: float | None = None
    upper: float | None = None
    origin: int = 0

    @property
    def low(self) -> int:
        """The least step, position or time (in microseconds since 1970) within."""
        return self._bound(self.lower, math.ceil, LEAST)

    @property
    def high(self) -> int:
        """The greatest step, position or time within."""
        return self._bound(self.upper, math.floor, GREATEST)

    def _bound(self, given: float | None, whole: Callable[[float], int], otherwise: int) -> int:
        if given is None or self.axis is Axis.METRIC:
            return otherwise
        marks = given if self._start is None else given * SECOND
        if math.isinf(marks):
            return LEAST if marks < 0 else GREATEST
        # x in seconds is rounded to a double, so a bound is rounded to the microsecond that it came from.
        found = whole(marks) if self._start is None else self._start + round(marks)
        return min(max(found, LEAST), GREATEST)

    @property
    def _start(self) -> int | None:
        """Where an axis of time begins."""
        return {Axis.WALL_TIME: 0, Axis.RELATIVE_TIME: self.origin}.get(self.axis)

    def x(self, keys: Ints | Floats) -> Ints | Floats:
        """What the caller sees of `keys`: whole numbers of steps and positions, seconds of times."""
        return keys if self._start is None else (keys - self._start) / SECOND

    def keys(self, columns: Columns, positions: Ints) -> Ints:
        """The steps, positions or times of points, `NONE` where there is none."""
        if self.axis is Axis.STEP:
            return columns.steps
        return positions if self.axis is Axis.POSITION else columns.times

    def sides(self, records: Records) -> tuple[Mask, Mask]:
        """Of which stretches all points are within, and of which only some may be."""
        count = records["count"]
        if self.axis is Axis.POSITION:
            greatest = records["last"]["position"]
            least, having = greatest - count + 1, count
        elif self.axis is Axis.STEP:
            least, greatest, having = records["min_step"], records["max_step"], records["stepped"]
        else:
            least, greatest, having = records["min_time"], records["max_time"], records["timed"]
        low, high = self.low, self.high
        inside = (having == count) & (least >= low) & (greatest <= high)
        touched = (having > 0) & (greatest >= low) & (least <= high)
        return inside, touched & ~inside


@dataclass(frozen=True, slots=True)
class Join:
    """Another metric as x: its value at the same step, of several the one that came last."""

    range: Range
    steps: Ints
    values: Floats

    @classmethod
    def of(cls, range_: Range, other: Columns) -> Join:
        """The axis of the points of another series."""
        stepped = np.flatnonzero(other.steps != NONE)
        order = stepped[np.argsort(other.steps[stepped], kind="stable")]
        steps = other.steps[order]
        last = np.append(steps[1:] != steps[:-1], True)[: len(steps)]
        return cls(range_, steps[last], other.values[order][last])

    def keys(self, columns: Columns) -> Floats:
        """The other metric's value for each point; NaN where it has none, or is out of range."""
        found = np.full(len(columns), np.nan)
        if not len(self.steps):
            return found
        at = np.minimum(np.searchsorted(self.steps, columns.steps), len(self.steps) - 1)
        here = self.steps[at] == columns.steps
        found[here] = self.values[at][here]
        lower, upper = self.range.lower, self.range.upper
        outside = ~np.isfinite(found)
        if lower is not None:
            outside |= found < lower
        if upper is not None:
            outside |= found > upper
        found[outside] = np.nan
        return found
