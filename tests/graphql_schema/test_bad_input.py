"""What cannot be read is refused before any statement is sent: by a code, the argument's place, and a remedy."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
import pytest

from db.access import Caller, Role, local_caller
from db.engine import Database
from db.identifiers import new_id
from graphql_schema.cursor import decode, encode
from graphql_schema.errors import RequestError, RequestErrors
from graphql_schema.executor import Context, execute
from graphql_schema.operation import Operation
from graphql_schema.scalars import MAX_CURSOR
from graphql_schema.schema import documents
from tests.postgres import Postgres
from tests.statements import sent

WHOLE = "mod_" + "0" * 32
MIB = 1_048_576

NODE = "query ($id: ID!) { node(id: $id) { id } }"
NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
MODELS = """
    query ($first: Int, $last: Int, $after: Cursor, $before: Cursor, $filter: ModelFilter, $by: [ModelOrder!]) {
      models(first: $first, last: $last, after: $after, before: $before, filter: $filter, orderBy: $by) {
        pageInfo { endCursor }
      }
    }
"""
NAMED = "query ($by: ModelBy!) { model(by: $by) { id } }"


def nested(levels: int) -> dict[str, Any]:
    """A filter inside a filter."""
    found: dict[str, Any] = {"name": {"eq": "x"}}
    for _ in range(levels):
        found = {"not": found}
    return found


def cursor(*keys: Any) -> str:
    """A well-formed cursor."""
    return encode(keys)


REFUSED: Mapping[str, tuple[str, dict[str, Any], str]] = {
    "an empty id": (NODE, {"id": ""}, "id"),
    "an id without its digits": (NODE, {"id": "mod_"}, "id"),
    "an id too short": (NODE, {"id": WHOLE[:-1]}, "id"),
    "an id too long": (NODE, {"id": WHOLE + "0"}, "id"),
    "an id in capitals": (NODE, {"id": "mod_" + "A" * 32}, "id"),
    "an id in digits of another script": (NODE, {"id": WHOLE[:-1] + "\u0663"}, "id"),
    "an id with hyphens": (NODE, {"id": "mod_" + "0" * 8 + "-" + "0" * 23}, "id"),
    "an id in braces": (NODE, {"id": "mod_{" + "0" * 30 + "}"}, "id"),
    "an id of 1 MiB": (NODE, {"id": "mod_" + "0" * MIB}, "id"),
    "an id of what is no node": (NODE, {"id": "usr_" + "0" * 32}, "id"),
    "an id with NUL": (NODE, {"id": "mod_\0"}, "$id"),
    "an id of another type": (NAMED, {"by": {"id": "exp_" + "0" * 32}}, "by.id"),
    "no way to find": (NAMED, {"by": {}}, "$by"),
    "two ways to find": (NAMED, {"by": {"id": WHOLE, "name": {"name": "a"}}}, "$by"),
    "one bad id among good ones": (NODES, {"ids": [WHOLE, "x"]}, "ids"),
    "101 ids": (NODES, {"ids": [WHOLE] * 101}, "ids"),
    "no ids but null": (NODES, {"ids": [None]}, "$ids[0]"),
    "no rows": (MODELS, {"first": 0}, "first"),
    "fewer than no rows": (MODELS, {"first": -1}, "first"),
    "more than a page from the start": (MODELS, {"first": 101}, "first"),
    "more than a page from the end": (MODELS, {"last": 101}, "last"),
    "both ends": (MODELS, {"first": 1, "last": 1}, "last"),
    "a number beyond 32 bits": (MODELS, {"first": 2**31}, "$first"),
    "a number beyond all bits": (MODELS, {"first": 10**400}, "$first"),
    "a fraction of a row": (MODELS, {"first": 1.5}, "$first"),
    "a number as text": (MODELS, {"first": "1"}, "$first"),
    "truth as a number": (MODELS, {"first": True}, "$first"),
    "an empty cursor": (MODELS, {"after": ""}, "$after"),
    "a cursor with blanks": (MODELS, {"after": "a b"}, "$after"),
    "a cursor that is no base64": (MODELS, {"after": "!"}, "after"),
    "a cursor that is no JSON": (MODELS, {"after": "AAAA"}, "after"),
    "a cursor as long as cursors get": (MODELS, {"after": "W" * MAX_CURSOR}, "after"),
    "a cursor longer than any": (MODELS, {"after": "W" * (MAX_CURSOR + 1)}, "$after"),
    "a cursor of deep JSON": (MODELS, {"before": "W1tb" * 4_000}, "before"),
    "a cursor of nobody": (MODELS, {"before": cursor("0" * 8, "0" * 32)}, "before"),
    "an order that names nothing": (MODELS, {"by": [{}]}, "orderBy.0"),
    "an order that names two things": (MODELS, {"by": [{"field": "NAME", "metric": {"key": "a"}}]}, "orderBy.0"),
    "an order of too many keys": (MODELS, {"by": [{"field": "NAME"}] * 9}, "orderBy"),
    "an unknown field of an order": (MODELS, {"by": [{"field": "COLOUR"}]}, "$by[0].field"),
    "an unknown field of a filter": (MODELS, {"filter": {"colour": {"eq": "red"}}}, "$filter"),
    "a number where text belongs": (MODELS, {"filter": {"name": {"eq": 5}}}, "$filter.name.eq"),
    "text where a number belongs": (
        MODELS,
        {"filter": {"metrics": [{"key": "a", "is": {"gt": "1"}}]}},
        "$filter.metrics[0].is.gt",
    ),
    "no metric": (MODELS, {"filter": {"metrics": [{"is": {}}]}}, "$filter.metrics[0]"),
    "a moment without an offset": (
        MODELS,
        {"filter": {"createdAt": {"eq": "2026-01-01T00:00:00"}}},
        "$filter.createdAt.eq",
    ),
    "NUL in a filter": (MODELS, {"filter": {"name": {"in": ["a", "b\0"]}}}, "$filter.name.in[1]"),
    "half a character in a filter": (MODELS, {"filter": {"name": {"eq": "\ud800"}}}, "$filter.name.eq"),
    "NUL in a path": (MODELS, {"filter": {"metadata": [{"path": ["\0"]}]}}, "$filter.metadata[0].path[0]"),
    "a glob too long": (MODELS, {"filter": {"name": {"matches": "x" * 256}}}, "filter.name.matches"),
    "a glob of 1 MiB": (MODELS, {"filter": {"name": {"matches": "x" * MIB}}}, "filter.name.matches"),
    "a glob of many stars": (MODELS, {"filter": {"name": {"matches": "*a" * 11}}}, "filter.name.matches"),
    "a deep filter": (MODELS, {"filter": nested(9)}, "filter" + ".not" * 9),
    "a deeper filter": (MODELS, {"filter": nested(100)}, "filter" + ".not" * 9),
    "a wide filter": (MODELS, {"filter": {"or": [{"name": {"eq": "a"}}] * 200}}, "filter"),
    "a null condition of a directive": (
        "query ($if: Boolean = true) { models @include(if: $if) { totalCount } }",
        {"if": None},
        "$if",
    ),
    "null where a default was": (
        'query ($key: String = "a") { models(filter: {metrics: [{key: $key, is: {}}]}) { totalCount } }',
        {"key": None},
        "$key",
    ),
    "NUL in a literal": ('{ models(filter: {name: {eq: "\\u0000"}}) { totalCount } }', {}, "filter.name.eq"),
    "an unknown way to be best": (
        'query ($mode: MetricMode!) { experiments { nodes { bestCheckpoint(metric: "a", mode: $mode) { id } } } }',
        {"mode": "BEST"},
        "$mode",
    ),
}
"""The document, its variables, and the place that is named."""


MAKE = """
    mutation {
      createModel(input: {name: "m", owner: "o"}) { model { id } }
      createExperiment(input: {name: "e"}) { experiment { id } }
    }
