"""Fields whose rows a query computes, and the bounds of their arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from db.read.derived import Derived, Query
from db.read.plan import Plan
from graphql_schema.arguments import refused
from graphql_schema.fields import Argument, given, read_field
from graphql_schema.selection import Selected

LIST_LIMIT: Final = 1_000
LIST: Final = 100


@dataclass(frozen=True)
class DerivedRead:
    """A list of what a query finds, each row at a tenth of a node."""

    query: Callable[[Selected], Query]
    expected: int | None

    def plan(self, selected: Selected) -> Plan:
        rows = listed_rows(selected) if self.expected is None else self.expected
        with selected.planner.repeated(rows, 0.1):
            return Derived(self.query(selected), selected.object())


def derived(
    description: str, query: Callable[[Selected], Query], *arguments: Argument, expected: int | None = None
) -> Any:
    """A list of what a query finds; without a number that is expected, `first` bounds it."""
    first = Argument("first", int | None, f"How many at most, 1–{LIST_LIMIT}; {LIST} when absent.")
    return read_field(DerivedRead(query, expected), description, [*arguments, *([first] if expected is None else [])])


def listed_rows(selected: Selected) -> int:
    """`first`.

    Raises:
        RequestErrors: it is outside of its bounds.
    """
    return bounded(selected, "first", LIST, 1, LIST_LIMIT)


def bounded(selected: Selected, name: str, default: int, least: int, greatest: int) -> int:
    """An `Int` argument within bounds.

    Raises:
        RequestErrors: it is outside of them.
    """
    value = given(selected, name)
    if value is None:
        return default
    number: int = value.raw
    if not least <= number <= greatest:
        raise refused(f"must be from {least} to {greatest}; got {number}.", value.path)
    return number
