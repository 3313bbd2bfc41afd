"""What each scalar takes, gives back and refuses, through a schema and over JSON."""

from __future__ import annotations

import json
import math
import struct
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import strawberry
from graphql import GraphQLError, GraphQLScalarType, parse_value
from hypothesis import given
from hypothesis import strategies as st
from strawberry.schema.config import StrawberryConfig

from graphql_schema import scalars
from graphql_schema.json_value import MAX_JSON_BYTES, check_json


@strawberry.type
class Query:
    @strawberry.field
    def metric(self, value: scalars.MetricValue) -> scalars.MetricValue:
        assert isinstance(value, float)
        return value

    @strawberry.field
    def step(self, value: scalars.SafeInt) -> scalars.SafeInt:
        return value

    @strawberry.field
    def at(self, value: scalars.DateTime) -> datetime:
        assert value.tzinfo is UTC
        return value

    @strawberry.field
    def meta(self, value: scalars.JSON | None = None) -> scalars.JSON | None:
        return value

    @strawberry.field
    def digest(self, value: scalars.Digest) -> scalars.Digest:
        return value

    @strawberry.field
    def data(self, value: scalars.Base64) -> scalars.Base64:
        assert isinstance(value, bytes)
        return value

    @strawberry.field
    def page(self, after: scalars.Cursor) -> scalars.Cursor:
        return after


SCHEMA = strawberry.Schema(Query, config=StrawberryConfig(scalar_map=scalars.SCALARS))
FIELDS = {
    "MetricValue": "metric(value: ",
    "SafeInt": "step(value: ",
    "DateTime": "at(value: ",
    "JSON": "meta(value: ",
    "Digest": "digest(value: ",
    "Base64": "data(value: ",
    "Cursor": "page(after: ",
}


