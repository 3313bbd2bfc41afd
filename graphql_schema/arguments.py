"""Arguments, with the way back to the variables that they came from.

A plan is cached by its document and by the *shape* of the variables, so a value in it must be
found again in the next request's variables. A `Value` is a coerced value and a function that
finds it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    ArgumentNode,
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    Undefined,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
)
from graphql.utilities import coerce_input_literal

from db.read.sql import Bind, Environment
from graphql_schema.cursor import shape_of_cursor
from graphql_schema.errors import RequestError, RequestErrors


@dataclass(frozen=True)
class Value:
    """A coerced input value: what it is now, and how to find it in another request."""

    raw: Any
    get: Callable[[Environment], Any]
    path: tuple[str, ...]

    def __getitem__(self, name: str) -> Value:
        """A field of an input object."""
        return Value(self.raw[name], lambda env: self.get(env)[name], (*self.path, name))

    def __contains__(self, name: str) -> bool:
        return isinstance(self.raw, dict) and self.raw.get(name) is not None

    def fields(self) -> Iterator[tuple[str, Value]]:
        """The fields of an input object that are given and not null."""
        for name, value in self.raw.items():
            if value is not None:
                yield name, self[name]

    def items(self) -> Iterator[Value]:
        """The items of a list."""
        for number, item in enumerate(self.raw):
            yield Value(item, _item(self.get, number), (*self.path, str(number)))

    def bind(self, cast: str, decode: Callable[[Any], Any] | None = None) -> Bind:
        """This value as a bind of a statement."""
        if decode is None:
            return Bind(self.get, cast)
        return Bind(lambda env: decode(self.get(env)), cast)


def _item(get: Callable[[Environment], Any], number: int) -> Callable[[Environment], Any]:
    return lambda env: get(env)[number]


def refused(message: str, path: Sequence[str] = (), code: str = "BAD_USER_INPUT") -> RequestErrors:
    """An argument that cannot be used, named by its path."""
    where = ".".join(path)
    text = f"Argument {where!r}: {message}" if where else message
    return RequestErrors([RequestError(code, text, extensions={"argument": where} if where else {})])


def arguments(
    definitions: Mapping[str, GraphQLArgument], nodes: Sequence[ArgumentNode], variables: Mapping[str, Any]
) -> dict[str, Value]:
    """The arguments of a field that are given (or have a default), traced.

    Raises:
        RequestErrors: a null variable stands where the argument may not be null.
    """
    given = {node.name.value: node.value for node in nodes}
    result: dict[str, Value] = {}
    for name, definition in definitions.items():
        get = _compiled(given.get(name), definition, variables)
        if get is None:
            continue
        raw = get(variables)
        if raw is None and isinstance(definition.type, GraphQLNonNull):
            raise refused("must not be null.", (name,))
        result[name] = Value(raw, get, (name,))
    return result


def _compiled(
    node: ValueNode | None, definition: GraphQLArgument | GraphQLInputField, variables: Mapping[str, Any]
) -> Callable[[Environment], Any] | None:
    """How to find the value in any request of this shape; None when it is absent and has no default."""
    absent = node is None or (isinstance(node, VariableNode) and node.name.value not in variables)
    if not absent and node is not None:
        return _finder(node, definition.type, variables)
    default = definition.default_value
    return None if default is Undefined else lambda env: default


def _finder(node: ValueNode, type_: GraphQLInputType, variables: Mapping[str, Any]) -> Callable[[Environment], Any]:
    if isinstance(node, VariableNode):
        return _variable_finder(node.name.value, type_)
    nullable = get_nullable_type(type_)
    if isinstance(nullable, GraphQLList) and not isinstance(node, NullValueNode):
        # One value stands for a list of itself.
        nodes = node.values if isinstance(node, ListValueNode) else (node,)
        items = [_finder(item, nullable.of_type, variables) for item in nodes]
        return lambda env: [find(env) for find in items]
    if isinstance(node, ObjectValueNode) and isinstance(nullable, GraphQLInputObjectType):
        return _object_finder(node, nullable, variables)
    # A literal: coerced once. JSON scalars may hold variables deeper down and are coerced anew.
    if isinstance(nullable, GraphQLScalarType) and isinstance(node, ListValueNode | ObjectValueNode):
        return _json_finder(node, nullable)
    value = coerce_input_literal(node, type_)
    return lambda env: value


def _json_finder(node: ValueNode, type_: GraphQLScalarType) -> Callable[[Environment], Any]:
    def find(env: Environment) -> Any:
        try:
            return type_.parse_literal(node, dict(env))
        except GraphQLError as error:
            raise refused(error.message) from None

    return find


def _variable_finder(name: str, type_: GraphQLInputType) -> Callable[[Environment], Any]:
    if not isinstance(type_, GraphQLNonNull):
        return lambda env: env.get(name)

    def find(env: Environment) -> Any:
        value = env.get(name)
        if value is None:
            # A nullable variable with a default may stand here; only its null may not.
            raise refused("must not be null.", (f"${name}",))
        return value

    return find


def _object_finder(
    node: ObjectValueNode, type_: GraphQLInputObjectType, variables: Mapping[str, Any]
) -> Callable[[Environment], Any]:
    given = {field.name.value: field.value for field in node.fields}
    finders = {
        name: finder
        for name, field in type_.fields.items()
        if (finder := _compiled(given.get(name), field, variables)) is not None
    }
    return lambda env: {name: find(env) for name, find in finders.items()}


def shaper(type_: GraphQLInputType) -> Callable[[Any], Any]:
    """What of a variable decides the SQL, as a hashable value.

    Enums, booleans and `Int` count by value; ids by their prefix, lists of ids by all that occur in
    them; cursors by which of their keys are null; input objects by the fields given; all other
    scalars, and lists of them, only by being there.
    """
    nullable = get_nullable_type(type_)
    if isinstance(nullable, GraphQLList):
        return _list_shaper(nullable)
    if isinstance(nullable, GraphQLInputObjectType):
        return lambda value: _object_shape(nullable, value)
    if isinstance(nullable, GraphQLEnumType):
        return lambda value: getattr(value, "value", value)
    return SCALAR_SHAPES.get(nullable.name, presence)


def presence(value: Any) -> Any:
    """Whether there is a value: all that most scalars tell."""
    return value is not None


def prefix_of(id_: str) -> str:
    """The part of an id that says its type."""
    return id_.partition("_")[0]


def _prefixes(value: Any) -> Any:
    return None if value is None else frozenset(prefix_of(id_) for id_ in value)


def _itself(value: Any) -> Any:
    return value


SCALAR_SHAPES: Mapping[str, Callable[[Any], Any]] = {
    "Boolean": _itself,
    "Int": _itself,
    "ID": lambda value: value and prefix_of(value),
    "Cursor": shape_of_cursor,
}


def _list_shaper(type_: GraphQLList[Any]) -> Callable[[Any], Any]:
    named = get_named_type(type_)
    if isinstance(named, GraphQLScalarType):
        return _prefixes if named.name == "ID" else presence
    item = shaper(type_.of_type)
    return lambda value: None if value is None else tuple(item(v) for v in value)


def _object_shape(type_: GraphQLInputObjectType, value: Any) -> Any:
    if value is None:
        return None
    return tuple((name, shaper(field.type)(value[name])) for name, field in type_.fields.items() if name in value)
