"""Points arrive, all 64 bits of them, and the figures of their series with them."""

from __future__ import annotations

import base64
import math
import struct
from typing import Any

import pytest

from graphql_schema.errors import RequestErrors
from tests.graph import Callers, Graph

CREATE = """
    mutation ($input: CreateModelInput!) { createModel(input: $input) { model { id } userErrors { message } } }
"""
DELETE = "mutation ($id: ID!) { deleteModel(input: {id: $id}) { userErrors { message } } }"
LOG = """
    mutation ($input: LogMetricsInput!) {
      logMetrics(input: $input) {
        pointCount
        object { id revision updatedAt }
        series {
          key kind count nonFiniteCount first last min minStep max maxStep mean firstStep lastStep firstAt lastAt
        }
        userErrors { code path message }
      }
    }
"""
POINTS = """
    query ($id: ID!, $key: String!, $first: Int = 100, $after: Cursor) {
      node(id: $id) {
        ... on Entity {
          metric(key: $key) {
            count
            points(first: $first, after: $after) {
              nodes { position step wallTime value string bytes }
              pageInfo { endCursor hasNextPage }
            }
          }
        }
      }
    }
"""
HISTORY = "query ($id: ID!) { node(id: $id) { ... on Entity { revision updatedAt auditEvents { nodes { action } } } } }"


async def a_model(graph: Graph, **values: Any) -> str:
    made = await graph.change(CREATE, input={"name": "digits", **values})
    return str(made["model"]["id"])


async def logged(graph: Graph, id_: str, *points: dict[str, Any], **values: Any) -> dict[str, Any]:
    return await graph.change(LOG, input={"objectId": id_, "points": list(points), **values})


async def read(graph: Graph, id_: str, key: str, **page: Any) -> dict[str, Any]:
    series: dict[str, Any] = (await graph(POINTS, id=id_, key=key, **page))["node"]["metric"]
    return series


def double(value: Any) -> bytes:
    """The bits of a MetricValue."""
    return struct.pack(">d", float(value))


