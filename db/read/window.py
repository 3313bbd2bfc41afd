"""Windows: which rows of a list a page reads, and the ways to find them without reading the rest.

Two things would make a page cost as much as its list, and each has a way around it:

- Ordered by a metric, the rows that have it are walked in the order of an index of series, and only when those run out
  come the rows that have none. One outer join could use no index: it would sort the whole list. Where there is little
  to list, that little is sorted after all: the walk would pass by all the rest.
- Bounded by namespaces (those that are asked for, or those that the caller may read), a walk through the whole tenant
  passes by everybody else's rows. So a few namespaces are asked one by one, each by its own index, and their pages are
  merged.

Which way is better depends on the rows. A statement holds the ways side by side, and looks before it takes one.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def window_query(window: Window, statement: Statement, parent: str, child: str, *, extra: int) -> tuple[str, OrderBy]:
    """The subquery of a page, and its order as the outer query sees it."""
    page, row = Page(window, statement, parent, window.limit + extra), statement.alias()
    text = page.query()
    if extra or window.backwards:
        text = f"SELECT *, row_number() OVER () AS _n FROM ({text}) {row}"
    return text, OrderBy(window.order, "", keys_of(child, len(window.order)))


def keys_of(row: str, count: int) -> list[str]:
    """The columns in which a subquery hands on the values of the keys."""
    return [f"{row}._k{number}" for number in range(count)]


def keyed(row: str, values: Sequence[str]) -> str:
    """What such a subquery selects."""
    return f"{row}.*" + "".join(f", {value} AS _k{number}" for number, value in enumerate(values))


def held(*conditions: str) -> str:
    """All of them, as a `WHERE`."""
    return " AND ".join(condition for condition in conditions if condition != "true") or "true"


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
        if ranking:
            return self._ranked(ranking, within)
        if within is None:
            return self._sorted()
        if within.is_one:
            return self._by_namespace(within)
        gate, few = self._gate(f"SELECT 1 FROM {within.homes(self.statement)}", FEW_NAMESPACES)
        return gate + self._chained([self._by_namespace(within, few), self._sorted(f"NOT {few}")])

    def _ranked(self, ranking: Ranking, within: Within | None) -> str:
        """In an order by a metric."""
        window, gate, few = self.window, "", "false"
        if window.link or window.where or within:
            gate, few = self._gate(self._counted(within), FEW_ROWS)
        runs = []
        if not (window.after and window.after.nulls[0]):
            runs.append(self._with_metric(ranking, f"NOT {few}"))
        if not (window.before and not window.before.nulls[0]):
            runs.append(self._without_metric(ranking, f"NOT {few}"))
        ways = [self._sorted(few)] if gate or not runs else []
        return gate + self._chained([*ways, *(runs[::-1] if window.backwards else runs)])

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

    def _counted(self, within: Within | None) -> str:
        """A row for each of the window, in whatever order is the fastest. It may be one that the caller cannot read."""
        row = self.statement.alias()
        if within is None or self.window.where:
            place = within.render(self.statement, row) if within else "true"
            return f"SELECT 1 FROM {self._rows(row)} WHERE {held(place, self._placed(row))}"
        home = self.statement.alias()
        inside = f"{self._placed(row)} AND {row}.namespace_id = {home}.id LIMIT {FEW_ROWS + 1}"
        rows = f"SELECT 1 FROM {self._rows(row)} WHERE {inside}"
        return f"SELECT 1 FROM {within.homes(self.statement)} {home} CROSS JOIN LATERAL ({rows}) {row}"

    def _sorted(self, also: str = "true") -> str:
        """All rows, in the order of the list, by whatever index there is."""
        row = self.statement.alias()
        order = OrderBy.prepared(self.window.order, self.statement, row)
        bounds = self._bounds(order, self.window.after, self.window.before)
        found = f"SELECT {keyed(row, order.values)} FROM {self._rows(row)}{order.joins}"
        return f"{found} WHERE {held(self._conditions(row), also, *bounds)} {self._end(order)}"

    def _by_namespace(self, within: Within, also: str = "true") -> str:
        """The same as the merged pages of each namespace."""
        home, row = self.statement.alias(), self.statement.alias()
        order = OrderBy.prepared(self.window.order, self.statement, row)
        bounds = self._bounds(order, self.window.after, self.window.before)
        condition = held(f"{row}.namespace_id = {home}.id", self._placed(row), *bounds)
        found = f"SELECT {keyed(row, order.values)} FROM {self._rows(row)}{order.joins}"
        page = f"{found} WHERE {condition} {self._end(order)}"
        merged = OrderBy(order.keys, "", keys_of(row, len(order.keys)))
        return (
            f"SELECT {row}.* FROM {within.homes(self.statement)} {home} CROSS JOIN LATERAL ({page}) {row}"
            f" WHERE {also} {self._end(merged)}"
        )

    def _with_metric(self, ranking: Ranking, also: str) -> str:
        """The rows that have the metric which is the first key, each looked up from its series.

        The look-up is fenced by a limit. The planner would rather join and sort when it takes a filter for a rare one,
        and it has nothing to know better by.
        """
        window, statement = self.window, self.statement
        series, row = statement.alias(), statement.alias()
        first, *others = window.order
        rest = OrderBy.prepared(others, statement, row)
        condition = held(f"{row}.id = {series}.owner_id", self._placed(row) if window.within else self._conditions(row))
        owner = f"SELECT {keyed(row, [f'{series}.value', *rest.values])} FROM {self._rows(row)}{rest.joins}"
        # An id is the owner's: so the order is the index's to its end.
        keys = [f"{series}.owner_id" if key.name == "id" else f"{row}._k{n}" for n, key in enumerate(others, 1)]
        order = OrderBy([replace(first, nullable=False), *others], "", [f"{series}.value", *keys])
        before = window.before if window.before and not window.before.nulls[0] else None
        return (
            f"SELECT {row}.* FROM ({self._series(ranking, before)}) {series}"
            f" CROSS JOIN LATERAL ({owner} WHERE {condition} LIMIT 1) {row}"
            f" WHERE {held(also, *self._bounds(order, window.after, before))} {self._end(order)}"
        )

    def _series(self, ranking: Ranking, before: Position | None) -> str:
        """The series that have a value, in order: `owner_id`, `value`."""
        window, statement, series = self.window, self.statement, self.statement.alias()
        value = ranking.value(series)
        order = OrderBy([replace(window.order[0], nullable=False)], "", [value])
        bounds = [
            order.not_before(place, statement, backwards=backwards)
            for place, backwards in ((window.after, False), (before, True))
            if place
        ]
        if window.within:
            # The index knows the namespace of a series. `IS TRUE` makes it a filter, which keeps the order.
            bounds.append(f"({series}.namespace_id IN (SELECT id FROM {window.within.homes(statement)})) IS TRUE")
        named = held(ranking.named(statement, series), ranking.is_there(series), *bounds)
        direction = "DESC" if window.order[0].descending != window.backwards else "ASC"
        found = f"SELECT {series}.owner_id, {value} AS value FROM series {series} WHERE {named}"
        return f"{found} ORDER BY {value} {direction}, {series}.owner_id {direction}"

    def _without_metric(self, ranking: Ranking, also: str) -> str:
        """The rows that do not have it: null comes last."""
        window, statement = self.window, self.statement
        row, series = statement.alias(), statement.alias()
        first, *others = window.order
        order = OrderBy.prepared(others, statement, row)
        same = held(ranking.named(statement, series), f"{series}.owner_id = {row}.id", ranking.is_there(series))
        missing = f"NOT EXISTS (SELECT 1 FROM series {series} WHERE {same})"
        after = window.after.without_first() if window.after and window.after.nulls[0] else None
        before = window.before.without_first() if window.before else None
        condition = held(self._conditions(row), missing, also, *self._bounds(order, after, before))
        keys = keyed(row, [f"NULL::{first.cast}", *order.values])
        return f"SELECT {keys} FROM {self._rows(row)}{order.joins} WHERE {condition} {self._end(order)}"

    def _rows(self, row: str) -> str:
        return f"{self.window.source.rows(self.statement)} {row}"

    def _conditions(self, row: str) -> str:
        return self.window.conditions(self.statement, self.parent, row)

    def _placed(self, row: str) -> str:
        """The conditions on a row whose namespace is one of the window's, and readable."""
        self.statement.in_sight.add(row)
        return self.window.conditions(self.statement, self.parent, row, placed=True)

    def _bounds(self, order: OrderBy, after: Position | None, before: Position | None) -> list[str]:
        """Where the page begins, and where it ends."""
        found = [order.beyond(after, self.statement, backwards=False)] if after else []
        return [*found, order.beyond(before, self.statement, backwards=True)] if before else found

    def _end(self, order: OrderBy) -> str:
        return f"{order.clause(backwards=self.window.backwards)} LIMIT {self.limit}"
