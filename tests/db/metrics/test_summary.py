"""Figures of stretches: what they say, and that merging loses nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.metrics import summary
from db.metrics.columns import NONE
from db.metrics.segment import PART, SIZE
from db.metrics.tail import Damaged
from tests.db.metrics.layout import columns, part


def test_figures_of_a_few_points() -> None:
    values = [2.0, np.nan, -1.0, 5.0, -1.0, 5.0, np.inf]
    points = columns(values, steps=[4, NONE, 9, 1, 1, 3, NONE], times=[10, 20, NONE, 5, 6, 7, 8])
    [figures] = summary.summarise(points)
    assert (figures["count"], figures["non_finite"], figures["stepped"], figures["timed"]) == (7, 2, 5, 6)
    assert (figures["min_step"], figures["max_step"], figures["min_time"], figures["max_time"]) == (1, 9, 5, 20)
    assert figures["sum"] / summary.SHARE == 10.0
    assert figures["least"].item() == (2, 9, NONE, -1.0)
    assert figures["greatest"].item() == (3, 1, 5, 5.0)
    assert figures["last"].item() == (6, NONE, 8, np.inf)
    assert figures["odd"].item()[:3] == (1, NONE, 20)


def test_points_without_steps_and_times() -> None:
    [figures] = summary.summarise(columns([1.0, 2.0], steps=NONE))
    assert {int(figures[name]) for name in ("min_step", "max_step", "min_time", "max_time")} == {NONE}
    assert (figures["stepped"], figures["timed"]) == (0, 0)


def test_nothing_finite() -> None:
    [figures] = summary.summarise(columns([np.nan, np.inf]))
    assert (figures["count"], figures["non_finite"], figures["sum"]) == (2, 2, 0.0)
    assert np.isnan(figures["odd"]["value"])


def test_sums_beyond_a_double() -> None:
    [figures] = summary.summarise(columns(np.full(PART, 1.7e308)))
    assert figures["sum"] / PART / summary.SHARE == pytest.approx(1.7e308)


def test_no_points() -> None:
    assert len(summary.summarise(columns([]))) == 0
    records, counts = summary.unpack([])
    assert (len(records), len(counts)) == (0, 0)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 3 * SIZE), st.integers(0, 2**32))
def test_merging_is_the_same_as_looking_at_all_points(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.choice([random.standard_normal(count), np.full(count, np.nan), np.zeros(count)])
    points = columns(values, steps=np.where(random.random(count) < 0.1, NONE, random.integers(-9, 9, count)))
    wholes = summary.summarise(points, SIZE)
    for number, whole in enumerate(wholes):
        [alone] = summary.summarise(part(points, number * SIZE, (number + 1) * SIZE), SIZE)
        [there] = summary.moved(np.array([alone]), np.array([number * SIZE]))
        assert there.tobytes() == whole.tobytes()


def test_stored_figures_come_back() -> None:
    records = summary.summarise(columns(np.random.default_rng(0).standard_normal(SIZE)))
    found, counts = summary.unpack([summary.pack(records), summary.pack(records[:1])])
    assert counts.tolist() == [SIZE // PART, 1]
    assert found.tobytes() == records.tobytes() + records[:1].tobytes()


def test_damage_anywhere_is_found() -> None:
    data = summary.pack(summary.summarise(columns([1.0, 2.0])))
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 4
        with pytest.raises(Damaged):
            summary.unpack([data, bytes(broken)])
    for end in range(len(data)):
        with pytest.raises(Damaged):
            summary.unpack([data[:end]])
