"""Points into a frame and out of it, bit for bit."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from modelbox.points import Columns, Measure, Row, Text, encoded

KEYS = ["a", "b", "c/d"]
ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(-(2**53) + 1, 2**53 - 1)),
        st.integers(0, 2**50),
        st.dictionaries(st.sampled_from(KEYS), st.floats(), min_size=1),
    ),
    max_size=20,
)
TEXTS = st.lists(
    st.tuples(st.none() | st.integers(0, 9), st.integers(0, 9), st.just("t"), st.text(max_size=5), st.just(False)),
    max_size=4,
)


def bits(value: Any) -> bytes:
    number = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(value, value)
    return b"nan" if math.isnan(number) else struct.pack("<d", number)


@settings(deadline=None)
@given(ROWS, ROWS, TEXTS)
def test_frames_become_one_table_in_their_order(first: list[Row], second: list[Row], texts: list[Text]) -> None:
    columns, measure = Columns(), Measure()
    for rows, some in ((first, texts), (second, [])):
        head, body = encoded(rows, some)
        head = json.loads(json.dumps(head))
        columns.add(head, body)
        measure.add(head)
    said = [(step, time, key, bits(value)) for step, time, row in first for key, value in row.items()]
    said += [(step, time, key, text.encode()) for step, time, key, text, _ in texts]
    said += [(step, time, key, bits(value)) for step, time, row in second for key, value in row.items()]
    assert sorted(points_of(columns), key=str) == sorted(said, key=str)
    for key in columns.keys:
        assert [p for p in points_of(columns) if p[2] == key] == [p for p in said if p[2] == key]
        alone = [points for name, part in columns.apart() if name == key for points in points_of(part)]
        assert alone == [p for p in said if p[2] == key]
    assert (measure.points, measure.rows, measure.keys) == (len(said), len(columns.steps), set(columns.keys))


def points_of(columns: Columns) -> list[tuple[int | None, int, str, bytes]]:
    table = json.loads(json.dumps(columns.table(), allow_nan=False))
    steps = table.get("steps", [None] * len(table["wallTimes"]))
    found = []
    for name in ("values", "strings", "bytes"):
        for key, column in table.get(name, {}).items():
            assert len(column) == len(steps) == len(table["wallTimes"])
            for step, time, value in zip(steps, table["wallTimes"], column, strict=True):
                if value is not None:
                    found.append((step, time, key, value.encode() if name == "strings" else bits(value)))
    return found
