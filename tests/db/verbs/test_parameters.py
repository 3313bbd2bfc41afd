"""The leaves of hyperparameters."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.errors import Invalid
from db.verbs.parameters import MAX_LEAVES, MAX_LEVELS, leaves

WHERE = ("input", "hyperparameters")
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=9)
)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner), max_leaves=30
)


def found(hyperparameters: dict[str, Any]) -> dict[tuple[str, ...], Any]:
    rows = leaves(hyperparameters, WHERE)
    return {tuple(row["path"]): row["text"] if row["number"] is None else row["number"] for row in rows}


def at(tree: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        tree = tree[int(key)] if isinstance(tree, list) else tree[key]
    return tree


@given(st.dictionaries(st.text(max_size=4), TREES, max_size=5))
@settings(max_examples=200, deadline=None)
def test_each_leaf_lies_at_its_path_and_has_its_kind(hyperparameters: dict[str, Any]) -> None:
    rows = leaves(hyperparameters, WHERE)
    assert len({tuple(row["path"]) for row in rows}) == len(rows)
    for row in rows:
        value = at(hyperparameters, tuple(row["path"]))
        if isinstance(value, bool):
            assert (row["number"], row["text"]) == (None, "true" if value else "false")
        elif isinstance(value, str):
            assert (row["number"], row["text"]) == (None, value)
        else:
            assert (row["number"], row["text"]) == (float(value), None)


def test_nulls_and_empty_containers_have_no_leaf() -> None:
    assert found({"a": None, "b": [], "c": {}, "d": [None, {"e": None}]}) == {}


def test_long_texts_have_no_leaf() -> None:
    assert found({"a": "x" * 1_000, "b": "x" * 1_001, "c": "\u4e00" * 334}) == {("a",): "x" * 1_000}


def test_bounds() -> None:
    deep: Any = 1
    for _ in range(MAX_LEVELS):
        deep = [deep]
    assert list(found({"k": deep[0]})) == [("k", *["0"] * (MAX_LEVELS - 1))]
    with pytest.raises(Invalid):
        leaves({"k": deep}, WHERE)
    assert len(leaves({"k": [1] * MAX_LEAVES}, WHERE)) == MAX_LEAVES
    with pytest.raises(Invalid):
        leaves({"k": [None] * (MAX_LEAVES + 1)}, WHERE)
