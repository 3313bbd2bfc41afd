"""The figures of a series, kept point by point, against their definitions over all points."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from db.metrics.figures import Figures, Point
from tests.metric_model import bits, defined

STEPS = st.none() | st.integers(-3, 3) | st.integers(-(2**53) + 1, 2**53 - 1)
TIMES = st.none() | st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
NUMBERS = st.floats() | st.sampled_from([0.0, -0.0, 5e-324, 1.7976931348623157e308, -1.7976931348623157e308])
CHUNKS = st.lists(st.lists(st.builds(Point, STEPS, TIMES, NUMBERS), min_size=1, max_size=6), min_size=1, max_size=6)
EXACT = [name for name in asdict(Figures()) if name not in ("sum", "mean")]


def kept(chunks: list[list[Point]]) -> Figures:
    figures = Figures()
    for chunk in chunks:
        figures = figures.after(chunk)
    return figures


@given(CHUNKS)
def test_figures_are_what_their_descriptions_say(chunks: list[list[Point]]) -> None:
    points = [point for chunk in chunks for point in chunk]
    known, expected = asdict(kept(chunks)), asdict(defined(points))
    for name in EXACT:
        one, other = known[name], expected[name]
        assert (bits(one) == bits(other)) if isinstance(other, float) else (one == other), name


@given(CHUNKS)
def test_the_mean_is_right_even_where_the_sum_is_beyond_a_double(chunks: list[list[Point]]) -> None:
    points = [point for chunk in chunks for point in chunk]
    known, expected = kept(chunks), defined(points)
    if expected.mean is None:
        assert known.mean is None
        assert known.sum is None
        return
    assert known.mean is not None
    assert known.min is not None
    assert known.max is not None
    assert known.min <= known.mean <= known.max
    largest = max(abs(known.min), abs(known.max))
    assert math.isclose(known.mean, expected.mean, rel_tol=1e-12, abs_tol=largest * 1e-14)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 20))
def test_the_mean_of_equal_values_is_that_value(value: float, count: int) -> None:
    assert kept([[Point(number=value)] * count, [Point(number=value)]]).mean == value


@given(st.lists(st.builds(Point, STEPS, TIMES, st.none(), st.text(max_size=3)), min_size=1, max_size=6))
def test_strings_have_counts_steps_and_times_only(points: list[Point]) -> None:
    figures = kept([points])
    assert figures.count == len(points)
    assert figures.first_step == min((p.step for p in points if p.step is not None), default=None)
    assert figures.last_at == max((p.wall_time for p in points if p.wall_time is not None), default=None)
    numbers = (figures.first, figures.last, figures.min, figures.max, figures.sum, figures.mean, figures.min_step)
    assert set(numbers) == {None}
    assert figures.non_finite_count == 0
