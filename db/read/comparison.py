"""Experiments side by side: their hyperparameters, and their series against those of a baseline.

Inside, `compared` is a row for each experiment that is asked for: its place `n`, and of one in sight the columns of its
table. `baseline` holds the id of the experiment that the others are measured by, if it is in sight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from db.read.column import double_json, reference
from db.read.derived import Query
from db.read.link import is_series
from db.read.plan import Plan
from db.read.source import EXPERIMENT
from db.read.sql import Bind, Expression, Pieces, Statement, concatenated

MAX_EXPERIMENTS: Final = 100
MAX_KEYS: Final = 100
MEASURED: Final = ("last", "min", "max", "mean")
"""The figures of a series that are measured by the baseline's."""

GREATEST: Final = "'1.7976931348623157e308'::float8"


@dataclass(frozen=True)
class Comparison:
    """Experiments by their ids, in that order."""

    ids: Bind
    baseline: Bind
    plan: Plan

    def render(self, statement: Statement, _alias: str) -> Pieces:
        wanted, row = statement.alias(), statement.alias()
        compared = (
            f"SELECT {wanted}.n, {row}.* FROM unnest({statement.bind(self.ids)}) WITH ORDINALITY AS {wanted}(wanted, n)"
            f" LEFT JOIN experiment {row} ON {_in_sight(statement, row)} AND {row}.id = {wanted}.wanted"
        )
        base = statement.alias()
        found = f"{_in_sight(statement, base)} AND {base}.id = {statement.bind(self.baseline)}"
        text = concatenated(self.plan.render(statement, "compared"))
        return [
            Expression(
                f"(WITH compared AS MATERIALIZED ({compared}), baseline AS MATERIALIZED (SELECT {base}.id FROM"
                f" experiment {base} WHERE {found}) SELECT {text})"
            )
        ]


def _in_sight(statement: Statement, row: str) -> str:
    return f"{row}.tenant_id = {statement.tenant} AND {EXPERIMENT.visible(statement, row)}"


@dataclass(frozen=True)
class EachExperiment:
    """The experiments; null where there is none in sight."""

    plan: Plan

    def render(self, statement: Statement, _alias: str) -> Pieces:
        row = statement.alias()
        text = concatenated(self.plan.render(statement, row))
        return _one_for_each(f"CASE WHEN {row}.id IS NULL THEN 'null' ELSE {text} END", f"compared {row}", row)


@dataclass(frozen=True)
class EachSeries:
    """The series of a metric; null where an experiment has none. The row around it has the `key`."""

    plan: Plan

    def render(self, statement: Statement, alias: str) -> Pieces:
        run, row = statement.alias(), statement.alias()
        rows = f"compared {run} LEFT JOIN series {row} ON {is_series(statement, row, f'{run}.id', f'{alias}.key')}"
        text = concatenated(self.plan.render(statement, row))
        return _one_for_each(f"CASE WHEN {row}.key IS NULL THEN 'null' ELSE {text} END", rows, run)


def _one_for_each(text: str, rows: str, run: str) -> Pieces:
    return ["[", Expression(f"(SELECT coalesce(string_agg({text},',' ORDER BY {run}.n),'') FROM {rows})"), "]"]


def hyperparameters(*, only_different: bool, limit: int) -> Query:
    """Paths in order: `path`, `is_different`, and of each experiment in order the value there as JSON: `held`."""

    def query(_statement: Statement, _alias: str) -> str:
        wanted = "WHERE is_different " if only_different else ""
        return f"""
            {LEAVES}, paths AS (
                SELECT * FROM (
                    SELECT path, count(*) > 1 OR sum(times) < (SELECT count(id) FROM compared) AS is_different
                    FROM (SELECT path, value, count(*) AS times FROM leaves GROUP BY path, value) found GROUP BY path
                ) every {wanted}ORDER BY path LIMIT {limit}
            ), held AS (
                SELECT path, is_different, jsonb_object_agg(n, value) AS by_place
                FROM paths JOIN leaves USING (path) GROUP BY path, is_different
            )
            SELECT path, is_different, (
                SELECT '['||string_agg(coalesce((by_place -> n::text)::text, 'null'), ',' ORDER BY n)||']' FROM compared
            ) AS held
            FROM held ORDER BY path
        """

    return query


LEAVES: Final = """
    WITH RECURSIVE inside(n, path, value) AS (
        SELECT n, ARRAY[]::text[], hyperparameters FROM compared WHERE id IS NOT NULL
        UNION ALL
        SELECT inside.n, inside.path || item.key, item.value FROM inside CROSS JOIN LATERAL (
            SELECT key, value
            FROM jsonb_each(CASE jsonb_typeof(inside.value) WHEN 'object' THEN inside.value ELSE '{}' END)
            UNION ALL
            SELECT (place - 1)::text, value
            FROM jsonb_array_elements(CASE jsonb_typeof(inside.value) WHEN 'array' THEN inside.value ELSE '[]' END)
            WITH ORDINALITY AS element(value, place)
        ) item
    ), leaves AS MATERIALIZED (
        SELECT n, path, value FROM inside WHERE jsonb_typeof(value) NOT IN ('object', 'array', 'null')
        OR (value IN ('{}'::jsonb, '[]'::jsonb) AND path <> '{}')
    )
"""
"""The values of each experiment's hyperparameters that hold no others; positions in lists are parts of paths."""


