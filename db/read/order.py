"""Orders and keysets: where a page begins, without counting what comes before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db.read.column import AnyTable, as_double, reference, renderer, table_column
from db.read.sql import Bind, Expression, Pieces, Statement
from db.tables import Series
from db.tables.metric import AGGREGATES
from db.text import fault_in

Prepare = Callable[[Statement, str], tuple[str, str]]
"""Of a statement and an alias: a join to add (may be empty), and the value's SQL."""


MAY_BE_NON_FINITE = ("first", "last")
"""Figures of a series that may be NaN or infinite. All others are of finite values, or count."""


@dataclass(frozen=True)
class Ranking:
    """An aggregate of a series of the row. An index of series holds those of `AGGREGATES` in order."""

    key: Bind
    aggregate: str

    def named(self, statement: Statement, series: str) -> str:
        """Condition on a row of `series`: it is of this metric."""
        key = statement.bind(self.key)
        return f"{series}.tenant_id = {statement.tenant} AND {series}.key = {key} AND {series}.leg = 0"

    def value(self, series: str) -> str:
        """What the index holds."""
        return as_double(Series, self.aggregate, series)

    @property
    def is_indexed(self) -> bool:
        """Whether there is an index to walk."""
        return self.aggregate in AGGREGATES

    def is_there(self, series: str) -> str:
        """Condition on the value: it counts in the order. All figures but first and last are finite."""
        value = self.value(series)
        return is_finite(value) if self.aggregate in MAY_BE_NON_FINITE else f"{value} IS NOT NULL"


@dataclass(frozen=True)
class SortKey:
    """One key of an order. Nulls sort last in either direction.

    `to_json` writes the value into a cursor; `cast` is the SQL type that reads it back. `ranking` says of a
    metric how to walk its index.
    """

    name: str
    prepare: Prepare
    cast: str
    to_json: Callable[[str], str]
    descending: bool = False
    nullable: bool = False
    ranking: Ranking | None = None


@dataclass(frozen=True)
class Position:
    """A decoded cursor: a value for each key of the order, and which of them are null."""

    values: Sequence[Bind]
    nulls: Sequence[bool]

    def without_first(self) -> Position:
        """The place among rows that are equal in the first key."""
        return Position(self.values[1:], self.nulls[1:])


def by_column(table: AnyTable, name: str, *, descending: bool = False) -> SortKey:
    """Order by a column of the row itself."""
    column = table_column(table, name)
    cast = cursor_cast(column.type.python_type)
    read = finite if cast == "float8" else lambda value: value
    return SortKey(
        name=name,
        prepare=lambda statement, alias: ("", read(reference(alias, name))),
        cast=cast,
        to_json=renderer(column),
        descending=descending,
        nullable=bool(column.nullable) or cast == "float8",
    )


def is_finite(value: str) -> str:
    """Condition on a double."""
    return f"{value} < 'Infinity' AND {value} > '-Infinity'"


def finite(value: str) -> str:
    """A double to order by: NaN and infinities come last, as null does."""
    return f"CASE WHEN {is_finite(value)} THEN {value} END"


def cursor_cast(python_type: type) -> str:
    """The SQL type of a cursor's value."""
    casts = {"datetime": "timestamptz", "int": "bigint", "float": "float8", "UUID": "uuid"}
    return casts.get(python_type.__name__, "text")


def by_metric(key: Bind, aggregate: str, *, descending: bool) -> SortKey:
    """Order by an aggregate of a series of the row; rows without it come last. Without an index, they are sorted."""
    ranking = Ranking(key, aggregate)

    def prepare(statement: Statement, alias: str) -> tuple[str, str]:
        inner = statement.alias()
        value = ranking.value(inner)
        join = f" LEFT JOIN series {inner} ON {ranking.named(statement, inner)} AND {inner}.owner_id = {alias}.id"
        return join, finite(value) if aggregate in MAY_BE_NON_FINITE else value

    walked = ranking if ranking.is_indexed else None
    return SortKey(f"metric:{aggregate}", prepare, "float8", lambda v: f"to_json({v})::text", descending, True, walked)


def by_parameter(path: Bind, *, descending: bool, numeric: bool) -> SortKey:
    """Order by a hyperparameter; rows without it come last."""
    column, cast = ("number", "float8") if numeric else ("text", "text")

    def prepare(statement: Statement, alias: str) -> tuple[str, str]:
        inner = statement.alias()
        join = (
            f" LEFT JOIN parameter {inner} ON {inner}.tenant_id = {statement.tenant}"
            f" AND {inner}.experiment_id = {alias}.id AND {inner}.path = {statement.bind(path)}"
        )
        return join, reference(inner, column)

    return SortKey(f"parameter:{column}", prepare, cast, lambda v: f"to_json({v})::text", descending, True)


