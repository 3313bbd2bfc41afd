"""Rows of a live query: each with its id, and where its metric stream stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from db.metrics.stream import stream_sql
from db.read.plan import Plan
from db.read.sql import Expression, Pieces, Statement


@dataclass(frozen=True)
class RowPlan:
    """A row as a list: the digits of its id, the number of its metric stream, and its JSON by each of the plans."""

    plans: Sequence[Plan]

    def render(self, statement: Statement, alias: str) -> Pieces:
        head = statement.alias()
        seq = (
            f"coalesce((SELECT {head}.seq FROM stream_head {head} WHERE {head}.tenant_id = {statement.tenant}"
            f" AND {head}.stream_id = {stream_sql(f'{alias}.id')}),0)::text"
        )
        pieces: Pieces = ['["', Expression(f"encode(uuid_send({alias}.id),'hex')"), '",', Expression(seq), ",["]
        for number, plan in enumerate(self.plans):
            pieces += [",", *plan.render(statement, alias)] if number else plan.render(statement, alias)
        return [*pieces, "]]"]
