"""Windows: which rows of a list a page reads, and the ways to find them without reading the rest.

Two things would make a page cost as much as its list, and each has a way around it:

- Ordered by a metric, the rows that have it are walked in the order of an index of series, and only when those run out
  come the rows that have none. One outer join could use no index: it would sort the whole list.
- Bounded by namespaces (those that are asked for, or those that the caller may read), a walk through the whole tenant
  passes by everybody else's rows. So a few namespaces are asked one by one, each by its own index, and their pages are
  merged; and where all of them together hold little, that little is sorted by the metric.

Which way is better depends on the rows. A statement holds the ways side by side, and looks before it takes one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from db.read.condition import Condition
from db.read.link import Link
from db.read.order import OrderBy, Position, Ranking, SortKey
from db.read.source import Source
from db.read.sql import Bind, Statement, constant
from db.read.within import Within

UNSIGNED = constant("", "text")
FEW_NAMESPACES = 50
FEW_ROWS = 200


@dataclass(frozen=True)
class Window:
    """Which rows of a list are read, and in which order."""

    source: Source
    order: Sequence[SortKey]
    limit: int
    link: Link | None = None
    contained: bool = False
    within: Within | None = None
    where: Sequence[Condition] = ()
    after: Position | None = None
    before: Position | None = None
    backwards: bool = False
    signature: Bind = UNSIGNED

    def conditions(self, statement: Statement, parent: str, alias: str, *, placed: bool = False) -> str:
        """Everything but the page: tenant, link, place (unless the row is `placed`), sight, filter."""
        terms = [f"{alias}.tenant_id = {statement.tenant}"]
        if self.link:
            terms.append(self.link(statement, parent, alias))
        if self.within and not placed:
            terms.append(self.within.render(statement, alias))
        terms.append((self.source.alive if self.contained else self.source.visible)(statement, alias))
        terms.extend(f"({condition.render(statement, alias)})" for condition in self.where)
        return " AND ".join(terms)

    def bounded_by(self, statement: Statement) -> Within | None:
        """The namespaces that bound it, if any do."""
        if self.within and (self.within.path or (statement.restricted and not self.source.outlives)):
            return self.within
        return None


@dataclass(frozen=True)
class Run:
    """Rows of a window that are read in one walk.

    `values` are those of all the window's keys; `order` is what the rows of this run differ in. `placed`: the condition
    says where they live.
    """

    order: OrderBy
    values: Sequence[str]
    condition: str = "true"
    after: Position | None = None
    before: Position | None = None
    placed: bool = False

    def terms(self, statement: Statement) -> list[str]:
        """What holds of its rows: the run's own condition, and the bounds of the page."""
        terms = [self.condition]
        if self.after:
            terms.append(self.order.beyond(self.after, statement, backwards=False))
        if self.before:
            terms.append(self.order.beyond(self.before, statement, backwards=True))
        return terms


Begin = Callable[[Window, Statement, str], Run]
"""A run over the rows of an alias."""


def whole(window: Window, statement: Statement, row: str) -> Run:
    """All rows, in one order."""
    order = OrderBy.prepared(window.order, statement, row)
    return Run(order, order.values, after=window.after, before=window.before)


def with_metric(ranking: Ranking) -> Begin:
    """The rows that have the metric which is the first key."""

    def begin(window: Window, statement: Statement, row: str) -> Run:
        first, *others = window.order
        inner, rest = statement.alias(), OrderBy.prepared(others, statement, row)
        join = f" JOIN series {inner} ON {ranking.holds(statement, row, inner)}{rest.joins}"
        order = OrderBy([replace(first, nullable=False), *others], join, [ranking.value(inner), *rest.values])
        condition = f"{ranking.is_there(inner)} AND {_place_of_series(window, statement, row, inner)}"
        before = window.before if window.before and not window.before.nulls[0] else None
        return Run(order, order.values, condition, window.after, before, placed=window.within is not None)

    return begin


def _place_of_series(window: Window, statement: Statement, row: str, series: str) -> str:
    """The place of a row, asked of its series: the index knows it, so that one elsewhere costs no look at its owner."""
    if window.within is None:
        return f"{series}.namespace_id = {row}.namespace_id"
    statement.in_sight.add(row)
    homes = window.within.homes(statement)
    # `IS TRUE` keeps the planner from counting on a share of namespaces that it can only guess.
    return f"({series}.namespace_id IN (SELECT id FROM {homes})) IS TRUE"


def without_metric(ranking: Ranking) -> Begin:
    """The rows that do not have it: null comes last."""

    def begin(window: Window, statement: Statement, row: str) -> Run:
        first, *others = window.order
        inner, order = statement.alias(), OrderBy.prepared(others, statement, row)
        condition = f"{ranking.holds(statement, row, inner)} AND {ranking.is_there(inner)}"
        after = window.after.without_first() if window.after and window.after.nulls[0] else None
        before = window.before.without_first() if window.before else None
        missing = f"NOT EXISTS (SELECT 1 FROM series {inner} WHERE {condition})"
        return Run(order, [f"NULL::{first.cast}", *order.values], missing, after, before)

    return begin


