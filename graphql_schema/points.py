"""Points of a series, page by page and exactly as they came."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

import numpy as np
import orjson
import strawberry
from graphql import GraphQLObjectType, get_named_type

from db.errors import CursorExpired
from db.metrics import read
from db.metrics.columns import Floats
from db.metrics.json_text import floats_json, ints_json
from db.read import hole
from db.read.plan import Plan
from db.read.sql import Asked, Environment
from graphql_schema.arguments import Value, refused
from graphql_schema.connection import NESTED_PAGE, page_arguments, page_size
from graphql_schema.cursor import BadCursor, decode, encode, keys_of, signature_of
from graphql_schema.fields import given, read_field
from graphql_schema.scalars import Base64, MetricValue, SafeInt
from graphql_schema.selection import Nodes, Selected
from graphql_schema.written import Write, fixed, object_of, objects, rows_writer, written

POINTS_LIMIT: Final = 1_000
POINT_COST: Final = 0.1
SIGNATURE: Final = signature_of("MetricPoint")

Points = read.Points


# --- The fields of a point: a text for each point of the page, or one for all ---


def _each(array: bytes) -> list[bytes]:
    """The entries of a JSON array of numbers, in none of which a comma stands."""
    return array[1:-1].split(b",") if len(array) > 2 else []


def _wall_times(points: Points) -> list[bytes]:
    texts = np.datetime_as_string(points.times.view("M8[us]")).tolist()
    return [b"null" if text == "NaT" else f'"{text}Z"'.encode() for text in texts]


def _values(points: Points) -> bytes | list[bytes]:
    return _each(floats_json(cast("Floats", points.values))) if points.kind == "FLOAT" else b"null"


def _strings(points: Points) -> bytes | list[bytes]:
    return [orjson.dumps(value) for value in points.values] if points.kind == "STRING" else b"null"


def _bytes(points: Points) -> bytes | list[bytes]:
    if points.kind != "BYTES":
        return b"null"
    return [b'"%b"' % base64.b64encode(value) for value in cast("list[bytes]", points.values)]


@strawberry.type(description="One value of a series.")
class MetricPoint:
    position: SafeInt = written(
        "Counts the points of the series from 0, in order of arrival; in what a resumption left behind, with gaps.",
        lambda points: _each(ints_json(points.positions)),
    )
    step: SafeInt | None = written(
        "The training step, when one was given.", lambda points: _each(ints_json(points.steps))
    )
    wall_time: datetime | None = written("When it was measured, when that was given.", _wall_times)
    value: MetricValue | None = written("The value in a series of floats; all 64 bits are kept.", _values)
    string: str | None = written("The value in a series of strings.", _strings)
    bytes: Base64 | None = written("The value in a series of bytes.", _bytes)


# --- A page of them ---


class Moved(CursorExpired):
    """The experiment was resumed since this cursor was made, and points left the series. Read it from its begin."""


@dataclass(frozen=True)
class Bounds:
    """Which points a page holds: at most `limit`, between two positions where those are given."""

    limit: int
    is_backward: bool
    after: int | None
    before: int | None

    def request(self, owner: UUID, series: int, kind: str, count: int) -> read.Page:
        """What to read: one more than the page holds, which tells whether it goes on."""
        if self.is_backward:
            start = count if self.before is None else self.before
        else:
            start = 0 if self.after is None else self.after + 1
        return read.Page(owner, series, kind, start, self.limit + 1, self.is_backward)

    def page(self, count: int, resumptions: int, found: read.Paged | None) -> Page:
        """The page, of what was read."""
        if found is None:
            return Page(count, resumptions)
        points = found.points
        first = 0 if self.after is None else int(np.searchsorted(points.positions, self.after, "right"))
        end = len(points) if self.before is None else int(np.searchsorted(points.positions, self.before))
        inside = range(first, max(first, end))
        is_cut = len(inside) > self.limit
        kept = inside[-self.limit :] if self.is_backward else inside[: self.limit]
        return Page(
            count,
            resumptions,
            points_at(points, slice(kept.start, kept.stop)),
            has_next=self.before is not None if self.is_backward else is_cut,
            has_previous=is_cut if self.is_backward else self.after is not None,
        )


@dataclass(frozen=True)
class Page:
    """Points of a series that has so many, and what lies around them; without points when only their number counts."""

    count: int
    resumptions: int
    points: Points | None = None
    has_next: bool = False
    has_previous: bool = False

    def __len__(self) -> int:
        return 0 if self.points is None else len(self.points)

    @property
    def cursors(self) -> list[bytes]:
        """Of each point, as JSON."""
        positions = [] if self.points is None else self.points.positions.tolist()
        return [cursor(Place(position, self.resumptions)) for position in positions]


def points_at(points: Points, which: slice) -> Points:
    """Some neighbours of them."""
    columns = (points.positions, points.steps, points.times, points.values)
    return Points(points.kind, *(column[which] for column in columns))  # type: ignore[arg-type]


class Place(NamedTuple):
    """What a cursor tells: a position, and after how many resumptions it was the point's."""

    position: int
    resumptions: int = 0


