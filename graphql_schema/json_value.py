"""What may stand in a user's JSON, from variables and from literals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import chain
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
_CONTAINERS: Final = {dict, list}
_KINDS: Final = {dict, list, str, int, float, bool, type(None)}


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
        if count > MAX_JSON_BYTES // 2:
            raise _refusal("has too many values", "At most 1 MiB is kept.")
        kinds = _check_level(level, has_bad_text)
        if depth > MAX_JSON_DEPTH and kinds & _CONTAINERS:
            raise _refusal("nests too deeply", f"At most {MAX_JSON_DEPTH} levels are kept.")
        level = _inside(level) if kinds & _CONTAINERS else []
    return value


def _dumped(value: object) -> bytes | None:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return None


def _inside(level: list[Any]) -> list[Any]:
    lists = chain.from_iterable(item for item in level if type(item) is list)
    objects = chain.from_iterable(item.values() for item in level if type(item) is dict)
    return [*lists, *objects]


def _check_level(level: list[Any], has_bad_text: bool) -> set[type]:
    """The kinds of values in a level; refuses what is no JSON, out of range, or bad text.

    A level at a time and a kind at a time: half a million values one by one would take 0.3 s.
    """
    kinds = set(map(type, level))
    for kind in kinds - _KINDS:
        raise _refusal(f"contains a {kind.__name__}", "Declare the variable in it as JSON.")
    if float in kinds:
        _check_floats([item for item in level if type(item) is float])
    if int in kinds:
        _check_integers([item for item in level if type(item) is int])
    if dict in kinds:
        _check_keys([item for item in level if type(item) is dict], has_bad_text)
    if has_bad_text and str in kinds:
        _check_texts(item for item in level if type(item) is str)
    return kinds


def _check_floats(numbers: list[float]) -> None:
    if not all(map(math.isfinite, numbers)):
        bad = next(number for number in numbers if not math.isfinite(number))
        raise _refusal(f"contains {bad}", 'Send "NaN" or "Infinity" as a string.')


def _check_integers(numbers: list[int]) -> None:
    if min(numbers) < -(2**63) or max(numbers) >= 2**63:
        raise _refusal("contains an integer beyond 64 bits", "Send it as a string or with a fraction.")


def _check_keys(objects: list[dict[Any, Any]], has_bad_text: bool) -> None:
    keys = list(chain.from_iterable(objects))
    if set(map(type, keys)) - {str}:
        bad = next(key for key in keys if type(key) is not str)
        raise _refusal(f"has the key {shown(bad)}", "Keys are strings.")
    if has_bad_text:
        _check_texts(keys)


def _check_texts(texts: Iterable[str]) -> None:
    for fault in filter(None, map(fault_in, texts)):
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