@dataclass(frozen=True)
class OrderBy:
    """An order made ready for one statement: joins, values, and both directions of walking it."""

    keys: Sequence[SortKey]
    joins: str
    values: Sequence[str]

    @classmethod
    def prepared(cls, keys: Sequence[SortKey], statement: Statement, alias: str) -> OrderBy:
        parts = [key.prepare(statement, alias) for key in keys]
        return cls(keys, "".join(join for join, _ in parts), [value for _, value in parts])

    def clause(self, *, backwards: bool) -> str:
        """`ORDER BY …`. Columns without nulls name no null order, so that plain indexes serve."""
        terms = []
        for key, value in zip(self.keys, self.values, strict=True):
            direction = "DESC" if key.descending != backwards else "ASC"
            nulls = "" if not key.nullable else (" NULLS FIRST" if backwards else " NULLS LAST")
            terms.append(f"{value} {direction}{nulls}")
        return "ORDER BY " + ", ".join(terms)

    def beyond(self, position: Position, statement: Statement, *, backwards: bool) -> str:
        """Condition on rows that come after the position (before it, when backwards)."""
        binds = [
            "NULL" if null else statement.bind(bind) for null, bind in zip(position.nulls, position.values, strict=True)
        ]
        descending = {key.descending for key in self.keys}
        if len(descending) == 1 and not any(key.nullable for key in self.keys):
            sign = "<" if descending.pop() != backwards else ">"
            return f"({', '.join(self.values)}) {sign} ({', '.join(binds)})"
        return self._expanded(position, binds, backwards)

    def not_before(self, position: Position, statement: Statement, *, backwards: bool) -> str:
        """A looser condition, on the first key alone and never null: where an index of that key begins."""
        sign = "<=" if self.keys[0].descending != backwards else ">="
        return f"{self.values[0]} {sign} {statement.bind(position.values[0])}"

    def _expanded(self, position: Position, binds: Sequence[str], backwards: bool) -> str:
        alternatives: list[str] = []
        equal: list[str] = []
        for number, key in enumerate(self.keys):
            value, bind, null = self.values[number], binds[number], position.nulls[number]
            strictly = _strictly(key, value, bind, null=null, backwards=backwards)
            if strictly:
                alternatives.append(" AND ".join([*equal, strictly]))
            equal.append(f"{value} IS NULL" if null else f"{value} = {bind}")
        return "(" + (" OR ".join(f"({a})" for a in alternatives) or "false") + ")"

    def cursor(self, signature: str) -> Pieces:
        """The JSON string of a row's cursor: base64url of `[signature, value, …]`, of a signature that is SQL."""
        values = [
            f"CASE WHEN {value} IS NULL THEN 'null' ELSE {key.to_json(value)} END"
            for key, value in zip(self.keys, self.values, strict=True)
        ]
        array = f"""'["'||{signature}||'",'||{"||','||".join(values)}||']'"""
        encoded = f"encode(convert_to({array},'UTF8'),'base64')"
        return ['"', Expression(f"translate({encoded},E'+/=\\n','-_')"), '"']


def _strictly(key: SortKey, value: str, bind: str, *, null: bool, backwards: bool) -> str:
    if null:
        return f"{value} IS NOT NULL" if backwards else ""
    sign = "<" if key.descending != backwards else ">"
    beyond = f"{value} {sign} {bind}"
    return f"({beyond} OR {value} IS NULL)" if key.nullable and not backwards else beyond


def by_id(*, descending: bool) -> SortKey:
    """The last key of every order: ids sort by creation."""
    return SortKey("id", lambda s, a: ("", f"{a}.id"), "uuid", lambda v: f"to_json({v})::text", descending)


def decoded(key: SortKey, value: Any) -> Any:
    """A cursor's JSON value as the driver wants it.

    Raises:
        ValueError, TypeError, OverflowError: it is no value of this key.
    """
    if value is None:
        if not key.nullable:
            raise ValueError(f"{key.name} is never null")
        return None
    kind, read = READERS[key.cast]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{key.name} is no {type(value).__name__}")
    return read(value)


def _moment(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("a moment has an offset")
    return moment


def _integer(value: int) -> int:
    if not -(2**63) <= value < 2**63:
        raise OverflowError("beyond 64 bits")
    return value


def _text(value: str) -> str:
    if fault_in(value):
        raise ValueError("no text that could be stored")
    return value


READERS: Mapping[str, tuple[type | tuple[type, ...], Callable[[Any], Any]]] = {
    "timestamptz": (str, _moment),
    "bigint": (int, _integer),
    "float8": ((int, float), float),
    "uuid": (str, UUID),
    "text": (str, _text),
}
"""By the SQL type of a key: what JSON holds of it, and how that becomes the driver's value."""
