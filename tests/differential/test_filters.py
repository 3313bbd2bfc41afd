"""Every operator of every filter of every list, over values that are stored and some that are not.

Generated documents seldom meet a value of just that column; here each does.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    get_named_type,
    get_nullable_type,
)

from graphql_schema.schema import graphql_schema
from tests.differential.conftest import SEED, Pair
from tests.differential.equality import difference
from tests.differential.vocabulary import JSON_PATHS, Vocabulary

VOCABULARY = Vocabulary(SEED)
PICKS = 3
assert graphql_schema.query_type is not None
LISTS = {
    name: field
    for name, field in graphql_schema.query_type.fields.items()
    if get_named_type(field.type).name.endswith("Connection")
}
LABELS = [[], ["a"], ["a", "b"], ["it's"], ["nobody"], ["\n", "\t"]]


class Conditions:
    """Filters of one type with one condition each."""

    def __init__(self, type_: GraphQLInputObjectType) -> None:
        self.type = type_
        self.random = Random(type_.name)
        self.columns = VOCABULARY.columns[type_.name]

    def all(self) -> Iterator[dict[str, Any]]:
        for name, field in self.type.fields.items():
            if name in ("and", "or", "not"):
                continue
            inner = get_named_type(field.type)
            assert isinstance(inner, GraphQLInputObjectType)
            if str(field.type).startswith("["):
                yield from ({name: [one]} for one in self.inside(inner))
            else:
                yield from ({name: test} for test in self.tests(inner, self.columns.get(name, [])))

    def inside(self, type_: GraphQLInputObjectType) -> Iterator[dict[str, Any]]:
        """Conditions on metrics, or on values at paths."""
        numbers, texts = VOCABULARY.numbers, VOCABULARY.texts
        if type_.name == "MetricFilter":
            for aggregate in graphql_schema.type_map["MetricAggregate"].values:  # type: ignore[attr-defined]
                for test in self.tests(graphql_schema.type_map["NumberFilter"], numbers):
                    yield {"key": self.random.choice(["loss", "acc"]), "aggregate": aggregate, "is": test}
            return
        for kind, name, values in (("number", "NumberFilter", numbers), ("text", "StringFilter", texts)):
            for test in self.tests(graphql_schema.type_map[name], values):
                yield {"path": self.random.choice(JSON_PATHS), kind: test}
        yield from ({"path": path} for path in JSON_PATHS)

    def tests(self, type_: Any, stored: list[Any]) -> Iterator[dict[str, Any]]:
        """Every operator of a leaf filter, each with some operands."""
        assert isinstance(type_, GraphQLInputObjectType)
        yield {}
        for operator, field in type_.fields.items():
            operands = [self.operand(operator, field.type, stored) for _ in range(PICKS)]
            yield from ({operator: operand} for operand in operands if operand is not None)

    def operand(self, operator: str, type_: GraphQLInputType, stored: list[Any]) -> Any:
        kind, named = get_nullable_type(type_), get_named_type(type_)
        if named.name == "Boolean":
            return self.random.random() < 0.5
        if operator in ("all", "any"):
            return self.random.choice(LABELS)
        if isinstance(kind, GraphQLList):
            return [self.operand("eq", kind.of_type, stored) for _ in range(self.random.randrange(3))]
        if isinstance(named, GraphQLEnumType):
            return self.random.choice(list(named.values))
        others = VOCABULARY.scalars.get(named.name, VOCABULARY.globs if operator == "matches" else VOCABULARY.texts)
        value = self.random.choice(stored if stored and self.random.random() < 0.7 else list(others))
        return self.part(operator, value) if isinstance(value, str) and named.name == "String" else value

    def part(self, operator: str, text: str) -> str:
        """A part of a text that the operator can find."""
        if operator == "startsWith":
            return text[: self.random.choice([0, 1, 2, 40])]
        if operator == "contains":
            return text[self.random.choice([0, 1, -1]) :]
        return "*" + text[1:] if operator == "matches" and text and self.random.random() < 0.5 else text


@pytest.mark.parametrize("name", LISTS)
async def test_every_filter(pair: Pair, name: str) -> None:
    filter_type = get_named_type(LISTS[name].args["filter"].type)
    assert isinstance(filter_type, GraphQLInputObjectType)
    text = (
        f"query ($filter: {filter_type.name}) {{ {name}(first: 100, filter: $filter) {{ nodes {{ id }} totalCount }} }}"
    )
    for condition in Conditions(filter_type).all():
        for wanted in (condition, {"not": condition}):
            variables = {"filter": wanted}
            found = difference(pair.expected(text, variables), await pair.actual(text, variables))
            assert found is None, f"{found}\n{wanted}"


@pytest.mark.parametrize("name", [name for name, field in LISTS.items() if "descendants" in field.args])
async def test_every_namespace(pair: Pair, name: str) -> None:
    """Names that begin alike, deleted ones, and what lies below those."""
    text = (
        f"query ($path: String, $deep: Boolean!) {{ {name}(namespace: $path, descendants: $deep, first: 100)"
        " { nodes { id } totalCount } }"
    )
    for path in VOCABULARY.paths:
        for deep in (True, False):
            variables = {"path": path, "deep": deep}
            found = difference(pair.expected(text, variables), await pair.actual(text, variables))
            assert found is None, f"{found}\n{variables}"
