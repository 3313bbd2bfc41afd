"""Series of several experiments on common steps: what is read of them, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from uuid import UUID

from db.metrics.aggregate import Aligned, Figures, Run, align, last_at_each, over_runs
from db.metrics.read import Sample, Sampled
from db.read.hole import Several
from db.read.sql import Asked
from graphql_schema.derived import bounded
from graphql_schema.fields import Argument
from graphql_schema.selection import Selected
from graphql_schema.written import written

READ_AT_ONCE: Final = 2_000_000
"""Points of all series of a request that are read as they are; longer series are sampled first."""

OVERSAMPLED: Final = 4
"""A sample has so many times the points that are asked for."""

COST: Final = 20_000
"""Nodes that the columns of one root field cost, of up to eight million points that are read: two to a request."""

FEWEST_POINTS: Final = 2
MOST_POINTS: Final = 10_000
DEFAULT_POINTS: Final = 500
MAX_SAFE_INT: Final = 2**53 - 1

POINTS: Final = Argument(
    "maxPoints",
    int,
    f"How many steps a column has at most, {FEWEST_POINTS}–{MOST_POINTS:_}.".replace("_", " "),
    DEFAULT_POINTS,
)


def max_points(selected: Selected) -> int:
    """`maxPoints`.

    Raises:
        RequestErrors: it is outside of its bounds.
    """
    return bounded(selected, POINTS.name, DEFAULT_POINTS, FEWEST_POINTS, MOST_POINTS)


@dataclass(frozen=True)
class Bounds:
    """How many points are written of each series, and from how many on it is sampled."""

    max_points: int
    exact: int

    @classmethod
    def of(cls, max_points: int, series: int) -> Bounds:
        """For a request of so many series."""
        return cls(max_points, max(READ_AT_ONCE // max(series, 1), OVERSAMPLED * max_points))


@dataclass(frozen=True)
class Together:
    """What was read: `runs` has for each experiment its place among the aligned series, or None without a series."""

    aligned: Aligned
    places: Sequence[int | None]
    is_exact: bool
    quantiles: Sequence[float]

    @cached_property
    def figures(self) -> Figures:
        """Figures over the experiments."""
        return over_runs(self.aligned, self.quantiles)


def asked(told: str, bounds: Bounds, quantiles: Sequence[float], write: Callable[[Together], bytes]) -> Asked:
    """What fills a hole, of the series that its mark tells."""
    series = [_Series.read(text) for text in told.split(" ")]
    there = [one for one in series if one]
    numbers = iter(range(len(there)))
    places = [next(numbers) if one else None for one in series]

    def written(results: Sequence[Sampled]) -> bytes:
        aligned = align([_run(result) for result in results], bounds.max_points)
        is_exact = aligned.width == 1 and all(result.is_exact for result in results)
        return write(Together(aligned, places, is_exact, quantiles))

    return Asked(Several([one.request(bounds) for one in there]), written)


@dataclass(frozen=True)
class _Series:
    owner: UUID
    id: int
    count: int

    @classmethod
    def read(cls, text: str) -> _Series | None:
        """A series as `series_told` writes it; None where there is none."""
        if not text:
            return None
        owner, id_, count = text.split(":")
        return cls(UUID(owner), int(id_), int(count))

    def request(self, bounds: Bounds) -> Sample:
        """All its points, or a sample of them."""
        size = bounds.exact if self.count <= bounds.exact else OVERSAMPLED * bounds.max_points
        return Sample(self.owner, self.id, size, "LAST")


ALIGNMENT: Final = (
    "Beyond that, steps are put together by `stepWidth`: the smallest power of two that leaves few enough, counted from"
    " step 0. The value of an experiment there is the one with its greatest step, of equal steps the newest. In a"
    " series without any step, positions stand for steps. A series of more than 2 000 000 points, divided by the number"
    " of series that are asked for, is read as its LAST sample of four times `maxPoints`, if it has more than that."
)


def is_exact() -> Any:
    """The field that tells whether anything is left out."""
    return written(
        "Whether each step stands for itself, and no series was sampled first.",
        lambda found: b"true" if found.is_exact else b"false",
    )


def step_width() -> Any:
    """The field that tells how many steps are put together."""
    return written(
        "How many steps each one here spans: 1 when every step is one of its own.",
        # Beyond 2^52 it is the whole of either sign.
        lambda found: b"%d" % min(found.aligned.width, MAX_SAFE_INT),
    )


def _run(sampled: Sampled) -> Run:
    return last_at_each(sampled.x, sampled.columns.values)  # type: ignore[arg-type]
