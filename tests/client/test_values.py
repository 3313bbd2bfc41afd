"""What `log` takes, and what it says of the rest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from modelbox import values
from modelbox.errors import ModelBoxError


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (1, 1.0),
        (True, 1.0),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7.0),
        (np.array(3.0), 3.0),
        (np.array([[2.0]]), 2.0),
        (10**400, math.inf),
        (-(10**400), -math.inf),
        ("text", "text"),
        (b"\x00", b"\x00"),
        (bytearray(b"x"), b"x"),
    ],
)
def test_what_is_a_value(given: Any, wanted: Any) -> None:
    assert values.number("k", given) == wanted


@pytest.mark.parametrize("given", [None, object(), [1.0], np.zeros(3), 1j, "x" * (values.LONGEST_TEXT + 1)])
def test_what_is_none(given: Any) -> None:
    with pytest.raises(ModelBoxError) as caught:
        values.number("train/loss", given)
    assert caught.value.code == "BAD_METRIC"
    assert "train/loss" in caught.value.message


@pytest.mark.parametrize("key", ["", " a", "a\n", "k" * 1001, "é" * 501, "\ud800", 7, None, "x" * (1 << 20)])
def test_what_is_no_key(key: Any) -> None:
    with pytest.raises(ModelBoxError) as caught:
        values.check_key(key)
    assert caught.value.code == "BAD_KEY"
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(("given", "wanted"), [(None, None), (3, 3), (np.int32(4), 4), (5.0, 5), (-1, -1)])
def test_what_is_a_step(given: Any, wanted: Any) -> None:
    assert values.check_step(given) == wanted


@pytest.mark.parametrize("step", ["7", 1.5, math.nan, 2**53, object(), [1]])
def test_what_is_no_step(step: Any) -> None:
    with pytest.raises(ModelBoxError) as caught:
        values.check_step(step)
    assert caught.value.code == "BAD_STEP"


def test_nested_mappings_are_joined() -> None:
    assert values.flat({"a": {"b": {"c": 1}, 2: 3}, "d": 4}) == {"a/b/c": 1, "a/2": 3, "d": 4}
