"""Answers as objects: the types of a class say how each of its fields is read."""

from __future__ import annotations

import base64
import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Generic, Protocol, TypeVar, cast

T = TypeVar("T")
Blob = bytes
Reader = Callable[[Any], Any]


class Asker(Protocol):
    """A server that can be asked."""

    def ask(self, query: str, /, **variables: Any) -> dict[str, Any]:
        """The `data` of an operation."""


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some rows of a list, and where the next begin."""

    nodes: list[T]
    cursor: str | None


def found(kind: type[T], data: Mapping[str, Any], *path: str) -> T | None:
    """What is at a place in an answer; None if there is nothing."""
    value = raw(data, *path)
    if value is None:
        return None
    read: T = reader(cast("Any", kind))(value)
    return read


def raw(data: Mapping[str, Any], *path: str) -> Any:
    """The same, as it was sent."""
    value: Any = data
    for name in path:
        value = value.get(name)
        if value is None:
            break
    return value


def sent(**variables: Any) -> dict[str, Any]:
    """Variables as they are sent: not those that are None."""
    return {name: _sent(value) for name, value in variables.items() if value is not None}


def _sent(value: Any) -> Any:
    """Moments and numbers that JSON has no word for, as the server wants them."""
    match value:
        case datetime():
            return (value if value.tzinfo else value.astimezone()).isoformat()
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case dict():
            return {name: _sent(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_sent(inner) for inner in value]
    return value


@cache
def reader(kind: Any) -> Reader:
    """How a value of a type is read."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _optional(reader(next(each for each in inner if each is not type(None))))
    if origin is list:
        return _listed(inner[0])
    if origin is Page:
        return _paged(reader(inner[0]))
    if dataclasses.is_dataclass(kind):
        return _object(typing.cast("type[Any]", kind))
    plain: dict[Any, Reader] = {float: float, datetime: datetime.fromisoformat, bytes: base64.b64decode, Any: _same}
    return _single(plain.get(kind, _same)) if kind is not Any else _same


def _same(value: Any) -> Any:
    return value


def _optional(read: Reader) -> Reader:
    return lambda value: None if value is None else read(value)


def _single(read: Reader) -> Reader:
    """A field that stands for the one field of an object."""

    def reading(value: Any) -> Any:
        while isinstance(value, dict):
            (value,) = value.values()
        return None if value is None else read(value)

    return reading


def _listed(kind: Any) -> Reader:
    if kind == float | None:  # Columns are long: most of them are floats already.
        return lambda values: [
            value if value is None or type(value) is float else float(value) for value in _rows(values)
        ]
    if kind == int | None:
        return _rows
    read = reader(kind)
    return lambda values: [read(value) for value in _rows(values)]


def _rows(value: Any) -> Any:
    return value["nodes"] if isinstance(value, dict) else value


def _paged(read: Reader) -> Reader:
    def reading(value: Any) -> Page[Any]:
        more = value["pageInfo"]
        return Page([read(row) for row in value["nodes"]], more["endCursor"] if more["hasNextPage"] else None)

    return reading


def _object(kind: type[Any]) -> Reader:
    hints = typing.get_type_hints(kind)
    fields = [(each.name, camel(each.name), reader(hints[each.name])) for each in dataclasses.fields(kind)]

    def reading(row: Any) -> Any:
        while row is not None and len(row) == 1:  # Where an object stands for its one field; a class has more.
            (row,) = row.values()
        return row and kind(**{name: read(row[key]) for name, key, read in fields})

    return reading


def camel(name: str) -> str:
    """A name as the schema has it."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def plain(value: Any) -> Any:
    """An object as JSON, with the names of the schema."""
    if dataclasses.is_dataclass(value):
        return {camel(each.name): plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case dict():
            return {name: plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
    return _sent(value)
