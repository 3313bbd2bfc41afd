"""Largest-Triangle-Three-Buckets: of a curve's points, those that keep its shape.

After Sveinn Steinarsson, "Downsampling Time Series for Visual Representation" (2013). Beyond it, the least and the
greatest value always stay.
"""

from __future__ import annotations

import numpy as np

from db.metrics.columns import Floats, Ints

FEWEST = 5
"""Points that it can choose at least: the ends, the extremes, and one more."""


def chosen(x: Floats, y: Floats, count: int) -> Ints:
    """The indexes of at most `count` points, of `FEWEST` or more, in order; `x` rises, all are finite."""
    if len(x) <= count:
        return np.arange(len(x))
    extremes = [int(np.argmin(y)), int(np.argmax(y))]
    return np.unique(np.concatenate((extremes, _triangles(_scaled(x), _scaled(y), count - len(extremes)))))


def _scaled(values: Floats) -> Floats:
    """Between 0 and 1/2, so that no area is beyond a double."""
    halves = values / 2
    width = float(halves.max() - halves.min())
    return (halves - halves.min()) / width / 2 if width else np.zeros(len(values))


def _triangles(x: Floats, y: Floats, count: int) -> list[int]:
    """The first point, the last, and between them of each bucket the point with the largest triangle.

    The other corners are the point chosen before and the middle of the next bucket. A choice rests on the last one,
    and buckets are small: plain numbers are faster here than arrays.
    """
    edges = [1 + number * (len(x) - 2) // (count - 2) for number in range(count - 1)]
    begins, ends = np.array([*edges[1:-1], len(x) - 1]), np.array([*edges[2:], len(x)])
    lengths = ends - begins
    middle_x = (np.add.reduceat(x, begins) / lengths).tolist()
    middle_y = (np.add.reduceat(y, begins) / lengths).tolist()
    xs, ys = x.tolist(), y.tolist()
    kept = [0]
    for begin, end, next_x, next_y in zip(edges[:-1], edges[1:], middle_x, middle_y, strict=True):
        from_x, from_y = xs[kept[-1]], ys[kept[-1]]
        across, down = from_x - next_x, next_y - from_y
        areas = [abs(across * (ys[at] - from_y) - (from_x - xs[at]) * down) for at in range(begin, end)]
        kept.append(begin + areas.index(max(areas)))
    return [*kept, len(xs) - 1]
