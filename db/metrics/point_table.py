"""Points as machines send them: a column for each series, a row for each moment."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
import numpy as np

from db.errors import Invalid
from db.metrics.columns import NONE, Columns, Floats, Ints
from db.metrics.point_rows import MAX_STRING, moment
from db.metrics.series_key import check_key
from db.metrics.series_part import FIELDS, Opaque, Part, Path
from db.text import check_text

MAX_SERIES: Final = 1_000
MAX_CELLS: Final = 100_000
"""Ten times the most points of a call: so sparse may a table be."""

MAX_WHOLE: Final = 2**53 - 1
MAX_BYTES: Final = 1_048_576

_NOTHING: Final = np.empty(0, dtype=np.int64)
_SPOKEN: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_NUMBERS: Final = {float, int}
_WHOLE: Final = {int}
_GROUPS: Final = {"values": "value", "strings": "string", "bytes": "bytes"}


class Table(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Rows × keys; null in a column stands for no point. What stands in the columns is not yet looked at."""

    steps: list[Any] | None = None
    wall_times: list[Any] | None = None
    values: dict[str, list[Any]] | None = None
    strings: dict[str, list[Any]] | None = None
    bytes: dict[str, list[Any]] | None = None

    is_checked: ClassVar[bool] = False

    def columns(self) -> dict[str, Mapping[str, list[Any]]]:
        """The columns of each group that has some."""
        groups = {"values": self.values, "strings": self.strings, "bytes": self.bytes}
        return {name: columns for name, columns in groups.items() if columns}


Whole = Annotated[int, msgspec.Meta(ge=-MAX_WHOLE, le=MAX_WHOLE)]
Number = float | Literal["NaN", "Infinity", "-Infinity"]


class CheckedTable(Table, rename="camel", forbid_unknown_fields=True):
    """A table that was decoded by its types: whole numbers and numbers stand where they should, or null does."""

    steps: list[Whole | None] | None = None
    wall_times: list[Whole | None] | None = None
    values: dict[str, list[Number | None]] | None = None

    is_checked: ClassVar[bool] = True


def part_of_table(table: Table, path: Path) -> Part:
    """The points of a table, sorted into their series; `path` is that of the table.

    Raises:
        Invalid: a column, or a cell named by its row, is not as it should be.
    """
    groups = table.columns()
    rows = _check_shape(table, groups, path)
    whole = _checked_whole if table.is_checked else _whole
    steps = whole(table.steps, rows, (*path, "steps"))
    times = whole(table.wall_times, rows, (*path, "wallTimes"))
    part = _floats(groups.get("values", {}), steps, times, (*path, "values"), is_checked=table.is_checked)
    part.opaque = [
        _opaque(column, steps, times, (*path, group, key))
        for key, group, column in sorted(
            (key, group, column) for group in ("strings", "bytes") for key, column in groups.get(group, {}).items()
        )
    ]
    part.places = lambda key: _place(groups, key, path)
    return part


def _place(groups: Mapping[str, Mapping[str, Any]], key: str, path: Path) -> Path:
    return next((*path, name, key) for name, columns in groups.items() if key in columns)


def _check_shape(table: Table, groups: Mapping[str, Mapping[str, list[Any]]], path: Path) -> int:
    """The number of rows, when every column has as many and the keys are good."""
    keys = sum(map(len, groups.values()))
    if keys > MAX_SERIES:
        # Before anything is made of each: a body has room for half a million.
        raise Invalid(f"`{'.'.join(path)}` has {keys} keys; a call takes {MAX_SERIES}. Split them.", path=path)
    columns = [((*path, name, key), column) for name, group in groups.items() for key, column in group.items()]
    rows = len(columns[0][1]) if columns else 0
    if rows * len(columns) > MAX_CELLS:
        raise Invalid(
            f"`{'.'.join(path)}` has {rows * len(columns)} cells, nulls included; a table has {MAX_CELLS}. Split it.",
            path=path,
        )
    for where, column in columns:
        check_key(where[-1], lambda: where)  # noqa: B023 - called at once
        _check_length(column, rows, where)
    for name, given in (("steps", table.steps), ("wallTimes", table.wall_times)):
        if given is not None:
            _check_length(given, rows, (*path, name))
    if len(groups) > 1:
        _check_distinct([where for where, _ in columns])
    return rows


def _check_length(column: Sequence[Any], rows: int, path: Path) -> None:
    if len(column) != rows:
        message = (
            f"This column has {len(column)} rows, the first one {rows}. Give all the same length; null is no point."
        )
        raise Invalid(message, path=path)


def _check_distinct(places: Sequence[Path]) -> None:
    seen: dict[str, str] = {}
    for place in places:
        group = seen.setdefault(place[-1], place[-2])
        if group != place[-2]:
            message = f"The key {place[-1]!r} stands in `{group}`, too. A series holds values of one kind."
            raise Invalid(message, path=place)


def _floats(columns: Mapping[str, list[Any]], steps: Ints, times: Ints, path: Path, *, is_checked: bool) -> Part:
    keys, rows = sorted(columns), len(steps)
    if not keys:
        return Part(keys, _NOTHING, Columns(_NOTHING, _NOTHING, _NOTHING.astype(np.float64)))
    cells = columns[keys[0]] if len(keys) == 1 else list(chain.from_iterable(map(columns.__getitem__, keys)))
    if len(keys) > 1:
        steps, times = np.tile(steps, len(keys)), np.tile(times, len(keys))
    values = _all_numbers(cells, keys, path, is_checked=is_checked) if rows else None
    if values is None:
        return _sparse(cells, keys, steps, times, path)
    return Part(keys, np.full(len(keys), rows, dtype=np.int64), Columns(steps, times, values))


