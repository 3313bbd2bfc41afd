"""What may stand in a user's JSON, from variables and from literals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import orjson
from graphql import (
    BooleanValueNode,
    FloatValueNode,
    GraphQLError,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    StringValueNode,
    Undefined,
    ValueNode,
    VariableNode,
)

from db.text import fault_in

MAX_JSON_BYTES: Final = 1_048_576
MAX_JSON_DEPTH: Final = 64


def check_json(value: object) -> object:
    """The value, when JSON readers agree about it and the database can store it.

    Level by level, so that nesting costs no recursion. At most 64 levels and 1 MiB.
    """
    dumped = _dumped(value)
    if dumped is not None and len(dumped) > MAX_JSON_BYTES:
        raise _refusal(f"is {len(dumped)} bytes long", "At most 1 MiB is kept.")
    # What the encoder wrote without a NUL escape has only good strings: no need to look at each.
    has_bad_text = dumped is None or b"\\u0000" in dumped
    level, depth, count = [value], 0, 0
    while level:
        depth += 1
        count += len(level)
        if depth > MAX_JSON_DEPTH and any(isinstance(item, dict | list) for item in level):
            raise _refusal("nests too deeply", f"At most {MAX_JSON_DEPTH} levels are kept.")
        if count > MAX_JSON_BYTES // 2:
            raise _refusal("has too many values", "At most 1 MiB is kept.")
        level = [child for item in level for child in _children(item, has_bad_text)]
    return value


def _dumped(value: object) -> bytes | None:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return None


def _children(item: object, has_bad_text: bool) -> list[Any]:
    """What stands directly in a value, after checking the value itself."""
    if isinstance(item, dict):
        for key in item:
            _check_key(key, has_bad_text)
        return list(item.values())
    if isinstance(item, list):
        return item
    if isinstance(item, str):
        if has_bad_text:
            _check_text(item)
    else:
        _check_number(item)
    return []


def _check_key(key: object, has_bad_text: bool) -> None:
    if not isinstance(key, str):
        raise _refusal(f"has the key {shown(key)}", "Keys are strings.")
    if has_bad_text:
        _check_text(key)


def _check_number(item: object) -> None:
    """Refuse numbers that readers would round, and what is no JSON at all."""
    if isinstance(item, float):
        if not math.isfinite(item):
            raise _refusal(f"contains {item}", 'Send "NaN" or "Infinity" as a string.')
    elif isinstance(item, int):
        if not -(2**63) <= item < 2**63:
            raise _refusal("contains an integer beyond 64 bits", "Send it as a string or with a fraction.")
    elif item is not None:
        kind = type(item).__name__
        raise _refusal(f"contains a {kind}", "Declare the variable in it as JSON.")


def _check_text(text: str) -> None:
    fault = fault_in(text)
    if fault is not None:
        raise _refusal(f"contains {fault}", "It cannot be stored. Remove it.")


def parse_json_literal(node: ValueNode, variables: Mapping[str, Any] | None = None) -> object:
    """JSON written in the document, with the values of the variables in it.

    Without `variables`, as in validation, a variable counts as null. An absent one leaves its key
    out of an object and is null in a list.
    """
    return check_json(_json_literal(node, variables or {}))


def _json_literal(node: ValueNode, variables: Mapping[str, Any]) -> Any:
    # The depth of this recursion is bounded by `DocumentLimits.nesting`.
    if isinstance(node, ObjectValueNode):
        values = ((f.name.value, f.value) for f in node.fields or ())
        return {
            name: _json_literal(value, variables)
            for name, value in values
            if not (isinstance(value, VariableNode) and _absent(value, variables))
        }
    if isinstance(node, ListValueNode):
        return [_json_literal(value, variables) for value in node.values or ()]
    if isinstance(node, VariableNode):
        return None if _absent(node, variables) else variables[node.name.value]
    return _json_leaf(node)


def _absent(node: VariableNode, variables: Mapping[str, Any]) -> bool:
    return variables.get(node.name.value, Undefined) is Undefined


def _json_leaf(node: ValueNode) -> str | int | float | bool | None:
    if isinstance(node, StringValueNode | BooleanValueNode):
        return node.value
    if isinstance(node, IntValueNode):
        return whole(node.value)
    if isinstance(node, FloatValueNode):
        return float(node.value)
    if isinstance(node, NullValueNode):
        return None
    raise _refusal("contains a bare word", "Put it in quotes.")


def whole(digits: str) -> int:
    """The integer, or one as much out of range: Python refuses to read more than 4 300 digits."""
    return int(digits[:40])


class Written:
    """A literal of the wrong kind, for a message: shown as it stands in the document."""

    def __init__(self, node: ValueNode) -> None:
        self._loc = node.loc

    def __repr__(self) -> str:
        if self._loc is None:
            return "that"
        return self._loc.source.body[self._loc.start : self._loc.end][:40]


def shown(value: object) -> str:
    """A value as it may stand in a message: short, and printable whatever it holds."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, str):
        return ascii(value[:40]) + (f" ({len(value)} characters)" if len(value) > 40 else "")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 200:
        return "an integer of more than 60 digits"
    return "null" if value is None else ascii(value)[:60]


def _refusal(fault: str, remedy: str) -> GraphQLError:
    return GraphQLError(f"The JSON value {fault}. {remedy}")
