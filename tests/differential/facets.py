"""The reference of facets and comparisons of experiments: plain counts over the rows in memory."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tests.differential.matching import matches
from tests.differential.reference import Args, field, homes
from tests.differential.seed import Row
from tests.differential.sight import Sight

TEXTS = 20
FIRST = 100


def chosen(see: Sight, args: Args) -> list[Row]:
    """The experiments of a place that a filter lets through."""
    rows = see.seen("experiment", see.store.rows["experiment"])
    if args.get("namespace") is not None:
        places = [home["id"] for home in homes(see, args["namespace"], deep=args["descendants"])]
        rows = [row for row in rows if row["namespace_id"] in places]
    return [row for row in rows if matches(see.store, row, args.get("filter") or {})]


def first(rows: Callable[[Args], Sequence[Any]]) -> Callable[[Args], Any]:
    """As many as are asked for."""
    return lambda args: rows(args)[: args.get("first") or FIRST]


def words(values: Iterable[str | None]) -> list[dict[str, Any]]:
    """Each word with how often it is there, the most frequent first."""
    counts = Counter(value for value in values if value is not None)
    found = sorted(counts.items(), key=lambda item: (-item[1], item[0].encode()))
    return [{"value": value, "experimentCount": count} for value, count in found]


def metric_keys(see: Sight, rows: Sequence[Row], prefix: str) -> list[dict[str, Any]]:
    by_key: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for series in (one for row in rows for one in see.store.where("series", owner_id=row["id"], leg=0)):
        if series["key"].startswith(prefix):
            by_key[series["key"], series["kind"]].append(series)
    found = []
    for (key, kind), some in sorted(by_key.items(), key=lambda item: (-len(item[1]), item[0][0].encode(), item[0][1])):
        last = [one["last"] for one in some if one["last"] is not None and math.isfinite(one["last"])]
        known = {"key": key, "kind": kind, "experimentCount": len(some)}
        found.append({**known, "minLast": min(last, default=None), "maxLast": max(last, default=None)})
    return found


def hyperparameters(see: Sight, rows: Sequence[Row]) -> list[dict[str, Any]]:
    by_path: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        for leaf in see.store.where("parameter", experiment_id=row["id"]):
            by_path[tuple(leaf["path"])].append(leaf)
    order = sorted(by_path.items(), key=lambda item: (-len(item[1]), [key.encode() for key in item[0]]))
    return [hyperparameter(path, leaves) for path, leaves in order]


def hyperparameter(path: Sequence[str], leaves: Sequence[Row]) -> dict[str, Any]:
    numbers = [leaf["number"] for leaf in leaves if leaf["number"] is not None]
    return {
        "path": list(path),
        "kind": "NUMBER" if len(numbers) == len(leaves) else "MIXED" if numbers else "TEXT",
        "experimentCount": len(leaves),
        "min": min(numbers, default=None),
        "max": max(numbers, default=None),
        "texts": words(leaf["text"] for leaf in leaves)[:TEXTS],
    }


@field("Query.experimentFacets")
def _experiment_facets(see: Sight, row: Row, args: Args) -> Any:
    rows = chosen(see, args)
    return {
        "experimentCount": len(rows),
        "isComplete": True,
        "metricKeys": first(lambda args: metric_keys(see, rows, args.get("prefix") or "")),
        "hyperparameters": first(lambda _: hyperparameters(see, rows)),
        "statuses": words(row["status"] for row in rows),
        "frameworks": words(row["framework"] for row in rows),
        "labels": first(lambda _: words(label for row in rows for label in row["labels"])),
        "groups": first(lambda _: words(row["group"] for row in rows)),
        "owners": first(lambda _: words(row["owner"] for row in rows)),
    }