def _all_numbers(cells: Sequence[Any], keys: Sequence[str], path: Path, *, is_checked: bool) -> Floats | None:
    """The numbers, when every cell holds one and nothing else."""
    if is_checked:
        # The words of numbers that are not finite are read as what they say; null as NaN, which needs another look.
        values = np.fromiter(cells, np.float64, len(cells))
        return None if np.isnan(values).any() else values
    return None if set(map(type, cells)) - _NUMBERS else _converted(cells, keys, path)


def _sparse(cells: Sequence[Any], keys: list[str], steps: Ints, times: Ints, path: Path) -> Part:
    """The same where some cells hold no number: null for no point, or the word of a number that is not finite."""
    cells = [_SPOKEN.get(cell, cell) if type(cell) is str else cell for cell in cells]
    if set(map(type, cells)) - _NUMBERS - {type(None)}:
        raise _no_number(cells, keys, path)
    values = _converted(cells, keys, path)
    is_point = np.array([cell is not None for cell in cells], dtype=np.bool_)
    counts = is_point.reshape(len(keys), -1).sum(axis=1, dtype=np.int64)
    for key, count in zip(keys, counts.tolist(), strict=True):
        if not count:
            raise _no_point((*path, key))
    return Part(keys, counts, Columns(steps[is_point], times[is_point], values[is_point]))


def _converted(cells: Sequence[Any], keys: Sequence[str], path: Path) -> Floats:
    """The numbers; what is null is NaN for now."""
    try:
        return np.array(cells, dtype=np.float64)
    except OverflowError:
        raise _no_number(cells, keys, path) from None


def _number(cell: object) -> float | None:
    if isinstance(cell, str):
        return _SPOKEN.get(cell)
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return None
    try:
        return float(cell)
    except OverflowError:
        return None


def _no_number(cells: Sequence[Any], keys: Sequence[str], path: Path) -> Invalid:
    """The refusal of the first cell that is no number."""
    rows = len(cells) // len(keys)
    place = next(n for n, cell in enumerate(cells) if cell is not None and _number(cell) is None)
    where = (*path, keys[place // rows], str(place % rows))
    return Invalid(
        'Expected a number within a double, "NaN", "Infinity", "-Infinity", or null for no point.', path=where
    )


def _no_point(path: Path) -> Invalid:
    return Invalid("This column holds no value. Leave it out.", path=path)


def _whole(column: list[Any] | None, rows: int, path: Path) -> Ints:
    """Steps or times, `NONE` where there is none."""
    if column is None:
        return np.full(rows, NONE, dtype=np.int64)
    if set(map(type, column)) == _WHOLE:
        try:
            found = np.array(column, dtype=np.int64)
        except OverflowError:
            raise _not_whole(column, path) from None
        if found.min() < -MAX_WHOLE or found.max() > MAX_WHOLE:
            raise _not_whole(column, path)
        return found
    for cell in column:
        if cell is not None and not _is_whole(cell):
            raise _not_whole(column, path)
    return np.array([NONE if cell is None else cell for cell in column], dtype=np.int64)


def _checked_whole(column: list[Any] | None, rows: int, path: Path) -> Ints:
    """The same of a column that holds whole numbers or null."""
    try:
        return np.full(rows, NONE, dtype=np.int64) if column is None else np.fromiter(column, np.int64, rows)
    except TypeError:
        return _whole(column, rows, path)


def _is_whole(cell: object) -> bool:
    return type(cell) is int and -MAX_WHOLE <= cell <= MAX_WHOLE


def _not_whole(column: Sequence[Any], path: Path) -> Invalid:
    """The refusal of the first cell that is no whole number in range."""
    place = next(n for n, cell in enumerate(column) if cell is not None and not _is_whole(cell))
    unit = "microseconds since 1970" if path[-1] == "wallTimes" else "a step"
    message = f"Expected {unit}: a whole number within -{MAX_WHOLE} and {MAX_WHOLE}, or null for none."
    return Invalid(message, path=(*path, str(place)))


def _opaque(column: Sequence[Any], steps: Ints, times: Ints, path: Path) -> Opaque:
    *_, group, key = path
    read = _string if group == "strings" else _binary
    points = [
        (_given(step), moment(_given(time)), read(cell, (*path, str(row))))
        for row, (cell, step, time) in enumerate(zip(column, steps.tolist(), times.tolist(), strict=True))
        if cell is not None
    ]
    if not points:
        raise _no_point(path)
    return Opaque(key, FIELDS[_GROUPS[group]], points)


def _given(number: int) -> int | None:
    return None if number == NONE else number


def _string(cell: object, path: Path) -> str:
    if not isinstance(cell, str):
        raise Invalid("Expected a string, or null for no point.", path=path)
    return check_text(cell, what=".".join(path), max_length=MAX_STRING, path=path)


def _binary(cell: object, path: Path) -> bytes:
    data = _decoded(cell) if isinstance(cell, str) else None
    if data is None or len(data) > MAX_BYTES:
        raise Invalid("Expected at most 1 MiB in padded base64 with + and /, or null for no point.", path=path)
    return data


def _decoded(text: str) -> bytes | None:
    """The bytes, when the text is how they would be written."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode() == text else None
