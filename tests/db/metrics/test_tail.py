"""Rows of the tail come back as they were written, whatever their shape."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.metrics.columns import NONE, Columns
from db.metrics.tail import Damaged, Tail, decode, encode

MARKS = st.one_of(st.just(NONE), st.integers(-(2**53) + 1, 2**53 - 1))
BITS = st.integers(0, 2**64 - 1)


@st.composite
def tails(draw: st.DrawFn) -> Tail:
    counts = draw(st.lists(st.integers(1, 5), max_size=5))
    if draw(st.booleans()):
        counts = [counts[0]] * len(counts) if counts else []
    total = sum(counts)
    return Tail(
        np.array(draw(st.lists(st.integers(0, 2**63 - 1), min_size=len(counts), max_size=len(counts))), np.int64),
        np.array(counts, np.int64),
        Columns(
            marks(draw, counts, total),
            marks(draw, counts, total),
            np.array(draw(st.lists(BITS, min_size=total, max_size=total)), np.uint64).view(np.float64),
        ),
    )


def marks(draw: st.DrawFn, counts: list[int], total: int) -> np.ndarray:
    """Steps or times: none, even, the same for each series, or any."""
    form = draw(st.integers(0, 3))
    if form == 0:
        return np.full(total, NONE, np.int64)
    if form == 3 or len(set(counts)) > 1:
        return np.array(draw(st.lists(MARKS, min_size=total, max_size=total)), np.int64)
    rows = counts[0] if counts else 0
    row = [draw(st.integers(-5, 5)) + 3 * n for n in range(rows)] if form == 1 else [draw(MARKS) for _ in range(rows)]
    return np.array(row * len(counts), np.int64)


@given(tails())
def test_rows_come_back(tail: Tail) -> None:
    found = decode(encode(tail.ids, tail.counts, tail.columns))
    for written, read in (
        (tail.ids, found.ids),
        (tail.counts, found.counts),
        (tail.columns.steps, found.columns.steps),
        (tail.columns.times, found.columns.times),
        (tail.columns.values.view(np.uint64), found.columns.values.view(np.uint64)),
    ):
        assert written.tolist() == read.tolist()


@given(tails(), st.data())
def test_what_is_cut_short_is_noticed(tail: Tail, data: st.DataObject) -> None:
    whole = encode(tail.ids, tail.counts, tail.columns)
    with pytest.raises(Damaged):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_common_shapes_are_small() -> None:
    rows = 1_000
    one = Columns(np.arange(rows), np.full(rows, NONE), np.random.default_rng(1).random(rows))
    assert len(encode(np.array([7]), np.array([rows]), one)) <= 8 * rows + 64
    keys = 50
    table = Columns(np.full(keys, 3), np.full(keys, 1_700_000_000_000_000), np.random.default_rng(2).random(keys))
    assert len(encode(np.arange(keys), np.ones(keys, np.int64), table)) <= (8 + 8 + 4) * keys + 64
