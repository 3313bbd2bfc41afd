"""The figures of a series, kept up to date as points arrive."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from operator import attrgetter, itemgetter
from typing import Any

_step = attrgetter("step")
_value = itemgetter(0)


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a series: exactly one of `number`, `string` and `binary`."""

    step: int | None = None
    wall_time: datetime | None = None
    number: float | None = None
    string: str | None = None
    binary: bytes | None = None


@dataclass(frozen=True)
class Figures:
    """What the table `series` keeps. Fields are its columns; in series of strings and of bytes, numbers stay None."""

    count: int = 0
    non_finite_count: int = 0
    first_step: int | None = None
    last_step: int | None = None
    first_at: datetime | None = None
    last_at: datetime | None = None
    first: float | None = None
    last: float | None = None
    min: float | None = None
    min_step: int | None = None
    max: float | None = None
    max_step: int | None = None
    sum: float | None = None
    mean: float | None = None

    def after(self, points: Sequence[Point]) -> Figures:
        """The figures when these points have arrived, in this order."""
        changes = {**_ends(self, points), **_times(self, points), **_extremes(self, points)}
        return replace(self, count=self.count + len(points), **changes)


NAMES = tuple(field.name for field in fields(Figures))


def _ends(known: Figures, points: Sequence[Point]) -> dict[str, Any]:
    """First and last by step, of equal steps the oldest and the newest; by arrival as long as no point has a step."""
    stepped = [point for point in points if point.step is not None]
    if not stepped:
        if known.first_step is not None:
            return {}
        return {"first": known.first if known.count else points[0].number, "last": points[-1].number}
    changes: dict[str, Any] = {}
    least, greatest = min(stepped, key=_step), max(reversed(stepped), key=_step)
    if known.first_step is None or _step(least) < known.first_step:
        changes |= {"first": least.number, "first_step": least.step}
    if known.last_step is None or _step(greatest) >= known.last_step:
        changes |= {"last": greatest.number, "last_step": greatest.step}
    return changes


def _times(known: Figures, points: Sequence[Point]) -> dict[str, Any]:
    times = [point.wall_time for point in points if point.wall_time is not None]
    return {
        "first_at": min((*times, *filter(None, [known.first_at])), default=None),
        "last_at": max((*times, *filter(None, [known.last_at])), default=None),
    }


def _extremes(known: Figures, points: Sequence[Point]) -> dict[str, Any]:
    """What runs over finite values. Of equal extremes, the first that came."""
    numbers = [point.number for point in points if point.number is not None]
    finite = [(p.number, p.step) for p in points if p.number is not None and math.isfinite(p.number)]
    changes: dict[str, Any] = {"non_finite_count": known.non_finite_count + len(numbers) - len(finite)}
    if not finite:
        return changes
    least, greatest = min(finite, key=_value), max(finite, key=_value)
    if known.min is not None and known.min <= least[0]:
        least = (known.min, known.min_step)
    if known.max is not None and known.max >= greatest[0]:
        greatest = (known.max, known.max_step)
    total, mean = _mean(known, [number for number, _ in finite])
    # Rounding may put the mean of equal values beside them.
    changes |= {"sum": total, "mean": min(max(mean, least[0]), greatest[0])}
    return {**changes, **dict(zip(("min", "min_step", "max", "max_step"), (*least, *greatest), strict=True))}


def _mean(known: Figures, numbers: Sequence[float]) -> tuple[float, float]:
    """Sum and mean of all finite values. The mean is right even where the sum is beyond a double."""
    before = known.count - known.non_finite_count
    count = before + len(numbers)
    total = (known.sum or 0.0) + _sum(numbers)
    if math.isfinite(total):
        return total, total / count
    # A quarter of each, so that no sum on the way is beyond a double either.
    shares = [number / count / 4 for number in numbers]
    mean = 4 * math.fsum([*shares, (known.mean or 0.0) / 4 * (before / count)])
    return mean * count, mean


def _sum(numbers: Sequence[float]) -> float:
    try:
        return math.fsum(numbers)
    except OverflowError:
        return math.inf
