"""Lists bounded by namespaces, read in the ways that are kept for many namespaces and many rows.

The seeded rows are few, so a page of them takes the other ways: the bounds are moved here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from graphql import get_named_type

from db.read import window
from graphql_schema.schema import graphql_schema
from tests.differential.conftest import SEED, Pair
from tests.differential.test_pages import PAGE, Walk, Walker

assert graphql_schema.query_type is not None
LISTS = {
    name: get_named_type(field.type).name.removesuffix("Connection")
    for name, field in graphql_schema.query_type.fields.items()
    if "descendants" in field.args and get_named_type(field.type).name.endswith("Connection")
}
PLACES: list[dict[str, Any]] = [
    {},
    {"path": "alpha", "deep": True},
    {"path": "alpha", "deep": False},
    {"path": "nowhere", "deep": True},
]
ARGUMENTS = (
    "first: $first, last: $last, after: $after, before: $before, orderBy: $by, namespace: $path, descendants: $deep"
)
HEAD = "$first: Int, $last: Int, $after: Cursor, $before: Cursor, $path: String, $deep: Boolean! = true"


def orders(row: str) -> Iterator[list[dict[str, Any]] | None]:
    """The list's own order, and orders by metrics: alone, and before another key."""
    yield None
    if f"{row}Order" in graphql_schema.type_map and "metric" in graphql_schema.type_map[f"{row}Order"].fields:  # type: ignore[attr-defined]
        for aggregate, direction in (("LAST", "DESC"), ("MAX", "ASC")):
            by = {"metric": {"key": "loss", "aggregate": aggregate}, "direction": direction}
            yield [by]
            yield [by, {"field": "CREATED_AT", "direction": "ASC"}]


def scopes() -> Iterator[list[UUID] | None]:
    """Everything, and one root with what is below it."""
    yield None
    yield [next(home["id"] for home in SEED.rows["namespace"] if home["path"] == "alpha")]


async def walk_both_ways(pair: Pair, walk: Walk) -> None:
    walker = Walker(pair.by(walk.scope), walk)
    forwards = await walker.whole("first", "after", "endCursor", "hasNextPage")
    assert forwards == await walker.whole("last", "before", "startCursor", "hasPreviousPage")
    assert len(set(forwards)) == len(forwards)


@pytest.mark.parametrize("bound", ["FEW_NAMESPACES", "FEW_ROWS"])
@pytest.mark.parametrize("name", LISTS)
async def test_many(pair: Pair, name: str, bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, bound, -1)
    row = LISTS[name]
    # Plans are kept by the text of their document: this one is nobody else's.
    text = f"query Many{bound}({HEAD}, $by: [{row}Order!]) {{ page: {name}({ARGUMENTS}) {{ {PAGE % 'id'} }} }}"
    for order in orders(row):
        if (order is None) != (bound == "FEW_NAMESPACES"):
            continue
        for place in PLACES:
            for scope in scopes():
                variables = place if order is None else {**place, "by": order}
                await walk_both_ways(pair, Walk(text, variables, 3, scope))


FILTERED = """
query ManyFiltered(%s, $by: [ExperimentOrder!]) {
    page: experiments(filter: { not: { name: { eq: "a" } } }, %s) { %s }
}
"""
INSIDE = """
query ManyInside($first: Int, $last: Int, $after: Cursor, $before: Cursor, $by: [ExperimentOrder!]) {
    namespace(by: { path: "alpha" }) {
        page: experiments(first: $first, last: $last, after: $after, before: $before, orderBy: $by) { %s }
    }
}
"""


@pytest.mark.parametrize("text", [FILTERED % (HEAD, ARGUMENTS, PAGE % "id"), INSIDE % (PAGE % "id")])
async def test_many_by_a_metric(pair: Pair, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "FEW_ROWS", -1)
    for order in orders("Experiment"):
        for scope in scopes():
            await walk_both_ways(pair, Walk(text, {"by": order} if order else {}, 3, scope))
