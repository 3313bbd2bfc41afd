"""Columns as JSON keep every bit."""

from __future__ import annotations

import json

import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st

from db.metrics.columns import NONE
from db.metrics.json_text import floats_json, ints_json

WORDS = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}


def test_how_doubles_are_written() -> None:
    values = np.array([0.0, -0.0, 1.5, np.nan, np.inf, -np.inf, 5e-324, 1e22])
    assert floats_json(values) == b'[0.0,-0.0,1.5,"NaN","Infinity","-Infinity",5e-324,1e+22]'
    assert floats_json(np.array([np.nan])) == b'["NaN"]'
    assert floats_json(np.array([])) == b"[]"


def test_how_integers_are_written() -> None:
    assert (
        ints_json(np.array([0, NONE, -5, NONE + 1, 2**63 - 1]))
        == b"[0,null,-5,-9223372036854775807,9223372036854775807]"
    )
    assert ints_json(np.array([], np.int64)) == b"[]"


def test_part_of_an_array() -> None:
    assert floats_json(np.arange(6.0)[::2]) == b"[0.0,2.0,4.0]"
    assert ints_json(np.arange(6)[::-2]) == b"[5,3,1]"


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_every_double_reads_back(bits: list[int]) -> None:
    values = np.array(bits, np.uint64).view(np.float64)
    for read in (orjson.loads, json.loads):
        back = np.array([WORDS[value] if isinstance(value, str) else value for value in read(floats_json(values))])
        same = np.isnan(values) & np.isnan(back.astype(np.float64))
        assert (same | (back.astype(np.float64).view(np.int64) == values.view(np.int64))).all()


def test_a_million_random_doubles_read_back() -> None:
    values = np.random.default_rng(5).integers(-(2**63), 2**63, 1_000_000).view(np.float64)
    values = values[np.isfinite(values)]
    assert np.array(orjson.loads(floats_json(values))).tobytes() == values.tobytes()
