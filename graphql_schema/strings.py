"""Refuse strings that cannot be stored, wherever they stand in a request.

`String` and `ID` stay the built-in scalars, so this looks at their values from outside: at the
literals once for each document (`check_literals`, when it is prepared) and at the variables of
each request (`check_variables`, before they are coerced). Both answer from one fast scan when
there is nothing to find, and walk only to name the place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from graphql import (
    ArgumentNode,
    DocumentNode,
    Node,
    ObjectFieldNode,
    StringValueNode,
    VariableDefinitionNode,
)
from graphql.language.ast import QUERY_DOCUMENT_KEYS

from db.text import fault_in
from graphql_schema.errors import RequestError, RequestErrors


def check_literals(document: DocumentNode) -> None:
    r"""Refuse `"\u0000"` in the document's strings; its lexer already refuses lone surrogates.

    Raises:
        RequestErrors: `BAD_USER_INPUT`, with the argument's name and location.
    """
    # Only an escape can write a NUL: the lexer refuses the bare character.
    if document.loc is not None and "\\u" not in document.loc.source.body:
        return
    stack: list[tuple[Node, str]] = [(document, "")]
    while stack:
        node, name = stack.pop()
        if isinstance(node, StringValueNode):
            _refuse_literal(node, name)
        name = _named(node, name)
        for key in QUERY_DOCUMENT_KEYS.get(node.kind, ()):
            child = getattr(node, key)
            if isinstance(child, Node):
                stack.append((child, name))
            else:
                stack.extend((item, name) for item in child or ())


def check_variables(variables: Mapping[str, Any] | None) -> None:
    """Refuse NUL and lone surrogates in the strings and keys of decoded JSON variables.

    Raises:
        RequestErrors: `BAD_USER_INPUT`, with the place as in `$input.tags[3]`.
    """
    if not variables or _is_clean(variables):
        return
    # A place is a chain of (outer place, key), made into text only for the one that is at fault.
    stack: list[tuple[Any, Any]] = [(value, (None, name)) for name, value in variables.items()]
    while stack:
        value, place = stack.pop()
        if isinstance(value, str):
            _refuse_variable(value, place)
        elif isinstance(value, dict):
            for key, child in value.items():
                _refuse_variable(key, (place, key))
                stack.append((child, (place, key)))
        elif isinstance(value, list):
            stack.extend((child, (place, index)) for index, child in enumerate(value))


def _is_clean(variables: Mapping[str, Any]) -> bool:
    """Whether one pass of a fast encoder, which refuses surrogates, writes no NUL.

    Nearly all requests have a few short words, for which not even that is needed.
    """
    if all(type(value) is str and value.isascii() and "\0" not in value for value in variables.values()):
        return True
    try:
        return b"\\u0000" not in orjson.dumps(variables)
    except orjson.JSONEncodeError:
        return False


def _named(node: Node, name: str) -> str:
    if isinstance(node, ArgumentNode):
        return node.name.value
    if isinstance(node, ObjectFieldNode):
        return f"{name}.{node.name.value}"[-200:]
    if isinstance(node, VariableDefinitionNode):
        return f"${node.variable.name.value}"
    return name


def _refuse_literal(node: StringValueNode, name: str) -> None:
    fault = fault_in(node.value)
    if fault is None:
        return
    start = node.loc and node.loc.start_token
    locations = [{"line": start.line, "column": start.column}] if start else []
    raise RequestErrors([_error(name, fault, locations)])


def _refuse_variable(text: object, place: tuple[Any, Any]) -> None:
    fault = fault_in(text) if isinstance(text, str) else None
    if fault is not None:
        raise RequestErrors([_error(_written(place), fault)])


def _written(place: tuple[Any, Any] | None) -> str:
    """A place as `$input.tags[3]`, at most 200 characters of it, printable whatever its keys."""
    parts: list[str] = []
    while place is not None:
        place, key = place
        parts.append(f"[{key}]" if isinstance(key, int) else f".{ascii(key[:60])[1:-1]}")
    return "$" + "".join(reversed(parts))[1:200]


def _error(name: str, fault: str, locations: Sequence[Mapping[str, int]] = ()) -> RequestError:
    message = f"`{name[:200]}` contains {fault}, which cannot be stored. Remove it."
    return RequestError("BAD_USER_INPUT", message, locations, extensions={"argument": name[:200]})
