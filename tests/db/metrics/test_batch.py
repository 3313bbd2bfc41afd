"""The points of a call become arrays, or a refusal that names what is wrong."""

from __future__ import annotations

import base64
import math
import struct
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.errors import Invalid
from db.metrics.batch import Batch, CheckedTable, Point, Table, batches, digest
from db.metrics.columns import NONE

OBJECT = "exp_" + "0" * 32
OTHER = "exp_" + "1" * 32
SPOKEN = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

Logged = tuple[str, int | None, int | None, bytes | str]
"""A point as its series' key, step, microseconds, and the bits of its value (or the value)."""


def one(*, points: list[Point] | None = None, columns: Table | None = None, **more: Any) -> Batch:
    (batch,) = batches({"object_id": OBJECT, "points": points, "columns": columns, **more})
    return batch


def refusal(arguments: dict[str, Any]) -> list[str]:
    """The path that the refusal names."""
    with pytest.raises(Invalid) as refused:
        batches(arguments)
    assert len(refused.value.message) < 1_000
    return list(refused.value.path)


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def given_or_none(number: int) -> int | None:
    return None if number == NONE else number


def logged(batch: Batch) -> list[Logged]:
    """Every point of the batch, series by series."""
    found: list[Logged] = []
    columns = batch.columns
    keys = [key for key, count in zip(batch.keys, batch.counts.tolist(), strict=True) for _ in range(count)]
    for key, step, time, value in zip(keys, columns.steps, columns.times, columns.values, strict=True):
        found.append((key, given_or_none(int(step)), given_or_none(int(time)), bits(value)))
    for series in batch.opaque:
        for step, time, value in series.points:
            found.append((series.key, step, microseconds(time), value))
    return found


def microseconds(time: datetime | int | None) -> int | None:
    if not isinstance(time, datetime):
        return time
    since = time - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


keys = st.sampled_from(["a", "b", "train/loss", "ü"])
steps = st.none() | st.integers(-(2**53) + 1, 2**53 - 1)
numbers = st.floats(width=64) | st.integers(-(2**70), 2**70)
times = st.none() | st.datetimes(timezones=st.just(UTC))
points = st.lists(st.builds(Point, key=keys, step=steps, wall_time=times, value=numbers.map(float)), max_size=30)


@given(points)
def test_points_come_in_order_of_arrival_by_key(sent: list[Point]) -> None:
    expected = [
        (point.key, point.step, microseconds(point.wall_time), bits(point.value))
        for point in sorted(sent, key=lambda point: point.key)
        if point.value is not None
    ]
    batch = one(points=sent)
    assert logged(batch) == expected
    assert batch.keys == sorted({point.key for point in sent})
    for key in batch.keys:
        place = next(n for n, point in enumerate(sent) if point.key == key)
        assert batch.places(key) == ("input", "points", str(place), "value")


cells = st.none() | numbers | st.sampled_from(["NaN", "Infinity", "-Infinity"])


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    rows = draw(st.integers(1, 6))
    names = draw(st.lists(keys, unique=True, max_size=4))
    column = st.lists(cells, min_size=rows, max_size=rows).filter(lambda found: any(c is not None for c in found))
    table: dict[str, Any] = {"values": {name: draw(column) for name in names}}
    if names:
        moments = st.none() | st.integers(-(2**53) + 1, 2**53 - 1)
        for name in draw(st.sets(st.sampled_from(["steps", "wallTimes"]))):
            table[name] = draw(st.lists(moments, min_size=rows, max_size=rows))
    return table


@given(tables())
def test_columns_are_read_row_by_row(sent: dict[str, Any]) -> None:
    expected: list[Logged] = []
    for key in sorted(sent["values"]):
        for row, cell in enumerate(sent["values"][key]):
            if cell is not None:
                step, time = (sent[name][row] if name in sent else None for name in ("steps", "wallTimes"))
                expected.append((key, step, time, bits(SPOKEN[cell] if isinstance(cell, str) else float(cell))))
    plain = one(columns=msgspec.convert(sent, Table))
    checked = one(columns=msgspec.convert(sent, CheckedTable))
    assert logged(plain) == logged(checked) == expected
    assert digest([plain]) == digest([checked])


