"""Points of a series as columns, whole or in part."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast
from uuid import UUID

import orjson
import strawberry

from db.metrics import read
from db.metrics.columns import NONE, Floats, Ints
from db.metrics.json_text import floats_json, ints_json
from db.read import hole
from db.read.plan import Plan
from db.read.sql import Asked, Environment
from graphql_schema.arguments import Value, refused
from graphql_schema.fields import Argument, given, read_field
from graphql_schema.scalars import Base64, MetricValueColumn, SafeInt, SafeIntColumn
from graphql_schema.selection import Selected
from graphql_schema.written import writer, written

COST: Final = 1
"""Nodes that a whole series costs: how long it is, nobody knows before it is read, and all together are bounded."""


@strawberry.input(description="A stretch of steps. Both ends belong to it; one that is absent is open.")
class StepRange:
    from_: SafeInt | None = strawberry.field(name="from", description="The least step.", default=strawberry.UNSET)
    to: SafeInt | None = strawberry.field(
        description="The greatest step; not less than `from`.", default=strawberry.UNSET
    )


def _ints(column: Ints) -> bytes:
    return ints_json(column) if (column != NONE).any() else b"null"


def _strings(points: read.Points) -> bytes:
    return orjson.dumps(points.values) if points.kind == "STRING" else b"null"


def _bytes(points: read.Points) -> bytes:
    if points.kind != "BYTES":
        return b"null"
    return orjson.dumps([base64.b64encode(value).decode() for value in cast("list[bytes]", points.values)])


@strawberry.type(
    description="Points of one series as columns of one length: what stands at one place of each is one point."
)
class MetricColumns:
    steps: SafeIntColumn | None = written(
        "The steps, with null for a point without one; null when no point has any.", lambda points: _ints(points.steps)
    )
    wall_times: SafeIntColumn | None = written(
        "When they were measured, in microseconds since 1970 in UTC, with null for a point without a time; null when"
        " no point has any. Times after the year 2255 are beyond 2^53: ask `points` for those.",
        lambda points: _ints(points.times),
    )
    values: MetricValueColumn | None = written(
        "The values in a series of floats, all 64 bits of each; null in other series.",
        lambda points: floats_json(cast("Floats", points.values)) if points.kind == "FLOAT" else b"null",
    )
    strings: list[str] | None = written("The values in a series of strings; null in other series.", _strings)
    bytes: list[Base64] | None = written("The values in a series of bytes; null in other series.", _bytes)


@dataclass(frozen=True)
class ColumnsRead:
    """`columns(range:)`."""

    def plan(self, selected: Selected) -> Plan:
        with selected.planner.repeated(1, COST):
            write = writer(selected)
        bounds = ends(given(selected, "range"))

        def ask(env: Environment) -> Callable[[Sequence[str]], Asked]:
            lower, upper = bounds(env)

            def of(told: Sequence[str]) -> Asked:
                owner, series, kind = told
                return Asked(read.Whole(UUID(owner), int(series), kind, lower, upper), write)

            return of

        return hole.Hole((hole.owner, hole.series, hole.kind), ask)


def ends(value: Value | None) -> Callable[[Environment], tuple[Any, Any]]:
    """The ends of a range, found and looked at in every request; None where one is open.

    The function refuses a range that is none.
    """

    def find(env: Environment) -> tuple[Any, Any]:
        given_ends = (value.get(env) if value else None) or {}
        lower, upper = given_ends.get("from"), given_ends.get("to")
        if any(end is not None and math.isnan(end) for end in (lower, upper)):
            raise refused("NaN is no end of a range.", ("range",))
        if lower is not None and upper is not None and lower > upper:
            raise refused(f"`from` is {lower} and `to` is {upper}: turn them around.", ("range",))
        return lower, upper

    return find


def columns_field() -> Any:
    """The field `columns` of a series."""
    return read_field(
        ColumnsRead(),
        "All its points, exactly, in order of arrival; of stretches that were rolled up, the points that are left. All"
        " such fields of a request come to at most 2 000 000 points, and to 32 MiB of strings and bytes: beyond, they"
        " are null, with a `LIMIT_EXCEEDED` of their own. Costs a node.",
        [
            Argument(
                "range",
                StepRange | None,
                "Only points with a step in this range; in a series without any step, positions stand for steps.",
            )
        ],
    )
