"""Variables decoded by their types are what the library makes of them, or are left to it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import orjson
import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    get_nullable_type,
)
from hypothesis import given
from hypothesis import strategies as st

from db.metrics.batch import Point, Table, batches, digest
from db.metrics.point_rows import moment
from graphql_schema.errors import RequestErrors
from graphql_schema.input_size import MAX_ITEMS
from graphql_schema.mutation import Prepared
from graphql_schema.operation import Operation
from graphql_schema.schema import documents, graphql_schema
from graphql_schema.typed_variables import Unread, lane_of

ROOT = graphql_schema.mutation_type
assert ROOT is not None
NAMES = sorted(ROOT.fields)
ID = "exp_" + "0" * 32
LOG = "mutation ($input: LogMetricsInput!) { logMetrics(input: $input) { pointCount } }"

odd: st.SearchStrategy[Any] = st.sampled_from(
    [
        None, True, 0, -1, 1.5, -0.0, 2**31, 2**53, -(2**53), 2**64, 10**30, 10**400, "", "NaN", "Infinity", "nan",
        "0.5", "x\0y", "\ud800", "😀", "2026-03-01 12:00:00Z", "2026-03-01T12:00:00.1234567Z", "AAE", [], {}, [None],
        [[]], {"x": 1}, "2026-03-01T23:59:60Z", "2026-02-30T12:00:00.000000Z", "2026-W01-1T12:00:00.000000Z",
    ]
)  # fmt: skip
leaf = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
column = st.lists(leaf | st.text(max_size=3) | st.just("NaN"), max_size=3)
group = st.dictionaries(st.sampled_from(["a", "b"]), column, max_size=2)
table = st.fixed_dictionaries(
    {},
    optional={"steps": st.lists(leaf, max_size=3), "wallTimes": st.none(), "values": group, "strings": group},
)
wholes = st.integers(-(2**53) + 1, 2**53 - 1)
moments = st.datetimes().map(lambda time: time.isoformat() + "Z")
LEAVES: dict[str, st.SearchStrategy[Any]] = {
    "ID": st.just(ID),
    "String": st.text(max_size=5),
    "Boolean": st.booleans(),
    "Int": st.integers(-(2**31), 2**31 - 1),
    "SafeInt": wholes,
    "MetricValue": wholes | st.floats(allow_nan=False, allow_infinity=False) | st.just("-Infinity"),
    "DateTime": moments | st.sampled_from(["2026-03-01T12:00:00.500000Z", "2026-03-01t12:00:00+01:00"]),
    "Digest": st.just("sha256:" + "0" * 64),
    "Base64": st.just("AAE="),
    "JSON": st.recursive(leaf, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner)),
    "MetricTable": table,
}


def valid(type_: Any) -> st.SearchStrategy[Any]:
    """Values of a type, as JSON holds them; one in a hundred is anything."""
    nullable = get_nullable_type(type_)
    if isinstance(nullable, GraphQLList):
        values: st.SearchStrategy[Any] = st.lists(valid(nullable.of_type), max_size=3)
    elif isinstance(nullable, GraphQLInputObjectType):
        values = inputs(nullable)
    elif isinstance(nullable, GraphQLEnumType):
        values = st.sampled_from(sorted(nullable.values))
    else:
        values = LEAVES[nullable.name]
    return values if isinstance(type_, GraphQLNonNull) else st.none() | values


def inputs(type_: GraphQLInputObjectType) -> st.SearchStrategy[Any]:
    def is_required(field: GraphQLInputField) -> bool:
        return isinstance(field.type, GraphQLNonNull)

    fields = {name: valid(field.type) for name, field in type_.fields.items()}
    required = {name: found for name, found in fields.items() if is_required(type_.fields[name])}
    rest = {name: found for name, found in fields.items() if name not in required}
    return st.fixed_dictionaries(required, optional=rest)


@st.composite
def spoiled(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> Any:
    """A value with one place in it that holds something odd, or one name too many."""
    value = draw(values)
    place: Any = {"input": value}
    key: Any = "input"
    while isinstance(place[key], dict | list) and place[key] and draw(st.integers(0, 3)):
        place, key = place[key], draw(st.sampled_from(sorted(keys(place[key]))))
    if isinstance(place, dict) and draw(st.booleans()):
        key = draw(st.sampled_from([key, "unknown", "", "__proto__"]))
    place[key] = draw(odd)
    return place["input"] if place is not value and "input" in place else value


def keys(value: Any) -> Any:
    return value.keys() if isinstance(value, dict) else range(len(value))


def operation_of(name: str) -> Operation:
    type_ = ROOT.fields[name].args["input"].type  # type: ignore[union-attr]
    return documents.prepare(f"mutation ($input: {type_}) {{ {name}(input: $input) {{ userErrors {{ code }} }} }}")


def arguments(operation: Operation, values: Any) -> Any:
    """What the verb gets, in a form that can be compared."""
    [prepared] = operation.mutations(values, restricted=False)
    assert isinstance(prepared, Prepared)
    return prepared.call(values).arguments


def comparable(value: Any) -> Any:
    """Structs as mappings; numbers in tables, of which one way makes floats, as such."""
    if isinstance(value, Table):
        given = msgspec.structs.asdict(value)
        return {**given, "values": {key: [number(c) for c in cells] for key, cells in (value.values or {}).items()}}
    if isinstance(value, Point):
        value = {**msgspec.structs.asdict(value), "wall_time": moment(value.wall_time)}
    if isinstance(value, msgspec.Struct):
        return {name: comparable(each) for name, each in msgspec.structs.asdict(value).items()}
    if isinstance(value, dict):
        return {name: comparable(each) for name, each in value.items()}
    return [comparable(each) for each in value] if isinstance(value, list) else value


def number(cell: Any) -> Any:
    return float(cell) if type(cell) is int else cell


def outcome(operation: Operation, variables: Any) -> str:
    """The verb's arguments, or why the request is refused."""
    try:
        return repr(comparable(arguments(operation, operation.coerced(variables))))
    except RequestErrors as refused:
        return repr([error.formatted() for error in refused.errors])