def window_query(window: Window, statement: Statement, parent: str, child: str, *, extra: int) -> tuple[str, OrderBy]:
    """The subquery of a page, and its order as the outer query sees it."""
    page, row = Page(window, statement, parent, window.limit + extra), statement.alias()
    text = page.query()
    if extra or window.backwards:
        text = f"SELECT *, row_number() OVER () AS _n FROM ({text}) {row}"
    return text, OrderBy(window.order, "", [f"{child}._k{number}" for number in range(len(window.order))])


@dataclass(frozen=True)
class Page:
    """The first rows of a window, for one statement."""

    window: Window
    statement: Statement
    parent: str
    limit: int

    def query(self) -> str:
        """A query of these rows, in order."""
        ranking, within = self.window.order[0].ranking, self.window.bounded_by(self.statement)
        runs = self._runs(ranking) if ranking else [whole]
        if within is None:
            return self._chained([self._walk(run) for run in runs])
        if ranking is None and within.is_one:
            return self._by_namespace(within, whole)
        return self._ranked_within(within, runs) if ranking else self._listed_within(within)

    def _runs(self, ranking: Ranking) -> list[Begin]:
        """The runs of an order by a metric, but for those that the page's bounds leave out."""
        after, before = self.window.after, self.window.before
        found = []
        if not (after and after.nulls[0]):
            found.append(with_metric(ranking))
        if not (before and not before.nulls[0]):
            found.append(without_metric(ranking))
        return (found[::-1] if self.window.backwards else found) or [whole]

    def _listed_within(self, within: Within) -> str:
        counted = f"SELECT 1 FROM {within.homes(self.statement)}"
        gate, few = self._gate(counted, FEW_NAMESPACES)
        ways = [self._by_namespace(within, whole, few), self._walk(whole, f"NOT {few}")]
        return gate + self._chained(ways)

    def _ranked_within(self, within: Within, runs: Sequence[Begin]) -> str:
        row, home = self.statement.alias(), self.statement.alias()
        rows = f"{self.window.source.rows(self.statement)} {row}"
        same = f"{row}.tenant_id = {self.statement.tenant} AND {row}.namespace_id = {home}.id"
        counted = (
            f"SELECT 1 FROM {within.homes(self.statement)} {home} CROSS JOIN LATERAL"
            f" (SELECT 1 FROM {rows} WHERE {same} LIMIT {FEW_ROWS + 1}) {row}"
        )
        gate, few = self._gate(counted, FEW_ROWS)
        ways = [self._walk(whole, few), *(self._walk(run, f"NOT {few}") for run in runs)]
        return gate + self._chained(ways)

    def _gate(self, counted: str, bound: int) -> tuple[str, str]:
        """What goes before a query, and a condition in it that holds when these rows are not too many."""
        gate, inner = self.statement.alias(), self.statement.alias()
        count = f"SELECT count(*) <= {bound} AS few FROM ({counted} LIMIT {bound + 1}) {inner}"
        return f"WITH {gate} AS MATERIALIZED ({count}) ", f"(SELECT few FROM {gate})"

    def _chained(self, queries: Sequence[str]) -> str:
        """The rows of one query after the other: PostgreSQL goes on to the next only while there are not enough."""
        if len(queries) == 1:
            return queries[0]
        return f"SELECT * FROM (({') UNION ALL ('.join(queries)})) {self.statement.alias()} LIMIT {self.limit}"

    def _walk(self, begin: Begin, also: str = "true") -> str:
        """A run in one walk."""
        row = self.statement.alias()
        run = begin(self.window, self.statement, row)
        conditions = self.window.conditions(self.statement, self.parent, row, placed=run.placed)
        return self._limited(row, run, conditions, also)

    def _by_namespace(self, within: Within, begin: Begin, also: str = "true") -> str:
        """A run as the merged pages of each namespace."""
        home, row = self.statement.alias(), self.statement.alias()
        self.statement.in_sight.add(row)
        run = begin(self.window, self.statement, row)
        conditions = self.window.conditions(self.statement, self.parent, row, placed=True)
        inner = self._limited(row, run, f"{row}.namespace_id = {home}.id", conditions)
        merged = OrderBy(run.order.keys, "", [f"{row}._k{number}" for number in range(len(run.values))])
        return (
            f"SELECT {row}.* FROM {within.homes(self.statement)} {home} CROSS JOIN LATERAL ({inner}) {row}"
            f" WHERE {also} {merged.clause(backwards=self.window.backwards)} LIMIT {self.limit}"
        )

    def _limited(self, row: str, run: Run, *conditions: str) -> str:
        keys = "".join(f", {value} AS _k{number}" for number, value in enumerate(run.values))
        terms = [term for term in (*conditions, *run.terms(self.statement)) if term != "true"]
        return (
            f"SELECT {row}.*{keys} FROM {self.window.source.rows(self.statement)} {row}{run.order.joins}"
            f" WHERE {' AND '.join(terms)} {run.order.clause(backwards=self.window.backwards)} LIMIT {self.limit}"
        )
