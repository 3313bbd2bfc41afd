"""The rules for values that callers give, by the name of the column that keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from db.errors import Invalid
from db.names import check_name
from db.policies import checkpoint_retention
from db.text import check_text

MAX_LABELS = 100
YEAR = 31_536_000  # seconds
MAX_DAYS = 36_500
Check = Callable[[Any, str], Any]


def _text(max_length: int) -> Check:
    return lambda value, what: check_text(value, what=what, max_length=max_length)


def check_word(value: str, what: str) -> str:
    """A value that may be any text of 1 to 255 characters, such as a foreign id."""
    if not value:
        raise Invalid(f"`{what}` is empty. Leave it out, or give 1 to 255 characters.", path=tuple(what.split(".")))
    return check_text(value, what=what, max_length=255)


def _object(value: Any, what: str) -> Any:
    if not isinstance(value, dict):
        raise Invalid(f'`{what}` must be a JSON object, such as {{"key": "value"}}.', path=tuple(what.split(".")))
    return value


def _labels(value: list[str], what: str) -> list[str]:
    labels = set(value)
    if len(labels) > MAX_LABELS:
        raise Invalid(f"`{what}` has {len(labels)} labels; at most {MAX_LABELS} are kept.", path=tuple(what.split(".")))
    return sorted({check_name(label, what) for label in labels})


def _seconds(value: float, what: str) -> float:
    if not 1 <= value <= YEAR:
        raise Invalid(f"`{what}` must be 1 to {YEAR} seconds (a year).", path=tuple(what.split(".")))
    return value


def _days(value: int, what: str) -> int:
    if not 1 <= value <= MAX_DAYS:
        raise Invalid(f"`{what}` must be 1 to {MAX_DAYS} days (a century).", path=tuple(what.split(".")))
    return value


def _finite(value: float, what: str) -> float:
    if not isfinite(value):
        raise Invalid(f"`{what}` must be a finite number.", path=tuple(what.split(".")))
    return value


RULES: Mapping[str, Check] = {
    "name": check_name,
    "version": check_name,
    "tag": check_name,
    "role": check_name,
    "owner": _text(255),
    "task": _text(255),
    "group": check_name,
    "external_id": check_word,
    "source": check_name,
    "description": _text(65_536),
    "uri": _text(4_096),
    "media_type": _text(255),
    "labels": _labels,
    "metadata": _object,
    "hyperparameters": _object,
    "environment": _object,
    "stall_after": _seconds,
    "epoch": _finite,
    "raw_metric_days": _days,
    "checkpoint_retention": checkpoint_retention.check,
}
"""What is asked of a column's value. Columns without a rule are checked by their type alone."""

SPELLED: Mapping[str, str] = {"stall_after": "stallAfterSeconds"}
"""Columns whose field in the schema has another name."""


def spelled(column: str) -> str:
    """A column as the schema spells it: `created_at` is `createdAt`."""
    first, *rest = column.split("_")
    return SPELLED.get(column) or first + "".join(word.capitalize() for word in rest)


def checked(values: Mapping[str, Any], where: str = "input") -> dict[str, Any]:
    """The values as they are stored: names normalised, labels sorted. Nulls are let through.

    Raises:
        Invalid: a value breaks its rule; the path names the argument.
    """
    return {
        name: RULES[name](value, f"{where}.{spelled(name)}") if name in RULES and value is not None else value
        for name, value in values.items()
    }