def unread(text: str) -> Unread:
    data = text.encode("utf-8", "surrogatepass")
    return Unread(data, lambda: json.loads(data.decode("utf-8", "surrogatepass")))


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_both_ways_give_the_same_arguments_or_the_same_refusal(name: str, data: st.DataObject) -> None:
    operation = operation_of(name)
    values = valid(ROOT.fields[name].args["input"].type)  # type: ignore[union-attr]
    variables = {"input": data.draw(values | spoiled(values))}
    text = json.dumps(variables, ensure_ascii=data.draw(st.booleans()))
    assert outcome(operation, unread(text)) == outcome(operation, json.loads(text))


@pytest.mark.parametrize("name", NAMES)
def test_every_mutation_has_the_short_way(name: str) -> None:
    operation = operation_of(name)
    assert lane_of(graphql_schema, operation.definition) is not None


def decoded(query: str, text: str) -> dict[str, Any] | None:
    lane = lane_of(graphql_schema, documents.prepare(query).definition)
    assert lane is not None
    return lane.decode(unread(text))


def test_a_thousand_points_need_no_library() -> None:
    sent = [{"key": "k", "step": n, "value": n / 7, "wallTime": "2026-03-01T12:00:00.5Z"} for n in range(1_000)]
    values = decoded(LOG, json.dumps({"input": {"objectId": ID, "points": sent}}))
    assert values is not None
    points = values["input"].points
    assert isinstance(points[0], Point)
    assert [(point.step, point.value) for point in points] == [(n, n / 7) for n in range(1_000)]


def test_columns_are_the_same_arrays_by_both_ways() -> None:
    columns = {"steps": [1, None], "values": {"a": [1, "NaN"], "b": [None, 2**70]}, "bytes": {"c": ["AAE=", None]}}
    text = json.dumps({"input": {"objectId": ID, "columns": columns}})
    operation = documents.prepare(LOG)
    assert decoded(LOG, text) is not None
    found = [batches(arguments(operation, operation.coerced(given))) for given in (unread(text), json.loads(text))]
    assert digest(found[0]) == digest(found[1])


def test_many_times_are_the_same_by_both_ways() -> None:
    times = [f"2026-03-01T12:00:{n % 60:02}.{n:06}+00:00" for n in range(100)]
    sent = [{"key": f"k{n % 3}", "wallTime": time, "value": n} for n, time in enumerate(times)]
    text = json.dumps({"input": {"objectId": ID, "points": [*sent, {"key": "k1", "value": 0.5}]}})
    operation = documents.prepare(LOG)
    found = [batches(arguments(operation, operation.coerced(given))) for given in (unread(text), json.loads(text))]
    assert digest(found[0]) == digest(found[1])


QUERIES = [
    ("query ($id: ID!, $first: Int = 3) { node(id: $id) { id } models(first: $first) { nodes { id } } }", {"id": ID}),
    ("query ($id: ID!, $first: Int = 3) { node(id: $id) { id } models(first: $first) { nodes { id } } }", {"first": 1}),
    ("query ($id: ID!, $first: Int = 3) { node(id: $id) { id } models(first: $first) { nodes { id } } }",
     {"id": ID, "first": None, "more": "\0"}),
    ("query ($n: String) { models(namespace: $n) { nodes { id } } }", {}),
    ("query ($n: String) { models(namespace: $n) { nodes { id } } }", {"n": None}),
    ("query ($n: String) { models(namespace: $n) { nodes { id } } }", {"n": 7}),
    ("query ($f: ModelFilter) { models(filter: $f) { nodes { id } } }", {"f": {"name": {"eq": "x"}}}),
    ("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": [ID, ID]}),
    ("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ID}),
    ("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": [ID] * (MAX_ITEMS + 1)}),
    ("{ __typename }", {"unused": 1}),
    ("{ __typename }", {"unused": "\0"}),
]  # fmt: skip


@pytest.mark.parametrize(("query", "variables"), QUERIES, ids=range(len(QUERIES)))
def test_the_variables_of_queries(query: str, variables: dict[str, Any]) -> None:
    operation = documents.prepare(query)

    def values(given: Any) -> str:
        try:
            return repr(operation.coerced(given))
        except RequestErrors as refused:
            return repr([error.formatted() for error in refused.errors])

    assert values(unread(json.dumps(variables))) == values(variables)


@pytest.mark.parametrize("items", [MAX_ITEMS - 1, MAX_ITEMS, MAX_ITEMS + 1])
def test_too_many_items_are_refused_by_both_ways(items: int) -> None:
    sent = {"points": [{"key": "k", "value": 1}] * (items - 2), "batches": [{"objectId": ID, "points": None}]}
    text = orjson.dumps({"input": sent}).decode()
    operation = documents.prepare(LOG)
    for variables in (unread(text), json.loads(text)):
        if items <= MAX_ITEMS:
            assert operation.coerced(variables)
            continue
        with pytest.raises(RequestErrors) as refused:
            operation.coerced(variables)
        assert refused.value.errors[0].code == "LIMIT_EXCEEDED"
