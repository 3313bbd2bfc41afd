"""How many list items the variables of a request may hold: counted before each is coerced.

Coercing an item costs about 5 µs and cannot be interrupted, so a body of 8 MB full of short items
would keep everybody waiting for ten seconds, only to be refused by an argument's own maximum.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from graphql import (
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLSchema,
    OperationDefinitionNode,
    get_named_type,
    get_nullable_type,
    type_from_ast,
)

from graphql_schema.errors import RequestError, RequestErrors

MAX_ITEMS: Final = 20_000
"""Twice the largest maximum of one argument, which is 10 000 points or files."""


def listed_variables(schema: GraphQLSchema, definition: OperationDefinitionNode) -> Mapping[str, GraphQLInputType]:
    """The variables of an operation whose types hold lists."""
    found: dict[str, GraphQLInputType] = {}
    for variable in definition.variable_definitions or ():
        type_: GraphQLInputType | None = type_from_ast(schema, variable.type)  # type: ignore[assignment]
        if type_ is not None and _holds_lists(type_):
            found[variable.variable.name.value] = type_
    return found


def check_items(types: Mapping[str, GraphQLInputType], variables: Mapping[str, Any] | None) -> None:
    """Refuse more items than any request needs, in all typed lists together.

    Lists inside the user's own JSON do not count: they are checked by size.

    Raises:
        RequestErrors: `LIMIT_EXCEEDED`.
    """
    left = MAX_ITEMS
    stack = [(type_, (variables or {}).get(name)) for name, type_ in types.items()]
    while stack:
        type_, value = stack.pop()
        nullable = get_nullable_type(type_)
        if isinstance(nullable, GraphQLList):
            items = value if isinstance(value, list) else [value]
            left -= len(items)
            if left < 0:
                raise RequestErrors([too_many_items()])
            if _holds_lists(nullable.of_type):
                stack.extend((nullable.of_type, item) for item in items)
        elif isinstance(nullable, GraphQLInputObjectType) and isinstance(value, dict):
            stack.extend((inner, value[name]) for name, inner in _fields_with_lists(nullable) if name in value)


@cache
def _fields_with_lists(type_: GraphQLInputObjectType) -> list[tuple[str, GraphQLInputType]]:
    return [(name, field.type) for name, field in type_.fields.items() if _holds_lists(field.type)]


def _holds_lists(type_: GraphQLInputType) -> bool:
    if isinstance(get_nullable_type(type_), GraphQLList):
        return True
    named = get_named_type(type_)
    return isinstance(named, GraphQLInputObjectType) and _object_holds_lists(named)


@cache
def _object_holds_lists(type_: GraphQLInputObjectType) -> bool:
    """Whether there is a list in the type, however deep; input objects may hold each other."""
    seen = {type_.name}
    todo = [type_]
    while todo:
        for field in todo.pop().fields.values():
            if isinstance(get_nullable_type(field.type), GraphQLList):
                return True
            named = get_named_type(field.type)
            if isinstance(named, GraphQLInputObjectType) and named.name not in seen:
                seen.add(named.name)
                todo.append(named)
    return False


def too_many_items() -> RequestError:
    """The refusal."""
    return RequestError(
        "LIMIT_EXCEEDED",
        f"The variables hold more list items than the limit `items` of {MAX_ITEMS}. Send several requests.",
        extensions={"limit": "items", "maximum": MAX_ITEMS},
    )
