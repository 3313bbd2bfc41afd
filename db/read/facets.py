"""Facets of experiments: what a table of them can be built from, counted in the statement that reads it.

A window picks the experiments, once; every facet is a query over those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from db.read.column import reference
from db.read.derived import Query
from db.read.order import is_finite
from db.read.plan import Plan
from db.read.sql import Bind, Expression, Pieces, Statement, concatenated, identifier
from db.read.window import Window, window_query

LOOKED_AT: Final = 10_000
"""How many experiments are looked at."""

TEXTS: Final = 20
"""How many of the texts of a hyperparameter are told."""

COLUMNS: Final = ("id", "status", "framework", "owner", "group", "labels")


@dataclass(frozen=True)
class Facets:
    """What is counted of the rows of a window of experiments."""

    window: Window
    plan: Plan

    def render(self, statement: Statement, alias: str) -> Pieces:
        chosen, row = statement.alias(), statement.alias()
        inner, _ = window_query(self.window, statement, alias, row, extra=1)
        columns = ", ".join(reference(row, name) for name in (*COLUMNS, "_n"))
        found = f"{every(chosen)} AS MATERIALIZED (SELECT {columns} FROM ({inner}) {row})"
        kept = f"{chosen} AS MATERIALIZED (SELECT * FROM {every(chosen)} WHERE _n <= {self.window.limit})"
        text = concatenated(self.plan.render(statement, chosen))
        return [Expression(f"(WITH {found}, {kept} SELECT {text})")]


def every(chosen: str) -> str:
    """The same rows, and one more where there are more."""
    return f"{chosen}_every"


def how_many(_statement: Statement, chosen: str) -> Pieces:
    """How many rows are looked at."""
    return [Expression(f"(SELECT count(*)::text FROM {chosen})")]


def is_complete(_statement: Statement, chosen: str) -> Pieces:
    """Whether these are all that the window has."""
    same = f"(SELECT count(*) FROM {chosen}) = (SELECT count(*) FROM {every(chosen)})"
    return [Expression(f"CASE WHEN {same} THEN 'true' ELSE 'false' END")]


def values_of(column: str, limit: int) -> Query:
    """The values of a column, the most frequent first: `value`, `n`."""

    def query(_statement: Statement, chosen: str) -> str:
        value = identifier(column)
        return (
            f"SELECT {value} AS value, count(*) AS n FROM {chosen} WHERE {value} IS NOT NULL GROUP BY {value}"
            f" ORDER BY n DESC, value LIMIT {limit}"
        )

    return query


def labels(limit: int) -> Query:
    """The labels, the most frequent first: `value`, `n`."""

    def query(_statement: Statement, chosen: str) -> str:
        return (
            f"SELECT value, count(*) AS n FROM {chosen} CROSS JOIN LATERAL unnest({chosen}.labels) value"
            f" GROUP BY value ORDER BY n DESC, value LIMIT {limit}"
        )

    return query


def metric_keys(prefix: Bind | None, limit: int) -> Query:
    """Keys of series, the most frequent first: `key`, `kind`, `n`, and of finite last values `low` and `high`."""

    def query(statement: Statement, chosen: str) -> str:
        row = statement.alias()
        begins = f" AND starts_with({row}.key, {statement.bind(prefix)})" if prefix else ""
        finite = f"FILTER (WHERE {is_finite(f'{row}.last')})"
        return (
            f"SELECT {row}.key, {row}.kind, count(*) AS n, min({row}.last) {finite} AS low,"
            f" max({row}.last) {finite} AS high FROM {chosen} JOIN series {row} ON {row}.tenant_id = {statement.tenant}"
            f" AND {row}.owner_id = {chosen}.id AND {row}.leg = 0{begins}"
            f" GROUP BY {row}.key, {row}.kind ORDER BY n DESC, {row}.key, {row}.kind LIMIT {limit}"
        )

    return query


def hyperparameters(limit: int) -> Query:
    """Paths of hyperparameters, the most frequent first.

    `path` and `n`; how many `numbers` among them, from `low` to `high`; the `texts` and their `counts`.
    """

    def query(statement: Statement, chosen: str) -> str:
        row = statement.alias()
        counted = (
            f"SELECT {row}.path, {row}.text, count(*) AS n, count({row}.number) AS numbers, min({row}.number) AS low,"
            f" max({row}.number) AS high FROM {chosen} JOIN parameter {row} ON {row}.tenant_id = {statement.tenant}"
            f" AND {row}.experiment_id = {chosen}.id GROUP BY {row}.path, {row}.text"
        )
        ranked = (
            "SELECT *, row_number() OVER (PARTITION BY path ORDER BY text IS NULL, n DESC, text) AS rank"
            f" FROM ({counted}) {row}"
        )
        told = f"FILTER (WHERE text IS NOT NULL AND rank <= {TEXTS})"
        return (
            "SELECT path, sum(n)::bigint AS n, sum(numbers)::bigint AS numbers, min(low) AS low, max(high) AS high,"
            f" array_agg(text ORDER BY rank) {told} AS texts, array_agg(n ORDER BY rank) {told} AS counts"
            f" FROM ({ranked}) {row} GROUP BY path ORDER BY n DESC, path LIMIT {limit}"
        )

    return query


def texts(_statement: Statement, row: str) -> str:
    """The texts of a hyperparameter: `value`, `n`."""
    return f"SELECT value, n FROM unnest({row}.texts, {row}.counts) AS found(value, n)"


def type_of_values(_statement: Statement, row: str) -> Pieces:
    """What the values of a hyperparameter are."""
    mixed = f"CASE {row}.numbers WHEN 0 THEN '\"TEXT\"' ELSE '\"MIXED\"' END"
    return [Expression(f"CASE {row}.numbers WHEN {row}.n THEN '\"NUMBER\"' ELSE {mixed} END")]
