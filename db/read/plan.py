"""Plans: what to read, as a tree whose nodes write themselves as SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from db.read.link import Link
from db.read.order import OrderBy
from db.read.source import Source
from db.read.sql import Compiled, Expression, Pieces, Statement, array_pieces, concatenated, object_pieces, parted
from db.read.window import Window, window_query


class Plan(Protocol):
    """A value of the response, read for the row of an alias."""

    def render(self, statement: Statement, alias: str) -> Pieces:
        """Its JSON."""
        ...


@dataclass(frozen=True)
class Leaf:
    """A value made from the row alone."""

    pieces: Callable[[Statement, str], Pieces]

    def render(self, statement: Statement, alias: str) -> Pieces:
        return self.pieces(statement, alias)


def literal(json: str) -> Leaf:
    """A value that the document decides, such as `__typename`."""
    return Leaf(lambda statement, alias: [json])


Fields = Sequence[tuple[str, Plan]]


@dataclass(frozen=True)
class ObjectPlan:
    """The selected fields of one row, in the order of the document."""

    fields: Fields

    def render(self, statement: Statement, alias: str) -> Pieces:
        return object_pieces([(key, plan.render(statement, alias)) for key, plan in self.fields])


@dataclass(frozen=True)
class One:
    """A single linked row, or `null` when there is none in sight."""

    source: Source
    link: Link
    plan: Plan
    contained: bool = False

    def render(self, statement: Statement, alias: str) -> Pieces:
        child = statement.alias()
        sight = (self.source.alive if self.contained else self.source.visible)(statement, child)
        text = concatenated(self.plan.render(statement, child))
        return [
            Expression(
                f"coalesce((SELECT {text} FROM {self.source.rows(statement)} {child}"
                f" WHERE {child}.tenant_id = {statement.tenant}"
                f" AND {self.link(statement, alias, child)} AND {sight} LIMIT 1),'null')"
            )
        ]


@dataclass(frozen=True)
class Variants:
    """A linked object whose type the row decides: one alternative for each type that is selected."""

    discriminator: Callable[[str], str]
    alternatives: Sequence[tuple[str, Plan]]

    def render(self, statement: Statement, alias: str) -> Pieces:
        if not self.alternatives:
            return ["null"]
        cases = " ".join(
            f"WHEN '{kind}' THEN {concatenated(plan.render(statement, alias))}" for kind, plan in self.alternatives
        )
        return [Expression(f"coalesce(CASE {self.discriminator(alias)} {cases} END,'null')")]


@dataclass(frozen=True)
class Rows:
    """A plain list of a window's rows."""

    window: Window
    plan: Plan

    def render(self, statement: Statement, alias: str) -> Pieces:
        child = statement.alias()
        inner, _ = window_query(self.window, statement, alias, child, extra=0)
        before, items, after = parted(array_pieces(self.plan.render(statement, child)))
        return [before, Expression(f"(SELECT {concatenated(items)} FROM ({inner}) {child})"), after]


@dataclass(frozen=True)
class Connection:
    """A page of a window, as a Relay connection.

    `fields` are the selected fields of the connection, each a response key and one of the parts below.
    """

    window: Window
    fields: Sequence[tuple[str, Part]]

    def render(self, statement: Statement, alias: str) -> Pieces:
        if not any(isinstance(part, NodeList | EdgeList | PageInfo) for _, part in self.fields):
            page = PageContext(self.window, statement, alias)
            return object_pieces([(key, part.aggregate(page)) for key, part in self.fields])
        child = statement.alias()
        extra = int(any(isinstance(part, PageInfo) for _, part in self.fields))
        inner, order = window_query(self.window, statement, alias, child, extra=extra)
        page = PageContext(self.window, statement, alias, child, order, bool(extra))
        before, parts, after = parted(object_pieces([(key, part.aggregate(page)) for key, part in self.fields]))
        # Not every part aggregates (`totalCount`); HAVING makes it one row all the same.
        return [before, Expression(f"(SELECT {concatenated(parts)} FROM ({inner}) {child} HAVING true)"), after]


UNORDERED = OrderBy((), "", ())