"""
SAVE = """
    mutation ($experiment: ID!) {
      createCheckpoint(input: {experimentId: $experiment, step: 1, epoch: 0.5}) { checkpoint { id } }
    }
"""


@pytest.fixture(scope="module")
async def context(postgres: Postgres) -> AsyncIterator[Context]:
    async with postgres.new_database() as dsn:
        database = await Database.connect(dsn, size=1)
        context = Context(database, await local_caller(database), "test-request")
        made = await data_of(context, MAKE)
        await data_of(context, SAVE, experiment=made["createExperiment"]["experiment"]["id"])
        yield context
        await database.close()


async def data_of(context: Context, query: str, **variables: Any) -> Any:
    """What a document that is in order gives."""
    return orjson.loads(await execute(documents.prepare(query), variables, context))["data"]


async def refused(context: Context, query: str, variables: dict[str, Any]) -> RequestError:
    """The first error of a request that is refused before anything is asked of the database."""
    async with sent(context.database) as statements:
        with pytest.raises(RequestErrors) as caught:
            await execute(documents.prepare(query), variables, context)
    assert statements == []
    return caught.value.errors[0]


@pytest.mark.parametrize("name", REFUSED)
async def test_refused(context: Context, name: str) -> None:
    query, variables, argument = REFUSED[name]
    error = await refused(context, query, variables)
    assert error.code == "BAD_USER_INPUT"
    assert error.extensions == {"argument": argument}
    assert len(error.message) < 600
    assert orjson.dumps(error.formatted())


@pytest.mark.parametrize(
    ("literal", "code"),
    [("99999999999", "GRAPHQL_VALIDATION_FAILED"), ("1.5", "GRAPHQL_VALIDATION_FAILED"), ("-1", "BAD_USER_INPUT")],
)
async def test_refused_literals(context: Context, literal: str, code: str) -> None:
    assert (await refused(context, f"{{ models(first: {literal}) {{ totalCount }} }}", {})).code == code


async def test_half_a_character_in_a_literal(context: Context) -> None:
    query = '{ models(filter: {name: {eq: "\\uD800"}}) { totalCount } }'
    assert (await refused(context, query, {})).code == "GRAPHQL_PARSE_FAILED"


@pytest.mark.parametrize("levels", [400, 5_000])
async def test_a_filter_deeper_than_the_stack(context: Context, levels: int) -> None:
    assert (await refused(context, MODELS, {"filter": nested(levels)})).code == "BAD_USER_INPUT"


@pytest.mark.parametrize("query", ["{ namespace(by: {}) { id } }", '{ namespace(by: {path: "a", id: "b"}) { id } }'])
async def test_not_exactly_one_way(context: Context, query: str) -> None:
    assert (await refused(context, query, {})).code == "GRAPHQL_VALIDATION_FAILED"


async def test_types_that_multiply_each_other(context: Context) -> None:
    """Seven types of objects, each with events on seven types: a short query that would be 75 MB of SQL."""
    query = "id"
    for _ in range(6):
        query = f"events(first: 1) {{ nodes {{ object {{ {query} }} }} }}"
    error = await refused(context, f"{{ {query} }}", {})
    assert (error.code, error.extensions["limit"]) == ("LIMIT_EXCEEDED", "planned_fields")


# --- Cursors: well-formed, but not of this list ---

LISTS = {
    "by text": "models(first: 1, after: $after, orderBy: [{field: NAME}])",
    "by a nullable text": "models(first: 1, after: $after, orderBy: [{field: OWNER}])",
    "by moment": "models(first: 1, after: $after, orderBy: [{field: CREATED_AT}])",
    "by whole number": "checkpoints(first: 1, after: $after, orderBy: [{field: STEP}])",
    "by number": "checkpoints(first: 1, after: $after, orderBy: [{field: EPOCH}])",
    "by metric": 'models(first: 1, after: $after, orderBy: [{metric: {key: "loss"}}])',
    "newest first": "models(first: 1, after: $after)",
}
UNFIT: list[Any] = [
    *(None, True, False, {}, [], [None], {"a": 1}, "", "x", "\0", "\ud7ff", "1", "NaN", "2026-01-01", "infinity"),
    *("2026-01-01T00:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "now", "0" * 32, "0" * 31),
    *(0, -1, 1.5, 2**63, -(2**63) - 1, 10**30, 1e308, -0.0),
]


def asking(text: str) -> str:
    return f"query ($after: Cursor) {{ {text} {{ pageInfo {{ endCursor }} }} }}"


def written(*keys: Any) -> str:
    """A cursor as a caller might forge it; unlike the server's, of numbers beyond 64 bits too."""
    return base64.urlsafe_b64encode(json.dumps(keys).encode()).decode().rstrip("=")