def run(query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
    """The data, after a round trip through strict JSON in both directions."""
    sent = json.loads(json.dumps(variables or {}))
    result = SCHEMA.execute_sync(query, variable_values=sent)
    if result.errors:
        raise result.errors[0]
    data = json.loads(json.dumps(result.data, allow_nan=False))
    assert isinstance(data, dict)
    return data


def by_variable(scalar: str, value: object) -> object:
    query = f"query ($v: {scalar}!) {{ out: {FIELDS[scalar]}$v) }}"
    return run(query, {"v": value})["out"]


def by_literal(scalar: str, literal: str) -> object:
    return run(f"{{ out: {FIELDS[scalar]}{literal}) }}")["out"]


def bits(value: object) -> bytes:
    assert isinstance(value, int | float)
    return struct.pack("<d", value)


@pytest.mark.parametrize("value", [0.0, -0.0, 1, -7, 0.1, 5e-324, -1.7976931348623157e308, 2**53 + 2])
def test_metric_values_keep_all_bits(value: float) -> None:
    assert bits(by_variable("MetricValue", value)) == bits(value)
    assert bits(by_literal("MetricValue", repr(value))) == bits(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_finite_metric_value_round_trips(value: float) -> None:
    assert bits(by_variable("MetricValue", value)) == bits(value)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_a_diverged_loss_can_be_sent_and_shown(value: str) -> None:
    assert by_variable("MetricValue", value) == value
    assert by_literal("MetricValue", f'"{value}"') == value


def test_negative_zero_as_a_whole_literal_stays_negative() -> None:
    assert bits(by_literal("MetricValue", "-0")) == bits(-0.0)


@pytest.mark.parametrize("value", ["nan", "inf", "1", "", "+Infinity", True, [1], {"a": 1}, 10**400])
def test_other_metric_values_are_refused(value: object) -> None:
    with pytest.raises(GraphQLError, match=r"'\$v'.*MetricValue cannot represent .*\. \w+"):
        by_variable("MetricValue", value)


@pytest.mark.parametrize("literal", ["NaN", "1e400", "9" * 400, "9" * 5000, "true", '"1.0"', "[1]"])
def test_other_metric_literals_are_refused(literal: str) -> None:
    with pytest.raises(GraphQLError, match="MetricValue"):
        by_literal("MetricValue", literal)


@pytest.mark.parametrize("value", [0, -1, 2**31, 2**53 - 1, -(2**53) + 1])
def test_safe_integers_stay_whole(value: int) -> None:
    assert by_variable("SafeInt", value) == value
    assert by_literal("SafeInt", str(value)) == value


@pytest.mark.parametrize("value", [2**53, -(2**53), 10**400, 1.0, 0.5, "1", True, [1]])
def test_other_safe_integers_are_refused(value: object) -> None:
    with pytest.raises(GraphQLError, match=r"'\$v'.*SafeInt cannot represent"):
        by_variable("SafeInt", value)


@pytest.mark.parametrize("literal", ["9007199254740992", "9" * 5000, "1.0", "true", '"1"', "one"])
def test_other_safe_integer_literals_are_refused(literal: str) -> None:
    with pytest.raises(GraphQLError, match="SafeInt cannot represent"):
        by_literal("SafeInt", literal)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00.000000Z"),
        ("2026-03-01t12:00:00.5z", "2026-03-01T12:00:00.500000Z"),
        ("2026-03-01T00:30:00.123456+01:00", "2026-02-28T23:30:00.123456Z"),
        ("2026-03-01T12:00:00.123456000-00:00", "2026-03-01T12:00:00.123456Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ("2024-02-29T00:00:00-23:59", "2024-02-29T23:59:00.000000Z"),
    ],
)
def test_times_are_whole_and_in_utc(sent: str, kept: str) -> None:
    assert by_variable("DateTime", sent) == kept
    assert by_literal("DateTime", f'"{sent}"') == kept
    assert by_variable("DateTime", kept) == kept


@given(st.datetimes(timezones=st.just(UTC)), st.integers(-14 * 60, 14 * 60))
def test_any_time_round_trips(moment: datetime, offset: int) -> None:
    kept = scalars.serialize_date_time(moment)
    assert scalars.parse_date_time(kept) == moment
    try:
        shifted = moment.astimezone(timezone(timedelta(minutes=offset)))
    except OverflowError:
        return
    assert scalars.serialize_date_time(shifted) == kept


@pytest.mark.parametrize(
    ("value", "because"),
    [
        ("2026-03-01T12:00:00", "offset"),
        ("2026-03-01", "RFC 3339"),
        ("2026-03-01 12:00:00Z", "RFC 3339"),
        ("2026-W09-7T12:00:00Z", "RFC 3339"),
        ("\uff12026-03-01T12:00:00Z", "RFC 3339"),
        ("2026-03-01T12:00:00Z\n", "RFC 3339"),
        ("2026-03-01T12:00:00.1234567Z", "microseconds"),
        ("2016-12-31T23:59:60Z", "Leap seconds"),
        ("2026-02-29T12:00:00Z", "0001 to 9999"),
        ("2026-03-01T24:00:00Z", "0001 to 9999"),
        ("2026-03-01T12:00:00+24:00", "0001 to 9999"),
        ("0000-01-01T00:00:00Z", "0001 to 9999"),
        ("0001-01-01T00:00:00+14:00", "0001 to 9999"),
        ("9999-12-31T23:59:59-01:00", "0001 to 9999"),
        ("x" * 1_048_576, "RFC 3339"),
        (1_700_000_000, "RFC 3339"),
    ],
)
def test_other_times_are_refused_with_the_reason(value: object, because: str) -> None:
    with pytest.raises(GraphQLError, match=because) as caught:
        by_variable("DateTime", value)
    assert len(caught.value.message) < 300


def test_a_time_without_zone_is_our_bug_and_not_guessed() -> None:
    with pytest.raises(GraphQLError, match="aware"):
        scalars.serialize_date_time(datetime(2026, 3, 1))  # noqa: DTZ001


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("aé/ \\u0"), inner),
    max_leaves=20,
)


@given(JSON_VALUES.filter(lambda value: value is not None))
def test_any_json_comes_back(value: object) -> None:
    assert by_variable("JSON", value) == value


def test_json_literals_take_variables_anywhere() -> None:
    query = """
    query ($name: String!, $lr: MetricValue, $tags: [String!], $more: JSON, $absent: String) {
      meta(value: {name: $name, lr: [1, $lr, -0.5, $absent], t: {tags: $tags}, m: $more, a: $absent, n: null,
                   b: true, s: "x"})
    }
    """
    variables = {"name": "adam", "lr": 0.1, "tags": ["a", "b"], "more": {"deep": [1]}}
    assert run(query, variables)["meta"] == {
        "name": "adam",
        "lr": [1, 0.1, -0.5, None],
        "t": {"tags": ["a", "b"]},
        "m": {"deep": [1]},
        "n": None,
        "b": True,
        "s": "x",
    }


def test_a_variable_that_is_no_json_is_refused_in_a_literal() -> None:
    query = "query ($at: DateTime!) { meta(value: {at: $at}) }"
    with pytest.raises(GraphQLError, match="contains a datetime"):
        run(query, {"at": "2026-03-01T12:00:00Z"})


