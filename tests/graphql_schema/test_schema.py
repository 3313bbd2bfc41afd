"""The schema as callers meet it: printed, described, named alike, and with a rule of reading for every field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import strawberry
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    build_schema,
    get_named_type,
    get_nullable_type,
    is_input_type,
    is_specified_scalar_type,
)

from graphql_schema import schema
from graphql_schema.fields import column
from graphql_schema.schema import graphql_schema, read_registry, sdl

PRINTED = Path(schema.__file__).parent / "schema.graphql"
Composite = GraphQLObjectType | GraphQLInterfaceType

TYPES: list[GraphQLNamedType] = [
    type_
    for type_ in graphql_schema.type_map.values()
    if not type_.name.startswith("__") and not is_specified_scalar_type(type_)
]
COMPOSITES = [type_ for type_ in TYPES if isinstance(type_, Composite)]
FIELDS = [(type_, name, field) for type_ in COMPOSITES for name, field in type_.fields.items()]
INPUTS = [type_ for type_ in TYPES if isinstance(type_, GraphQLInputObjectType)]
CONNECTIONS = [type_ for type_ in COMPOSITES if type_.name.endswith("Connection")]


def test_what_is_printed_is_committed() -> None:
    assert PRINTED.read_text() == sdl(), "run `make schema`"


def test_what_is_printed_says_everything() -> None:
    """Other servers' tools read only that."""
    built = build_schema(sdl())
    assert built.type_map.keys() == graphql_schema.type_map.keys()
    marked = {type_.name for type_ in INPUTS if type_.is_one_of}
    assert marked == {
        type_.name for type_ in built.type_map.values() if isinstance(type_, GraphQLInputObjectType) and type_.is_one_of
    }
    assert marked, "`@oneOf` is lost"
    scalars = [type_ for type_ in built.type_map.values() if isinstance(type_, GraphQLScalarType)]
    assert all(type_.specified_by_url for type_ in scalars if not is_specified_scalar_type(type_))


# --- Descriptions ---


def described() -> Iterator[tuple[str, str | None]]:
    """Everything that has a name, with its description."""
    for type_ in TYPES:
        yield type_.name, type_.description
        if isinstance(type_, GraphQLEnumType):
            yield from ((f"{type_.name}.{name}", value.description) for name, value in type_.values.items())
        if isinstance(type_, GraphQLInputObjectType):
            yield from ((f"{type_.name}.{name}", given.description) for name, given in type_.fields.items())
    for type_, name, field in FIELDS:
        yield f"{type_.name}.{name}", field.description
        yield from ((f"{type_.name}.{name}({given}:)", one.description) for given, one in field.args.items())


def test_everything_is_described_in_sentences() -> None:
    bad = [name for name, text in described() if not text or text != text.strip() or text[-1] not in ".`)"]
    assert bad == []


# --- Rules of reading ---


def test_a_field_without_a_rule_of_reading_is_refused() -> None:
    @strawberry.type
    class Query:
        known: str = column("Known.")
        unknown: str = "nobody says how this is read"

    with pytest.raises(LookupError, match=r"Query\.unknown"):
        read_registry(strawberry.Schema(query=Query)._schema)


def test_a_field_behind_permission_classes_is_refused() -> None:
    """They never run below a compiled field."""

    class Nobody(strawberry.BasePermission):
        message = "No."

        def has_permission(self, *_: object, **__: object) -> bool:
            return False

    @strawberry.type
    class Query:
        secret: str = column("Hidden.", permission_classes=[Nobody])

    with pytest.raises(LookupError, match=r"Query\.secret"):
        read_registry(strawberry.Schema(query=Query)._schema)


# --- Names ---


def breaches(found: Iterable[tuple[str, bool]]) -> list[str]:
    return [name for name, is_kept in found if not is_kept]


PASCAL = re.compile(r"([A-Z][a-z0-9]*)+|JSON")
CAMEL = re.compile(r"[a-z][a-z0-9]*([A-Z][a-z0-9]*)*")
SCREAMING = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")


def miscased(pattern: re.Pattern[str], names: Iterable[str]) -> list[str]:
    """Names whose last part, behind the dot, is no such word."""
    return [name for name in names if pattern.fullmatch(name.rpartition(".")[2]) is None]


def test_names_are_cased_by_kind() -> None:
    assert miscased(PASCAL, (type_.name for type_ in TYPES)) == []
    assert (
        miscased(SCREAMING, (f"{t.name}.{v}" for t in TYPES if isinstance(t, GraphQLEnumType) for v in t.values)) == []
    )
    assert miscased(CAMEL, (f"{t.name}.{n}" for t, n, _ in FIELDS)) == []
    assert miscased(CAMEL, (f"{t.name}.{n}.{given}" for t, n, field in FIELDS for given in field.args)) == []
    assert miscased(CAMEL, (f"{t.name}.{n}" for t in INPUTS for n in t.fields)) == []


def test_fields_do_not_repeat_their_type() -> None:
    """`Model.name`, not `Model.modelName`."""
    allowed = {"Namespace.namespace"}  # it is an Entity like others, and lives in itself
    repeated = [f"{t.name}.{n}" for t, n, _ in FIELDS if n.startswith(t.name[0].lower() + t.name[1:])]
    assert set(repeated) == allowed