def cursor(place: Place) -> bytes:
    """A point's cursor, as JSON; that of a run that was never resumed is shorter."""
    keys = place if place.resumptions else place[:1]
    return f'"{encode([SIGNATURE, *keys])}"'.encode()


def place_of(value: Value | None) -> Callable[[Environment], Place | None]:
    """The place that a cursor tells, found anew in each request. The function refuses what is no cursor."""

    def find(env: Environment) -> Place | None:
        if value is None:
            return None
        text = value.get(env)
        try:
            place = Place(*keys_of(text, SIGNATURE, 2 if len(decode(text)) > 2 else 1))
        except BadCursor as error:
            raise refused(str(error), value.path) from None
        if not all(type(number) is int and 0 <= number < 2**53 for number in place):
            raise refused("this is not a cursor of this list.", value.path)
        return place

    return find


def _position(place: Place | None) -> int | None:
    return None if place is None else place.position


@dataclass(frozen=True)
class PointsRead:
    """`points(first:, after:, last:, before:)`."""

    def plan(self, selected: Selected) -> Plan:
        limit, is_backward = page_size(selected, NESTED_PAGE, POINTS_LIMIT)
        with selected.planner.repeated(limit, POINT_COST):
            write = page_writer(selected)
        after, before = (place_of(given(selected, name)) for name in ("after", "before"))
        is_counted = all(nodes[0].name.value in ("totalCount", "__typename") for nodes in selected.collected().values())

        def ask(env: Environment) -> Callable[[Sequence[str]], Asked]:
            places = after(env), before(env)
            bounds = Bounds(limit, is_backward, *map(_position, places))

            def of(told: Sequence[str]) -> Asked:
                owner, series, kind, count, resumptions = (
                    UUID(told[0]),
                    int(told[1]),
                    told[2],
                    int(told[3]),
                    int(told[4]),
                )
                request = None if is_counted else bounds.request(owner, series, kind, count)
                is_moved = any(place and place.resumptions != resumptions for place in places)
                return Asked(
                    Moved() if is_moved else request, lambda found: write(bounds.page(count, resumptions, found))
                )

            return of

        return hole.Hole((hole.owner, hole.series, hole.kind, hole.count, hole.resumptions), ask)


def page_writer(selected: Selected) -> Callable[[Page], bytes]:
    """Writes a page of points as the selected connection."""
    return object_of([(key, _part(selected, nodes)) for key, nodes in selected.collected().items()])


def _part(selected: Selected, nodes: Nodes) -> Write:
    type_, name = selected.type, nodes[0].name.value
    assert isinstance(type_, GraphQLObjectType)
    if name == "__typename":
        return fixed(type_.name)
    if name == "totalCount":
        return lambda page: b"%d" % page.count
    inner = get_named_type(type_.fields[name].type)
    if name == "nodes":
        rows = rows_writer(selected, inner, nodes)
        return lambda page: _array(rows(page.points))
    groups = selected.planner.collect(inner, nodes).items()
    if name == "pageInfo":
        return object_of([(key, _page_info(group[0].name.value)) for key, group in groups])
    edges = objects([(key, _edge_field(selected, inner, group)) for key, group in groups])
    return lambda page: _array(edges(page))


def _edge_field(selected: Selected, edge: Any, nodes: Nodes) -> Write:
    name = nodes[0].name.value
    if name == "cursor":
        return lambda page: page.cursors
    if name == "__typename":
        return fixed(edge.name)
    rows = rows_writer(selected, get_named_type(edge.fields["node"].type), nodes)
    return lambda page: rows(page.points)


def _page_info(name: str) -> Write:
    ways: dict[str, Write] = {
        "hasNextPage": lambda page: b"true" if page.has_next else b"false",
        "hasPreviousPage": lambda page: b"true" if page.has_previous else b"false",
        "startCursor": lambda page: page.cursors[0] if len(page) else b"null",
        "endCursor": lambda page: page.cursors[-1] if len(page) else b"null",
        "__typename": fixed("PageInfo"),
    }
    return ways[name]


def _array(items: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"


def points_field() -> Any:
    """The field `points` of a series."""
    return read_field(
        PointsRead(),
        "Every point, exactly, in order of arrival. `totalCount` is the series' `count`. Of stretches that were rolled"
        " up, those points are left that the figures of each stretch name; positions show the gaps. Null, with a"
        " `LIMIT_EXCEEDED`, where a request's pages hold more than 32 MiB of strings and bytes; with a `CURSOR_EXPIRED`"
        " where the experiment was resumed since the cursor was made, for points may have left the line. Ten points"
        " cost a node.",
        page_arguments(NESTED_PAGE, POINTS_LIMIT),
    )
