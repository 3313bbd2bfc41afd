"""Orders and pages, by sorting whole lists and cutting them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tests.differential.equality import Token
from tests.differential.matching import figure, matches, parameter
from tests.differential.seed import Row
from tests.differential.sight import Sight, as_thing
from tests.differential.store import Store

# How lists are ordered when nobody asks: by these columns; the others newest first.
DEFAULTS = {
    "namespace": [("path", False)],
    "artifact": [("name", False)],
    "file": [("path", False)],
    "series": [("key", False)],
    "point": [("position", False)],
    "event": [("at", True)],
    "actor": [("name", False)],
}
# What decides between equals, in the direction of the key before it.
TIES = {"series": "key", "point": "position"}


@dataclass(frozen=True)
class Key:
    """One key of an order: its values by row, and its direction."""

    values: Mapping[int, Any]
    descending: bool


def listed(
    see: Sight,
    table: str,
    rows: Sequence[Row],
    args: Mapping[str, Any],
    *,
    page: int,
    order: Sequence[tuple[str, bool]] | None = None,
    unique: str | None = None,
) -> dict[str, Any]:
    """A connection over these rows, filtered, ordered and cut as the arguments say.

    Where it is ordered by a column that is `unique` in it, cursors tell nothing beyond the keys of the order.
    """
    found = [row for row in rows if matches(see.store, row, args.get("filter") or {})]
    wanted = args.get("orderBy") or []
    default = DEFAULTS.get(table, []) if order is None else order
    keys = keys_of(see.store, table, found, wanted, default)
    found = ordered(found, keys)
    sign = json.dumps([table, order, wanted])
    names = [str(item.get("field")).lower() for item in wanted] or [name for name, _ in default]
    told = keys[:-1] if unique in names else keys
    cursors = [Token(repr([sign, *(key.values[id(row)] for key in told)]).encode().hex()) for row in found]
    start = cursors.index(args["after"]) + 1 if args.get("after") else 0
    end = cursors.index(args["before"]) if args.get("before") else len(found)
    inside = range(start, max(start, end))
    if args.get("last"):
        picked = inside[-args["last"] :]
        more = {"hasNextPage": bool(args.get("before")), "hasPreviousPage": len(inside) > len(picked)}
    else:
        picked = inside[: args.get("first") or page]
        more = {"hasNextPage": len(inside) > len(picked), "hasPreviousPage": bool(args.get("after"))}
    nodes = [as_thing(table, found[number]) for number in picked]
    edges = [{"node": node, "cursor": cursors[number]} for node, number in zip(nodes, picked, strict=True)]
    ends = {
        "startCursor": edges[0]["cursor"] if edges else None,
        "endCursor": edges[-1]["cursor"] if edges else None,
    }
    return {"nodes": nodes, "edges": edges, "pageInfo": {**more, **ends}, "totalCount": len(found)}


def keys_of(
    store: Store,
    table: str,
    rows: Sequence[Row],
    wanted: Sequence[Mapping[str, Any]],
    default: Sequence[tuple[str, bool]],
) -> list[Key]:
    """The keys that were asked for, or the default ones, and the one that decides between equals."""
    keys = [Key(values(store, rows, item), item["direction"] == "DESC") for item in wanted] or [
        Key(column(rows, name), descending) for name, descending in default
    ]
    return [*keys, Key(column(rows, TIES.get(table, "id")), keys[-1].descending if keys else True)]


def ordered(rows: Sequence[Row], keys: Sequence[Key]) -> list[Row]:
    """Sorted by each key, the weakest first; nulls and what is not finite come last in both directions."""
    result = list(rows)
    for key in reversed(keys):
        present = [row for row in result if key.values[id(row)] is not None]
        absent = [row for row in result if key.values[id(row)] is None]
        present.sort(key=lambda row: key.values[id(row)], reverse=key.descending)
        result = present + absent
    return result


def values(store: Store, rows: Sequence[Row], item: Mapping[str, Any]) -> dict[int, Any]:
    """What one key of `orderBy` says of each row."""
    if item.get("field"):
        return column(rows, item["field"].lower())
    if item.get("metric"):
        return {id(row): sortable(figure(store, row, item["metric"])) for row in rows}
    asked = item["hyperparameter"]
    found = {id(row): parameter(store, row, asked["path"]) for row in rows}
    return {number: sortable(leaf and leaf[asked["type"].lower()]) for number, leaf in found.items()}


def column(rows: Sequence[Row], name: str) -> dict[int, Any]:
    return {id(row): sortable(row[name]) for row in rows}


def sortable(value: Any) -> Any:
    """Text sorts by its bytes, ids as numbers, and numbers only when they are finite."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, UUID):
        return value.int
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
