"""Values that break what is careless about quoting, order, precision or the ends of a range."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

NAMES = [
    "a",
    "A",
    "b",
    "ab",
    "a b",
    "ä",
    "a\u0308",
    "名前",
    "💥",
    "\U0010ffff",
    "\uffff",
    "\ufeff",
    "it's",
    'quo"te',
    "back\\slash",
    "end\\",
    "per%cent_",
    "*",
    "?",
    "a.b",
    "[ab]",
    "^a$",
    "(a|b)+",
    "{}",
    "{0}",
    "$1",
    "::text",
    "--",
    "null",
    "NaN",
    "true",
    "\u2028",
    "x\u2029y",
    "fran\u00e7ais",
    "ﬁ",
    "İ",
    "ß",
]
"""Names; none breaks the rules of names."""

TEXTS = [*NAMES, "", " ", "\n", "a\nb", "\t", "\r\n", "\x01\x1f\x7f", "\x85", "a\\nb", '"', "\\", "\\u0041", "x" * 300]
"""Free text, which may hold anything but NUL and lone surrogates."""

LONG_WORD = "w" * 64

MOMENTS = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(1999, 12, 31, 23, 59, 59, 500000, tzinfo=UTC),
    datetime(2000, 1, 1, tzinfo=UTC),
    datetime(2000, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    datetime(2024, 2, 29, 12, tzinfo=UTC),
    datetime(2026, 3, 1, 1, 2, 3, 40, tzinfo=UTC),
    datetime(2026, 3, 1, 1, 2, 3, 400000, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999998, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
]

FLOATS = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    0.1,
    1 / 3,
    2.0**53,
    2.0**53 + 2,
    1e16,
    1e21,
    1e22,
    1e-7,
    5e-324,
    2.2250738585072014e-308,
    1.7976931348623157e308,
    math.nan,
    math.inf,
    -math.inf,
]
FINITE = [number for number in FLOATS if math.isfinite(number)]

INTEGERS = [0, 1, 1, 2, 3, 10, 2**31, 2**53 - 1, -1, -(2**53) + 1]

DOCUMENTS: list[dict[str, Any]] = [
    {},
    {"a": None},
    {"": ""},
    {"lr": 0.1},
    {"lr": 1, "lr2": 1.0},
    {"lr": "0.1"},
    {"lr": True},
    {"optimizer": {"name": "adam", "lr": 0.001, "nested": {"deep": [1, [2, {"x": None}]]}}},
    {"optimizer": "sgd"},
    {"optimizer": ["adam", {"name": "adam"}]},
    {"a/b": 1, "a": {"b": 2}, "a.b": 3},
    {"it's": 'quo"te', "back\\slash": "\\", "\u2028": "\u2029", "💥": "\U0010ffff", "\x01": "\x7f"},
    {"big": 2**63 - 1, "small": -(2**63), "beyond": 2**53 + 1},
    {"tiny": 5e-324, "huge": 1.7976931348623157e308, "third": 1 / 3, "zero": -0.0},
    {"list": [], "object": {}, "text": "", "bool": False},
    {"z": 1, "aa": 2, "b": 3, "Z": 4},
]
DEEP: Any = 1
for _ in range(60):
    DEEP = {"d": [DEEP]}
DOCUMENTS.append({"deep": DEEP["d"][0]})