async def is_taken_well(context: Context, operation: Operation, forged: str) -> bool:
    """The cursor is refused as one, or nothing is wrong with it."""
    try:
        await execute(operation, {"after": forged}, context)
    except RequestErrors as error:
        return error.errors[0].extensions == {"argument": "after"}
    return True


@pytest.mark.parametrize("name", LISTS)
async def test_cursors_with_unfit_values(context: Context, name: str) -> None:
    """Whatever a signed cursor holds, nothing of it reaches PostgreSQL that it would not take."""
    operation = documents.prepare(asking(LISTS[name]))
    (page,) = (await data_of(context, asking(LISTS[name]))).values()
    sign, *keys = decode(page["pageInfo"]["endCursor"])
    for last in (keys[-1], *UNFIT):
        forged = [[last]] if len(keys) == 1 else [[first, last] for first in UNFIT]
        wrong = [values for values in forged if not await is_taken_well(context, operation, written(sign, *values))]
        assert wrong == []


@pytest.mark.parametrize("name", LISTS)
async def test_cursors_of_other_lists(context: Context, name: str) -> None:
    data = await data_of(context, asking("namespaces(first: 1, after: $after)"))
    foreign = data["namespaces"]["pageInfo"]["endCursor"]
    assert (await refused(context, asking(LISTS[name]), {"after": foreign})).extensions == {"argument": "after"}


