"""One request for data is one statement, whatever its depth, on rows of one tenant in the caller's scope.

The documents are made from the schema: every edge of every type that a query can reach, where it is first reached,
with all fields of what it leads to.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest
from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    Undefined,
    get_introspection_query,
    get_named_type,
)

from db.access import Caller, Role, local_caller
from db.engine import Database
from db.identifiers import new_id
from graphql_schema.connection import ConnectionRead
from graphql_schema.executor import Context, execute
from graphql_schema.fields import OneRead
from graphql_schema.lookup import AddressRead, NodeRead, NodesRead
from graphql_schema.schema import documents, graphql_schema, registry
from tests.postgres import Postgres
from tests.statements import reads, sent

Composite = GraphQLObjectType | GraphQLInterfaceType
ID = "0" * 32
ARGUMENTS: Mapping[str, str] = {
    "node": f'(id: "mod_{ID}")',
    "nodes": f'(ids: ["mod_{ID}", "exp_{ID}"])',
    "namespace": '(by: {path: "a"})',
    "model": '(by: {name: {name: "a"}})',
    "modelVersion": '(by: {tag: {model: "a", tag: "b"}})',
    "experiment": '(by: {externalId: {name: "a"}})',
    "dataset": '(by: {name: {name: "a"}})',
    "metric": '(key: "loss")',
    "version": '(version: "1")',
    "versionByTag": '(tag: "prod", asOf: "2026-01-01T00:00:00Z")',
    "bestCheckpoint": '(metric: "loss")',
    "compare": f'(experimentIds: ["exp_{ID}", "exp_{ID}"], keys: ["loss"])',
    "aggregateMetrics": '(keys: ["loss"])',
    "sample": "(maxPoints: 2)",
}
"""Of the fields that need some, or that cost too much without."""

DEPTH = 2
"""Levels below each field; one where those are more than a document may select."""

WORDS = 600


def is_needed(field: GraphQLField) -> bool:
    return any(isinstance(a.type, GraphQLNonNull) and a.default_value is Undefined for a in field.args.values())


def called(name: str, field: GraphQLField) -> str:
    """A field with what it needs."""
    return name + (ARGUMENTS[name] if is_needed(field) or (name in ARGUMENTS and field.args) else "")


def below(type_: Any, depth: int) -> str:
    """Everything of a type, so many levels deep; of an interface's types one, for all would be another document."""
    if not isinstance(type_, Composite):
        return ""
    inner = {name: get_named_type(field.type) for name, field in type_.fields.items()}
    parts = [
        f"{called(name, type_.fields[name])} {below(found, depth - 1)}"
        for name, found in inner.items()
        if not isinstance(found, Composite) or (depth > 0 and not isinstance(found, GraphQLInterfaceType))
    ]
    return "{ __typename " + " ".join(parts) + " }"


def reached() -> Iterator[tuple[str, str, str]]:
    """Every edge that a query can reach: its type, its name, and a document that asks for all that is below it."""
    assert graphql_schema.query_type is not None
    waiting: list[tuple[Composite, str]] = [(graphql_schema.query_type, "{ %s }")]
    seen: set[str] = set()
    while waiting:
        type_, around = waiting.pop(0)
        if type_.name in seen:
            continue
        seen.add(type_.name)
        if isinstance(type_, GraphQLInterfaceType):
            possible = graphql_schema.get_possible_types(type_)
            waiting.extend((one, around % f"... on {one.name} {{ %s }}") for one in possible)
        for name, field in type_.fields.items():
            inner = get_named_type(field.type)
            if isinstance(inner, Composite):
                deep, flat = (around % f"{called(name, field)} {below(inner, depth)}" for depth in (DEPTH, 1))
                yield type_.name, name, deep if len(deep.split()) < WORDS else flat
                waiting.append((inner, around % f"{called(name, field)} {{ %s }}"))


DOCUMENTS = {f"{type_}.{name}": text for type_, name, text in reached()}


@pytest.fixture(scope="module")
async def single(postgres: Postgres) -> AsyncIterator[Database]:
    """A database that one connection leads to."""
    async with postgres.new_database() as dsn:
        database = await Database.connect(dsn, size=1)
        async with database.connection() as connection:
            # asyncpg asks once for the types that it does not know by heart.
            await connection.fetchval("SELECT ARRAY[$1::uuid[], $2::uuid[]]", [], [])
        yield database
        await database.close()


@pytest.fixture(params=["admin", "reader"])
async def context(single: Database, request: pytest.FixtureRequest) -> Context:
    """An admin of the tenant, or somebody with a role on one namespace."""
    caller = await local_caller(single)
    if request.param == "reader":
        caller = Caller(caller.tenant_id, caller.actor_id, "reader", "USER", {new_id(): Role.READER})
    return Context(single, caller, "test-request")


def test_every_edge_is_reached() -> None:
    read = below_root(graphql_schema.query_type)
    edges = {f"{type_}.{name}" for type_, name in registry if type_ in read and leads_to(type_, name)}
    assert edges - DOCUMENTS.keys() == set()


