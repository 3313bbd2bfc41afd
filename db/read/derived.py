"""Lists whose rows no table holds: a query computes them from what stands around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from db.read.column import boolean_json, double_json, number_json, reference, text_json
from db.read.plan import Plan
from db.read.sql import Expression, Pieces, Statement, array_pieces, concatenated, parted

Query = Callable[[Statement, str], str]
"""Of a statement and an alias around it: a `SELECT` with its order."""

Value = Callable[[Statement, str], Pieces]
"""Of a statement and a row's alias: a column of the row as JSON."""


@dataclass(frozen=True)
class Derived:
    """A plain list of what a query finds."""

    query: Query
    plan: Plan

    def render(self, statement: Statement, alias: str) -> Pieces:
        row = statement.alias()
        before, items, after = parted(array_pieces(self.plan.render(statement, row)))
        return [
            before,
            Expression(f"(SELECT {concatenated(items)} FROM ({self.query(statement, alias)}) {row})"),
            after,
        ]


@dataclass(frozen=True)
class Single:
    """An object of the one row that a query finds."""

    query: Query
    plan: Plan

    def render(self, statement: Statement, alias: str) -> Pieces:
        row = statement.alias()
        text = concatenated(self.plan.render(statement, row))
        return [Expression(f"(SELECT {text} FROM ({self.query(statement, alias)}) {row})")]


def _or_null(value: str, json: str) -> Pieces:
    return [Expression(f"CASE WHEN {value} IS NULL THEN 'null' ELSE {json} END")]


def text(name: str) -> Value:
    """A column of text."""
    return lambda statement, alias: _or_null(reference(alias, name), text_json(reference(alias, name)))


def words(name: str) -> Value:
    """A column that holds an array of text."""
    return text(name)


def number(name: str) -> Value:
    """A column of whole numbers."""
    return lambda statement, alias: _or_null(reference(alias, name), number_json(reference(alias, name)))


def double(name: str) -> Value:
    """A column of doubles."""
    return lambda statement, alias: [Expression(double_json(reference(alias, name)))]


def boolean(name: str) -> Value:
    """A column of booleans that are never null."""
    return lambda statement, alias: [Expression(boolean_json(reference(alias, name)))]


def json(name: str) -> Value:
    """A column of finished JSON."""
    return lambda statement, alias: [Expression(reference(alias, name))]
