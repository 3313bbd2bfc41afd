"""Pages: Relay connections over keysets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import strawberry
from graphql import GraphQLObjectType, get_named_type

from db.read import plan as plans
from db.read.condition import Condition
from db.read.link import Link
from db.read.order import Position, SortKey, decoded
from db.read.plan import Connection as ConnectionPlan
from db.read.plan import Plan
from db.read.sql import Bind, Environment
from db.read.window import Window
from db.read.within import Within
from graphql_schema.arguments import Value, refused
from graphql_schema.cursor import BadCursor, keys_of
from graphql_schema.fields import Argument, given, read_field
from graphql_schema.filters import filtered
from graphql_schema.listing import Listing
from graphql_schema.scalars import Cursor, SafeInt
from graphql_schema.selection import Selected

PAGE_LIMIT = 100
NESTED_PAGE = 10
ROOT_PAGE = 20

T = TypeVar("T")


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="There are rows after this page.")
    has_previous_page: bool = strawberry.field(description="There are rows before this page.")
    start_cursor: Cursor | None = strawberry.field(description="Of the page's first row; give it to `before`.")
    end_cursor: Cursor | None = strawberry.field(description="Of the page's last row; give it to `after`.")


@strawberry.type(description="A row of a page, with its cursor.")
class Edge(Generic[T]):
    cursor: Cursor = strawberry.field(description="The row's place; give it to `after` or `before`.")
    node: T = strawberry.field(description="The row.")


@strawberry.type(description="A page of a list. Cursors are keysets: they stay valid while rows come and go.")
class Connection(Generic[T]):
    edges: list[Edge[T]] = strawberry.field(description="The rows, each with its cursor.")
    nodes: list[T] = strawberry.field(description="The rows.")
    page_info: PageInfo = strawberry.field(description="What lies around the page.")
    total_count: SafeInt | None = strawberry.field(
        description="How many rows the whole list has; exact up to 10 000, null beyond, where they would have to be"
        " counted. Costs a count (but of a series' points, whose number is known): ask when needed."
    )


@dataclass(frozen=True)
class ConnectionRead:
    """A paged list of one listing's rows."""

    listing: Callable[[], Listing]
    link: Link | None
    contained: bool
    page: int
    scope: Callable[[Selected], Sequence[Condition]] | None = None
    within: Callable[[Selected], Within] | None = None

    def plan(self, selected: Selected) -> Plan:
        listing = self.listing()
        window = self._window(selected, listing)
        with selected.planner.repeated(window.limit, listing.cost):
            return ConnectionPlan(window, connection_parts(selected))

    def _window(self, selected: Selected, listing: Listing) -> Window:
        limit, backwards = page_size(selected, self.page)
        order = given(selected, "orderBy")
        keys = listing.order(order, of_one=self.link is not None)
        reader = CursorReader(keys, listing.signature(keys, order))
        return Window(
            source=listing.source,
            order=keys,
            limit=limit,
            link=self.link,
            contained=self.contained,
            within=self.within(selected) if self.within else None,
            where=self._conditions(selected, listing),
            after=reader.position(selected, "after"),
            before=reader.position(selected, "before"),
            backwards=backwards,
            signature=Bind(reader.signature, "text"),
        )

    def _conditions(self, selected: Selected, listing: Listing) -> Sequence[Condition]:
        conditions = list(self.scope(selected)) if self.scope else []
        wanted = given(selected, "filter")
        if wanted:
            conditions.append(filtered(wanted, listing.leaves))
        return conditions


def page_size(selected: Selected, default: int, limit: int = PAGE_LIMIT) -> tuple[int, bool]:
    """How many rows, and whether from the end.

    Raises:
        RequestErrors: `first` or `last` is outside 1 and the limit, or both are given.
    """
    first, last = given(selected, "first"), given(selected, "last")
    if first and last:
        raise refused("give `first` or `last`, not both.", last.path)
    size = first or last
    if size is None:
        return default, False
    if not 1 <= size.raw <= limit:
        bound = f"must be from 1 to {limit}; got {size.raw}. Page through with cursors for more."
        raise refused(bound, size.path)
    return size.raw, last is not None


