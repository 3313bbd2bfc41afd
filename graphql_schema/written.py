"""The words in which types are declared whose objects are written in Python, of points read after the statement.

`written` and `inside` are to them what `column` and `one` are to entities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import strawberry
from graphql import GraphQLNamedType

from db.read.plan import Plan
from graphql_schema.selection import Nodes, Selected

Write = Callable[[Any], Any]
"""Of what was read: the JSON of a field; in rows, one for each row."""


@dataclass(frozen=True)
class WrittenRead:
    """A field of what fills a hole of the response."""

    write: Callable[[Selected], Write]

    def plan(self, selected: Selected) -> Plan:
        raise TypeError(f"{selected.parent}.{selected.name} is written, not planned")


def written(description: str, write: Write) -> Any:
    """A plain value."""
    return strawberry.field(description=description, metadata={"read": WrittenRead(lambda _: write)})


def inside(description: str, pick: Callable[[Any], Any]) -> Any:
    """An object within the object, made of a part of what was read."""

    def write(selected: Selected) -> Write:
        inner = writer(selected)
        return lambda found: inner(pick(found))

    return strawberry.field(description=description, metadata={"read": WrittenRead(write)})


def writer(selected: Selected) -> Callable[[Any], bytes]:
    """Writes the object that a field returns."""
    groups = selected.collected().items()
    return object_of([(key, field_writer(selected, selected.type, nodes)) for key, nodes in groups])


def object_of(fields: Sequence[tuple[str, Write]]) -> Callable[[Any], bytes]:
    """Writes one JSON object."""
    named = [(f'"{key}":'.encode(), write) for key, write in fields]
    return lambda found: b"{" + b",".join([key + write(found) for key, write in named]) + b"}"


def fixed(text: str) -> Write:
    """A string that the document decides, such as `__typename`."""
    json = f'"{text}"'.encode()
    return lambda found: json


def field_writer(selected: Selected, type_: GraphQLNamedType, nodes: Nodes) -> Write:
    """Writes one field of a type."""
    planner = selected.planner
    planner.count_field()
    name = nodes[0].name.value
    if name == "__typename":
        return fixed(type_.name)
    read = planner.registry[(type_.name, name)]
    assert isinstance(read, WrittenRead)
    return read.write(planner.select(type_, nodes))


def rows_writer(selected: Selected, type_: GraphQLNamedType, nodes: Nodes) -> Callable[[Any], list[bytes]]:
    """Writes the selected fields of many objects of a type: one JSON object for each row of what was read."""
    groups = selected.planner.collect(type_, nodes).items()
    return objects([(key, field_writer(selected, type_, group)) for key, group in groups])


def objects(fields: Sequence[tuple[str, Write]]) -> Callable[[Any], list[bytes]]:
    """Writes one JSON object for each row. A field writes a text for each, or a single one that all of them have."""
    template = ("{" + ",".join(f'"{key}":%b' for key, _ in fields) + "}").encode()

    def write(found: Any) -> list[bytes]:
        columns = [write_field(found) for _, write_field in fields]
        columns = [[texts] * len(found) if isinstance(texts, bytes) else texts for texts in columns]
        return [template % row for row in zip(*columns, strict=True)] if columns else [template] * len(found)

    return write
