"""Rows of several tables by id, in the order of the ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from db.read.plan import Plan
from db.read.source import Source
from db.read.sql import Bind, Expression, Pieces, Statement, concatenated


@dataclass(frozen=True)
class ByIds:
    """A list with one entry for each id: its object, or `null` where none is in sight."""

    ids: Bind
    prefixes: Bind
    alternatives: Sequence[tuple[Source, Plan]]

    def render(self, statement: Statement, _alias: str) -> Pieces:
        if not self.alternatives:
            return ["[]"]
        wanted = statement.alias()
        cases = " ".join(self._case(statement, wanted, source, plan) for source, plan in self.alternatives)
        ids, prefixes = statement.bind(self.ids), statement.bind(self.prefixes)
        return [
            Expression(
                f"(SELECT '['||coalesce(string_agg(coalesce(CASE {wanted}.prefix {cases} END,'null'),','"
                f" ORDER BY {wanted}.n),'')||']' FROM unnest({ids}, {prefixes})"
                f" WITH ORDINALITY AS {wanted}(id, prefix, n))"
            )
        ]

    def _case(self, statement: Statement, wanted: str, source: Source, plan: Plan) -> str:
        row = statement.alias()
        return (
            f"WHEN '{source.prefix}' THEN (SELECT {concatenated(plan.render(statement, row))}"
            f" FROM {source.rows(statement)} {row} WHERE {row}.tenant_id = {statement.tenant}"
            f" AND {row}.id = {wanted}.id AND {source.visible(statement, row)})"
        )


@dataclass(frozen=True)
class OnlyOne:
    """The entry of a list of one."""

    plan: ByIds

    def render(self, statement: Statement, alias: str) -> Pieces:
        text = concatenated(self.plan.render(statement, alias))
        return [Expression(f"btrim({text}, '[]')")]