def test_queries_are_nouns() -> None:
    assert graphql_schema.query_type is not None
    verbs = re.compile(r"(get|list|find|fetch|query|all)[A-Z]")
    assert [name for name in graphql_schema.query_type.fields if verbs.match(name)] == []


def test_words_tell_booleans_moments_and_ids() -> None:
    booleans = {"created", "replayed", "catchingUp", "hasNextPage", "hasPreviousPage"}
    moments = {"at", "time", "wallTime"}
    ids = {"id", "objectId", "namespaceIds", "deletedId", "revokedId", "ids", "removed"}
    rules: dict[str, Callable[[str], bool]] = {
        "Boolean": lambda name: name in booleans or re.match(r"(is|has)[A-Z]", name) is not None,
        "DateTime": lambda name: name in moments or name.endswith("At"),
        "ID": ids.__contains__,  # objects, not foreign keys
    }
    found = [(f"{t.name}.{n}", n, get_named_type(f.type).name) for t, n, f in FIELDS]
    assert breaches((full, rules[kind](name)) for full, name, kind in found if kind in rules) == []


def test_only_what_is_looked_up_may_be_missing_from_a_list() -> None:
    lists = [(f"{t.name}.{n}", get_nullable_type(f.type)) for t, n, f in FIELDS]
    holes = [
        name for name, kind in lists if isinstance(kind, GraphQLList) and not isinstance(kind.of_type, GraphQLNonNull)
    ]
    assert sorted(holes) == [
        "AlignedColumns.values",
        "Comparison.experiments",
        "ExperimentGroup.values",
        "HyperparameterComparison.values",
        "MetricComparison.series",
        "Query.nodes",
    ]


# --- Inputs, payloads, pages ---


def test_inputs_are_named_by_their_use() -> None:
    suffixes = re.compile(r".+(Input|Patch|Filter|Order|By|Range)|Namespaced.+")
    assert breaches((type_.name, suffixes.fullmatch(type_.name) is not None) for type_ in INPUTS) == []
    used = {get_named_type(a.type).name for _, _, f in FIELDS for a in f.args.values()}
    used |= {get_named_type(f.type).name for t in INPUTS for f in t.fields.values()}
    assert {type_.name for type_ in TYPES if is_input_type(type_) and type_ in INPUTS} <= used


def test_mutations_take_one_input_and_give_a_payload() -> None:
    assert graphql_schema.mutation_type is not None
    for name, field in graphql_schema.mutation_type.fields.items():
        assert list(field.args) == ["input"], name
        assert re.fullmatch(r"\w+Input!", str(field.args["input"].type)), name
        assert re.fullmatch(r"\w+Payload", str(field.type).removesuffix("!")), name


def test_payloads_say_why_they_were_refused() -> None:
    payloads = [type_ for type_ in COMPOSITES if type_.name.endswith("Payload")]
    assert payloads
    for type_ in payloads:
        assert str(type_.fields["userErrors"].type) == "[UserError!]!", type_.name
        others = [field.type for name, field in type_.fields.items() if name != "userErrors"]
        assert not any(isinstance(kind, GraphQLNonNull) for kind in others), f"{type_.name} cannot be refused"


@pytest.mark.parametrize("type_", CONNECTIONS, ids=str)
def test_a_page_is_a_relay_connection(type_: Composite) -> None:
    row = type_.name.removesuffix("Connection")
    assert {name: str(field.type) for name, field in type_.fields.items()} == {
        "edges": f"[{row}Edge!]!",
        "nodes": f"[{row}!]!",
        "pageInfo": "PageInfo!",
        "totalCount": "SafeInt",
    }
    edge = graphql_schema.type_map[f"{row}Edge"]
    assert isinstance(edge, GraphQLObjectType)
    assert {name: str(field.type) for name, field in edge.fields.items()} == {"cursor": "Cursor!", "node": f"{row}!"}


def test_every_page_can_be_filtered_ordered_and_followed() -> None:
    pages = [(f"{t.name}.{n}", f) for t, n, f in FIELDS if get_named_type(f.type) in CONNECTIONS]
    assert pages
    for name, field in pages:
        if name == "MetricSeries.points":  # has one order, and is not for searching
            assert list(field.args) == ["first", "after", "last", "before"]
            continue
        assert isinstance(field.type, GraphQLNonNull), name
        row = get_named_type(field.type).name.removesuffix("Connection")
        wanted = {"first": "Int", "last": "Int", "after": "Cursor", "before": "Cursor"}
        wanted |= {"filter": f"{row}Filter", "orderBy": f"[{row}Order!]"}
        assert wanted.items() <= {given: str(one.type) for given, one in field.args.items()}.items(), name


def test_everything_with_an_id_of_its_own_is_a_node() -> None:
    """But people, tokens and roles, which are reached from the viewer and from namespaces."""
    people = {"Actor", "User", "ServiceAccount", "Token", "RoleGrant"}
    node = graphql_schema.type_map["Node"]
    lone = {t.name for t in COMPOSITES if "id" in t.fields and t is not node and node not in t.interfaces}
    assert lone == people
