"""What a sample must be, by its definition: plain loops over all raw points."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from db.metrics.columns import NONE, Columns


@dataclass(frozen=True)
class Expected:
    """Positions and values in the order of x, and what is said of them."""

    positions: list[int]
    values: list[float]
    raw_count: int
    non_finite_count: int
    is_exact: bool


def expected(
    points: Columns, axis: str, method: str, most: int, *, low: float = -math.inf, high: float = math.inf
) -> Expected:
    """MINMAX, LAST or MEAN of the points whose step, position or time is in a range."""
    marks = {"STEP": points.steps, "WALL_TIME": points.times}.get(axis, np.arange(len(points))).tolist()
    here = [at for at, mark in enumerate(marks) if mark != NONE and low <= mark <= high]
    values = points.values.tolist()
    odd = sum(not math.isfinite(values[at]) for at in here)
    if len(here) <= most:
        chosen = {at: values[at] for at in here}
    else:
        buckets = _buckets(here, _most_buckets(most, method, odd))
        chosen = dict(pair for bucket in buckets for pair in _of_bucket(bucket, values, method, with_odd=most > 2))
    order = sorted(chosen, key=lambda at: (marks[at], at))
    return Expected(order, [chosen[at] for at in order], len(here), odd, len(here) <= most)


def _most_buckets(most: int, method: str, odd: int) -> int:
    if method != "MINMAX":
        return most
    return max(1, most // (3 if odd and most > 2 else 2))


def _buckets(here: Sequence[int], most: int) -> list[list[int]]:
    size = 1
    while len({at // size for at in here}) > most:
        size *= 2
    buckets = defaultdict(list)
    for at in here:
        buckets[at // size].append(at)
    return [buckets[number] for number in sorted(buckets)]


def _of_bucket(bucket: list[int], values: list[float], method: str, *, with_odd: bool) -> list[tuple[int, float]]:
    finite = [at for at in bucket if math.isfinite(values[at])]
    odd = [at for at in bucket if not math.isfinite(values[at])]
    if method == "LAST":
        return [(bucket[-1], values[bucket[-1]])]
    if method == "MEAN":
        return [(bucket[-1], _mean(finite, values) if finite else values[odd[0]])]
    kept = [min(finite, key=values.__getitem__), max(finite, key=values.__getitem__)] if finite else []
    return [(at, values[at]) for at in [*kept, *(odd[:1] if with_odd or not finite else [])]]


def _mean(finite: list[int], values: list[float]) -> float:
    """Sums run from left to right: over each 512, over these in each 4 096, and over those.

    None overflows, and zero has no sign.
    """
    sums = {at: values[at] * 2.0**-32 for at in finite}
    for size in (512, 4096, len(values) + 1):
        upper: dict[int, float] = defaultdict(float)
        for at, value in sums.items():
            upper[at // size * size] += value
        sums = upper
    mean = sums[0] / len(finite) / 2.0**-32
    return min(max(mean, min(values[at] for at in finite)), max(values[at] for at in finite)) + 0.0
