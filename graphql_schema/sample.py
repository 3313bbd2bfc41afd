"""Samples of a series: as many points as a chart can show, of as many as there are."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import numpy as np
import strawberry
from strawberry import enum_value

from db.metrics import read
from db.metrics.json_text import floats_json, ints_json
from db.read import hole
from db.read.plan import Plan
from db.read.sql import Asked, Environment
from graphql_schema.arguments import refused
from graphql_schema.fields import Argument, given, read_field
from graphql_schema.filters import plain
from graphql_schema.point_columns import MetricColumns, ends
from graphql_schema.scalars import MetricValue, MetricValueColumn, SafeInt
from graphql_schema.selection import Selected
from graphql_schema.written import inside, writer, written

FEWEST: Final = 2
MOST: Final = 10_000
POINTS_A_NODE: Final = 100
"""Points of a sample that cost as much as one node."""
DEFAULT: Final = 1_000


@strawberry.enum(description="How a sample is taken. Each is deterministic, also over what compaction moved.")
class SampleMethod(enum.Enum):
    MINMAX = enum_value(
        "MINMAX",
        description="The least and the greatest point of each stretch of the series, and the first that is NaN or"
        " infinite: no extreme is lost.",
    )
    LTTB = enum_value(
        "LTTB",
        description="Largest triangle three buckets: the shape that the eye sees, chosen from a MINMAX sample of four"
        " times as many points.",
    )
    LAST = enum_value("LAST", description="The last point of each stretch.")
    MEAN = enum_value("MEAN", description="The mean of each stretch's finite values, at the place of its last point.")


@strawberry.enum(description="What a series is drawn over.")
class SampleAxis(enum.Enum):
    STEP = enum_value("STEP", description="The step; in a series without any step, the position.")
    WALL_TIME = enum_value("WALL_TIME", description="Seconds since 1970, in UTC.")
    RELATIVE_TIME = enum_value(
        "RELATIVE_TIME",
        description="Seconds since the experiment's `startedAt`; on other objects, since the series' `firstAt`.",
    )
    METRIC = enum_value("METRIC", description="The value of another series of the object (`xKey`) at the same step.")


@strawberry.input(description="A stretch of the axis of a sample. Both ends belong to it; one that is absent is open.")
class SampleRange:
    from_: MetricValue | None = strawberry.field(
        name="from", description="In units of the axis: steps, seconds, or values.", default=strawberry.UNSET
    )
    to: MetricValue | None = strawberry.field(
        description="In the same units; not less than `from`.", default=strawberry.UNSET
    )


@strawberry.type(description="A series in as many points as were asked for, or fewer.")
class MetricSample:
    columns: MetricColumns = inside("The points, by their place on the axis.", lambda found: found.columns)
    x: MetricValueColumn = written(
        "The place of each point on the axis: rising; of equal places in order of arrival.",
        lambda found: _places(found.x),
    )
    raw_count: SafeInt = written(
        "How many points of the range it stands for; those without a place on the axis are not counted.",
        lambda found: b"%d" % found.raw_count,
    )
    non_finite_count: SafeInt = written(
        "How many of those are NaN or infinite.", lambda found: b"%d" % found.non_finite_count
    )
    method: SampleMethod = written("How it was taken.", lambda found: f'"{found.method}"'.encode())
    is_exact: bool = written(
        "True when these are all points of the range, unchanged.",
        lambda found: b"true" if found.is_exact else b"false",
    )


def _places(x: Any) -> bytes:
    return ints_json(x) if np.issubdtype(x.dtype, np.integer) else floats_json(x)


@dataclass(frozen=True)
class SampleRead:
    """`sample(maxPoints:, method:, x:, xKey:, range:)`."""

    def plan(self, selected: Selected) -> Plan:
        max_points, axis = _max_points(selected), _chosen(selected, "x", "STEP")
        with selected.planner.repeated(1, max_points / POINTS_A_NODE):
            write = writer(selected)
        told = [hole.owner, hole.floats, *_told(selected, axis)]
        bounds = ends(given(selected, "range"))
        method = _chosen(selected, "method", "MINMAX")

        def ask(env: Environment) -> Callable[[Sequence[str]], Asked]:
            lower, upper = bounds(env)

            def of(told: Sequence[str]) -> Asked:
                owner, series, *more = told
                beside = {"METRIC": "x_series_id", "RELATIVE_TIME": "origin"}
                wanted = {beside[axis]: int(more[0])} if more else {}
                request = read.Sample(
                    UUID(owner), int(series), max_points, method, axis, lower=lower, upper=upper, **wanted
                )
                return Asked(request, write)

            return of

        return hole.Hole(told, ask)


def _chosen(selected: Selected, name: str, default: str) -> str:
    """An enumeration's word."""
    value = given(selected, name)
    return default if value is None else str(plain(value.raw))


def _max_points(selected: Selected) -> int:
    value = given(selected, "maxPoints")
    if value is None:
        return DEFAULT
    if not FEWEST <= value.raw <= MOST:
        raise refused(f"must be from {FEWEST} to {MOST}; got {value.raw}.", value.path)
    return int(value.raw)


def _told(selected: Selected, axis: str) -> list[hole.Told]:
    """What a mark tells beside the series itself."""
    key = given(selected, "xKey")
    if (key is not None) != (axis == "METRIC"):
        raise refused("give it with `x: METRIC`, and only then.", ("xKey",))
    if key is not None:
        return [hole.beside(key.bind("text"))]
    return [hole.origin] if axis == "RELATIVE_TIME" else []


def sample_field() -> Any:
    """The field `sample` of a series."""
    return read_field(
        SampleRead(),
        "The series in at most `maxPoints` points, the same before and after compaction; of no more points in range,"
        " all of them. Null in series of strings and of bytes, and where the object has no series `xKey`. Costs a node"
        f" for each {POINTS_A_NODE} of `maxPoints`.",
        [
            Argument("maxPoints", int | None, f"The most points, {FEWEST}–{MOST}.", DEFAULT),
            Argument("method", SampleMethod | None, "How points are chosen.", SampleMethod.MINMAX),
            Argument(
                "x", SampleAxis | None, "The axis; points that have no place on it are left out.", SampleAxis.STEP
            ),
            Argument("xKey", str | None, "The key of the series that is the axis, with `x: METRIC` only."),
            Argument("range", SampleRange | None, "Only this stretch of the axis."),
        ],
    )
