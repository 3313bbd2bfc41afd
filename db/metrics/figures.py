"""The figures of series, of points that arrive together; `db.metrics.append` adds them to those that are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from db.metrics.columns import NONE, Columns, Floats, Ints, Mask

_NEVER: Final = 2**63 - 1


@dataclass(frozen=True)
class Figures:
    """What the table `series` keeps, a value for each of several series. Fields are its columns.

    Times are microseconds since 1970.
    """

    count: Sequence[int]
    non_finite_count: Sequence[int]
    first_step: Sequence[int | None]
    last_step: Sequence[int | None]
    first_at: Sequence[int | None]
    last_at: Sequence[int | None]
    first: Sequence[float | None]
    last: Sequence[float | None]
    min: Sequence[float | None]
    min_step: Sequence[int | None]
    max: Sequence[float | None]
    max_step: Sequence[int | None]
    mean: Sequence[float | None]


def figures(columns: Columns, counts: Ints) -> Figures:
    """The figures of series that lie one after the other, `counts[i]` > 0 points each, in order of arrival.

    First and last go by step, of equal steps the oldest and the newest; by arrival where no point has a step. All
    others run over finite values; of equal extremes, the first that came.
    """
    groups = _Groups(counts)
    steps, values = columns.steps, columns.values
    finite = np.isfinite(values)
    finite_count = np.add.reduceat(finite, groups.starts, dtype=np.int64)
    least_step = groups.least(np.where(steps == NONE, _NEVER, steps))
    greatest_step = groups.greatest(steps)
    first = groups.first(np.where(steps == NONE, _NEVER, steps) == least_step[groups.of])
    last = groups.last(steps == greatest_step[groups.of])
    least = groups.least(np.where(finite, values, math.inf))
    greatest = groups.greatest(np.where(finite, values, -math.inf))
    low = groups.first(finite & (values == least[groups.of]))
    high = groups.first(finite & (values == greatest[groups.of]))
    known = finite_count > 0
    times = columns.times
    earliest, latest = groups.least(np.where(times == NONE, _NEVER, times)), groups.greatest(times)
    return Figures(
        count=counts.tolist(),
        non_finite_count=(counts - finite_count).tolist(),
        first_step=_listed(least_step, least_step != _NEVER),
        last_step=_listed(greatest_step, greatest_step != NONE),
        first_at=_listed(earliest, earliest != _NEVER),
        last_at=_listed(latest, latest != NONE),
        first=values[first].tolist(),
        last=values[last].tolist(),
        min=_listed(values[low], known),
        min_step=_listed(steps[low], known & (steps[low] != NONE)),
        max=_listed(values[high], known),
        max_step=_listed(steps[high], known & (steps[high] != NONE)),
        mean=_listed(_means(values, finite, finite_count, (least, greatest)), known),
    )


class _Groups:
    """Rows that lie group by group."""

    def __init__(self, counts: Ints) -> None:
        self.ends = np.cumsum(counts)
        self.starts = self.ends - counts
        self._numbers = np.arange(len(counts))
        self.of = np.repeat(self._numbers, counts)

    def least(self, column: Any) -> Any:
        return np.minimum.reduceat(column, self.starts)

    def greatest(self, column: Any) -> Any:
        return np.maximum.reduceat(column, self.starts)

    def first(self, chosen: Mask) -> Ints:
        """The first chosen row of each group; any row of it where there is none."""
        rows = np.flatnonzero(chosen)
        found = np.searchsorted(rows, self.starts)
        return self._inside(np.append(rows, -1)[found])

    def last(self, chosen: Mask) -> Ints:
        """The last one."""
        rows = np.flatnonzero(chosen)
        found = np.searchsorted(rows, self.ends) - 1
        return self._inside(np.append(rows, -1)[found])

    def _inside(self, rows: Ints) -> Ints:
        return np.clip(rows, self.starts, self.ends - 1)


def _means(values: Floats, finite: Mask, counts: Ints, bounds: tuple[Floats, Floats]) -> Floats:
    """The mean of each group's finite values; right even where their sum is beyond a double."""
    size = len(values) // len(counts)
    if size == 1 and len(counts) == len(values):
        return values
    is_even = len(values) == len(counts) * size and (counts == size).all()
    means = _even_means(values, len(counts), size) if is_even else None
    if means is not None:
        return _between(means, bounds)
    listed, ends = values[finite].tolist(), np.cumsum(counts).tolist()
    found = [_mean(listed[end - count : end]) for end, count in zip(ends, counts.tolist(), strict=True)]
    return _between(np.array(found), bounds)


def _even_means(values: Floats, groups: int, size: int) -> Floats | None:
    """Of groups of one size without NaN and infinities, by numpy's pairwise sums; None where one is beyond a double."""
    with np.errstate(over="ignore"):
        means: Floats = values.reshape(groups, size).sum(axis=1) / size
    return means if np.isfinite(means).all() else None


def _between(means: Floats, bounds: tuple[Floats, Floats]) -> Floats:
    """Rounding may put the mean of equal values beside them."""
    clipped: Floats = np.clip(means, *bounds)
    return clipped


def _mean(numbers: Sequence[float]) -> float:
    if not numbers:
        return math.nan
    try:
        return math.fsum(numbers) / len(numbers)
    except OverflowError:
        # A quarter of each, so that no sum on the way is beyond a double either.
        return 4 * math.fsum(number / len(numbers) / 4 for number in numbers)


def _listed(column: Any, known: Mask) -> list[Any]:
    if known.all():
        return list(column.tolist())
    return [value if is_known else None for value, is_known in zip(column.tolist(), known.tolist(), strict=True)]
