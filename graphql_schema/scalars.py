"""The custom scalars, each refusing what it could not give back unchanged.

Register them with `StrawberryConfig(scalar_map=scalars.SCALARS)` and annotate fields with the
names below. Messages are whole sentences: the library puts the variable or argument before them.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NewType

import strawberry
from graphql import (
    FloatValueNode,
    GraphQLError,
    IntValueNode,
    StringValueNode,
    ValueNode,
)
from strawberry.types.scalar import ScalarDefinition

from db.text import check_text
from graphql_schema.json_value import Written, check_json, parse_json_literal, shown, whole
from graphql_schema.metric_table import METRIC_TABLE, MetricTable

__all__ = [
    "JSON",
    "SCALARS",
    "Base64",
    "Cursor",
    "DateTime",
    "Digest",
    "MetricTable",
    "MetricValue",
    "MetricValueColumn",
    "SafeInt",
    "SafeIntColumn",
    "check_json",
    "check_text",
]

MetricValue = NewType("MetricValue", float)
MetricValueColumn = NewType("MetricValueColumn", list[float])
SafeInt = NewType("SafeInt", int)
SafeIntColumn = NewType("SafeIntColumn", list[int | None])
DateTime = NewType("DateTime", datetime)
JSON = NewType("JSON", object)
Digest = NewType("Digest", str)
Base64 = NewType("Base64", bytes)
Cursor = NewType("Cursor", str)

MAX_SAFE_INT: Final = 2**53 - 1
MAX_BASE64_BYTES: Final = 1_048_576
MAX_CURSOR: Final = 524_288
"""Room for a row's longest texts, by which a list may be ordered."""