# --- What is not refused ---


@pytest.mark.parametrize("path", ["", "/", "nowhere", "a/", "default/", "x" * MIB, "default\n", "DEFAULT", "%"])
async def test_an_unknown_namespace_is_empty(context: Context, path: str) -> None:
    """And looks like one that is not the caller's."""
    query = """
        query ($path: String!) {
          namespace(by: {path: $path}) { id }
          models(namespace: $path) { nodes { id } }
          model(by: {name: {name: "m", namespace: $path}}) { id }
        }
    """
    assert await data_of(context, query, path=path) == {"namespace": None, "models": {"nodes": []}, "model": None}


async def test_what_is_not_yours_looks_like_what_is_not_there(context: Context) -> None:
    query = """
        query ($path: String!) {
          namespace(by: {path: $path}) { id }
          models(namespace: $path) { totalCount pageInfo { hasNextPage endCursor } nodes { id } }
          namespaces { totalCount nodes { id } }
        }
    """
    caller = context.caller
    stranger = Caller(caller.tenant_id, caller.actor_id, "stranger", "USER", {new_id(): Role.READER})
    theirs = Context(context.database, stranger, "test-request")
    answers = [await execute(documents.prepare(query), {"path": path}, theirs) for path in ("default", "nowhere")]
    assert answers[0] == answers[1]


async def test_long_words_find_nothing(context: Context) -> None:
    word = "x" * MIB
    text = {"eq": word, "startsWith": word, "contains": word, "in": [word] * 3}
    data = await data_of(context, MODELS, filter={"name": text})
    assert data["models"]["pageInfo"]["endCursor"] is None
