"""Variables decoded straight from the request's JSON, into structs that are made of the input types.

The library takes 5 µs for each of a thousand points, this a tenth of one. What is not plainly right is left to the
library, so that there is one place that words refusals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from operator import attrgetter
from types import GenericAlias, NoneType
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    get_named_type,
    get_nullable_type,
    parse_type,
    parse_value,
    print_ast,
    type_from_ast,
    value_from_ast,
)
from msgspec import UNSET, Meta, Struct, UnsetType
from strawberry.schema.schema_converter import GraphQLCoreConverter

from db.metrics.batch import CheckedTable
from graphql_schema.errors import RequestErrors
from graphql_schema.fields import snake_case
from graphql_schema.input_size import MAX_ITEMS, too_many_items
from graphql_schema.moments import microseconds_of
from graphql_schema.scalars import MAX_SAFE_INT

KEPT_LANES: Final = 500

Read = Callable[[Any], Any]
T = TypeVar("T", bound=type)


@dataclass(frozen=True, slots=True)
class Unread:
    """The JSON of an object of variables, of which only the syntax is known yet; `read` decodes it by no types."""

    text: bytes
    read: Callable[[], Mapping[str, Any]]


Variables = Mapping[str, Any] | Unread | None


@dataclass(frozen=True)
class Leaf:
    """How a leaf type is decoded: what JSON may hold, and the type of what needs no `read` any more.

    `read_all` is tried first where there may be thousands.
    """

    annotation: Any
    settled: type | None
    read: Read | None = None
    read_all: Callable[[list[Any]], list[Any] | None] | None = None


_SETTLED: Final[Mapping[str, Leaf]] = {
    "ID": Leaf(str, str),
    "String": Leaf(str, str),
    "Boolean": Leaf(bool, bool),
    "Float": Leaf(float, float),
    "Int": Leaf(Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)], int),
    "SafeInt": Leaf(Annotated[int, Meta(ge=-MAX_SAFE_INT, le=MAX_SAFE_INT)], int),
    "MetricTable": Leaf(CheckedTable, CheckedTable),
}
"""Scalars whose values are what they should be once they are of this type."""

_READ: Final[Mapping[str, tuple[Any, type | None]]] = {
    "MetricValue": (float | Literal["NaN", "Infinity", "-Infinity"], float),
    "DateTime": (str, None),
    "Digest": (str, None),
    "Base64": (str, None),
    "Cursor": (str, None),
    "JSON": (Any, None),
}
"""Scalars that read what JSON holds; of the first type, and not when it is of the second."""

_READ_ALL: Final[Mapping[str, Callable[[list[Any]], list[Any] | None]]] = {"DateTime": microseconds_of}
"""Scalars that structs of rows hold in another form when it is faster."""

ROWS: Final[dict[str, type[Struct]]] = {}
"""Input types of which thousands come at once: verbs take such structs, not mappings."""


def rows(struct: type[Struct]) -> Callable[[T], T]:
    """Declare that a verb takes values of an input type as a struct with the same fields."""

    def declare(cls: T) -> T:
        ROWS[cls.__name__] = struct
        return cls

    return declare


class Unsuited(Exception):
    """The type has something that only the library reads."""


class Shape:
    """What is left to do with decoded structs of one type: leaves to read, and list items to count."""

    def __init__(self, *, is_row: bool = False) -> None:
        self._is_row = is_row
        self._leaves: list[tuple[str, Leaf, bool]] = []
        self._parts: list[tuple[str, Shape, bool]] = []
        self._counted: list[str] = []

    def add(self, name: str, type_: GraphQLInputType) -> Any:
        """Take in a field; the annotation that decodes it.

        Raises:
            Unsuited: it cannot be decoded.
        """
        nullable: Any = get_nullable_type(type_)
        if isinstance(nullable, GraphQLList):
            self._counted.append(name)
            item: Any = get_nullable_type(nullable.of_type)
            inner = _nullable(nullable.of_type, self._annotation(name, item, is_list=True))
            return _nullable(type_, GenericAlias(list, (inner,)))
        return _nullable(type_, self._annotation(name, nullable, is_list=False))

    def _annotation(self, name: str, nullable: GraphQLInputType, *, is_list: bool) -> Any:
        if isinstance(nullable, GraphQLInputObjectType):
            struct, shape = struct_of(nullable)
            self._parts.append((name, shape, is_list))
            return struct
        leaf = leaf_of(nullable)
        if leaf.read is not None:
            read_all = (
                _READ_ALL.get(nullable.name) if self._is_row and isinstance(nullable, GraphQLScalarType) else None
            )
            self._leaves.append((name, replace(leaf, read_all=read_all), is_list))
        return leaf.annotation

    def finish(self, structs: list[Any]) -> int:
        """Read the leaves of all, a field at a time; how many list items they hold. Too many are not even read."""
        items = sum(_count(structs, name) for name in self._counted)
        for name, shape, is_list in self._parts:
            if items <= MAX_ITEMS:
                found = [value for value in (getattr(struct, name) for struct in structs) if value]
                items += shape.finish([item for value in found for item in value if item] if is_list else found)
        if items <= MAX_ITEMS:
            for name, leaf, is_list in self._leaves:
                (_read_lists if is_list else _read_leaves)(structs, name, leaf)
        return items


def _nullable(type_: GraphQLInputType, annotation: Any) -> Any:
    return annotation if isinstance(type_, GraphQLNonNull) else annotation | None


def _read_leaves(structs: list[Any], name: str, leaf: Leaf) -> None:
    assert leaf.read is not None
    values = list(map(attrgetter(name), structs))
    kinds, settled = set(map(type, values)), {leaf.settled, NoneType, UnsetType}
    # Most fields of most structs need nothing, or all do: seen at a tenth of the cost of a look at each.
    if not kinds - settled:
        return
    if kinds & settled:
        structs = [struct for struct, value in zip(structs, values, strict=True) if type(value) not in settled]
        values = [value for value in values if type(value) not in settled]
    found = leaf.read_all(values) if leaf.read_all else None
    for struct, value in zip(structs, found or map(leaf.read, values), strict=True):
        setattr(struct, name, value)


def _read_lists(structs: list[Any], name: str, leaf: Leaf) -> None:
    assert leaf.read is not None
    for struct in structs:
        if values := getattr(struct, name):
            setattr(struct, name, [None if value is None else leaf.read(value) for value in values])


def _count(structs: list[Any], name: str) -> int:
    """As `check_items` counts: null counts as one."""
    values = [getattr(struct, name) for struct in structs]
    return sum(1 if value is None else len(value) for value in values if value is not UNSET)


def leaf_of(type_: GraphQLInputType) -> Leaf:
    """How a scalar or an enumeration is decoded."""
    if isinstance(type_, GraphQLEnumType):
        return Leaf(str, None, type_.parse_value)
    if not isinstance(type_, GraphQLScalarType):
        raise Unsuited
    if type_.name in _SETTLED:
        return _SETTLED[type_.name]
    if type_.name not in _READ:
        raise Unsuited
    annotation, settled = _READ[type_.name]
    return Leaf(annotation, settled, type_.parse_value)


@cache
def struct_of(type_: GraphQLInputObjectType) -> tuple[type[Struct], Shape]:
    """The struct of an input type: its attributes are the arguments' names, its JSON the schema's."""
    if type_.is_one_of:
        raise Unsuited
    row = ROWS.get(type_.name)
    absent = None if row else UNSET
    shape = Shape(is_row=row is not None)
    names = {argument_name(field, name): name for name, field in type_.fields.items()}
    fields = []
    for attribute, name in names.items():
        field = type_.fields[name]
        fields.append(_field(attribute, field.type, shape, field.default_value, absent))
    return _struct(type_.name, fields, names, row), shape


def _field(attribute: str, type_: GraphQLInputType, shape: Shape, default: Any, absent: Any) -> tuple[Any, ...]:
    annotation = shape.add(attribute, type_)
    if default is not Undefined:
        if isinstance(default, list | dict):
            raise Unsuited
        return attribute, annotation, default
    if isinstance(type_, GraphQLNonNull):
        return attribute, annotation
    return attribute, annotation | UnsetType if absent is UNSET else annotation, absent


def _struct(name: str, fields: list[Any], names: Mapping[str, str], row: type[Struct] | None) -> type[Struct]:
    bases = (row,) if row else None
    # Collecting garbage while ten thousand structs are made would look at each of them in vain.
    return msgspec.defstruct(
        name, fields, bases=bases, rename=dict(names), kw_only=True, forbid_unknown_fields=True, gc=False
    )


def argument_name(field: GraphQLInputField, name: str) -> str:
    """The name of the verb's argument: the field's Python name, which may be the column's."""
    declared = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    return str(declared.python_name) if declared else snake_case(name)