def test_strings_and_bytes_stand_beside_numbers() -> None:
    blob = base64.b64encode(b"\0\xff").decode()
    table = Table([1, 2, None], [0, None, 5], {"n": [0.5, None, 1]}, {"s": ["x", None, ""]}, {"b": [None, blob, ""]})
    batch = one(points=[Point(key="s", string="first"), Point(key="z", value=-0.0)], columns=table)
    assert logged(batch) == [
        ("n", 1, 0, bits(0.5)),
        ("n", None, 5, bits(1.0)),
        ("z", None, None, bits(-0.0)),
        ("b", 2, None, b"\0\xff"),
        ("b", None, 5, b""),
        ("s", None, None, "first"),
        ("s", 1, 0, "x"),
        ("s", None, 5, ""),
    ]
    assert batch.all_keys == ["b", "n", "s", "z"]
    assert batch.point_count == 8
    assert batch.places("s") == ("input", "points", "0", "string")
    assert batch.places("b") == ("input", "columns", "bytes", "b")
    assert list(batch.refusal("n", "BYTES").path) == ["input", "columns", "values", "n"]


def test_points_before_columns() -> None:
    batch = one(points=[Point(key="k", step=9, value=1.0)], columns=Table([1, 2], None, {"k": [2, 3], "a": [4, 5]}))
    assert [entry[:2] for entry in logged(batch)] == [("a", 1), ("a", 2), ("k", 9), ("k", 1), ("k", 2)]


def test_every_time_of_ten_millennia_is_kept() -> None:
    ends = [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)]
    batch = one(points=[Point(key="k", wall_time=time, value=0.0) for time in ends])
    assert batch.columns.times.tolist() == [-62_135_596_800_000_000, 253_402_300_799_999_999, 0]


def test_no_points_are_no_error() -> None:
    for table in (None, Table(), Table([], [], {}, {}, {})):
        batch = one(points=[], columns=table)
        assert (batch.point_count, batch.keys, batch.counts.dtype) == (0, [], np.dtype(np.int64))


def values(**columns: list[Any]) -> Table:
    return Table(values=columns)


BAD_TABLES: list[tuple[Table, list[str]]] = [
    (values(a=[1, 2], b=[1]), ["values", "b"]),
    (Table(values={"a": [1]}, strings={"s": ["x", "y"]}), ["strings", "s"]),
    (Table([1], None, {"a": [1, 2]}), ["steps"]),
    (Table(None, [1], {"a": [1, 2]}), ["wallTimes"]),
    (Table([1]), ["steps"]),
    (values(a=[1, "x"]), ["values", "a", "1"]),
    (values(b=[1, 2], a=[1, "nan"]), ["values", "a", "1"]),
    (values(b=["0.5"], a=[1]), ["values", "b", "0"]),
    (values(a=[True]), ["values", "a", "0"]),
    (values(a=[1, None, {}]), ["values", "a", "2"]),
    (values(a=[0.5, 10**400]), ["values", "a", "1"]),
    (values(a=[None, 10**400]), ["values", "a", "1"]),
    (values(a=[None, None]), ["values", "a"]),
    (values(a=[]), ["values", "a"]),
    (Table(strings={"s": [None]}), ["strings", "s"]),
    (Table([0, 2**53], None, {"a": [1, 2]}), ["steps", "1"]),
    (Table([-(2**53)], None, {"a": [1]}), ["steps", "0"]),
    (Table([0, None, 2**70], None, {"a": [1, 2, 3]}), ["steps", "2"]),
    (Table([2**70], None, {"a": [1]}), ["steps", "0"]),
    (Table([1.0], None, {"a": [1]}), ["steps", "0"]),
    (Table([False], None, {"a": [1]}), ["steps", "0"]),
    (Table(["1"], None, {"a": [1]}), ["steps", "0"]),
    (Table(None, [0, 2**53], {"a": [1, 2]}), ["wallTimes", "1"]),
    (Table(values={"a": [1]}, strings={"a": ["x"]}), ["strings", "a"]),
    (Table(strings={"a": ["x"]}, bytes={"a": [""]}), ["bytes", "a"]),
    (Table(strings={"a": ["x", 1]}), ["strings", "a", "1"]),
    (Table(strings={"a": ["x", "\0"]}), ["strings", "a", "1"]),
    (Table(strings={"a": ["x" * 1_048_577]}), ["strings", "a", "0"]),
    (Table(bytes={"a": ["AAE"]}), ["bytes", "a", "0"]),
    (Table(bytes={"a": ["AAF="]}), ["bytes", "a", "0"]),
    (Table(bytes={"a": [None, 1]}), ["bytes", "a", "1"]),
    (Table(bytes={"a": ["ü"]}), ["bytes", "a", "0"]),
    (values(**{"": [1]}), ["values", ""]),
    (values(**{" k": [1]}), ["values", " k"]),
    (values(**{"k\n": [1]}), ["values", "k\n"]),
    (values(**{"k" * 1_048_576: [1]}), ["values", "k" * 100]),
    (values(**{"ü" * 501: [1]}), ["values", "ü" * 100]),
    (values(k=[1] * 10_001), []),
    (values(**{f"k{n}": [1] for n in range(1_001)}), []),
    (values(**{f"k{n}": [None] * 999 + [1] for n in range(101)}), []),
]


