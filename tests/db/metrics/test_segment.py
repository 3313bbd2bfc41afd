"""Segments give back every bit, in few bytes, and say so when they cannot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.metrics import segment
from db.metrics.columns import NONE, Columns, Ints
from db.metrics.segment import SIZE
from db.metrics.tail import Damaged
from tests.db.metrics.layout import columns

BITS = st.integers(-(2**63), 2**63 - 1)
SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7e308])
PAYLOADS = np.array([0x7FF8000000000001, 0x7FF0000000000001, -1, -(2**51)], np.int64).view(np.float64)


def check(points: Columns, seqs: Ints) -> bytes:
    """Comes back bit for bit; returns the bytes."""
    data = segment.encode(points, seqs)
    found, numbers = segment.decode(data)
    assert found.values.tobytes() == points.values.tobytes()
    assert np.array_equal(found.steps, points.steps)
    assert np.array_equal(found.times, points.times)
    assert np.array_equal(numbers, seqs)
    return data


def test_ten_million_random_doubles() -> None:
    random = np.random.default_rng(7)
    seqs = np.arange(SIZE) // 100
    for _ in range(0, 10_000_000, SIZE):
        check(columns(random.integers(-(2**63), 2**63, SIZE).view(np.float64)), seqs)


@st.composite
def words(draw: st.DrawFn, count: int) -> Ints:
    """Columns of few shapes and of none."""
    form = draw(st.integers(0, 5))
    start, stride = draw(BITS), draw(st.one_of(st.integers(-3, 3), BITS))
    if form == 0:
        return np.full(count, draw(st.sampled_from([NONE, start])))
    if form == 1:
        return np.int64(start) + np.int64(stride) * np.arange(count)
    if form == 2:
        return np.array(draw(st.lists(BITS, min_size=count, max_size=count)), np.int64)
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    if form == 3:
        return random.integers(-(2 ** draw(st.integers(1, 62))), 2**20, count)
    if form == 4:
        return random.integers(1, 3, count).cumsum()
    return np.where(random.random(count) < 0.2, NONE, np.arange(count))


@st.composite
def segments(draw: st.DrawFn) -> tuple[Columns, Ints]:
    count = draw(st.one_of(st.integers(1, 20), st.sampled_from([511, 512, 4095, 4096])))
    if count > 20:
        few, seqs = draw(segments())
        steps, times = (np.resize(column, count) for column in (few.steps, few.times))
        return Columns(steps, times, np.resize(few.values, count)), np.resize(seqs, count)
    steps, times, values, seqs = (draw(words(count)) for _ in range(4))
    return Columns(steps, times, values.view(np.float64)), seqs


@settings(max_examples=200, deadline=None)
@given(segments())
def test_odd_columns(case: tuple[Columns, Ints]) -> None:
    check(*case)


@pytest.mark.parametrize("count", [1, 2, 3, 100, SIZE])
def test_values_that_are_not_numbers(count: int) -> None:
    values = np.resize(np.concatenate((SPECIAL, PAYLOADS)), count)
    check(columns(values), np.ones(count, np.int64))


@pytest.mark.parametrize("scale", [0.0, 1000.0])
def test_a_random_walk_takes_little_room(scale: float) -> None:
    walk = scale + np.random.default_rng(3).standard_normal(SIZE).cumsum()
    data = check(columns(walk), np.arange(SIZE) // 20)
    assert len(data) <= 7 * SIZE


def test_what_single_precision_takes() -> None:
    walk = np.random.default_rng(3).standard_normal(SIZE).astype(np.float32)
    assert len(check(columns(walk), np.arange(SIZE))) <= 4 * SIZE


def test_what_says_nothing_takes_no_room() -> None:
    assert len(check(columns(np.full(SIZE, 0.1), steps=NONE), np.arange(5, SIZE + 5))) <= 120
    assert len(check(columns(np.zeros(SIZE), steps=7, times=5), np.zeros(SIZE, np.int64))) <= 120


def test_bytes_that_repeat_far_apart_still_shrink() -> None:
    wave = np.sin(np.arange(SIZE) % 300)
    assert len(check(columns(wave), np.zeros(SIZE, np.int64))) <= SIZE


@pytest.mark.parametrize("count", [0, SIZE + 1])
def test_what_is_no_segment(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 4096 points"):
        segment.encode(columns(np.zeros(count)), np.zeros(count, np.int64))


def test_damage_anywhere_is_found() -> None:
    random = np.random.default_rng(1)
    data = segment.encode(columns(random.standard_normal(100).cumsum()), np.arange(100))
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 1 << random.integers(8)
        with pytest.raises(Damaged):
            segment.decode(bytes(broken))
    for end in range(len(data)):
        with pytest.raises(Damaged):
            segment.decode(data[:end])
    with pytest.raises(Damaged):
        segment.decode(data + b"\0")
