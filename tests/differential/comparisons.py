"""The reference of experiments side by side, and of groups of them."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from tests.differential.facets import chosen
from tests.differential.matching import MISSING, at
from tests.differential.reference import Args, field
from tests.differential.seed import Row
from tests.differential.sight import Sight, as_thing
from tests.differential.store import Spelled, SpelledInt

MEASURED = ("last", "min", "max", "mean")
Path = tuple[str, ...]


def uuid_of(id_: str) -> UUID:
    return UUID(id_.partition("_")[2])


@field("Query.compare")
def _compare(see: Sight, row: Row, args: Args) -> Any:
    things = [see.by_id("experiment", uuid_of(id_)) for id_ in args["experimentIds"]]
    rows = [thing.row if thing else None for thing in things]
    base = see.by_id("experiment", uuid_of(args.get("baselineId") or args["experimentIds"][0]))
    return {
        "experiments": things,
        "hyperparameters": lambda args: hyperparameters(rows, args),
        "metrics": [metric(see, key, rows, base.row if base else None) for key in keys_of(see, rows, args.get("keys"))],
    }


# --- Hyperparameters ---


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Values that hold no others, and where they are."""
    if isinstance(value, dict) and (value or path):
        yield from [(path, value)] if not value else []
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        yield from [(path, value)] if not value else []
        for place, item in enumerate(value):
            yield from leaves(item, (*path, str(place)))
    elif value is not None and path:
        yield path, value


def sameness(value: Any) -> Any:
    """What two JSON values are the same by: numbers by what they are, not by how they are spelled."""
    if isinstance(value, Spelled | SpelledInt):
        return ("number", Decimal(value.text))
    return (type(value).__name__, json.dumps(value))


def hyperparameters(rows: Sequence[Row | None], args: Args) -> list[dict[str, Any]]:
    held = [dict(leaves(row["hyperparameters"])) if row else {} for row in rows]
    found = []
    for path in sorted({path for one in held for path in one}, key=lambda path: [key.encode() for key in path]):
        there = [one[path] for one in held if path in one]
        differs = len({sameness(value) for value in there}) > 1 or len(there) < sum(row is not None for row in rows)
        if differs or not args["onlyDifferent"]:
            values = [one.get(path) for one in held]
            found.append({"path": list(path), "values": values, "isDifferent": differs})
    return found[: args.get("first") or 1000]


# --- Figures ---


def series_of(see: Sight, row: Row | None, key: str) -> Row | None:
    if row is None:
        return None
    return next(see.store.where("series", owner_id=row["id"], key=key, leg=0), None)


def keys_of(see: Sight, rows: Sequence[Row | None], wanted: Sequence[str] | None) -> list[str]:
    if wanted is not None:
        return list(wanted)
    owners: dict[str, set[UUID]] = defaultdict(set)
    for row in filter(None, rows):
        for series in see.store.where("series", owner_id=row["id"], leg=0):
            owners[series["key"]].add(row["id"])
    return sorted(owners, key=lambda key: (-len(owners[key]), key.encode()))


def metric(see: Sight, key: str, rows: Sequence[Row | None], base: Row | None) -> dict[str, Any]:
    series = [series_of(see, row, key) for row in rows]
    before = series_of(see, base, key)
    kinds = {one["kind"] for one in series if one}
    return {
        "key": key,
        "kind": kinds.pop() if len(kinds) == 1 else None,
        "series": [one and {"series": as_thing("series", one), "deltas": deltas(one, before)} for one in series],
    }


def deltas(one: Row, before: Row | None) -> dict[str, Any] | None:
    if before is None or one["kind"] != "FLOAT" or before["kind"] != "FLOAT":
        return None
    return {name: delta(one[name], before[name]) for name in MEASURED}


def delta(value: float | None, before: float | None) -> Mapping[str, float | None]:
    if value is None or before is None or not math.isfinite(value) or not math.isfinite(before):
        return {"absolute": None, "relative": None}
    absolute = value - before
    if not math.isfinite(absolute):
        return {"absolute": None, "relative": None}
    return {"absolute": absolute, "relative": relative(absolute, before)}


def relative(absolute: float, before: float) -> float | None:
    if before == 0 or absolute == 0:
        return None if before == 0 else 0.0
    size = math.log(abs(absolute)) - math.log(abs(before))
    if size > 709.7827:
        return None
    return 0.0 if size < -700 else absolute / abs(before)


# --- Groups ---


@field("Query.aggregateMetrics")
def _aggregate_metrics(see: Sight, row: Row, args: Args) -> Any:
    rows = sorted(chosen(see, args), key=lambda row: row["id"].int, reverse=True)
    if args.get("experimentIds") is not None:
        wanted = {uuid_of(id_) for id_ in args["experimentIds"]}
        rows = [row for row in rows if row["id"] in wanted]
    groups: dict[Any, list[Row]] = defaultdict(list)
    for found in rows:
        groups[tuple(sameness(value) for value in alike(found, args))].append(found)
    return {
        "experimentCount": len(rows),
        "isComplete": True,
        "groupCount": len(groups),
        "groups": [group(see, some, args) for some in groups.values()],
    }


def alike(row: Row, args: Args) -> list[Any]:
    found = [at(row["hyperparameters"], path) for path in args.get("groupBy") or []]
    return [None if value is MISSING else value for value in found]


def group(see: Sight, rows: Sequence[Row], args: Args) -> dict[str, Any]:
    series = {key: [series_of(see, row, key) for row in rows] for key in args["keys"]}
    return {
        "values": alike(rows[0], args),
        "experimentCount": len(rows),
        "experiments": [as_thing("experiment", row) for row in rows],
        "metrics": [
            {"key": key, "experimentCount": sum(one is not None and one["kind"] == "FLOAT" for one in series[key])}
            for key in args["keys"]
        ],
    }
