"""Groups of experiments that are alike in some hyperparameters, and the series that are aggregated in each.

Inside, `chosen` is a row for each experiment, at most as many as the window has: its `id`, its place `n`, and as a JSON
array what it has at the paths to group by: `alike`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from db.read.comparison import series_told
from db.read.link import is_series
from db.read.plan import Plan
from db.read.source import EXPERIMENT
from db.read.sql import Bind, Expression, Pieces, Statement, array_pieces, concatenated
from db.read.window import Window, window_query

MAX_EXPERIMENTS: Final = 200
MAX_GROUPS: Final = 50


@dataclass(frozen=True)
class Distribution:
    """What is aggregated of the rows of a window of experiments. `paths` is an array of JSON, of arrays of keys."""

    window: Window
    paths: Bind
    plan: Plan

    def render(self, statement: Statement, alias: str) -> Pieces:
        row, path = statement.alias(), statement.alias()
        inner, _ = window_query(self.window, statement, alias, row, extra=1)
        keys = f"ARRAY(SELECT jsonb_array_elements_text({path}.keys))"
        alike = (
            f"SELECT coalesce(jsonb_agg({row}.hyperparameters #> {keys} ORDER BY {path}.n), '[]')"
            f" FROM jsonb_array_elements({statement.bind(self.paths)}) WITH ORDINALITY AS {path}(keys, n)"
        )
        every = f"SELECT {row}.id, {row}._n AS n, ({alike}) AS alike FROM ({inner}) {row}"
        text = concatenated(self.plan.render(statement, "chosen"))
        return [
            Expression(
                f"(WITH every AS MATERIALIZED ({every}),"
                f" chosen AS MATERIALIZED (SELECT * FROM every WHERE n <= {self.window.limit}) SELECT {text})"
            )
        ]


def how_many(_statement: Statement, _alias: str) -> Pieces:
    """How many experiments there are in all groups."""
    return [Expression("(SELECT count(*)::text FROM chosen)")]


def how_many_groups(_statement: Statement, _alias: str) -> Pieces:
    """How many groups there are."""
    return [Expression("(SELECT count(DISTINCT alike)::text FROM chosen)")]


def is_complete(_statement: Statement, _alias: str) -> Pieces:
    """Whether these are all that the window has."""
    same = "(SELECT count(*) FROM every) = (SELECT count(*) FROM chosen)"
    return [Expression(f"CASE WHEN {same} THEN 'true' ELSE 'false' END")]


def groups(_statement: Statement, _alias: str) -> str:
    """The groups, by what they are alike in: `alike`, the same as text, `size`."""
    return (
        "SELECT alike, alike::text AS shown, count(*) AS size FROM chosen GROUP BY alike ORDER BY alike"
        f" LIMIT {MAX_GROUPS}"
    )


@dataclass(frozen=True)
class Members:
    """The experiments of a group."""

    plan: Plan

    def render(self, statement: Statement, alias: str) -> Pieces:
        row = statement.alias()
        items = array_pieces(self.plan.render(statement, row), order=" ORDER BY chosen.n")
        found = (
            f"FROM chosen JOIN {EXPERIMENT.rows(statement)} {row} ON {row}.tenant_id = {statement.tenant}"
            f" AND {row}.id = chosen.id WHERE chosen.alike = {alias}.alike"
        )
        return [Expression(f"(SELECT {concatenated(items)} {found})")]


@dataclass(frozen=True)
class Metrics:
    """The metrics of a group, one for each key: `key`, `alike`."""

    keys: Bind

    def __call__(self, statement: Statement, alias: str) -> str:
        row = statement.alias()
        wanted = f"unnest({statement.bind(self.keys)}) WITH ORDINALITY AS {row}(key, n)"
        return f"SELECT {row}.key, {alias}.alike FROM {wanted} ORDER BY {row}.n"


def _series(statement: Statement, alias: str, row: str) -> str:
    return (
        f"FROM chosen JOIN series {row} ON {is_series(statement, row, 'chosen.id', f'{alias}.key')}"
        f" AND {row}.kind = 'FLOAT' WHERE chosen.alike = {alias}.alike"
    )


def how_many_series(statement: Statement, alias: str) -> Pieces:
    """How many experiments of a group have a metric."""
    row = statement.alias()
    return [Expression(f"(SELECT count(*)::text {_series(statement, alias, row)})")]


def told(statement: Statement, alias: str) -> str:
    """What a mark tells of a metric of a group: its series, as `series_told` has them."""
    row = statement.alias()
    return f"(SELECT string_agg({series_told(row)},' ' ORDER BY chosen.n) {_series(statement, alias, row)})"