@pytest.mark.parametrize(
    ("value", "because"),
    [
        ({"a": ["b\0"]}, "NUL"),
        ({"a\0": 1}, "NUL"),
        (["\ud800"], "lone surrogate"),
        ({"\udfff": 1}, "lone surrogate"),
        ([2**63], "beyond 64 bits"),
        ([-(2**63) - 1], "beyond 64 bits"),
        ([10**5000], "beyond 64 bits"),
        ([math.nan], "contains nan"),
        ({"a": -math.inf}, "contains -inf"),
        (["x" * MAX_JSON_BYTES], "1 MiB"),
        ([0] * (MAX_JSON_BYTES // 2 + 1), "1 MiB"),
        ({"a": b"bytes"}, "contains a bytes"),
        ({1: 2}, "has the key 1"),
    ],
)
def test_json_that_cannot_be_kept_is_refused(value: object, because: str) -> None:
    with pytest.raises(GraphQLError, match=because):
        check_json(value)


def test_text_that_looks_like_an_escape_is_kept() -> None:
    assert check_json(["\\u0000", "\\\\u0000"]) == ["\\u0000", "\\\\u0000"]


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_the_depth_of_json_has_a_limit_and_costs_no_recursion() -> None:
    check_json(nested(64))
    for levels in (65, 300, 100_000):
        with pytest.raises(GraphQLError, match="64 levels"):
            check_json(nested(levels))


@pytest.mark.parametrize(
    "literal",
    ["{a: RED}", "{a: 1e400}", "[9223372036854775808]", "9" * 5000, '"\\u0000"', "[" * 65 + "]" * 65],
)
def test_json_literals_that_cannot_be_kept_are_refused(literal: str) -> None:
    with pytest.raises(GraphQLError, match="The JSON value"):
        by_literal("JSON", literal)


def test_absent_and_null_json_differ_from_values() -> None:
    assert run("{ meta }") == {"meta": None}
    assert run("{ meta(value: null) }") == {"meta": None}
    assert by_literal("JSON", "false") is False


GOOD_DIGEST = "sha256:" + "0123456789abcdef" * 4


def test_digests() -> None:
    assert by_variable("Digest", GOOD_DIGEST) == GOOD_DIGEST
    assert by_literal("Digest", f'"{GOOD_DIGEST}"') == GOOD_DIGEST


@pytest.mark.parametrize(
    "value", [GOOD_DIGEST.upper(), GOOD_DIGEST + "0", GOOD_DIGEST + "\n", "md5:" + "0" * 32, "0" * 64, "", 1]
)
def test_other_digests_are_refused(value: object) -> None:
    with pytest.raises(GraphQLError, match="Digest cannot represent"):
        by_variable("Digest", value)


@given(st.binary())
def test_bytes_round_trip(data: bytes) -> None:
    text = scalars.serialize_base64(data)
    assert scalars.parse_base64(text) == data
    assert by_variable("Base64", text) == text


@pytest.mark.parametrize("value", ["YQ", "YQ=", "YR==", "Y Q==", "YQ==\n", "_-8=", "é", "=", 1])
def test_other_base64_is_refused(value: object) -> None:
    with pytest.raises(GraphQLError, match="Base64 cannot represent"):
        by_variable("Base64", value)


def test_base64_holds_one_mebibyte_and_no_more() -> None:
    largest = scalars.serialize_base64(bytes(scalars.MAX_BASE64_BYTES))
    assert by_variable("Base64", largest) == largest
    for size in (1, 2, 3, 1_048_576):
        with pytest.raises(GraphQLError, match="1 MiB") as caught:
            by_variable("Base64", scalars.serialize_base64(bytes(scalars.MAX_BASE64_BYTES + size)))
        assert len(caught.value.message) < 300


def test_cursors_are_opaque_text() -> None:
    assert by_variable("Cursor", "eyJrIjpbMTJdfQ") == "eyJrIjpbMTJdfQ"
    for value in ("", "a b", "é", "a\0", "x" * (scalars.MAX_CURSOR + 1), 1):
        with pytest.raises(GraphQLError, match="Cursor cannot represent"):
            by_variable("Cursor", value)


def test_every_scalar_is_specified_and_has_an_example() -> None:
    for name in FIELDS:
        scalar = SCHEMA._schema.type_map[name]
        assert isinstance(scalar, GraphQLScalarType)
        assert (scalar.specified_by_url or "").startswith("https://modelbox.dev/scalars/")
        assert "`" in (scalar.description or "")


def test_messages_show_a_literal_as_it_was_written() -> None:
    with pytest.raises(GraphQLError, match="cannot represent NaN"):
        by_literal("MetricValue", "NaN")
    scalar = SCHEMA._schema.type_map["SafeInt"]
    assert isinstance(scalar, GraphQLScalarType)
    with pytest.raises(GraphQLError, match="cannot represent that"):
        scalar.parse_literal(parse_value("one", no_location=True))