async def test_step_and_wall_time_are_both_optional_and_both_kept(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    await logged(
        graphql,
        id_,
        {"key": "loss", "value": 1},
        {"key": "loss", "step": 7, "value": 2},
        {"key": "loss", "wallTime": "2026-03-01T13:00:00.5+01:00", "value": 3},
        {"key": "loss", "step": -2, "wallTime": "2026-03-01T11:59:59Z", "value": 4},
    )
    nodes = (await read(graphql, id_, "loss"))["points"]["nodes"]
    assert [(node["position"], node["step"], node["wallTime"]) for node in nodes] == [
        (0, None, None),
        (1, 7, None),
        (2, None, "2026-03-01T12:00:00.500000Z"),
        (3, -2, "2026-03-01T11:59:59.000000Z"),
    ]


BITS = [
    math.nan,
    math.inf,
    -math.inf,
    -0.0,
    0.0,
    5e-324,
    -5e-324,
    2.2250738585072009e-308,
    1.7976931348623157e308,
    0.1,
    1 / 3,
    float(2**53 + 2),
    -123456789.123456789,
]


@pytest.mark.parametrize("value", BITS)
async def test_values_keep_all_64_bits(graphql: Graph, value: float) -> None:
    sent = value if math.isfinite(value) else {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    id_ = await a_model(graphql)
    (series,) = (await logged(graphql, id_, {"key": "x", "step": 1, "value": sent}))["series"]
    (point,) = (await read(graphql, id_, "x"))["points"]["nodes"]
    assert double(point["value"]) == double(series["first"]) == double(series["last"]) == double(value)
    if math.isfinite(value):
        assert {double(series[figure]) for figure in ("min", "max", "mean")} <= {double(value), double(abs(value))}
        assert double(series["min"]) == double(series["max"]) == double(value)
        assert series["nonFiniteCount"] == 0
    else:
        assert point["value"] == sent
        assert (series["min"], series["max"], series["mean"], series["nonFiniteCount"]) == (None, None, None, 1)


async def test_figures_follow_the_points(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    await logged(graphql, id_, {"key": "a", "step": 5, "value": 4}, {"key": "a", "step": 3, "value": "NaN"})
    (series,) = (
        await logged(
            graphql,
            id_,
            {"key": "a", "step": 5, "value": 1, "wallTime": "2026-03-01T12:00:00Z"},
            {"key": "a", "value": 10},
            {"key": "a", "step": 4, "value": 10},
        )
    )["series"]
    assert series == {
        "key": "a",
        "kind": "FLOAT",
        "count": 5,
        "nonFiniteCount": 1,
        "first": "NaN",
        "last": 1,
        "min": 1,
        "minStep": 5,
        "max": 10,
        "maxStep": None,
        "mean": 6.25,
        "firstStep": 3,
        "lastStep": 5,
        "firstAt": "2026-03-01T12:00:00.000000Z",
        "lastAt": "2026-03-01T12:00:00.000000Z",
    }


async def test_strings_and_bytes_are_series_too(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    binary = base64.b64encode(bytes(range(256))).decode()
    answer = await logged(
        graphql,
        id_,
        {"key": "text", "step": 1, "string": "ünï\n\t\"'\\ 💡"},
        {"key": "blob", "bytes": binary},
        {"key": "text", "step": 2, "string": ""},
        {"key": "blob", "bytes": ""},
    )
    assert [(s["key"], s["kind"], s["count"], s["last"], s["lastStep"]) for s in answer["series"]] == [
        ("blob", "BYTES", 2, None, None),
        ("text", "STRING", 2, None, 2),
    ]
    texts = (await read(graphql, id_, "text"))["points"]["nodes"]
    assert [point["string"] for point in texts] == ["ünï\n\t\"'\\ 💡", ""]
    assert [point["value"] for point in texts] == [None, None]
    blobs = (await read(graphql, id_, "blob"))["points"]["nodes"]
    assert [point["bytes"] for point in blobs] == [binary, ""]


async def test_points_are_paged_in_order_of_arrival(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    await logged(graphql, id_, *({"key": "k", "step": -n % 7, "value": n} for n in range(120)))
    await logged(graphql, id_, *({"key": "k", "step": 0, "value": n} for n in range(120, 130)))
    seen: list[tuple[int, int]] = []
    page: dict[str, Any] = {"endCursor": None, "hasNextPage": True}
    while page["hasNextPage"]:
        points = (await read(graphql, id_, "k", first=50, after=page["endCursor"]))["points"]
        seen += [(node["position"], node["value"]) for node in points["nodes"]]
        page = points["pageInfo"]
    assert seen == [(n, n) for n in range(130)]


async def test_points_change_no_revision_and_leave_no_audit_record(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    before = (await graphql(HISTORY, id=id_))["node"]
    await logged(graphql, id_, {"key": "k", "value": 1})
    assert (await graphql(HISTORY, id=id_))["node"] == before
    assert [event["action"] for event in before["auditEvents"]["nodes"]] == ["CREATE"]


async def test_a_retry_with_its_key_stores_nothing_twice(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    for _ in range(3):
        answer = await logged(graphql, id_, {"key": "k", "value": 1}, idempotencyKey="batch-1")
        assert (answer["pointCount"], answer["series"][0]["count"]) == (1, 1)
    changed = {"objectId": id_, "points": [{"key": "k", "value": 2}], "idempotencyKey": "batch-1"}
    assert (await graphql.refused(LOG, input=changed))["code"] == "CONFLICT"
    assert (await logged(graphql, id_, {"key": "k", "value": 1}))["series"][0]["count"] == 2


async def test_no_points_are_no_error(graphql: Graph) -> None:
    answer = await logged(graphql, await a_model(graphql))
    assert (answer["pointCount"], answer["series"]) == (0, [])


BAD_POINTS: list[tuple[dict[str, Any], str]] = [
    ({"key": "k"}, "value"),
    ({"key": "k", "value": None, "string": None}, "value"),
    ({"key": "k", "value": 1, "string": "x"}, "value"),
    ({"key": "k", "value": 1, "string": "x", "bytes": "AAE="}, "value"),
    ({"key": "floats", "string": "x"}, "string"),
    ({"key": "floats", "bytes": "AAE="}, "bytes"),
    ({"key": "new", "string": "x"}, "string"),
    ({"key": "stored", "value": 1}, "value"),
    ({"key": "", "value": 1}, "key"),
    ({"key": " k", "value": 1}, "key"),
    ({"key": "k\n", "value": 1}, "key"),
    ({"key": "a\tb", "value": 1}, "key"),
    ({"key": "a\x7fb", "value": 1}, "key"),
    ({"key": "a\u2028b", "value": 1}, "key"),
    ({"key": "k" * 1001, "value": 1}, "key"),
    ({"key": "ü" * 501, "value": 1}, "key"),
    ({"key": "k" * 1_048_576, "value": 1}, "key"),
    ({"key": "s", "string": "x" * 1_048_577}, "string"),
]


@pytest.mark.parametrize(("bad", "field"), BAD_POINTS, ids=[f"{f}-{n}" for n, (_, f) in enumerate(BAD_POINTS)])
async def test_a_bad_point_is_named_by_its_index_and_none_is_stored(
    graphql: Graph, bad: dict[str, Any], field: str
) -> None:
    id_ = await a_model(graphql)
    await logged(graphql, id_, {"key": "stored", "string": "x"})
    good = [{"key": "floats", "value": 1}, {"key": "new", "value": 1}]
    refusal = await graphql.refused(LOG, input={"objectId": id_, "points": [*good, bad, *good]})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "points", "2", field])
    assert await read(graphql, id_, "floats") is None


@pytest.mark.parametrize("key", ["a/b//c", "k" * 1000, "ü" * 500, "a b", "%", "'; --", "💡", "e\u0301", "..", "a:b@c"])
async def test_keys_are_compared_exactly(graphql: Graph, key: str) -> None:
    id_ = await a_model(graphql)
    answer = await logged(graphql, id_, {"key": key, "value": 1}, {"key": "x" + key[1:], "value": 2})
    assert {series["key"] for series in answer["series"]} == {key, "x" + key[1:]}
    assert (await read(graphql, id_, key))["count"] == 1


async def test_a_call_has_bounds(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    many = [{"key": f"k{n % 1000}", "value": n} for n in range(10_000)]
    answer = await logged(graphql, id_, *many)
    assert answer["pointCount"] == 10_000
    assert [series["count"] for series in answer["series"]] == [10] * 1000
    for points in ([*many, {"key": "k0", "value": 1}], [{"key": f"k{n}", "value": n} for n in range(1001)]):
        refusal = await graphql.refused(LOG, input={"objectId": id_, "points": points})
        assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "points"])


@pytest.mark.parametrize(
    "point",
    [
        {"key": "a\0b", "value": 1},
        {"key": "a\ud800", "value": 1},
        {"key": "a", "string": "\0"},
        {"key": "a", "bytes": "AAE"},
        {"key": "a", "value": "nan"},
        {"key": "a", "value": 1e400},
        {"key": "a", "step": 2**53, "value": 1},
        {"key": "a", "step": 1.5, "value": 1},
        {"key": "a", "wallTime": "2026-03-01", "value": 1},
        {"value": 1},
    ],
)
async def test_what_no_point_can_be_is_refused_before_anything_is_done(graphql: Graph, point: dict[str, Any]) -> None:
    id_ = await a_model(graphql)
    with pytest.raises(RequestErrors) as refused:
        await graphql(LOG, input={"objectId": id_, "points": [{"key": "a", "value": 1}, point]})
    assert refused.value.errors[0].code == "BAD_USER_INPUT"
    assert await read(graphql, id_, "a") is None


async def test_who_may_log(graphql: Graph, caller_with: Callers) -> None:
    id_ = await a_model(graphql, namespace="vision")
    bad = {"objectId": id_, "points": [{"key": "k", "value": 1}]}
    reader = await caller_with("READER", "vision")
    refusal = await graphql.by(reader).refused(LOG, input=bad)
    assert (refusal["code"], refusal["path"]) == ("FORBIDDEN", ["input", "objectId"])
    stranger = await caller_with("ADMIN", "audio")
    assert (await graphql.by(stranger).refused(LOG, input=bad))["code"] == "NOT_FOUND"
    writer = await caller_with("WRITER", "vision")
    assert (await logged(graphql.by(writer), id_, {"key": "k", "value": 1}))["pointCount"] == 1


async def test_a_deleted_object_takes_no_points(graphql: Graph) -> None:
    id_ = await a_model(graphql)
    await graphql.change(DELETE, id=id_)
    refusal = await graphql.refused(LOG, input={"objectId": id_, "points": [{"key": "k", "value": 1}]})
    assert (refusal["code"], refusal["path"]) == ("NOT_FOUND", ["input", "objectId"])


@pytest.mark.parametrize("id_", ["", "mod_", "aud_" + "0" * 32, "art_" + "0" * 32, "mod_" + "g" * 32, "0" * 32])
async def test_what_is_no_entity_has_no_metrics(graphql: Graph, id_: str) -> None:
    refusal = await graphql.refused(LOG, input={"objectId": id_, "points": []})
    assert (refusal["code"], refusal["path"]) == ("INVALID", ["input", "objectId"])
