"""Filters, decided for one row at a time."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.differential.seed import Row
from tests.differential.store import Spelled, SpelledInt, Store

MISSING = object()


def snake(name: str) -> str:
    """`createdAt` to `created_at`."""
    return re.sub("([A-Z])", r"_\1", name).lower()


def matches(store: Store, row: Row, wanted: Mapping[str, Any]) -> bool:
    """Every condition that is given and not null holds."""
    return all(one_matches(store, row, name, value) for name, value in wanted.items() if value is not None)


def one_matches(store: Store, row: Row, name: str, value: Any) -> bool:
    if name == "or":
        return any(matches(store, row, item) for item in value)
    if name == "not":
        return not matches(store, row, value)
    if name == "labels":
        return labelled(row["labels"], value)
    if not isinstance(value, list):
        return holds(row[snake(name)], value)
    every = {"and": matches, "metrics": metric_holds, "hyperparameters": parameter_holds}
    if name in every:
        return all(every[name](store, row, item) for item in value)
    return all(json_holds(at(row[name], item["path"]), item) for item in value)


def labelled(labels: Sequence[str], value: Mapping[str, Any]) -> bool:
    every, some = value.get("all"), value.get("any")
    return (every is None or set(every) <= set(labels)) and (some is None or bool(set(some) & set(labels)))


def figure(store: Store, row: Row, item: Mapping[str, Any]) -> float | None:
    """An aggregate of the current leg of one of the row's series."""
    series = next(store.where("series", owner_id=row["id"], key=item["key"], leg=0), None)
    return series[item["aggregate"].lower()] if series else None


def metric_holds(store: Store, row: Row, item: Mapping[str, Any]) -> bool:
    if not says(item["is"]):
        return any(store.where("series", owner_id=row["id"], key=item["key"], leg=0))
    return holds(figure(store, row, item), item["is"])


def parameter(store: Store, row: Row, path: Sequence[str]) -> Row | None:
    """The leaf of the hyperparameters at that path."""
    return next(store.where("parameter", experiment_id=row["id"], path=list(path)), None)


def parameter_holds(store: Store, row: Row, item: Mapping[str, Any]) -> bool:
    found = parameter(store, row, item["path"])
    if not says(item.get("number")) and not says(item.get("text")):
        return found is not None
    return all(holds(found and found[name], item.get(name) or {}) for name in ("number", "text"))


def says(wanted: Mapping[str, Any] | None) -> bool:
    """Whether a filter has any condition. Without one, being there is enough."""
    return any(operand is not None for operand in (wanted or {}).values())


def at(value: Any, path: Sequence[str]) -> Any:
    """What lies at a path inside JSON; `MISSING` where nothing does."""
    for step in path:
        if isinstance(value, dict):
            value = value.get(step, MISSING)
        elif isinstance(value, list) and re.fullmatch(r"-?\d{1,9}", step) and -len(value) <= int(step) < len(value):
            value = value[int(step)]
        else:
            return MISSING
    return value


def json_holds(value: Any, item: Mapping[str, Any]) -> bool:
    number, text = item.get("number") or {}, item.get("text") or {}
    if not says(number) and not says(text):
        return value is not MISSING
    is_number = isinstance(value, Spelled | SpelledInt)
    found_text = None if value is MISSING or value is None else spelled(value, quote=False)
    return holds(float(value) if is_number else None, number) and holds(found_text, text)


def spelled(value: Any, *, quote: bool = True) -> str:
    """JSON as the database writes it."""
    if isinstance(value, Spelled | SpelledInt):
        return value.text
    if isinstance(value, dict):
        return "{" + ", ".join(f"{spelled(key)}: {spelled(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(spelled, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if quote or not isinstance(value, str) else value


def holds(value: Any, wanted: Mapping[str, Any]) -> bool:
    """A value passes every operator that is given."""
    return all(compare(value, name, operand) for name, operand in wanted.items() if operand is not None)


def compare(value: Any, operator: str, operand: Any) -> bool:
    """One operator. Of nothing, only `ne` and `isNull` can hold; NaN is neither less nor greater."""
    if operator == "isNull":
        return (value is None) is operand
    if operator == "ne":
        return not (value is not None and equal(value, operand))
    return value is not None and OPERATORS[operator](value, operand)


def equal(one: Any, other: Any) -> bool:
    """Equal; NaN equals itself."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other):
        return True
    return bool(one == other)


def globbed(text: str, glob: str) -> bool:
    """`*` is any run, `?` one character, everything else itself."""
    pattern = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in glob)
    return re.fullmatch(pattern, text, re.DOTALL) is not None


OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": equal,
    "in": lambda value, operand: any(equal(value, item) for item in operand),
    "lt": lambda value, operand: bool(value < operand),
    "lte": lambda value, operand: bool(value <= operand),
    "gt": lambda value, operand: bool(value > operand),
    "gte": lambda value, operand: bool(value >= operand),
    "startsWith": lambda value, operand: bool(value.startswith(operand)),
    "contains": lambda value, operand: operand in value,
    "matches": globbed,
}