@dataclass(frozen=True)
class CursorReader:
    """Reads cursors of one list in one order."""

    keys: Sequence[SortKey]
    signature: Callable[[Environment], str]

    def position(self, selected: Selected, argument: str) -> Position | None:
        """The place that an argument's cursor tells, its values found anew in each request.

        Raises:
            RequestErrors: it is not a cursor of this list.
        """
        value = given(selected, argument)
        if value is None:
            return None
        found = self._read(value, selected.planner.variables)
        binds = [self._bind(value, number) for number in range(len(self.keys))]
        return Position(binds, [key is None for key in found])

    def _bind(self, value: Value, number: int) -> Bind:
        return Bind(lambda env: self._read(value, env)[number], self.keys[number].cast)

    def _read(self, value: Value, env: Environment) -> list[Any]:
        try:
            found = keys_of(value.get(env), self.signature(env), len(self.keys))
            return [decoded(key, item) for key, item in zip(self.keys, found, strict=True)]
        except BadCursor as error:
            raise refused(str(error), value.path) from None
        except (ValueError, TypeError, OverflowError):
            raise refused("this is not a cursor of this list.", value.path) from None


def connection_parts(selected: Selected) -> list[tuple[str, plans.Part]]:
    """The selected fields of a connection type."""
    assert isinstance(selected.type, GraphQLObjectType)
    return [(key, _part(selected, nodes)) for key, nodes in selected.collected().items()]


def _part(selected: Selected, nodes: Any) -> plans.Part:
    type_ = selected.type
    assert isinstance(type_, GraphQLObjectType)
    name = nodes[0].name.value
    if name == "__typename":
        return plans.Fixed(f'"{type_.name}"')
    if name == "totalCount":
        return plans.TotalCount()
    inner = get_named_type(type_.fields[name].type)
    if name == "nodes":
        return plans.NodeList(selected.planner.object(inner, nodes))
    fields = selected.planner.collect(inner, nodes)
    if name == "edges":
        return plans.EdgeList([(key, _edge_field(selected, inner, group)) for key, group in fields.items()])
    return plans.PageInfo([(key, _page_info_field(group[0].name.value)) for key, group in fields.items()])


def _edge_field(selected: Selected, edge: Any, nodes: Any) -> Plan | None:
    name = nodes[0].name.value
    if name == "cursor":
        return None
    if name == "__typename":
        return plans.literal(f'"{edge.name}"')
    return selected.planner.object(get_named_type(edge.fields["node"].type), nodes)


def _page_info_field(name: str) -> str:
    return '"PageInfo"' if name == "__typename" else name


def page_arguments(default: int, limit: int = PAGE_LIMIT) -> list[Argument]:
    """`first`, `after`, `last`, `before`."""
    return [
        Argument("first", int | None, f"How many rows from the start, 1–{limit}; {default} when absent."),
        Argument("after", Cursor | None, "Begin after the row of this cursor."),
        Argument("last", int | None, f"How many rows from the end, 1–{limit}."),
        Argument("before", Cursor | None, "End before the row of this cursor."),
    ]


def many(
    description: str,
    listing: Callable[[], Listing],
    link: Link | None = None,
    *,
    contained: bool = False,
    page: int = NESTED_PAGE,
    scope: Callable[[Selected], Sequence[Condition]] | None = None,
    within: Callable[[Selected], Within] | None = None,
    arguments: Sequence[Argument] = (),
) -> Any:
    """A paged edge to many objects, with the listing's filter and order."""
    kind = listing()
    listed = [
        *arguments,
        Argument("filter", kind.filter_type | None, "Which rows."),
        Argument("orderBy", list[kind.order_type] | None, "Keys of the order, the first is the strongest."),  # type: ignore[name-defined]
        *page_arguments(page),
    ]
    return read_field(ConnectionRead(listing, link, contained, page, scope, within), description, listed)