def below_root(root: GraphQLObjectType | None) -> set[str]:
    """The names of all types that the fields of a root lead to, and its own."""
    assert root is not None
    found: set[str] = set()
    waiting: list[Any] = [root]
    while waiting:
        type_ = waiting.pop()
        if isinstance(type_, Composite) and type_.name not in found:
            found.add(type_.name)
            waiting += [get_named_type(field.type) for field in type_.fields.values()]
            waiting += graphql_schema.get_possible_types(type_) if isinstance(type_, GraphQLInterfaceType) else []
    return found


def leads_to(type_: str, name: str) -> Composite | None:
    """The type of objects that a field leads to, if it leads to any."""
    parent = graphql_schema.type_map[type_]
    assert isinstance(parent, Composite)
    found = get_named_type(parent.fields[name].type)
    return found if isinstance(found, Composite) else None


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_one_statement(context: Context, name: str) -> None:
    async with sent(context.database) as sent_all:
        await execute(documents.prepare(DOCUMENTS[name]), {}, context)
    statements = reads(sent_all)
    assert len(statements) == 1, statements
    assert unbound(statements[0]) == []
    if context.caller.scope is not None:
        assert scoped(statements[0]) >= expected_scopes(name), statements[0]


ROOTS = 20


async def test_many_root_fields_are_one_statement(context: Context) -> None:
    field = "models(first: 1) { nodes { name versions { totalCount } } }"
    fields = " ".join(f"f{number}: {field}" for number in range(ROOTS))
    async with sent(context.database) as statements:
        await execute(documents.prepare(f"{{ {fields} }}"), {}, context)
    assert len(statements) == 1


NOTHING_STORED = {
    "introspection": get_introspection_query(),
    "a type": '{ __type(name: "Model") { name fields { name } } }',
    "its own name": "{ __typename }",
    "what is skipped": "{ models @skip(if: true) { totalCount } }",
    "the server's version": "{ server { version } }",
}


@pytest.mark.parametrize("name", NOTHING_STORED)
async def test_no_statement(context: Context, name: str) -> None:
    async with sent(context.database) as statements:
        await execute(documents.prepare(NOTHING_STORED[name]), {}, context)
    assert statements == []


def test_type_names_do_not_part_plans() -> None:
    """Many clients add `__typename` everywhere; only what the schema says of itself depends on every value."""
    operation = documents.prepare("query ($name: String!) { model(by: {name: {name: $name}}) { __typename } }")
    one, other = (operation.query({"name": name}, restricted=False) for name in "ab")
    assert one is other


async def test_introspection_beside_data_is_one_statement(context: Context) -> None:
    async with sent(context.database) as statements:
        await execute(documents.prepare("{ __schema { queryType { name } } models { totalCount } }"), {}, context)
    assert len(statements) == 1


# --- What a statement says ---

REFERENCE = re.compile(r'(?:FROM|JOIN) "?([a-z_]+)"? (t\d+)\b')
NAMED = re.compile(r"(\w+)(?:\([a-z, ]+\))? AS (?:MATERIALIZED )?\(")
"""What a statement names itself, by `WITH`."""
UNTENANTED = {"installation", "tenant"}


def references(statement: str) -> list[tuple[str, str]]:
    """Every table that a statement reads, with its alias."""
    none = {"jsonb_each", "unnest", *NAMED.findall(statement)}
    return [(table, alias) for table, alias in REFERENCE.findall(statement) if table not in none]


def unbound(statement: str) -> list[str]:
    """Tables read without saying of which tenant, or without an alias of their own."""
    known = references(statement)
    found = [f"{table} {alias}" for table, alias in known if not re.search(rf"\b{alias}\.tenant_id = \$\d", statement)]
    named = {table for table, _ in known}
    bare = re.findall(r'(?:(?<!epoch )FROM|JOIN) "?([a-z_]+)"?(?! t\d)\b(?!\()', statement)
    return found + [table for table in bare if table not in named | UNTENANTED | set(NAMED.findall(statement))]


def test_a_table_without_its_tenant_is_found() -> None:
    assert unbound("SELECT 1 FROM model t1 WHERE t1.tenant_id = $1::uuid AND t1.id = $2::uuid") == []
    assert unbound("SELECT 1 FROM model t1 WHERE t1.id = $1 AND t11.tenant_id = $2") == ["model t1"]
    assert unbound('SELECT 1 FROM "event" JOIN series ON true') == ["event", "series"]


def scoped(statement: str) -> int:
    """How often the statement looks at the caller's scope."""
    return len(re.findall(r"\.lineage && \$\d+::uuid\[\]", statement))


def expected_scopes(name: str) -> int:
    """How often it must: once for each way into the field's document that does not start from what contains the row."""
    type_, _, field = name.partition(".")
    read = registry.get((type_, field))
    if isinstance(read, AddressRead | NodeRead | NodesRead):
        return 1
    if not isinstance(read, OneRead | ConnectionRead) or read.contained:
        return 0
    found = leads_to(type_, field)
    assert found is not None
    return int(found.name.removesuffix("Connection") not in PEOPLE)


PEOPLE = ("User", "ServiceAccount")
"""Who is in the tenant is everybody's to see."""
