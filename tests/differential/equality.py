"""Whether two responses are the same: keys in order, numbers by their bits, cursors by what they point to."""

from __future__ import annotations

import struct
from typing import Any


class Token(str):
    """A cursor of the reference. Its text is its own; only what it points to is compared."""

    __slots__ = ()


class Comparison:
    """Compares a response with the reference's; says where they differ first."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.found: dict[str, str] = {}

    def difference(self, expected: Any, actual: Any, path: str = "") -> str | None:
        """None when they are the same."""
        if isinstance(expected, Token):
            return self._cursor(expected, actual, path)
        if isinstance(expected, dict) and isinstance(actual, dict):
            return self._objects(expected, actual, path)
        if isinstance(expected, list) and isinstance(actual, list):
            return self._lists(expected, actual, path)
        same = identity(expected) == identity(actual)
        return None if same else f"{path}: expected {expected!r:.300}, got {actual!r:.300}"

    def _objects(self, expected: dict[str, Any], actual: dict[str, Any], path: str) -> str | None:
        if list(expected) != list(actual):
            return f"{path}: expected the keys {list(expected)}, got {list(actual)}"
        differences = (self.difference(expected[key], actual[key], f"{path}.{key}") for key in expected)
        return next(filter(None, differences), None)

    def _lists(self, expected: list[Any], actual: list[Any], path: str) -> str | None:
        pairs = enumerate(zip(expected, actual, strict=False))
        differences = (self.difference(one, other, f"{path}[{number}]") for number, (one, other) in pairs)
        first = next(filter(None, differences), None)
        if first is None and len(expected) != len(actual):
            return f"{path}: expected {len(expected)} entries, got {len(actual)}"
        return first

    def _cursor(self, expected: Token, actual: Any, path: str) -> str | None:
        """One text for each row of a list, and one row for each text."""
        if not isinstance(actual, str) or not actual:
            return f"{path}: expected a cursor, got {actual!r}"
        one, other = self.known.setdefault(expected, actual), self.found.setdefault(actual, expected)
        return None if (one, other) == (actual, expected) else f"{path}: the cursor {actual!r} is another row's"


def identity(value: Any) -> Any:
    """A leaf as what it is: `1` and `1.0` are one number, 0.0 and -0.0 are two, `true` is none.

    Integers beyond 64 bits are doubles that the database writes out in full.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return (type(value).__name__, value)
    if isinstance(value, int) and -(2**64) < value < 2**64 and float(value) != value:
        return ("integer", int(value))
    return ("number", struct.pack("<d", value))


def difference(expected: Any, actual: Any) -> str | None:
    """Where the responses differ first; None when they are the same."""
    return Comparison().difference(expected, actual)