@dataclass(frozen=True)
class Lane:
    """Decodes the variables of operations that declare the same ones."""

    names: Mapping[str, str]
    decoder: msgspec.json.Decoder[Any]
    shape: Shape

    def decode(self, unread: Unread) -> dict[str, Any] | None:
        """The values, if they are plainly right; None leaves them to the library.

        Raises:
            RequestErrors: they hold too many items, for the library, too.
        """
        text = unread.text
        # A NUL can only come escaped. Few requests have any backslash, for which looking is cheapest.
        if b"\\" in text and b"\\u0000" in text:
            return None
        try:
            struct = self.decoder.decode(text)
            items = self.shape.finish([struct])
        except (msgspec.DecodeError, UnicodeError, RecursionError, GraphQLError, ValueError):
            return None
        if items > MAX_ITEMS:
            raise RequestErrors([too_many_items()])
        values = ((name, getattr(struct, attribute)) for attribute, name in self.names.items())
        return {name: value for name, value in values if value is not UNSET}


Declared = tuple[str, str, str | None]
"""A variable as a document declares it: name, type, and default."""


def lane_of(schema: GraphQLSchema, definition: OperationDefinitionNode) -> Lane | None:
    """The way to decode an operation's variables; None when only the library can."""
    declared = tuple(
        (
            variable.variable.name.value,
            print_ast(variable.type),
            print_ast(variable.default_value) if variable.default_value else None,
        )
        for variable in definition.variable_definitions or ()
    )
    return _lane(schema, declared) if declared else None


