"""Series of several runs brought onto common steps, and figures over the runs at each of them.

A run's value at a step is the one that arrived last there. Where the runs have few steps together, every step that
occurs is a place of its own. Otherwise steps are cut into buckets of equal width, the smallest power of two with which
few enough of them hold a point, and counted from step 0: so a bucket keeps its bounds while runs go on. A run's value
in a bucket is the one with its greatest step there, and the bucket is named by the greatest step of any run in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from db.metrics.columns import NONE, Floats, Ints, Mask

Run = tuple[Ints, Floats]
"""A series as steps that rise strictly, and the value at each."""

WIDEST = 200
"""Powers of two between which squares of doubles neither overflow nor lose digits."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """Runs by place: `values[run, place]` counts where `present`. `width` is how many steps a place spans."""

    steps: Ints
    values: Floats
    present: Mask
    width: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures over the finite values at each place; NaN where there are none, or beyond a double."""

    count: Ints
    non_finite_count: Ints
    mean: Floats
    std: Floats
    min: Floats
    max: Floats
    quantiles: Floats


def last_at_each(steps: Ints, values: Floats) -> Run:
    """The value at each step: of points in order of arrival, or sorted by step and then so, the last."""
    if not (steps[1:] > steps[:-1]).all():
        order = np.argsort(steps, kind="stable")
        steps, values = steps[order], values[order]
        last = _ends(steps)
        steps, values = steps[last], values[last]
    return steps, values


def align(runs: Sequence[Run], max_points: int) -> Aligned:
    """The runs on common steps, at most `max_points` of them; at least two."""
    # Runs of the same program have the same steps: what depends on these alone is worked out once.
    grids = {_name(steps): steps for steps, _ in runs}
    shift = max((_shift(steps, max_points) for steps in grids.values()), default=0)
    shift += _shift(_union([_Grid.of(steps, shift).places for steps in grids.values()]), max_points)
    return _laid_out(runs, {name: _Grid.of(steps, shift) for name, steps in grids.items()}, 1 << shift)


def over_runs(aligned: Aligned, quantiles: Sequence[float]) -> Figures:
    """Figures over the runs, of their finite values."""
    finite = aligned.present & np.isfinite(aligned.values)
    count = finite.sum(axis=0, dtype=np.int64)
    ordered = np.sort(np.where(finite, aligned.values, np.inf), axis=0)
    least = np.where(finite, aligned.values, np.inf).min(axis=0, initial=np.inf)
    greatest = np.where(finite, aligned.values, -np.inf).max(axis=0, initial=-np.inf)
    mean, std = _moments(aligned.values, finite, count)
    parts = [_quantile(ordered, count, part) for part in quantiles]
    return Figures(
        count,
        (aligned.present & ~finite).sum(axis=0, dtype=np.int64),
        # Rounding may put the mean of equal values beside them.
        np.where(count > 0, np.clip(mean, least, greatest), np.nan),
        std,
        np.where(count > 0, least, np.nan),
        np.where(count > 0, greatest, np.nan),
        np.array(parts).reshape(len(parts), len(count)),
    )


def _ends(sorted_: Ints) -> Mask:
    """Of equal neighbours, the last."""
    found = np.ones(len(sorted_), np.bool_)
    np.not_equal(sorted_[1:], sorted_[:-1], out=found[:-1])
    return found


def _shift(steps: Ints, max_points: int) -> int:
    """The least power of two by which steps, divided, are at most so many different ones."""
    # Two neighbours fall apart as long as the shift leaves any of the bits in which they differ.
    apart = (steps[1:] ^ steps[:-1]).view(np.uint64)
    rank = len(apart) - max_points
    return 0 if rank < 0 else int(np.partition(apart, rank)[rank]).bit_length()


def _name(steps: Ints) -> bytes:
    return steps.tobytes()


@dataclass(frozen=True, slots=True)
class _Grid:
    """The buckets in which steps lie; of each the greatest step, and where that stands."""

    places: Ints
    steps: Ints
    last: Mask

    @classmethod
    def of(cls, steps: Ints, shift: int) -> _Grid:
        places = steps >> shift
        last = _ends(places)
        return cls(places[last], steps[last], last)


def _union(places: Sequence[Ints]) -> Ints:
    return np.unique(np.concatenate(places)) if places else np.empty(0, np.int64)


def _laid_out(runs: Sequence[Run], grids: Mapping[bytes, _Grid], width: int) -> Aligned:
    places = _union([grid.places for grid in grids.values()])
    steps = np.full(len(places), NONE, np.int64)
    values = np.zeros((len(runs), len(places)))
    present = np.zeros((len(runs), len(places)), np.bool_)
    columns = {name: np.searchsorted(places, grid.places) for name, grid in grids.items()}
    for name, grid in grids.items():
        steps[columns[name]] = np.maximum(steps[columns[name]], grid.steps)
    for number, (run_steps, run_values) in enumerate(runs):
        name = _name(run_steps)
        values[number, columns[name]] = run_values[grids[name].last]
        present[number, columns[name]] = True
    return Aligned(steps, values, present, width)


def _moments(values: Floats, finite: Mask, count: Ints) -> tuple[Floats, Floats]:
    """The mean, and the sample standard deviation `sqrt(Σ(x − mean)² / (n − 1))`; NaN of a single value.

    After the NIST/SEMATECH e-Handbook of Statistical Methods, section 1.3.5.6, "Measures of Scale".
    """
    values = np.where(finite, values, 0.0)
    exponent = np.frexp(np.abs(values).max(axis=0, initial=0.0))[1]
    # By powers of two, which changes no digit of what counts.
    exponent = np.where(np.abs(exponent) > WIDEST, exponent, 0)
    values = np.ldexp(values, -exponent)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean = values.sum(axis=0) / count
        squares = np.where(finite, values - mean, 0.0) ** 2
        deviation = np.ldexp(np.sqrt(squares.sum(axis=0) / (count - 1)), exponent)
        return np.ldexp(mean, exponent), np.where((count > 1) & np.isfinite(deviation), deviation, np.nan)


def _quantile(ordered: Floats, count: Ints, part: float) -> Floats:
    """Linear between the two nearest values: definition 7 of Hyndman and Fan (1996), which numpy has as its default."""
    if not ordered.size:
        return np.full(len(count), np.nan)
    greatest = np.maximum(count - 1, 0)
    place = part * greatest
    low = np.floor(place).astype(np.int64)
    columns, share = np.arange(len(count)), place - low
    below, above = ordered[low, columns], ordered[np.minimum(low + 1, greatest), columns]
    with np.errstate(invalid="ignore", over="ignore"):
        # From the nearer end, so that rounding never passes the other.
        step = above - below
        found = np.where(share >= 0.5, above - step * (1 - share), below + step * share)
        # The difference of the greatest doubles is none.
        found = np.where(np.isinf(step), below * (1 - share) + above * share, found)
    return np.where(count > 0, found, np.nan)
