"""Pages follow each other without a gap or a repeat, in every list of the schema, forwards, backwards and from inside.

Cursors are compared by what they lead to: each side is given its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLObjectType, get_named_type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphql_schema.schema import graphql_schema
from tests.differential.conftest import SEED, Pair
from tests.differential.documents import Draw, Writer
from tests.differential.equality import Comparison
from tests.differential.sight import TYPES
from tests.differential.vocabulary import Vocabulary

VOCABULARY = Vocabulary(SEED)
TABLES = {type_name: table for table, type_name in TYPES.items()}
LISTED = {"Query", "MetricSeries", *(TYPES[table] for table in VOCABULARY.ids)}
PAGES = 400
"""No list of the seeded rows has more."""


def lists() -> list[tuple[str, str]]:
    """Every connection of the schema, by the names of its type and of itself."""
    return [
        (type_.name, name)
        for type_ in graphql_schema.type_map.values()
        if isinstance(type_, GraphQLObjectType) and type_.name in LISTED
        for name, field in type_.fields.items()
        if get_named_type(field.type).name.endswith("Connection")
    ]


@dataclass(frozen=True)
class Walk:
    """A list to walk through."""

    text: str
    variables: dict[str, Any]
    size: int
    scope: list[UUID] | None


@st.composite
def walks(draw: Draw) -> Walk:
    type_name, name = draw(st.sampled_from(lists()))
    writer = Writer(draw, graphql_schema, VOCABULARY)
    type_ = graphql_schema.type_map[type_name]
    assert isinstance(type_, GraphQLObjectType)
    arguments = type_.fields[name].args
    variables = {}
    for argument, chance in (("orderBy", 75), ("filter", 25)):
        if argument in arguments and writer.chance(chance):
            variables[argument] = writer.value(argument, arguments[argument].type)
    given_types = {"first": "Int", "last": "Int", "after": "Cursor", "before": "Cursor"}
    declared = {**given_types, **{argument: str(arguments[argument].type) for argument in variables}}
    head = ", ".join(f"${argument}: {kind}" for argument, kind in declared.items())
    passed = ", ".join(f"{argument}: ${argument}" for argument in declared)
    key = KEYS.get(get_named_type(type_.fields[name].type).name, "id")
    page = f"page: {name}({passed}) {{ {PAGE % key} }}"
    text = f"query ({head}) {{ {inside(draw, type_name, page)} }}"
    scope = draw(st.one_of(st.none(), st.lists(st.sampled_from(list(SEED.lineages)), min_size=1, max_size=2)))
    return Walk(text, variables, draw(st.sampled_from([1, 2, 3, 7, 100])), scope)


PAGE = """
    edges { cursor node { %s } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount
"""
KEYS = {"MetricSeriesConnection": "key", "MetricPointConnection": "position"}


def inside(draw: Draw, type_name: str, page: str) -> str:
    """The list where it stands: at the root, or on an object."""
    if type_name == "Query":
        return page
    if type_name == "MetricSeries":
        owner = draw(st.sampled_from(VOCABULARY.ids["experiment"] + VOCABULARY.ids["checkpoint"]))
        key = draw(st.sampled_from(["loss", "acc", "Loss"]))
        return f'node(id: "{owner}") {{ ... on Entity {{ metric(key: "{key}") {{ {page} }} }} }}'
    owner = draw(st.sampled_from(VOCABULARY.ids[TABLES[type_name]]))
    return f'node(id: "{owner}") {{ ... on {type_name} {{ {page} }} }}'


class Walker:
    """Asks both sides for the same pages, each with its own cursors."""

    def __init__(self, pair: Pair, walk: Walk) -> None:
        self.pair = pair
        self.walk = walk
        self.comparison = Comparison()

    async def page(self, **places: Any) -> tuple[Any, Any]:
        """The same page of the reference and of the server; a place is a pair of cursors, or a number for both."""
        mine, theirs = (
            {name: place[side] if isinstance(place, tuple) else place for name, place in places.items()}
            for side in (0, 1)
        )
        expected = self.pair.expected(self.walk.text, {**self.walk.variables, **mine})
        actual = await self.pair.actual(self.walk.text, {**self.walk.variables, **theirs})
        found = self.comparison.difference(expected, actual)
        assert found is None, f"{found}\n{self.walk}\n{places}"
        return only_page(expected), only_page(actual)

    async def whole(self, count: str, place: str, end: str, more: str) -> list[tuple[Any, Any]]:
        """Every cursor of the list, walked page by page in one direction."""
        cursors: list[tuple[Any, Any]] = []
        following: dict[str, Any] = {}
        for _ in range(PAGES):
            mine, theirs = await self.page(**{count: self.walk.size}, **following)
            if mine is None:
                return []
            found = [
                (one["cursor"], other["cursor"]) for one, other in zip(mine["edges"], theirs["edges"], strict=True)
            ]
            cursors = cursors + found if count == "first" else found + cursors
            if not mine["pageInfo"][more]:
                return cursors
            following = {place: (mine["pageInfo"][end], theirs["pageInfo"][end])}
        raise AssertionError(f"the list has no end: {self.walk}")


def only_page(data: Any) -> Any:
    """The page inside a response, or None where its object is not in sight."""
    while data is not None and "page" not in data:
        (data,) = data.values() or (None,)
    return data and data["page"]


@settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(walk=walks(), picks=st.lists(st.integers(0, PAGES), min_size=4, max_size=4))
async def test_pages_follow_each_other(pair: Pair, walk: Walk, picks: Sequence[int]) -> None:
    walker = Walker(pair.by(walk.scope), walk)
    forwards = await walker.whole("first", "after", "endCursor", "hasNextPage")
    backwards = await walker.whole("last", "before", "startCursor", "hasPreviousPage")
    assert forwards == backwards
    assert len(set(forwards)) == len(forwards)
    if forwards:
        after, before, first, last = (forwards[pick % len(forwards)] for pick in picks)
        await walker.page(first=walk.size, after=after, before=before)
        await walker.page(last=walk.size, after=first, before=last)
        await walker.page(last=walk.size, after=after)
        await walker.page(first=walk.size, before=last)


def orders(type_name: str) -> Iterator[dict[str, Any]]:
    """Every single key that lists of a type can be ordered by."""
    type_ = graphql_schema.type_map[f"{type_name}Order"]
    assert isinstance(type_, GraphQLInputObjectType)
    fields = get_named_type(type_.fields["field"].type)
    assert isinstance(fields, GraphQLEnumType)
    yield from ({"field": name} for name in fields.values)
    if "metric" in type_.fields:
        yield from ({"metric": {"key": "loss", "aggregate": one}} for one in ("LAST", "MIN", "MAX", "MEAN"))
    if "hyperparameter" in type_.fields:
        yield from ({"hyperparameter": {"path": ["lr"], "type": one}} for one in ("NUMBER", "TEXT"))


@pytest.mark.parametrize("name", [name for type_name, name in lists() if type_name == "Query"])
async def test_every_order(pair: Pair, name: str) -> None:
    """Nulls and equals lie in every list somewhere: on both sides of a page's end."""
    assert graphql_schema.query_type is not None
    row = get_named_type(graphql_schema.query_type.fields[name].type).name.removesuffix("Connection")
    arguments = "first: $first, last: $last, after: $after, before: $before, orderBy: $by"
    text = (
        f"query ($first: Int, $last: Int, $after: Cursor, $before: Cursor, $by: [{row}Order!])"
        f" {{ page: {name}({arguments}) {{ {PAGE % 'id'} }} }}"
    )
    for order in orders(row):
        for direction in ("ASC", "DESC"):
            walker = Walker(pair, Walk(text, {"by": [{**order, "direction": direction}]}, 7, None))
            forwards = await walker.whole("first", "after", "endCursor", "hasNextPage")
            assert forwards == await walker.whole("last", "before", "startCursor", "hasPreviousPage")
