"""Filters: conditions on the rows of one table, each able to write itself as SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from db.read.column import as_double, reference
from db.read.link import is_series
from db.read.sql import Bind, Statement
from db.tables import Series


class Condition(Protocol):
    """A predicate over one row."""

    def render(self, statement: Statement, alias: str) -> str:
        """Its SQL, for the row of that alias."""
        ...


@dataclass(frozen=True)
class All:
    """Every one of the conditions holds."""

    conditions: Sequence[Condition]

    def render(self, statement: Statement, alias: str) -> str:
        return " AND ".join(f"({c.render(statement, alias)})" for c in self.conditions) or "true"


@dataclass(frozen=True)
class OneOf:
    """At least one of the conditions holds."""

    conditions: Sequence[Condition]

    def render(self, statement: Statement, alias: str) -> str:
        return " OR ".join(f"({c.render(statement, alias)})" for c in self.conditions) or "false"


@dataclass(frozen=True)
class Not:
    """The condition does not hold; what is unknown counts as not holding."""

    condition: Condition

    def render(self, statement: Statement, alias: str) -> str:
        return f"({self.condition.render(statement, alias)}) IS NOT TRUE"


COMPARISONS = {
    "eq": "{value} = {bind}",
    "ne": "{value} IS DISTINCT FROM {bind}",
    "lt": "{value} < {bind}",
    "lte": "{value} <= {bind}",
    "gt": "{value} > {bind}",
    "gte": "{value} >= {bind}",
    "in": "{value} = ANY({bind})",
    "startsWith": "starts_with({value}, {bind})",
    "contains": "strpos({value}, {bind}) > 0",
    "matches": "{value} ~ {bind}",
    "isNull": "({value} IS NULL) = {bind}",
}
"""SQL for each operator of the typed filters. `matches` gets a glob that was made a regex."""


NULL_MAY_PASS = ("ne", "isNull")
"""Operators that can hold of what is not there."""

ORDERINGS = {"lt": "{bind} < 'NaN'", "lte": "{bind} < 'NaN'", "gt": "{value} < 'NaN'", "gte": "{value} < 'NaN'"}
"""For numbers: NaN is neither less nor greater than anything, but PostgreSQL takes it for the greatest."""

Test = tuple[str, Bind]
"""An operator, and what to compare with."""


def compared(value: str, test: Test, statement: Statement) -> str:
    """One comparison."""
    operator, bind = test
    words = {"value": value, "bind": statement.bind(bind)}
    text = COMPARISONS[operator].format(**words)
    if operator in ORDERINGS and bind.cast == "float8":
        text += f" AND {ORDERINGS[operator].format(**words)}::float8"
    return text


def tested(found: str, column: str, tests: Sequence[Test], statement: Statement) -> str:
    """Tests of a column of the one row that `FROM … WHERE …` finds, if any; without tests, that it is there.

    Where there is no row, the value is null.
    """
    if any(operator in NULL_MAY_PASS for operator, _ in tests):
        return " AND ".join(compared(f"(SELECT {column} {found})", test, statement) for test in tests)
    terms = "".join(f" AND {compared(column, test, statement)}" for test in tests)
    return f"EXISTS (SELECT 1 {found}{terms})"


@dataclass(frozen=True)
class Compare:
    """A column against a value."""

    column: str
    operator: str
    bind: Bind

    def render(self, statement: Statement, alias: str) -> str:
        return compared(reference(alias, self.column), (self.operator, self.bind), statement)


@dataclass(frozen=True)
class ParameterIs:
    """A leaf of the hyperparameters: `column` is `number` or `text`."""

    path: Bind
    column: str
    tests: Sequence[Test]

    def render(self, statement: Statement, alias: str) -> str:
        inner = statement.alias()
        found = (
            f"FROM parameter {inner} WHERE {inner}.tenant_id = {statement.tenant}"
            f" AND {inner}.experiment_id = {alias}.id AND {inner}.path = {statement.bind(self.path)}"
        )
        return tested(found, reference(inner, self.column), self.tests, statement)


@dataclass(frozen=True)
class MetricIs:
    """An aggregate of one of the row's series: any numeric column of its summary."""

    key: Bind
    aggregate: str
    tests: Sequence[Test]

    def render(self, statement: Statement, alias: str) -> str:
        inner = statement.alias()
        found = f"FROM series {inner} WHERE {is_series(statement, inner, f'{alias}.id', statement.bind(self.key))}"
        return tested(found, as_double(Series, self.aggregate, inner), self.tests, statement)


@dataclass(frozen=True)
class JsonIs:
    """A value inside a JSON column, found by its path; numbers compare as numbers, the rest as text."""

    column: str
    path: Bind
    numeric: bool
    tests: Sequence[Test]

    def render(self, statement: Statement, alias: str) -> str:
        column, path = reference(alias, self.column), statement.bind(self.path)
        value = f"({column} #>> {path})"
        if self.numeric:
            kind = f"jsonb_typeof({column} #> {path}) = 'number'"
            value = f"CASE WHEN {kind} THEN {value}::float8 END"
        tests = [compared(f"({value})", test, statement) for test in self.tests]
        return " AND ".join(tests) or f"({column} #> {path}) IS NOT NULL"


@dataclass(frozen=True)
class Labelled:
    """The row carries all of these labels, or any of them."""

    operator: str
    labels: Bind

    def render(self, statement: Statement, alias: str) -> str:
        sign = {"all": "@>", "any": "&&"}[self.operator]
        return f"{alias}.labels {sign} {statement.bind(self.labels)}"


@dataclass(frozen=True)
class InSpan:
    """The row's number in its stream is after one and up to another."""

    stream: Bind
    after: Bind
    upto: Bind

    def render(self, statement: Statement, alias: str) -> str:
        return (
            f"{alias}.stream_id = {statement.bind(self.stream)} AND {alias}.seq > {statement.bind(self.after)}"
            f" AND {alias}.seq <= {statement.bind(self.upto)}"
        )


@dataclass(frozen=True)
class AtOrBelow:
    """The row's namespace is the one of an id, or below it, in sight or not."""

    namespace: Bind

    def render(self, statement: Statement, alias: str) -> str:
        inner = statement.alias()
        return (
            f"EXISTS (SELECT 1 FROM namespace {inner} WHERE {inner}.tenant_id = {statement.tenant}"
            f" AND {inner}.id = {alias}.namespace_id AND {statement.bind(self.namespace)} = ANY({inner}.lineage))"
        )