@dataclass(frozen=True)
class PageContext:
    """What the parts of a connection need to aggregate the rows of its page."""

    window: Window
    statement: Statement
    parent: str
    child: str = ""
    order: OrderBy = UNORDERED
    numbered: bool = False

    def listed(self, item: Pieces) -> Pieces:
        """A JSON array of one item per row, without the row that only tells whether there is more."""
        within = f" FILTER (WHERE {self.child}._n <= {self.window.limit})" if self.numbered else ""
        order = f" ORDER BY {self.child}._n DESC" if self.window.backwards else ""
        return array_pieces(item, order=order, condition=within)

    def cursor(self) -> Pieces:
        """A row's cursor."""
        return self.order.cursor(self.statement.bind(self.window.signature))


class Part(Protocol):
    """A field of a connection."""

    def aggregate(self, page: PageContext) -> Pieces:
        """Its JSON, over the rows of the page."""
        ...


@dataclass(frozen=True)
class Fixed:
    """A part that does not depend on the rows."""

    json: str

    def aggregate(self, page: PageContext) -> Pieces:
        return [self.json]


@dataclass(frozen=True)
class NodeList:
    """`nodes`."""

    plan: Plan

    def aggregate(self, page: PageContext) -> Pieces:
        return page.listed(self.plan.render(page.statement, page.child))


@dataclass(frozen=True)
class EdgeList:
    """`edges`: each field is `cursor`, a node, or fixed text."""

    fields: Sequence[tuple[str, Plan | None]]

    def aggregate(self, page: PageContext) -> Pieces:
        fields = [
            (key, plan.render(page.statement, page.child) if plan else page.cursor()) for key, plan in self.fields
        ]
        return page.listed(object_pieces(fields))


@dataclass(frozen=True)
class PageInfo:
    """`pageInfo`: each field by its schema name, or fixed text."""

    fields: Sequence[tuple[str, str]]

    def aggregate(self, page: PageContext) -> Pieces:
        return object_pieces([(key, self._field(page, name)) for key, name in self.fields])

    def _field(self, page: PageContext, name: str) -> Pieces:
        window, child = page.window, page.child
        more = Expression(f"CASE WHEN count(*) > {window.limit} THEN 'true' ELSE 'false' END")
        fixed = {"hasNextPage": bool(window.before), "hasPreviousPage": bool(window.after)}
        if name in fixed:
            counted = (name == "hasPreviousPage") == window.backwards
            return [more] if counted else ["true" if fixed[name] else "false"]
        if name not in ("startCursor", "endCursor"):
            return [name]
        first = (name == "startCursor") != window.backwards
        text = concatenated(page.cursor())
        edge = "ASC" if first else "DESC"
        picked = f"(array_agg({text} ORDER BY {child}._n {edge}) FILTER (WHERE {child}._n <= {window.limit}))[1]"
        return [Expression(f"coalesce({picked},'null')")]


TOTAL_COUNT_BOUND = 10_000
"""`totalCount` is exact up to here and null beyond: counting is the only part of a page that grows."""


@dataclass(frozen=True)
class TotalCount:
    """`totalCount`."""

    def aggregate(self, page: PageContext) -> Pieces:
        window, row = page.window, page.statement.alias()
        rows = window.source.rows(page.statement)
        conditions = window.conditions(page.statement, page.parent, row)
        counted = f"SELECT 1 FROM {rows} {row} WHERE {conditions} LIMIT {TOTAL_COUNT_BOUND + 1}"
        bounded = f"CASE WHEN count(*) <= {TOTAL_COUNT_BOUND} THEN count(*)::text ELSE 'null' END"
        return [Expression(f"(SELECT {bounded} FROM ({counted}) {row}c)")]


def compiled(pieces: Pieces, statement: Statement) -> Compiled:
    """The statement that returns this JSON in one row of one column."""
    return Compiled(f"SELECT {concatenated(pieces)}", tuple(statement.binds), tuple(statement.holes))


def compiled_frame(pieces: Pieces, window: Window, statement: Statement) -> Compiled:
    """The statement that returns this JSON, and beside it whether the window holds any row."""
    row = statement.alias()
    rows = f"SELECT 1 FROM {window.source.rows(statement)} {row} WHERE {window.conditions(statement, '', row)}"
    return Compiled(f"SELECT {concatenated(pieces)}, EXISTS ({rows})", tuple(statement.binds), tuple(statement.holes))
