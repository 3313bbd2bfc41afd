"""The words in which entities are declared: `column`, `one`, `many`, `computed`.

Each returns a strawberry field that carries, beside its description, how it is read. Nothing
else about a field stands anywhere else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import strawberry
from graphql import GraphQLInterfaceType, GraphQLNamedType

from db.read.column import column_pieces
from db.read.link import Link, by_column
from db.read.plan import Leaf, One, Plan, Rows, Variants
from db.read.source import BY_KIND, OBJECT, Source
from db.read.sql import Pieces, Statement
from db.read.window import Window
from graphql_schema.arguments import Value
from graphql_schema.selection import Read, Selected

SOURCES: dict[str, Source] = {}
"""The source of each GraphQL object type, filled by `entity`."""


def entity(source: Source, description: str | None = None) -> Callable[[type], type]:
    """Declare a class as the GraphQL type of a source's rows; its docstring is the description."""

    def declare(cls: type) -> type:
        SOURCES[cls.__name__] = source
        return strawberry.type(cls, description=description or inspect.cleandoc(cls.__doc__ or ""))

    return declare


@dataclass(frozen=True)
class Argument:
    """An argument of a field."""

    name: str
    kind: Any
    description: str
    default: Any = strawberry.UNSET

    def parameter(self) -> inspect.Parameter:
        """The argument as strawberry reads it from a resolver's signature."""
        described = strawberry.argument(description=self.description, name=self.name)
        annotated: Any = Annotated[self.kind, described]
        default = inspect.Parameter.empty if self.default is ... else self.default
        kind = inspect.Parameter.KEYWORD_ONLY
        return inspect.Parameter(self.name + "_", kind, default=default, annotation=annotated)


def read_field(read: Read, description: str, arguments: Sequence[Argument] = (), **options: Any) -> Any:
    """A strawberry field that is read by plan; its resolver never runs below a compiled field."""

    def resolver(self: Any, **_: Any) -> Any:  # noqa: ARG001 - strawberry looks at the signature
        raise RuntimeError("a compiled field was resolved one by one")

    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    parameters = [argument.parameter() for argument in arguments]
    resolver.__signature__ = inspect.Signature([own, *parameters])  # type: ignore[attr-defined]
    resolver.__annotations__ = {p.name: p.annotation for p in parameters}
    return strawberry.field(resolver=resolver, description=description, metadata={"read": read}, **options)


@dataclass(frozen=True)
class ColumnRead:
    """A column of the row; by default the one of the field's own name."""

    name: str | None = None

    def plan(self, selected: Selected) -> Plan:
        source = SOURCES[selected.parent]
        column = self.name or snake_case(selected.name)
        prefix = source.prefix if column == "id" else None
        return Leaf(lambda statement, alias: column_pieces(source.table, column, alias, prefix))


def snake_case(name: str) -> str:
    """`createdAt` to `created_at`."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def column(description: str, name: str | None = None, **options: Any) -> Any:
    """A column of the entity's table."""
    return strawberry.field(description=description, metadata={"read": ColumnRead(name)}, **options)


@dataclass(frozen=True)
class ComputedRead:
    """A value made from the row by an expression of its own."""

    value: Callable[[Selected], Callable[[Statement, str], Pieces]]

    def plan(self, selected: Selected) -> Plan:
        return Leaf(self.value(selected))


def computed(description: str, pieces: Callable[[Statement, str], Pieces], **options: Any) -> Any:
    """A value that SQL computes from the row."""
    return read_field(ComputedRead(lambda _: pieces), description, **options)


@dataclass(frozen=True)
class OneRead:
    """A single linked object. `contained`: the parent contains the child or the child the parent."""

    link: Link
    contained: bool

    def plan(self, selected: Selected) -> Plan:
        with selected.planner.repeated(1):
            if isinstance(selected.type, GraphQLInterfaceType):
                return interface_plan(selected, self.link, self.contained)
            return One(SOURCES[selected.type.name], self.link, selected.object(), self.contained)


def one(description: str, link: Link, *, contained: bool = False) -> Any:
    """An edge to a single object: null where there is none in the caller's sight."""
    return read_field(OneRead(link, contained), description)


@dataclass(frozen=True)
class PickedRead:
    """A single row below the parent, picked by the field's arguments."""

    source: Source
    link: Callable[[Selected], Link]

    def plan(self, selected: Selected) -> Plan:
        with selected.planner.repeated(1):
            return One(self.source, self.link(selected), selected.object(), contained=True)


def picked(description: str, source: Source, link: Callable[[Selected], Link], *arguments: Argument) -> Any:
    """A row that the parent contains, picked by arguments: null when there is none."""
    return read_field(PickedRead(source, link), description, arguments)


INTERFACES: dict[str, Callable[[Selected, Link, bool], Plan]] = {}
"""How a field of an interface type is planned, by the interface's name."""


def interface_plan(selected: Selected, link: Link, contained: bool) -> Plan:
    """One alternative for each type that implements the interface."""
    return INTERFACES[selected.type.name](selected, link, contained)


def possible_types(selected: Selected) -> list[GraphQLNamedType]:
    """The object types of the selected interface."""
    assert isinstance(selected.type, GraphQLInterfaceType)
    return list(selected.planner.schema.get_possible_types(selected.type))


def entity_plan(selected: Selected, link: Link, contained: bool) -> Plan:
    """An object of any entity type: its narrow row tells which."""
    alternatives = []
    for type_ in possible_types(selected):
        source = SOURCES.get(type_.name)
        if source and source.kind in BY_KIND:
            plan = selected.planner.object(type_, selected.nodes)
            alternatives.append((source.kind, One(source, by_column("id"), plan, contained)))
    return One(OBJECT, link, Variants(lambda alias: f"{alias}.kind", alternatives), True)


INTERFACES["Entity"] = entity_plan


@dataclass(frozen=True)
class ListRead:
    """A short list, bounded by nature, in a fixed order."""

    window: Callable[[Selected], Window]
    expected: int = 1

    def plan(self, selected: Selected) -> Plan:
        with selected.planner.repeated(self.expected):
            return Rows(self.window(selected), selected.object())


def listed(description: str, window: Callable[[Selected], Window], *arguments: Argument, expected: int = 1) -> Any:
    """A short list of rows, whole."""
    return read_field(ListRead(window, expected), description, arguments)


def given(selected: Selected, name: str) -> Value | None:
    """An argument that is there and not null."""
    value = selected.arguments.get(name)
    return None if value is None or value.raw is None else value
