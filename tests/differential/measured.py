"""The reference of points: pages, columns and samples of raw points, by plain loops."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.differential.matching import globbed
from tests.differential.paging import listed
from tests.differential.reference import Args, field, metric_value
from tests.differential.seed import Row
from tests.differential.sight import Sight, as_thing
from tests.differential.storage import microseconds

Place = Callable[[Row], float | None]
"""Where a point lies on an axis, if it does."""


@field("Entity.metrics")
def _metrics(see: Sight, row: Row, args: Args) -> Any:
    keys, prefix, glob = args.get("keys"), args.get("keyPrefix") or "", args.get("keyPattern")
    rows = [
        series
        for series in see.store.where("series", owner_id=row["id"], leg=args.get("leg") or 0)
        if (keys is None or series["key"] in keys)
        and series["key"].startswith(prefix)
        and (glob is None or globbed(series["key"], glob))
    ]
    return listed(see, "series", rows, args, page=50)


@field("Entity.metric")
def _metric(see: Sight, row: Row, args: Args) -> Any:
    found = see.store.where("series", owner_id=row["id"], leg=args.get("leg") or 0, key=args["key"])
    return next((as_thing("series", series) for series in found), None)


@field("MetricSeries.points")
def _points(see: Sight, row: Row, args: Args) -> Any:
    return listed(see, "point", see.store.points[row["id"]], args, page=10)


@field("MetricSeries.columns")
def _columns(see: Sight, row: Row, args: Args) -> Any:
    wanted = {end: value for end, value in (args.get("range") or {}).items() if value is not None}
    points = see.store.points[row["id"]]
    if wanted:
        points = [point for point in points if is_within(steps(points)(point), wanted)]
    return columns(row["kind"], points)


def columns(kind: str, points: Sequence[Row]) -> dict[str, Any]:
    """Columns of points as JSON has them."""

    def each(name: str, write: Callable[[Any], Any]) -> list[Any]:
        return [None if point[name] is None else write(point[name]) for point in points]

    def known(column: list[Any]) -> list[Any] | None:
        return column if any(value is not None for value in column) else None

    return {
        "steps": known(each("step", int)),
        "wallTimes": known(each("wall_time", microseconds)),
        "values": each("number", metric_value) if kind == "FLOAT" else None,
        "strings": each("string", str) if kind == "STRING" else None,
        "bytes": each("binary", bytes) if kind == "BYTES" else None,
    }


def steps(points: Sequence[Row]) -> Place:
    """Steps, or positions where there is no step at all."""
    name = "step" if any(point["step"] is not None for point in points) else "position"
    return lambda point: point[name]


def is_within(place: float | None, wanted: Mapping[str, float]) -> bool:
    return place is not None and wanted.get("from", -math.inf) <= place <= wanted.get("to", math.inf)


# --- Samples ---


@field("MetricSeries.sample")
def _sample(see: Sight, row: Row, args: Args) -> Any:
    beside = see.store.where("series", owner_id=row["owner_id"], leg=row["leg"], key=args.get("xKey"), kind="FLOAT")
    other = next(beside, None)
    if row["kind"] != "FLOAT" or (args["x"] == "METRIC" and other is None):
        return None
    axis = axis_of(see, row, args["x"], see.store.points[other["id"]] if other else [])
    bounds = {end: value for end, value in (args.get("range") or {}).items() if value is not None}
    wanted = {end: axis.key(value) for end, value in bounds.items()}
    points = [point for point in see.store.points[row["id"]] if is_within(axis.place(point), wanted)]
    chosen = points
    if len(points) > args["maxPoints"]:
        chosen = shown(points, args["method"], args["maxPoints"])
    chosen = sorted(chosen, key=lambda point: (axis.place(point), point["position"]))
    return {
        "columns": columns("FLOAT", chosen),
        "x": [metric_value(axis.x(place)) for place in map(axis.place, chosen) if place is not None],
        "rawCount": len(points),
        "nonFiniteCount": sum(not math.isfinite(point["number"]) for point in points),
        "method": args["method"],
        "isExact": len(points) <= args["maxPoints"],
    }


@dataclass(frozen=True)
class Axis:
    """Where points lie, what of it is shown, and back from what is shown."""

    place: Place
    x: Callable[[float], float] = lambda place: place
    key: Callable[[float], float] = lambda x: x


def axis_of(see: Sight, row: Row, name: str, other: Sequence[Row]) -> Axis:
    """By step, by time (to the microsecond), or by another metric's last value at the step."""
    if name == "STEP":
        return Axis(steps(see.store.points[row["id"]]))
    if name == "METRIC":
        values = {point["step"]: point["number"] for point in other if point["step"] is not None}
        finite = {step: value for step, value in values.items() if math.isfinite(value)}
        return Axis(lambda point: finite.get(point["step"]))
    experiment = see.store.get("experiment", row["owner_id"])
    moment = (experiment["started_at"] if experiment else row["first_at"]) if name == "RELATIVE_TIME" else None
    origin = microseconds(moment) if moment else 0
    return Axis(
        lambda point: point["wall_time"] and microseconds(point["wall_time"]),
        lambda place: (place - origin) / 1_000_000,
        lambda x: origin + round(min(max(x, -1e12), 1e12) * 1_000_000),
    )


def shown(points: Sequence[Row], method: str, most: int) -> list[Row]:
    """At most so many points: of each bucket of positions some, or one in their place."""
    odd = any(not math.isfinite(point["number"]) for point in points)
    budget = max(1, most // (3 if odd and most > 2 else 2)) if method == "MINMAX" else most
    size = 1
    while len({point["position"] // size for point in points}) > budget:
        size *= 2
    buckets: dict[int, list[Row]] = defaultdict(list)
    for point in points:
        buckets[point["position"] // size].append(point)
    if method == "MINMAX":
        return [point for bucket in buckets.values() for point in extremes(bucket, with_odd=most > 2)]
    return [bucket[-1] if method == "LAST" else mean(bucket) for bucket in buckets.values()]


def extremes(bucket: Sequence[Row], *, with_odd: bool) -> list[Row]:
    """The least point, the greatest, and the first that is not finite; none of them twice."""
    finite = [point for point in bucket if math.isfinite(point["number"])]
    odd = [point for point in bucket if not math.isfinite(point["number"])]
    found = [min(finite, key=by_number), max(finite, key=by_number)] if finite else []
    found += odd[:1] if with_odd or not finite else []
    return [point for number, point in enumerate(found) if point not in found[:number]]


def by_number(point: Row) -> float:
    number: float = point["number"]
    return number


def mean(bucket: Sequence[Row]) -> Row:
    """The last point with the mean of the finite values; scaled, for their sum may be beyond a double."""
    finite = [point for point in bucket if math.isfinite(point["number"])]
    if not finite:
        return {**bucket[-1], "number": bucket[0]["number"]}
    total = 0.0
    parts: dict[int, float] = defaultdict(float)
    for point in finite:
        parts[point["position"] // 512] += point["number"] * 2.0**-32
    for part in parts.values():
        total += part
    numbers = [point["number"] for point in finite]
    average = total / len(finite) / 2.0**-32
    return {**bucket[-1], "number": min(max(average, min(numbers)), max(numbers)) + 0.0}