_NON_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_DATE_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:(\d\d))(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_CURSOR: Final = re.compile(r"[!-~]+")


def parse_metric_value(value: object) -> float:
    """A double: finite from a number, NaN and the infinities from their three spellings."""
    if isinstance(value, str) and value in _NON_FINITE:
        return _NON_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refusal("MetricValue", value, 'Send a number, or "NaN", "Infinity" or "-Infinity".')
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _refusal("MetricValue", value, 'It is beyond a double. Send "Infinity" to say so.')
    return number


def serialize_metric_value(value: Any) -> float | str:
    """A number, or the spelling of a non-finite one."""
    number = parse_metric_value(value) if isinstance(value, str) else float(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def parse_safe_int(value: object) -> int:
    """An integer that every JSON reader keeps whole."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise _refusal("SafeInt", value, "Send a whole number without fraction or quotes.")
    if abs(value) > MAX_SAFE_INT:
        raise _refusal("SafeInt", value, f"Stay within -{MAX_SAFE_INT} and {MAX_SAFE_INT}.")
    return value


def parse_date_time(value: object) -> datetime:
    """RFC 3339 with an offset, as an aware time in UTC.

    More than six digits of a second are refused unless the rest are zeros: a nanosecond clock
    must decide how to round, for we would not give back what was sent.
    """
    plain = _plain_date_time(value)
    if plain is not None:
        return plain
    match = _DATE_TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise _refusal("DateTime", value, "Send RFC 3339 with an offset, as in 2026-03-01T12:00:00.5Z.")
    date, time, second, fraction, offset = match.groups(default="")
    if second == "60":
        raise _refusal("DateTime", value, "Leap seconds are not kept: send second 59 instead.")
    if fraction[6:].strip("0"):
        raise _refusal("DateTime", value, "Round it to microseconds, six digits at most.")
    text = f"{date}T{time}.{fraction[:6]:0<6}{'+00:00' if offset in 'Zz' else offset}"
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _refusal("DateTime", value, "It is not a date and time of the years 0001 to 9999 in UTC.") from None


def _plain_date_time(value: object) -> datetime | None:
    """The time, when it is written as we write it, which takes a third of the time to see."""
    if not isinstance(value, str) or len(value) != 27 or (value[10], value[19], value[26]) != ("T", ".", "Z"):
        return None
    if not value[4] == value[7] == "-" or not value[13] == value[16] == ":":
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def serialize_date_time(value: Any) -> str:
    """Always `YYYY-MM-DDTHH:MM:SS.ffffffZ`; text comes finished from the database."""
    if isinstance(value, str):
        return value
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise GraphQLError("A DateTime must be an aware time.")
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_digest(value: object) -> str:
    """`sha256:` and 64 lower-case hex digits."""
    if not isinstance(value, str) or _DIGEST.fullmatch(value) is None:
        raise _refusal("Digest", value, 'Send "sha256:" and 64 lower-case hexadecimal digits.')
    return value


def parse_base64(value: object) -> bytes:
    """The bytes of RFC 4648 section 4, padded and canonical, so that they come back as sent."""
    if not isinstance(value, str):
        raise _refusal("Base64", value, "Send a string.")
    if len(value) > (MAX_BASE64_BYTES + 2) // 3 * 4:
        raise _refusal("Base64", value, "Upload more than 1 MiB as a file of an artifact.")
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        data = None
    if data is None or base64.b64encode(data).decode() != value:
        raise _refusal("Base64", value, "Use the alphabet with + and /, padded with =.")
    if len(data) > MAX_BASE64_BYTES:
        raise _refusal("Base64", value, "Upload more than 1 MiB as a file of an artifact.")
    return data


def serialize_base64(value: Any) -> str:
    """Padded text; text comes finished from the database."""
    return value if isinstance(value, str) else base64.b64encode(bytes(value)).decode()


def parse_cursor(value: object) -> str:
    """An opaque cursor; whether it is one of ours is known only where it is read."""
    is_ours = isinstance(value, str) and len(value) <= MAX_CURSOR and _CURSOR.fullmatch(value)
    if not is_ours or not isinstance(value, str):
        raise _refusal("Cursor", value, "Send back a cursor that a query gave, unchanged.")
    return value


def parse_column(value: object) -> object:
    """Columns are only given, never taken."""
    raise _refusal("A column", value, "It is no input.")


def _literal(
    parse: Callable[[object], object], *kinds: type[ValueNode]
) -> Callable[[ValueNode, Mapping[str, Any] | None], object]:
    """Reads a literal of one of the kinds; a bare word is not a string, nor a string a number."""

    def parse_literal(node: ValueNode, _variables: Mapping[str, Any] | None = None) -> object:
        if not isinstance(node, kinds):
            return parse(Written(node))
        if isinstance(node, IntValueNode) and parse is not parse_metric_value:
            return parse(whole(node.value))
        if isinstance(node, IntValueNode | FloatValueNode):
            return parse(float(node.value))
        return parse(getattr(node, "value", None))

    return parse_literal


def _refusal(scalar: str, value: object, remedy: str) -> GraphQLError:
    return GraphQLError(f"{scalar} cannot represent {shown(value)}. {remedy}")


def _identity(value: Any) -> Any:
    return value


def _declare(
    name: str,
    page: str,
    description: str,
    parse: Callable[[object], object],
    serialize: Callable[[Any], object],
    *kinds: type[ValueNode],
) -> ScalarDefinition:
    return strawberry.scalar(
        name=name,
        specified_by_url=f"https://modelbox.dev/scalars/{page}",
        description=description,
        serialize=serialize,
        parse_value=parse,
        parse_literal=_literal(parse, *kinds) if kinds else parse_json_literal,
    )


_DATE_TIME_DEFINITION: Final = _declare(
    "DateTime",
    "date-time",
    "A moment in UTC to the microsecond, years 0001 to 9999, always written in full: "
    '`"2026-03-01T12:00:00.500000Z"`. As input, RFC 3339 with any offset and at most six digits '
    "of a second; leap seconds are refused.",
    parse_date_time,
    serialize_date_time,
    StringValueNode,
)

SCALARS: Final[Mapping[object, ScalarDefinition]] = {
    DateTime: _DATE_TIME_DEFINITION,
    datetime: _DATE_TIME_DEFINITION,
    MetricValue: _declare(
        "MetricValue",
        "metric-value",
        'A 64-bit float: a JSON number, or exactly `"NaN"`, `"Infinity"` or `"-Infinity"`. '
        "For example `0.0312`. Integers beyond 2^53 are rounded to the nearest double.",
        parse_metric_value,
        serialize_metric_value,
        IntValueNode,
        FloatValueNode,
        StringValueNode,
    ),
    SafeInt: _declare(
        "SafeInt",
        "safe-int",
        "An integer within ±(2^53 - 1), which every JSON reader keeps whole: steps, sizes in "
        "bytes, counts. For example `81920`. Larger ones and fractions are refused.",
        parse_safe_int,
        parse_safe_int,
        IntValueNode,
    ),
    MetricValueColumn: _declare(
        "MetricValueColumn",
        "metric-value-column",
        "The values of many points as one JSON array of `MetricValue`s, with null where there is none, for example"
        ' `[0.5, null, "NaN"]`. Only in answers.',
        parse_column,
        _identity,
    ),
    SafeIntColumn: _declare(
        "SafeIntColumn",
        "safe-int-column",
        "The steps or times of many points as one JSON array of `SafeInt`s, with null where a point has none, for"
        " example `[0, 10, null]`. Only in answers.",
        parse_column,
        _identity,
    ),
    JSON: _declare(
        "JSON",
        "json",
        "Any JSON value that the user owns, at most 64 levels deep and 1 MiB long, for example "
        '`{"optimizer": {"name": "adam", "lr": 0.001}}`. Numbers are finite doubles and 64-bit '
        "integers; the order of keys and the spelling of numbers are not kept.",
        check_json,
        _identity,
    ),
    Digest: _declare(
        "Digest",
        "digest",
        "A SHA-256 of content: `sha256:` and 64 lower-case hexadecimal digits, for example "
        '`"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`.',
        parse_digest,
        _identity,
        StringValueNode,
    ),
    Base64: _declare(
        "Base64",
        "base64",
        "Up to 1 MiB of bytes in base64 with the standard alphabet and padding (RFC 4648, section "
        '4), for example `"aGVsbG8="`.',
        parse_base64,
        serialize_base64,
        StringValueNode,
    ),
    Cursor: _declare(
        "Cursor",
        "cursor",
        "A place in a list or a stream, for example `"
        '"eyJrIjpbMTJdfQ"`. Opaque: send back what a query gave, unchanged.',
        parse_cursor,
        _identity,
        StringValueNode,
    ),
    MetricTable: METRIC_TABLE,
}
"""What `StrawberryConfig.scalar_map` takes; a plain `datetime` is a `DateTime` too."""
