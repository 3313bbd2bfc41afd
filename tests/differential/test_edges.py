"""Every edge of every object, for callers with roles in different places.

Generated documents seldom come to the one object whose neighbour is deleted or out of sight; here all are asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import pytest
from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    Undefined,
    get_named_type,
)

from graphql_schema.schema import graphql_schema
from tests.differential.conftest import SEED, Pair
from tests.differential.equality import difference
from tests.differential.seed import TAGS
from tests.differential.sight import TYPES
from tests.differential.vocabulary import Vocabulary

Composite = GraphQLObjectType | GraphQLInterfaceType

VOCABULARY = Vocabulary(SEED)
PATHS = {row["path"]: row["id"] for row in SEED.rows["namespace"]}
SCOPES: Mapping[str, list[UUID] | None] = {
    "all": None,
    "alpha": [PATHS["alpha"]],
    "below alpha and in beta": [PATHS["alpha/b"], PATHS["beta"]],
    "default and what is deleted": [PATHS["default"], PATHS["gone"]],
}
ROOTS: Mapping[str, str] = {"User": "users", "ServiceAccount": "serviceAccounts"}
"""Lists of what has no `node`."""
BELOW: Mapping[str, tuple[str, str]] = {
    "MetricSeries": ("Experiment", "metrics(first: 100) { nodes { %s } }"),
    "UniqueTag": ("Model", "uniqueTags { %s }"),
    "RoleGrant": ("Namespace", "members { %s }"),
}
"""Where what has no id is found."""
ARGUMENTS: Mapping[str, list[str]] = {
    "metric": ['key: "loss"', 'key: "acc"'],
    "version": ['version: "1"', 'version: "a"'],
    "versionByTag": [f'tag: "{tag}"' for tag in TAGS],
    "bestCheckpoint": ['metric: "loss"', 'metric: "acc", mode: MIN'],
    "sample": ["maxPoints: 10", 'x: METRIC, xKey: "acc"'],
    "columns": ["", "range: {from: 1}"],
}


def edges() -> list[tuple[str, str]]:
    """Every field that leads from an object to others."""
    holders = [TYPES[table] for table in VOCABULARY.ids] + [*ROOTS, *BELOW]
    found = []
    for holder in holders:
        type_ = graphql_schema.type_map[holder]
        assert isinstance(type_, GraphQLObjectType)
        found += [(holder, name) for name, field in type_.fields.items() if is_edge(field)]
    return found


def is_edge(field: GraphQLField) -> bool:
    return isinstance(get_named_type(field.type), Composite)


def known_by(type_: Composite) -> str:
    """What tells the rows of a type apart, and their single neighbours."""
    names = [name for name in ("id", "key", "position", "tag", "name") if name in type_.fields]
    others = [name for name, field in type_.fields.items() if is_single(field)]
    return " ".join(["__typename", *names[:1], *(f"{name} {{ __typename }}" for name in others)])


def is_single(field: GraphQLField) -> bool:
    named = get_named_type(field.type)
    needs = [one for one in field.args.values() if isinstance(one.type, GraphQLNonNull)]
    is_list = str(field.type).startswith("[") or named.name.endswith("Connection")
    return isinstance(named, Composite) and not is_list and all(one.default_value is not Undefined for one in needs)


def asked(name: str, field: GraphQLField) -> str:
    """The edge, in all the ways that its arguments allow."""
    type_ = get_named_type(field.type)
    assert isinstance(type_, Composite)
    if type_.name.endswith("Connection"):
        node = get_named_type(type_.fields["nodes"].type)
        assert isinstance(node, Composite)
        return f"{name}(first: 100) {{ totalCount nodes {{ {known_by(node)} }} }}"
    if not field.args:
        return f"{name} {{ {known_by(type_)} }}"
    ways = ARGUMENTS[name]
    return " ".join(f"w{number}: {name}{way and f'({way})'} {{ {known_by(type_)} }}" for number, way in enumerate(ways))


@pytest.mark.parametrize(("holder", "name"), edges())
async def test_every_edge(pair: Pair, holder: str, name: str) -> None:
    type_ = graphql_schema.type_map[holder]
    assert isinstance(type_, GraphQLObjectType)
    inside = asked(name, type_.fields[name])
    if holder in BELOW:
        holder, around = BELOW[holder]
        inside = around % inside
    if holder in ROOTS:
        text, variables = f"{{ {ROOTS[holder]}(first: 100) {{ nodes {{ id {inside} }} }} }}", {}
    else:
        text = f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ id ... on {holder} {{ {inside} }} }} }}"
        table = next(table for table, found in TYPES.items() if found == holder)
        variables = {"ids": VOCABULARY.ids[table][:100]}
    for scope, places in SCOPES.items():
        seen = pair.by(places)
        found = difference(seen.expected(text, variables), await seen.actual(text, variables))
        assert found is None, f"{found}\n{text}\n{scope}"