@pytest.mark.parametrize(("table", "path"), BAD_TABLES, ids=range(len(BAD_TABLES)))
def test_a_bad_table_is_named_by_its_column_and_row(table: Table, path: list[str]) -> None:
    assert refusal({"object_id": OBJECT, "columns": table}) == ["input", "columns", *path]
    several = [{"object_id": OTHER, "points": []}, {"object_id": OBJECT, "columns": table}]
    where = ["input", "batches", "1", "columns", *path]
    assert refusal({"batches": several}) == (where if path else refusal({"batches": several}))


POINT = Point(key="k", value=1.0)
TEXT = Point(key="k", string="x")
BAD_CALLS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["objectId"]),
    ({"points": []}, ["objectId"]),
    ({"object_id": OBJECT}, ["points"]),
    ({"batches": []}, ["batches"]),
    ({"batches": [{"object_id": OBJECT}]}, ["batches", "0", "points"]),
    ({"batches": [{"object_id": OBJECT, "points": []}], "object_id": OBJECT}, ["objectId"]),
    ({"batches": [{"object_id": OBJECT, "points": []}], "points": []}, ["points"]),
    ({"batches": [{"object_id": OBJECT, "points": []}], "columns": Table()}, ["columns"]),
    ({"batches": [{"object_id": OBJECT, "points": []}] * 2}, ["batches", "1", "objectId"]),
    ({"batches": [{"object_id": f"{n}", "points": []} for n in range(101)]}, ["batches"]),
    ({"batches": [{"object_id": n, "points": [POINT] * 5_001} for n in (OBJECT, OTHER)]}, ["batches"]),
    ({"object_id": OBJECT, "points": [POINT] * 10_001}, ["points"]),
    ({"object_id": OBJECT, "points": [POINT] * 5_001, "columns": values(k=[1] * 5_000)}, ["points"]),
    ({"object_id": OBJECT, "points": [Point(key=f"{n}", value=1.0) for n in range(1_001)]}, ["points"]),
    ({"object_id": OBJECT, "points": [POINT, TEXT]}, ["points", "1", "string"]),
    ({"object_id": OBJECT, "points": [POINT], "columns": Table(strings={"k": ["x"]})}, ["columns", "strings", "k"]),
    ({"object_id": OBJECT, "points": [TEXT], "columns": values(k=[1])}, ["columns", "values", "k"]),
    ({"object_id": OBJECT, "points": [], "writer": "w"}, ["sequence"]),
    ({"object_id": OBJECT, "points": [], "sequence": 1}, ["writer"]),
    ({"object_id": OBJECT, "points": [], "writer": "w", "sequence": -1}, ["sequence"]),
    ({"object_id": OBJECT, "points": [], "writer": "", "sequence": 1}, ["writer"]),
    ({"object_id": OBJECT, "points": [], "writer": "w" * 256, "sequence": 1}, ["writer"]),
]


@pytest.mark.parametrize(("arguments", "path"), BAD_CALLS, ids=range(len(BAD_CALLS)))
def test_a_bad_call_is_named(arguments: dict[str, Any], path: list[str]) -> None:
    assert refusal(arguments) == ["input", *path]


def test_the_most_that_a_call_takes() -> None:
    assert one(columns=values(**{f"k{n}": [1] * 10 for n in range(1_000)})).point_count == 10_000
    assert one(points=[POINT] * 10_000).point_count == 10_000
    several = [{"object_id": f"{n}", "points": [POINT] * 100} for n in range(100)]
    assert sum(batch.point_count for batch in batches({"batches": several})) == 10_000


def test_a_digest_is_of_the_points_and_not_of_how_they_came() -> None:
    as_points = one(points=[Point(key="k", step=1, value=2.0), Point(key="s", string="x")])
    as_columns = one(columns=Table(None, None, {"k": [2]}, {"s": ["x"]}))
    assert digest([as_points]) != digest([as_columns])
    with_step = one(points=[Point(key="k", value=2.0), Point(key="s", string="x")])
    assert digest([with_step]) == digest([as_columns])
    assert digest([one(columns=values(k=[0.0]))]) != digest([one(columns=values(k=[-0.0]))])
