"""Points as people send them: one object each, of any key, in order of arrival."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import numpy as np

from db.errors import Invalid
from db.metrics import instant
from db.metrics.columns import NONE, Columns, Ints
from db.metrics.series_key import check_key
from db.metrics.series_part import FIELDS, Opaque, Part, Path, other_kind
from db.text import check_text

MAX_STRING: Final = 1_048_576

_ABSENT: Final = {type(None)}


class Point(msgspec.Struct, kw_only=True, gc=False):
    """One value of a series: exactly one of `value`, `string` and `bytes` is given.

    `wall_time` is aware, or counts microseconds since 1970.
    """

    key: str
    step: int | None = None
    wall_time: datetime | int | None = None
    value: float | None = None
    string: str | None = None
    bytes: bytes | None = None


def part_of_points(points: Sequence[Point], path: Path) -> Part:
    """The points, sorted into their series; `path` is that of the list.

    Raises:
        Invalid: a point, named by its index, has a bad key, not exactly one value, or one of another kind than
            those before it.
    """
    values = [point.value for point in points]
    texts, blobs = [point.string for point in points], [point.bytes for point in points]
    if _holds(values, float) and _is_empty(texts) and _is_empty(blobs):
        keys = [point.key for point in points]
        part = _floats(points, keys, values, path)
        part.places = lambda key: (*path, str(keys.index(key)), "value")
        return part
    return _mixed(points, path)


def microseconds(times: Sequence[datetime | int | None]) -> Ints:
    """Times as microseconds since 1970, `NONE` where there is none."""
    if _is_empty(times):
        return np.full(len(times), NONE, dtype=np.int64)
    if not _holds(times, int):
        times = [NONE if time is None else _microseconds(time) for time in times]
    return np.array(times, dtype=np.int64)


def _microseconds(time: datetime | int) -> int:
    return time if isinstance(time, int) else instant.microseconds(time)


def moment(time: datetime | int | None) -> datetime | None:
    """The same as an aware time."""
    return instant.moment(time) if isinstance(time, int) else time


def _floats(points: Sequence[Point], keys: Sequence[str], values: Sequence[Any], path: Path) -> Part:
    found = sorted(dict.fromkeys(keys))
    for key in found:
        check_key(key, lambda: (*path, str(keys.index(key)), "key"))  # noqa: B023 - called at once
    columns = Columns(
        _steps([point.step for point in points]),
        microseconds([point.wall_time for point in points]),
        np.array(values, dtype=np.float64),
    )
    if len(found) == 1:
        return Part(found, np.array([len(keys)], dtype=np.int64), columns)
    number = {key: n for n, key in enumerate(found)}
    numbers = np.fromiter(map(number.__getitem__, keys), np.int16, len(keys))
    order = np.argsort(numbers, kind="stable")
    counts = np.bincount(numbers, minlength=len(found)).astype(np.int64)
    return Part(found, counts, columns.at(order))


def _steps(steps: Sequence[int | None]) -> Ints:
    if _holds(steps, int):
        return np.array(steps, dtype=np.int64)
    return np.array([NONE if step is None else step for step in steps], dtype=np.int64)


def _mixed(points: Sequence[Point], path: Path) -> Part:
    """The same, point by point: some are of strings or of bytes, or not as they should be."""
    first: dict[str, Path] = {}
    numbers: list[Point] = []
    opaque: dict[str, Opaque] = {}
    for place, point in enumerate(points):
        field = _given(point, (*path, str(place)))
        here = (*path, str(place), field)
        settled = first.setdefault(point.key, here)
        if settled is here:
            check_key(point.key, lambda: (*path, str(place), "key"))  # noqa: B023 - called at once
        elif settled[-1] != field:
            raise other_kind(point.key, FIELDS[settled[-1]], here)
        if field == "value":
            numbers.append(point)
            continue
        series = opaque.setdefault(point.key, Opaque(point.key, FIELDS[field], []))
        series.points.append((point.step, moment(point.wall_time), _opaque_value(point, here)))
    part = _floats(numbers, [point.key for point in numbers], [point.value for point in numbers], path)
    part.opaque = [opaque[key] for key in sorted(opaque)]
    part.places = first.__getitem__
    return part


def _given(point: Point, path: Path) -> str:
    """The one field that gives the point's value."""
    given = [name for name in FIELDS if getattr(point, name) is not None]
    if len(given) != 1:
        found = "none of them" if not given else " and ".join(f"`{name}`" for name in given)
        message = f"A point has exactly one of `value`, `string` and `bytes`; this one has {found}."
        raise Invalid(message, path=(*path, "value"))
    return given[0]


def _opaque_value(point: Point, path: Path) -> str | bytes:
    if point.string is None:
        return point.bytes or b""
    return check_text(point.string, what=".".join(path), max_length=MAX_STRING, path=path)


def _holds(values: Iterable[Any], kind: type) -> bool:
    """Whether all are of the type, or there are none."""
    return not set(map(type, values)) - {kind}


def _is_empty(values: Iterable[Any]) -> bool:
    return not set(map(type, values)) - _ABSENT
