"""The rules for values that callers give, by the name of the column that keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from db.errors import Invalid
from db.names import check_name
from db.text import check_text

MAX_LABELS = 100
Check = Callable[[Any, str], Any]


def _text(max_length: int) -> Check:
    return lambda value, what: check_text(value, what=what, max_length=max_length)


def _object(value: Any, what: str) -> Any:
    if not isinstance(value, dict):
        raise Invalid(f'`{what}` must be a JSON object, such as {{"key": "value"}}.', path=tuple(what.split(".")))
    return value


def _labels(value: list[str], what: str) -> list[str]:
    labels = sorted({check_name(label, what) for label in value})
    if len(labels) > MAX_LABELS:
        raise Invalid(f"`{what}` has {len(labels)} labels; at most {MAX_LABELS} are kept.", path=tuple(what.split(".")))
    return labels


def _positive(value: float, what: str) -> float:
    if not 0 < value < float("inf"):
        raise Invalid(f"`{what}` must be a positive number of seconds.", path=tuple(what.split(".")))
    return value


RULES: Mapping[str, Check] = {
    "name": check_name,
    "version": check_name,
    "tag": check_name,
    "role": check_name,
    "owner": _text(255),
    "task": _text(255),
    "group": check_name,
    "external_id": _text(255),
    "source": check_name,
    "description": _text(65_536),
    "uri": _text(4_096),
    "media_type": _text(255),
    "labels": _labels,
    "metadata": _object,
    "hyperparameters": _object,
    "environment": _object,
    "stall_after": _positive,
}
"""What is asked of a column's value. Columns without a rule are checked by their type alone."""

SPELLED: Mapping[str, str] = {
    "external_id": "externalId",
    "media_type": "mediaType",
    "stall_after": "stallAfterSeconds",
}


def checked(values: Mapping[str, Any], where: str = "input") -> dict[str, Any]:
    """The values as they are stored: names normalised, labels sorted. Nulls are let through.

    Raises:
        Invalid: a value breaks its rule; the path names the argument.
    """
    return {
        name: RULES[name](value, f"{where}.{SPELLED.get(name, name)}") if name in RULES and value is not None else value
        for name, value in values.items()
    }
