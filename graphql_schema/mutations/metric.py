"""New points of metric series."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import strawberry

from db import tables
from db.access import Role
from db.metrics.batch import MAX_SERIES
from db.read.condition import Compare
from db.read.order import by_column
from db.read.plan import Plan, Rows
from db.read.source import SERIES
from db.read.sql import Bind
from db.read.window import Window
from db.verbs import metrics
from graphql_schema.fields import read_field
from graphql_schema.metric import MetricSeries, current_leg
from graphql_schema.mutation import RESULT, Payload, as_uuid, changed, given, mutation, optional, payload, told
from graphql_schema.node import Entity
from graphql_schema.scalars import Base64, MetricValue, SafeInt
from graphql_schema.selection import Selected


@strawberry.input(
    description="One value of a series. Exactly one of `value`, `string` and `bytes` is given, and the first point of"
    " a series settles which: any other is `INVALID`."
)
class MetricPointInput:
    key: str = given(
        "The series' name on the object, such as `train/loss`: 1 to 1 000 bytes of UTF-8, compared exactly, without"
        " control characters, and without blanks at the ends."
    )
    step: SafeInt | None = optional("The training step; any order, negative and repeated ones too. None when absent.")
    wall_time: datetime | None = optional("When it was measured. None when absent: the server adds no time of its own.")
    value: MetricValue | None = optional("The value in a series of floats; all 64 bits are kept.")
    string: str | None = optional("The value in a series of strings; at most 1 048 576 characters.")
    bytes: Base64 | None = optional("The value in a series of bytes; at most 1 MiB.")


@strawberry.input(description="Points of an object's series.")
class LogMetricsInput:
    object_id: strawberry.ID = given("The object that was measured; an entity of any type.")
    points: list[MetricPointInput] = given(
        "In order of arrival; at most 10 000 points and 1 000 different keys. Points of one key need not be neighbours."
    )
    idempotency_key: str | None = optional(
        "Makes a retry safe: the same key and input give the same answer. Without it, points sent twice are stored"
        " twice."
    )


@dataclass(frozen=True)
class LoggedSeriesRead:
    """The series that a call added to, by key."""

    def plan(self, selected: Selected) -> Plan:
        owner = Bind(lambda env: as_uuid(env[RESULT].get("object")), "uuid")
        keys = Bind(lambda env: env[RESULT].get("keys"), "text[]")
        where = [Compare("owner_id", "eq", owner), Compare("key", "in", keys), current_leg()]
        order = [by_column(tables.Series, "key")]
        with selected.planner.repeated(MAX_SERIES, 0.1):
            return Rows(Window(SERIES, order, MAX_SERIES, contained=True, where=where), selected.object())


@payload
class LogMetricsPayload(Payload):
    """What was measured, as it is now."""

    object: Entity | None = changed("The object.", "object")
    series: list[MetricSeries] | None = read_field(
        LoggedSeriesRead(), "The series that were added to, by key, with their new figures; null when refused."
    )
    point_count: SafeInt | None = told("How many points were stored.", "pointCount")


@strawberry.type
class MetricMutations:
    """Mutations of metrics."""

    log_metrics: LogMetricsPayload = mutation(
        "Append points to any number of series of one object; a series is made by its first point. Accepted in every"
        " status of an experiment, whose sign of life it is. All points are stored or none: a point that is refused is"
        ' named by its index, as in `["input", "points", "17", "value"]`. Points are not audited and change neither'
        " `revision` nor `updatedAt`.",
        metrics.log,
        Role.WRITER,
        LogMetricsInput,
    )
