"""Samples equal their definition over all raw points, whatever of the series is compacted."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.metrics import summary
from db.metrics.axis import Axis, Range
from db.metrics.columns import NONE, Columns
from db.metrics.sample import Ask, Known, Method, Missing, Points, Sampled, points_in, sample
from db.metrics.segment import PART, SIZE
from tests.db.metrics.layout import columns, part
from tests.db.metrics.sample_reference import Expected, expected

METHODS = ("MINMAX", "LAST", "MEAN")
SHAPES = ("walk", "bits", "spikes", "flat", "odd", "huge")
ODD = [math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324]


def values_of(shape: str, count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    if shape == "walk":
        return random.standard_normal(count).cumsum()
    if shape == "bits":
        return random.integers(-(2**63), 2**63, count).view(np.float64)
    if shape == "huge":
        return random.choice([1.7e308, -1.7e308, 1e308], count)
    if shape == "flat":
        return random.choice([0.0, -0.0, 1.0], count)
    values = random.standard_normal(count)
    some = random.random(count) < (0.001 if shape == "spikes" else 0.9)
    values[some] = random.choice([1e9, -1e9] if shape == "spikes" else ODD, count)[some]
    return values


def known(
    points: Columns, compacted: int, level: str, *, fine: Collection[int] = (), rolled: Collection[int] = ()
) -> Known:
    """The first `compacted` points as figures, the others as points.

    Segments at the positions `fine` are given as finely as they can: as points, or when rolled up, as parts.
    """
    records, flags, stretches = [np.empty(0, summary.SUMMARY)], [], [np.empty(0, np.int64)]
    for at in range(0, compacted, SIZE):
        stretch = part(points, at, min(at + SIZE, compacted))
        if at not in rolled and (at in fine or level == "data"):
            stretches.append(np.arange(at, at + len(stretch)))
            continue
        size = SIZE if level == "summary" and len(stretch) == SIZE and at not in fine else PART
        found = summary.summarise(stretch, size)
        records.append(summary.moved(found, np.full(len(found), at)))
        flags += [at in rolled] * len(found)
    left = np.concatenate([*stretches, np.arange(compacted, len(points))])
    there = Columns(points.steps[left], points.times[left], points.values[left])
    return Known(Points(left, there), np.concatenate(records), np.array(flags, np.bool_))


def sampled(
    points: Columns, ask: Ask, compacted: int = 0, level: str = "data", *, rolled: Collection[int] = ()
) -> Sampled:
    """The sample; where figures do not suffice, finer ones are given, once."""
    found = sample(known(points, compacted, level, rolled=rolled), ask)
    fine: set[int] = set()
    while isinstance(found, Missing):
        assert not fine.intersection(found.positions.tolist())
        fine |= set(found.positions.tolist())
        found = sample(known(points, compacted, level, fine=fine, rolled=rolled), ask)
    return found


def said(found: Sampled) -> Expected:
    points = found.points
    return Expected(
        points.positions.tolist(),
        points.columns.values.tolist(),
        found.raw_count,
        found.non_finite_count,
        found.is_exact,
    )


def check(found: Sampled, wanted: Expected) -> None:
    """Equal to the last bit, signs of zeros and the bits of NaNs too."""
    mine = said(found)
    assert np.array(mine.values).tobytes() == np.array(wanted.values).tobytes()
    assert (mine.positions, mine.raw_count, mine.non_finite_count, mine.is_exact) == (
        wanted.positions,
        wanted.raw_count,
        wanted.non_finite_count,
        wanted.is_exact,
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("count", "most"), [(50_000, 10), (50_000, 100), (50_000, 1000), (900, 899), (41, 3)])
def test_any_shape_by_any_method(shape: str, method: str, count: int, most: int) -> None:
    points = columns(values_of(shape, count, count + most))
    wanted = expected(points, "STEP", method, most)
    ask = Ask(most, Method(method))
    check(sampled(points, ask), wanted)
    check(sampled(points, ask, count // 2, "parts"), wanted)
    check(sampled(points, ask, count - 1, "summary"), wanted)
    check(sampled(points, ask, count, "summary"), wanted)
    assert len(wanted.positions) <= most


@st.composite
def cases(draw: st.DrawFn) -> tuple[Columns, int, str, int]:
    """Steps that are consecutive, shuffled, many times the same, missing here and there, or missing at all."""
    count = draw(st.sampled_from([1, 2, 511, 512, 513, 4096, 4097, 9000, 20_000]))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    steps = np.arange(count)
    form = draw(st.sampled_from(["even", "shuffled", "repeated", "holes", "late", "none"]))
    if form == "shuffled":
        random.shuffle(steps)
    elif form == "repeated":
        steps = steps // 7 % 300
    elif form == "holes":
        steps[random.random(count) < 0.3] = NONE
    elif form == "late":
        steps[: count // 2] = NONE
    elif form == "none":
        steps[:] = NONE
    values = values_of(draw(st.sampled_from(SHAPES)), count, draw(st.integers(0, 99)))
    points = columns(values, steps=steps, times=10**15 + np.arange(count) * 1000 + random.integers(0, 5000, count))
    compacted = draw(st.sampled_from([0, count // 3, count // 2, count]))
    return (
        points,
        compacted,
        draw(st.sampled_from(["data", "parts", "summary"])),
        draw(st.sampled_from([2, 3, 20, 500])),
    )


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from(METHODS), st.sampled_from(["STEP", "POSITION", "WALL_TIME"]), st.data())
def test_ranges_of_odd_series(case: tuple[Columns, int, str, int], method: str, axis: str, data: st.DataObject) -> None:
    points, compacted, level, most = case
    start, unit = (10**15, 1000) if axis == "WALL_TIME" else (0, 1)
    ends = sorted(data.draw(st.tuples(*[st.integers(-5, len(points) + 5)] * 2)))
    low, high = (start + unit * end for end in ends)
    wanted = expected(points, axis, method, most, low=low, high=high)
    scale = 1e6 if axis == "WALL_TIME" else 1
    found = sampled(points, Ask(most, Method(method), Range(Axis(axis), low / scale, high / scale)), compacted, level)
    check(found, wanted)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_lttb_is_the_same_whatever_is_compacted(case: tuple[Columns, int, str, int]) -> None:
    points, compacted, level, most = case
    ask = Ask(most, Method.LTTB)
    plain, other = sampled(points, ask), sampled(points, ask, compacted, level)
    check(other, said(plain))
    assert len(plain.points) <= most
    extremes = expected(points, "STEP", "MINMAX", 2)
    assert plain.raw_count == extremes.raw_count
    chosen = plain.points.columns.values
    finite = points.values[(points.steps != NONE) & np.isfinite(points.values)]
    if len(finite) and most >= 20:
        assert finite.min() in chosen
        assert finite.max() in chosen


def test_lttb_keeps_the_ends_and_the_shape() -> None:
    values = np.sin(np.arange(100_000) / 3000)
    values[77_777] = 3.0
    found = sampled(columns(values), Ask(200, Method.LTTB), 90_000, "parts")
    drawn = np.interp(np.arange(100_000), found.x, found.points.columns.values)
    assert found.points.positions[[0, -1]].tolist() == [0, 99_999]
    assert 77_777 in found.points.positions
    assert np.median(np.abs(drawn - values)) < 0.01


def test_lttb_takes_the_largest_triangle() -> None:
    values = [0, 1, 0, 9, 0, -3, 0, 0, 5, 0]
    found = sampled(columns(values), Ask(9, Method.LTTB))
    assert {0, 3, 5, 8, 9} <= set(found.points.positions.tolist())


def test_non_finite_points_are_kept_and_counted() -> None:
    values = np.zeros(10_000)
    values[[5, 6, 5000]] = [math.inf, math.nan, -math.inf]
    for method in (Method.MINMAX, Method.LTTB):
        found = sampled(columns(values), Ask(100, method), 8192, "parts")
        assert found.non_finite_count == 3
        assert {5, 5000} <= set(found.points.positions.tolist())


@pytest.mark.parametrize("method", list(Method))
def test_points_that_were_rolled_up(method: Method) -> None:
    points = columns(values_of("walk", 20_000, 1))
    rolled = {0, 4096, 8192}
    found = sampled(points, Ask(1000, method), 20_000, "parts", rolled=rolled)
    assert found.raw_count == 20_000
    assert not found.is_exact
    assert len(found.points) <= 1000
    if method in (Method.MINMAX, Method.LTTB):
        assert {points.values.argmin(), points.values.argmax()} <= set(found.points.positions.tolist())
    if method is not Method.LTTB:  # which looks at more points than it may keep
        # Of buckets of a part or more, nothing is lost.
        ask = Ask(20, method)
        check(sampled(points, ask, 20_000, "summary", rolled=rolled), said(sampled(points, ask)))


def test_a_range_that_cuts_what_was_rolled_up() -> None:
    points = columns(values_of("walk", 20_000, 1))
    for method in METHODS:
        ask = Ask(1000, Method(method), Range(Axis.STEP, 100, 5000))
        found = sampled(points, ask, 20_000, "summary", rolled={0, 4096})
        assert 0 < len(found.points) <= 1000
        assert ((found.x >= 100) & (found.x <= 5000)).all()
        assert not found.is_exact


def test_another_metric_as_x() -> None:
    points = columns([1, 2, 3, 4, 5, 6], steps=[0, 1, 2, 3, 3, NONE])
    other = columns([10, 30, 20, math.nan, 40, 25], steps=[0, 1, 2, 3, 9, 1])
    whole = known(points, 6, "data")
    found = sample(whole, Ask(100, range=Range(Axis.METRIC)), other)
    assert isinstance(found, Sampled)
    assert found.x.tolist() == [10, 20, 25]
    assert found.points.columns.values.tolist() == [1, 3, 2]
    some = sample(whole, Ask(100, range=Range(Axis.METRIC, 15, 22.5)), other)
    assert isinstance(some, Sampled)
    assert some.x.tolist() == [20]
    none = sample(whole, Ask(100, range=Range(Axis.METRIC)), columns([]))
    assert isinstance(none, Sampled)
    assert len(none.points) == 0
    assert isinstance(sample(known(points, 6, "parts"), Ask(100, range=Range(Axis.METRIC)), other), Missing)


def test_seconds_since_an_origin() -> None:
    points = columns([1, 2, 3, 4], times=[10**15, 10**15 + 1, 10**15 + 1_500_000, NONE])
    found = sampled(points, Ask(10, range=Range(Axis.RELATIVE_TIME, origin=10**15)))
    assert found.x.tolist() == [0, 1e-6, 1.5]
    for x in found.x.tolist():
        one = sampled(points, Ask(10, range=Range(Axis.RELATIVE_TIME, x, x, 10**15)))
        assert one.x.tolist() == [x]
    clock = sampled(points, Ask(10, range=Range(Axis.WALL_TIME, -math.inf, 1e9)))
    assert clock.x.tolist() == [1e9]


@pytest.mark.parametrize("axis", [Axis.STEP, Axis.WALL_TIME, Axis.RELATIVE_TIME, Axis.METRIC])
@pytest.mark.parametrize("end", [1e300, 1e308, math.inf])
def test_ends_that_are_far_away(axis: Axis, end: float) -> None:
    points = columns([1.0, 2.0], times=[10**15, -(10**15)])
    found = sample(
        known(points, 0, "data"), Ask(10, range=Range(axis, -end, end)), points if axis == "METRIC" else None
    )
    assert isinstance(found, Sampled)
    assert found.raw_count == 2
    beyond = sample(known(points, 0, "data"), Ask(10, range=Range(axis, end)), points if axis == "METRIC" else None)
    assert isinstance(beyond, Sampled)
    assert beyond.raw_count == 0


def test_nothing_in_range() -> None:
    found = sampled(columns(np.arange(5000)), Ask(10, range=Range(Axis.STEP, 9000)), 5000, "summary")
    assert (len(found.points), found.raw_count, found.is_exact) == (0, 0, True)
    empty = sampled(columns([]), Ask(10))
    assert (len(empty.points), empty.raw_count, empty.is_exact) == (0, 0, True)


def test_all_points_in_a_range() -> None:
    points = columns(np.arange(10_000.0))
    found = points_in(known(points, 9000, "data"), Range(Axis.STEP, 4000, 4200))
    assert isinstance(found, Points)
    assert found.positions.tolist() == list(range(4000, 4201))
    assert isinstance(points_in(known(points, 9000, "summary"), Range(Axis.STEP, 4000, 4200)), Missing)