@lru_cache(KEPT_LANES)
def _lane(schema: GraphQLSchema, declared: tuple[Declared, ...]) -> Lane | None:
    shape = Shape()
    names = {f"v{number}": name for number, (name, _, _) in enumerate(declared)}
    try:
        fields = [_variable(schema, f"v{number}", each, shape) for number, each in enumerate(declared)]
    except Unsuited:
        return None
    return Lane(names, msgspec.json.Decoder(_struct("Variables", fields, names, None)), shape)


def _variable(schema: GraphQLSchema, attribute: str, declared: Declared, shape: Shape) -> tuple[Any, ...]:
    _, type_text, default_text = declared
    type_: Any = type_from_ast(schema, parse_type(type_text))
    named = get_named_type(type_)
    if isinstance(named, GraphQLInputObjectType) and named.name not in written_types(schema):
        raise Unsuited
    default = Undefined if default_text is None else value_from_ast(parse_value(default_text), type_)
    return _field(attribute, type_, shape, default, UNSET)


@cache
def written_types(schema: GraphQLSchema) -> frozenset[str]:
    """The input objects of mutations. What stands in them decides no SQL, and may be ten thousand points long."""
    fields = schema.mutation_type.fields.values() if schema.mutation_type else ()
    found: set[str] = set()
    todo = [get_named_type(argument.type) for field in fields for argument in field.args.values()]
    while todo:
        type_ = todo.pop()
        if isinstance(type_, GraphQLInputObjectType) and type_.name not in found:
            found.add(type_.name)
            todo += [get_named_type(field.type) for field in type_.fields.values()]
    return frozenset(found)
