"""New points of metric series, and series that are renamed or deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import strawberry

from db import tables
from db.access import Role
from db.metrics import lane
from db.metrics.batch import MAX_BATCHES, MAX_SERIES, Point
from db.read.condition import Compare
from db.read.nodes import ByIds
from db.read.order import by_column
from db.read.plan import Plan, Rows
from db.read.source import SERIES
from db.read.sql import Bind, Environment
from db.read.window import Window
from db.verbs import metrics, series
from graphql_schema.fields import SOURCES, possible_types, read_field
from graphql_schema.metric import MetricSeries, current_leg
from graphql_schema.mutation import (
    RESULT,
    Payload,
    as_uuid,
    changed,
    given,
    mutation,
    optional,
    payload,
    retry_key,
    told,
)
from graphql_schema.node import Entity
from graphql_schema.scalars import Base64, MetricTable, MetricValue, SafeInt
from graphql_schema.selection import Selected
from graphql_schema.typed_variables import rows

KEY = (
    "The series' name on the object, such as `train/loss`: 1 to 1 000 bytes of UTF-8, compared exactly, without"
    " control characters, and without blanks at the ends."
)
POINTS = (
    "Points one by one, in order of arrival; those of one key need not be neighbours. What people write; a program"
    " sends `columns`, which take a fifth of the time to read."
)
COLUMNS = "Points as columns of rows; they arrive after `points`, row by row."


@rows(Point)
@strawberry.input(
    description="One value of a series. Exactly one of `value`, `string` and `bytes` is given, and the first point of"
    " a series settles which: any other is `INVALID`."
)
class MetricPointInput:
    key: str = given(KEY)
    step: SafeInt | None = optional("The training step; any order, negative and repeated ones too. None when absent.")
    wall_time: datetime | None = optional("When it was measured. None when absent: the server adds no time of its own.")
    value: MetricValue | None = optional("The value in a series of floats; all 64 bits are kept.")
    string: str | None = optional("The value in a series of strings; at most 1 048 576 characters.")
    bytes: Base64 | None = optional("The value in a series of bytes; at most 1 MiB.")


@strawberry.input(description="Points of one object's series.")
class MetricBatchInput:
    object_id: strawberry.ID = given("The object that was measured; an entity of any type, and no other batch's.")
    points: list[MetricPointInput] | None = optional(POINTS)
    columns: MetricTable | None = optional(COLUMNS)


@strawberry.input(
    description="Points of one object (`objectId` with `points`, `columns` or both) or of several (`batches`): at most"
    " 10 000 points and 1 000 keys in all, else `INVALID`."
)
class LogMetricsInput:
    object_id: strawberry.ID | None = optional("The object that was measured; an entity of any type.")
    points: list[MetricPointInput] | None = optional(POINTS)
    columns: MetricTable | None = optional(COLUMNS)
    batches: list[MetricBatchInput] | None = optional(
        "Points of 1 to 100 objects, each named once; instead of `objectId`. All are stored, or none."
    )
    writer: str | None = optional(
        "Who sends, such as a process of a run: 1 to 255 characters, the same for all its calls and no other's."
        " Together with `sequence` it makes retries safe, for ever: what an object has of a writer's sequence already"
        " is not stored again, whatever it holds this time. Calls may come in any order."
    )
    sequence: SafeInt | None = optional(
        "The number of the writer's call, from 0; each number for one call only. `CONFLICT` when the writer has left"
        " 10 000 gaps on an object."
    )
    idempotency_key: str | None = optional(
        "Makes a retry safe for 30 days: the same key and input give the same answer, other input is a `CONFLICT`."
        " Without it and `writer`, points sent twice are stored twice."
    )


@dataclass(frozen=True)
class LoggedSeriesRead:
    """The series of the one object that a verb was about, by key."""

    def plan(self, selected: Selected) -> Plan:
        owner = Bind(lambda env: as_uuid(env[RESULT].get("object")), "uuid")
        keys = Bind(lambda env: env[RESULT].get("keys"), "text[]")
        where = [Compare("owner_id", "eq", owner), Compare("key", "in", keys), current_leg()]
        order = [by_column(tables.Series, "key")]
        with selected.planner.repeated(MAX_SERIES, 0.1):
            return Rows(Window(SERIES, order, MAX_SERIES, contained=True, where=where), selected.object())


@dataclass(frozen=True)
class LoggedObjectsRead:
    """The objects that a call was about, in the order of the input."""

    def plan(self, selected: Selected) -> Plan:
        ids = Bind(lambda env: [as_uuid(item) for item in _told(env, "objects")], "uuid[]")
        prefixes = Bind(lambda env: _told(env, "objectsPrefix"), "text[]")
        types = [type_ for type_ in possible_types(selected) if type_.name in SOURCES]
        with selected.planner.repeated(MAX_BATCHES):
            found = [(SOURCES[type_.name], selected.planner.object(type_, selected.nodes)) for type_ in types]
        return ByIds(ids, prefixes, found)


def _told(env: Environment, name: str) -> Sequence[str]:
    return env[RESULT].get(name) or ()


@payload
class LogMetricsPayload(Payload):
    """What was measured, as it is now."""

    object: Entity | None = changed("The object; the first one of `batches`.", "object")
    series: list[MetricSeries] | None = read_field(
        LoggedSeriesRead(),
        "The series of that object which the call names, by key, with their figures now; null when refused.",
    )
    objects: list[Entity] | None = read_field(
        LoggedObjectsRead(), "Every object of the call, in the order of the input; only one for `objectId`."
    )
    point_count: SafeInt | None = told(
        "How many points were stored: all of the call, but for objects that had its `sequence` already.", "pointCount"
    )
    replayed: bool | None = told(
        "True when every object of the call had this `sequence` of its `writer` already, so that nothing was stored. A"
        " call that repeats an `idempotencyKey` gets the first one's answer.",
        "replayed",
    )


@strawberry.input(description="A series to rename.")
class RenameSeriesInput:
    object_id: strawberry.ID = given("The object that the series is of; an entity of any type.")
    key: str = given("Its key now.")
    new_key: str = given(f"Its key from now on. {KEY}")
    idempotency_key: str | None = retry_key()


@payload
class RenameSeriesPayload(Payload):
    """The series under its new key."""

    object: Entity | None = changed("The object that it is of.", "object")
    series: list[MetricSeries] | None = read_field(
        LoggedSeriesRead(), "The series, alone in a list; none when all of it was left behind."
    )


@strawberry.input(description="A series to delete.")
class DeleteSeriesInput:
    object_id: strawberry.ID = given("The object that the series is of; an entity of any type.")
    key: str = given("Its key.")
    idempotency_key: str | None = retry_key()


@payload
class DeleteSeriesPayload(Payload):
    """The object without the series."""

    object: Entity | None = changed("The object that it was of.", "object")
    point_count: SafeInt | None = told(
        "How many points were deleted with it, those that were left behind among them.", "pointCount"
    )


@strawberry.type
class MetricMutations:
    """Mutations of metrics."""

    log_metrics: LogMetricsPayload = mutation(
        "Append points to any number of series of one or more objects; a series is made by its first point. Answered"
        " when they are durable. All points are stored or none: what is refused is named by its index or its key, as"
        ' in `["input", "points", "17", "value"]` or `["input", "columns", "values", "train/loss", "17"]`. An'
        " experiment takes points in every status: they are a sign of life of a RUNNING one, end the STALLED of one"
        " that was silent, and change no other status, so a finished one stays as it ended. A deleted object, or one"
        " inside a deleted one, takes none: `NOT_FOUND`. Points are not audited and change neither `revision` nor"
        " `updatedAt`.",
        metrics.log,
        Role.WRITER,
        LogMetricsInput,
        on="the namespace of each object",
        lane=lane.log,
        digest=metrics.digest,
    )
    rename_series: RenameSeriesPayload = mutation(
        "Give a series another key; its points and figures stay. What resumptions left behind of it takes the new key,"
        " too. `NOT_FOUND` when the object has none of that key, `NAME_TAKEN` when it has one of the new key, be it on"
        " the run's line or left behind. Who still logs under the old key begins a new series. Audited on the object;"
        " neither `revision` nor `updatedAt` of it change.",
        series.rename,
        Role.WRITER,
        RenameSeriesInput,
        on="the namespace of the object",
    )
    delete_series: DeleteSeriesPayload = mutation(
        "Delete a series and all its points, for good, with all that resumptions left behind of it. `NOT_FOUND` when"
        " the object has none of that key. A point that is logged under the key later begins a new series at position"
        " 0, which may be of another kind; a retry of a `writer` and `sequence` that were stored does not. Audited on"
        " the object; neither `revision` nor `updatedAt` of it change.",
        series.delete,
        Role.MAINTAINER,
        DeleteSeriesInput,
        on="the namespace of the object",
    )