def metrics(keys: Bind | None, limit: int) -> Query:
    """The keys that are asked for, in their order; or those that there are, the most frequent first."""

    def query(statement: Statement, _alias: str) -> str:
        row = statement.alias()
        if keys:
            return f"SELECT key FROM unnest({statement.bind(keys)}) WITH ORDINALITY AS {row}(key, n) ORDER BY n"
        return (
            f"SELECT {row}.key FROM compared JOIN series {row} ON {row}.tenant_id = {statement.tenant}"
            f" AND {row}.owner_id = compared.id AND {row}.leg = 0 GROUP BY {row}.key"
            f" ORDER BY count(DISTINCT compared.id) DESC, {row}.key LIMIT {limit}"
        )

    return query


def kind(statement: Statement, alias: str) -> Pieces:
    """What the values of a metric are; null where no experiment has it, or some have another kind."""
    row = statement.alias()
    same = is_series(statement, row, "compared.id", f"{alias}.key")
    one = f"""CASE WHEN min({row}.kind) = max({row}.kind) THEN '"'||min({row}.kind)||'"' ELSE 'null' END"""
    return [Expression(f"(SELECT {one} FROM compared JOIN series {row} ON {same})")]


def told(statement: Statement, alias: str) -> str:
    """What a mark tells of a metric: of each experiment in order its series of floats, as `series_told` has it."""
    row = statement.alias()
    same = f"{is_series(statement, row, 'compared.id', f'{alias}.key')} AND {row}.kind = 'FLOAT'"
    return (
        f"(SELECT string_agg(coalesce({series_told(row)},''),' ' ORDER BY compared.n)"
        f" FROM compared LEFT JOIN series {row} ON {same})"
    )


def series_told(row: str) -> str:
    """A series in a mark: its owner, its id, its count."""
    return f"encode(uuid_send({row}.owner_id),'hex')||':'||{row}.id||':'||{row}.count"


@dataclass(frozen=True)
class Deltas:
    """How the figures of a series differ from the baseline's of the same key; null where that has none."""

    plan: Plan

    def render(self, statement: Statement, alias: str) -> Pieces:
        row, base = statement.alias(), statement.alias()
        pairs = ", ".join(
            f"{reference(alias, name)} AS {name}, {reference(base, name)} AS {name}_before" for name in MEASURED
        )
        same = is_series(statement, base, "(SELECT id FROM baseline)", f"{alias}.key")
        text = concatenated(self.plan.render(statement, row))
        found = f"SELECT {pairs} FROM series {base} WHERE {same} AND {base}.kind = 'FLOAT' AND {alias}.kind = 'FLOAT'"
        return [Expression(f"coalesce((SELECT {text} FROM ({found}) {row}),'null')")]


@dataclass(frozen=True)
class Delta:
    """The difference in one figure: `value` and `before`."""

    name: str
    plan: Plan

    def render(self, statement: Statement, alias: str) -> Pieces:
        row = statement.alias()
        text = concatenated(self.plan.render(statement, row))
        pair = f"SELECT {reference(alias, self.name)} AS value, {reference(alias, f'{self.name}_before')} AS before"
        return [Expression(f"(SELECT {text} FROM ({pair}) {row})")]


def _difference(row: str) -> str:
    """`value - before` where both are finite and it is a double: PostgreSQL refuses what is beyond one."""
    value, before = f"{row}.value", f"{row}.before"
    finite = " AND ".join(f"{one} BETWEEN -{GREATEST} AND {GREATEST}" for one in (value, before))
    within = f"CASE WHEN {before} < 0 THEN {value} <= {GREATEST} + {before} ELSE {value} >= {before} - {GREATEST} END"
    return f"CASE WHEN {finite} THEN CASE WHEN {within} THEN {value} - {before} END END"


def _number(value: str) -> Pieces:
    return [Expression(f"(SELECT {double_json('found.value')} FROM (SELECT {value} AS value) found)")]


def absolute(_statement: Statement, alias: str) -> Pieces:
    """The difference itself."""
    return _number(_difference(alias))


def relative(_statement: Statement, alias: str) -> Pieces:
    """The difference, divided by the magnitude of the baseline's figure."""
    # Beyond these bounds PostgreSQL refuses to divide; so their logarithms are looked at first.
    size = "ln(abs(delta)) - ln(abs(before))"
    divided = (
        f"CASE WHEN before = 0 THEN NULL WHEN delta = 0 THEN 0 WHEN {size} > 709.7827 THEN NULL"
        f" WHEN {size} < -700 THEN 0 ELSE delta / abs(before) END"
    )
    return _number(f"(SELECT {divided} FROM (SELECT {_difference(alias)} AS delta, {alias}.before) pair)")
