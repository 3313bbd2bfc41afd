"""Metric series and their points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from db.read.condition import Compare, Condition
from db.read.link import series_by_key
from db.read.plan import One, Plan
from db.read.source import SERIES
from db.read.sql import constant
from graphql_schema import enums
from graphql_schema.connection import Connection
from graphql_schema.fields import Argument, column, entity, given, read_field
from graphql_schema.filters import glob_bind
from graphql_schema.point_columns import MetricColumns, columns_field
from graphql_schema.points import MetricPoint, points_field
from graphql_schema.sample import MetricSample, sample_field
from graphql_schema.scalars import MetricValue, SafeInt
from graphql_schema.selection import Selected


@entity(SERIES)
class MetricSeries:
    """A named series of values on an object, with figures that are kept up to date as points arrive.

    Figures run over finite values; first and last may be non-finite. In series of strings or bytes they are null.
    """

    key: str = column("Its name on the object, such as `train/loss`.")
    kind: enums.MetricKind = column("What its values are.")
    leg: int = column(
        "0 on the run's line; n for what the n-th resumption of its experiment left behind, to which nothing is added."
    )
    count: SafeInt = column("How many points it has.")
    non_finite_count: SafeInt = column("How many of them are NaN or infinite.")
    first_step: SafeInt | None = column("The least step of its points.")
    last_step: SafeInt | None = column("The greatest step of its points.")
    first_at: datetime | None = column("The earliest wall time of its points.")
    last_at: datetime | None = column("The latest wall time of its points.")
    first: MetricValue | None = column("The value with the least step; of equals, and without steps, the oldest.")
    last: MetricValue | None = column("The value with the greatest step; of equals, and without steps, the newest.")
    min: MetricValue | None = column("The least finite value.")
    min_step: SafeInt | None = column("The step of the least finite value; of equals, of the oldest.")
    max: MetricValue | None = column("The greatest finite value.")
    max_step: SafeInt | None = column("The step of the greatest finite value; of equals, of the oldest.")
    mean: MetricValue | None = column("The arithmetic mean of the finite values.")
    points: Connection[MetricPoint] | None = points_field()
    sample: MetricSample | None = sample_field()
    columns: MetricColumns | None = columns_field()


LEG = Argument(
    "leg", int | None, "0, or absent, for the run's line; n for what the n-th resumption of the experiment left behind."
)


def current_leg() -> Condition:
    """The summaries that lists and filters see."""
    return Compare("leg", "eq", constant(0, "integer"))


def series_scope(selected: Selected) -> Sequence[Condition]:
    """Conditions of `metrics(keys:, keyPrefix:, keyPattern:)`."""
    leg = given(selected, "leg")
    conditions: list[Condition] = [Compare("leg", "eq", leg.bind("integer")) if leg else current_leg()]
    if keys := given(selected, "keys"):
        conditions.append(Compare("key", "in", keys.bind("text[]")))
    if prefix := given(selected, "keyPrefix"):
        conditions.append(Compare("key", "startsWith", prefix.bind("text")))
    if pattern := given(selected, "keyPattern"):
        conditions.append(Compare("key", "matches", glob_bind(pattern)))
    return conditions


@dataclass(frozen=True)
class MetricRead:
    """`metric(key:)`: one series of the object."""

    def plan(self, selected: Selected) -> Plan:
        key, leg = selected.arguments["key"].bind("text"), given(selected, "leg")
        with selected.planner.repeated(1, 0.1):
            link = series_by_key(key, leg.bind("integer") if leg else None)
            return One(SERIES, link, selected.object(), contained=True)


def metric_read() -> Any:
    """The field `metric(key:)`."""
    return read_field(
        MetricRead(),
        "One of its metric series; null when there is none.",
        [Argument("key", str, "Exactly.", ...), LEG],
    )
