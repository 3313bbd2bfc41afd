"""The figures of a series by their definitions, from all its points at once: what the kept ones must equal."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from fractions import Fraction

from db.metrics.figures import Figures, Point


def bits(value: float | None) -> bytes | None:
    """All 64 bits of a double, by which −0.0 differs from 0.0, and NaN equals itself."""
    return None if value is None else struct.pack(">d", value)


def defined(points: Sequence[Point]) -> Figures:
    """What `MetricSeries` says of its fields, word by word; the sum rounded once."""
    stepped = [point for point in points if point.step is not None]
    times = [point.wall_time for point in points if point.wall_time is not None]
    steps = [point.step for point in points if point.step is not None]
    first, last = ends(stepped or points)
    finite = [point for point in points if point.number is not None and math.isfinite(point.number)]
    low, high = lowest(finite), highest(finite)
    total = sum((Fraction(point.number or 0) for point in finite), Fraction())
    return Figures(
        count=len(points),
        non_finite_count=sum(point.number is not None for point in points) - len(finite),
        first_step=min(steps, default=None),
        last_step=max(steps, default=None),
        first_at=min(times, default=None),
        last_at=max(times, default=None),
        first=first,
        last=last,
        min=low.number if low else None,
        min_step=low.step if low else None,
        max=high.number if high else None,
        max_step=high.step if high else None,
        sum=rounded(total) if finite else None,
        mean=rounded(total / len(finite)) if finite else None,
    )


def ends(points: Sequence[Point]) -> tuple[float | None, float | None]:
    """The values with the least and the greatest step; of equals the oldest and the newest."""
    first, last = points[0], points[0]
    for point in points:
        if (point.step or 0) < (first.step or 0):
            first = point
        if (point.step or 0) >= (last.step or 0):
            last = point
    return first.number, last.number


def lowest(points: Sequence[Point]) -> Point | None:
    found: Point | None = None
    for point in points:
        if found is None or (point.number or 0) < (found.number or 0):
            found = point
    return found


def highest(points: Sequence[Point]) -> Point | None:
    found: Point | None = None
    for point in points:
        if found is None or (point.number or 0) > (found.number or 0):
            found = point
    return found


def rounded(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
