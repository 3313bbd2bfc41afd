"""Figures of a series, put together of stretches as if all their points had come one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, fields
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from db.metrics import segment, summary
from db.metrics.columns import NONE, Columns
from db.metrics.figures import Figures, figures
from db.metrics.instant import moment
from db.metrics.stretch import Grown


class At(NamedTuple):
    """Where a value is, in the place of the value: the segment at that position knows it."""

    position: int


class One(NamedTuple):
    """What `Figures` has of one series, its fields in their order."""

    count: int  # type: ignore[assignment]
    non_finite_count: int
    first_step: int | None
    last_step: int | None
    first_at: int | None
    last_at: int | None
    first: float | At | None
    last: float | At | None
    min: float | None
    min_step: int | None
    max: float | None
    max_step: int | None
    mean: float | None

    @property
    def finite_count(self) -> int:
        """How many values the mean is of."""
        return self.count - self.non_finite_count

    def values(self) -> list[Any]:
        """As columns of `series`, times as such."""
        times = {"first_at", "last_at"}
        named = zip(self._fields, self, strict=True)
        return [moment(value) if name in times and value is not None else value for name, value in named]  # type: ignore[arg-type]


assert One._fields == tuple(field.name for field in fields(Figures))  # noqa: S101 (said so)


def of_points(grown: Sequence[Grown]) -> Iterator[tuple[int, One]]:
    """For each stretch its series, and the figures."""
    if grown:
        columns = [one.points.columns for one in grown]
        flat = Columns(*(np.concatenate([getattr(each, name) for each in columns]) for name in _COLUMNS))
        found = figures(flat, np.array([len(each) for each in columns], np.int64))
        yield from zip([one.series_id for one in grown], map(One._make, zip(*astuple(found), strict=True)), strict=True)


_COLUMNS = ("steps", "times", "values")


def of_segment(row: Mapping[str, Any]) -> One:
    """The figures that a segment keeps of itself; of its first and its last value only where they are."""
    [record], _ = summary.unpack([row["summary"]])
    finite = int(record["count"] - record["non_finite"])
    least, greatest = record["least"], record["greatest"]
    low, high = float(least["value"]), float(greatest["value"])
    mean = min(max(float(record["sum"]) / finite / summary.SHARE, low), high) if finite else None
    here = At(row["position"])
    return One(
        int(record["count"]),
        int(record["non_finite"]),
        _mark(record["min_step"]),
        _mark(record["max_step"]),
        _mark(record["min_time"]),
        _mark(record["max_time"]),
        here,
        here,
        low if finite else None,
        _mark(least["step"]) if finite else None,
        high if finite else None,
        _mark(greatest["step"]) if finite else None,
        mean,
    )


def _mark(value: Any) -> int | None:
    return None if value == NONE else int(value)


def together(known: One | None, more: Iterable[One]) -> One | None:
    """The figures of all, those that are known first."""
    return reduce(lambda first, second: second if first is None else merged(first, second), more, known)


def merged(known: One, new: One) -> One:
    """The figures of points, and of those that came after them: see `db.metrics.series_rows.MERGED`."""
    is_first = new.first_step is not None and (known.first_step is None or new.first_step < known.first_step)
    is_last = known.last_step is None or (new.last_step is not None and new.last_step >= known.last_step)
    is_least = new.min is not None and (known.min is None or new.min < known.min)
    is_greatest = new.max is not None and (known.max is None or new.max > known.max)
    return One(
        known.count + new.count,
        known.non_finite_count + new.non_finite_count,
        _least(known.first_step, new.first_step),
        _greatest(known.last_step, new.last_step),
        _least(known.first_at, new.first_at),
        _greatest(known.last_at, new.last_at),
        new.first if is_first else known.first,
        new.last if is_last else known.last,
        *((new.min, new.min_step) if is_least else (known.min, known.min_step)),
        *((new.max, new.max_step) if is_greatest else (known.max, known.max_step)),
        _mean(known, new),
    )


def _mean(known: One, new: One) -> float | None:
    if known.mean is None or new.mean is None:
        return new.mean if known.mean is None else known.mean
    total = known.finite_count + new.finite_count
    mean = known.mean * (known.finite_count / total) + new.mean * (new.finite_count / total)
    lows, highs = (known.mean, new.mean), (known.mean, new.mean)
    return min(max(mean, min(lows)), max(highs))


def _least(one: int | None, other: int | None) -> int | None:
    return min((each for each in (one, other) if each is not None), default=None)


def _greatest(one: int | None, other: int | None) -> int | None:
    return max((each for each in (one, other) if each is not None), default=None)


def ends_of(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The first and the last value of a segment; where its points were rolled up, as near as what is left."""
    if row["data"] is not None:
        columns, _ = segment.decode(row["data"])
    else:
        records, _ = summary.unpack([row["parts"]])
        points = records[["least", "greatest", "last"]]
        flat = np.concatenate([points[name] for name in ("least", "greatest", "last")])
        flat = np.sort(flat, order="position")
        columns = Columns(flat["step"], flat["time"], flat["value"])
    found = figures(columns, np.array([len(columns)], np.int64))
    [first], [last] = found.first, found.last
    return first, last
