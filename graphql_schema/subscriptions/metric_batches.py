"""`metricBatches`: the points of objects, as they are logged."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

import numpy as np
import orjson
import strawberry
from strawberry import enum_value

from db.access import Caller
from db.engine import Connection, Database
from db.errors import NotFound
from db.feed import place
from db.feed.position import Position, Span
from db.metrics import followed, span
from db.metrics.columns import Ints
from db.metrics.followed import Resumed
from db.metrics.span import Arrived, Between
from db.metrics.stream import stream_of
from db.read.hole import Filled
from db.read.plan import Plan
from db.read.source import ENTITIES
from db.read.sql import Compiled, Environment
from graphql_schema import enums
from graphql_schema.arguments import Value, prefix_of, refused
from graphql_schema.fields import Argument, given, read_field
from graphql_schema.filters import plain
from graphql_schema.lookup import MAX_IDS, decoded_ids
from graphql_schema.point_columns import MetricColumns
from graphql_schema.scalars import Cursor, SafeInt
from graphql_schema.selection import Selected
from graphql_schema.subscriptions.pace import every, paced, pause_of
from graphql_schema.subscriptions.stream import SPAN, TARGET, Find, Frames, Shown, Target, began
from graphql_schema.subscriptions.stream import written as cursor_of
from graphql_schema.written import Write, WrittenRead, inside, writer, written

NUMBERS: Final = 200
POINTS: Final = 20_000
"""Points after which a frame is cut; what one call brought is never divided."""

BYTES: Final = 4 << 20
"""Bytes of strings and of bytes after which it is cut, too."""

PREFIXES: Final = tuple(source.prefix for source in ENTITIES)


@strawberry.enum(description="Which of the points that came since the last frame a frame holds, of each series.")
class Coalescing(enum.Enum):
    ALL = enum_value("ALL", description="Every one.")
    LAST = enum_value("LAST", description="The one that came last.")
    MIN = enum_value("MIN", description="The least finite one; of strings and bytes, the last.")
    MAX = enum_value("MAX", description="The greatest finite one; of strings and bytes, the last.")
    MINMAX = enum_value("MINMAX", description="The least and the greatest finite one; of strings and bytes, the last.")


@dataclass(frozen=True)
class New:
    """New points of one series of one object."""

    object_id: str
    arrived: Arrived
    raw_count: int


@dataclass(frozen=True)
class NewLeg:
    """A resumption of one object."""

    object_id: str
    resumed: Resumed


@dataclass(frozen=True)
class Batch:
    """What a frame is written of."""

    span: Span
    series: Sequence[New]
    legs: Sequence[NewLeg]


def _text(value: str) -> bytes:
    return orjson.dumps(value)


@strawberry.type(description="New points of one series.")
class SeriesPoints:
    object_id: strawberry.ID = written("The object that was measured.", lambda new: _text(new.object_id))
    key: str = written("The key of the series.", lambda new: _text(new.arrived.key))
    kind: enums.MetricKind = written("What its values are.", lambda new: _text(new.arrived.kind))
    leg: int = written(
        "Where the points are now: 0 on the run's line; n where the n-th resumption of the experiment has left them"
        " behind since they were logged.",
        lambda new: b"%d" % new.arrived.leg,
    )
    columns: MetricColumns = inside("The points, in order of arrival.", lambda new: new.arrived)
    raw_count: SafeInt = written(
        "How many points came; more than the columns hold where these are coalesced.", lambda new: b"%d" % new.raw_count
    )


@strawberry.type(description="An experiment was resumed: what its earlier points past a step are from now on.")
class BegunLeg:
    object_id: strawberry.ID = written("The experiment.", lambda new: _text(new.object_id))
    number: int = written(
        "The leg that it is on now; it counts the resumptions.", lambda new: b"%d" % new.resumed.number
    )
    from_step: SafeInt = written(
        "Points of the line with a greater step left it, in all series: they are read by `metrics(leg:)` with this"
        " number. Points without a step stay.",
        lambda new: b"%d" % new.resumed.from_step,
    )


def _series(selected: Selected) -> Write:
    write = writer(selected)
    return lambda batch: b"[" + b",".join([write(new) for new in batch.series]) + b"]"


def _legs(selected: Selected) -> Write:
    write = writer(selected)
    return lambda batch: b"[" + b",".join([write(new) for new in batch.legs]) + b"]"


@strawberry.type(description="Points that were logged together or shortly after each other.")
class MetricBatch:
    cursor: Cursor = written(
        "Where the streams stand after this frame: give it to `after` to go on from here.",
        lambda batch: _text(cursor_of(batch.span)),
    )
    catching_up: bool = written(
        "True while there are older points to come; false when this frame is up to date.",
        lambda batch: b"true" if batch.span.catching_up else b"false",
    )
    series: list[SeriesPoints] = strawberry.field(
        description="The series that were added to, by object and key; none in a heartbeat, at least every 20 seconds.",
        metadata={"read": WrittenRead(_series)},
    )
    legs: list[BegunLeg] = strawberry.field(
        description="The resumptions since the frame before, by object, in their order. They are about the points of"
        " frames before this one: of its own points, `leg` tells where they are. Told whichever series are followed.",
        metadata={"read": WrittenRead(_legs)},
    )


@dataclass(frozen=True)
class MetricFrames:
    """`metricBatches`: a frame is written of what was logged, without a statement of its own."""

    def plan(self, selected: Selected) -> Plan:
        raise TypeError("metricBatches is written, not planned")

    def frames(self, key: str, selected: Selected, *, restricted: bool) -> Frames:
        with selected.planner.repeated(20):
            write = writer(selected)
        after, begin = began(selected)
        pause = pause_of(selected)
        return Frames(
            statement=Compiled("", ()),
            find=paced(_find(selected), pause),
            after=after,
            begin=begin,
            most=NUMBERS,
            coalesces=True,
            read=_reader(key, selected, write),
            pause=pause,
        )


def _find(selected: Selected) -> Find:
    value, prefix = selected.arguments["objectIds"], given(selected, "keyPrefix")
    decode = decoded_ids(PREFIXES, value.path)

    async def find(database: Database, caller: Caller, env: Environment) -> Target:
        texts: list[str] = value.get(env)
        ids = decode(texts)
        if not ids or len(set(ids)) < len(ids):
            raise refused(f"give 1 to {MAX_IDS} different ids.", value.path)
        if prefix and given(selected, "keys"):
            raise refused("give `keys` or `keyPrefix`, not both.", prefix.path)
        return await _target(database, caller, texts, ids, value.path)

    return find


async def _target(
    database: Database, caller: Caller, texts: Sequence[str], ids: Sequence[UUID], path: tuple[str, ...]
) -> Target:
    owners = sorted(zip(ids, texts, strict=True), key=lambda pair: stream_of(pair[0]))
    places = await place.of_objects(database, caller.tenant_id, [(prefix_of(text), id_) for id_, text in owners])
    for id_, text in owners:
        found = places.get(id_)
        if found is None or caller.role_on(found.lineage) is None:
            raise NotFound(f"There is no object {text}, or you may not see it.", path=path)
    return Target(
        streams=tuple(stream_of(id_) for id_, _ in owners),
        lineages=tuple(places[id_].lineage for id_, _ in owners),
        facts=tuple(owners),
        missing="One of these objects is not there, or you may not see it.",
        path=path,
    )


def _reader(key: str, selected: Selected, write: Write) -> Callable[..., Any]:
    keys, prefix, coalesce = given(selected, "keys"), given(selected, "keyPrefix"), selected.arguments["coalesce"]
    told = any(nodes[0].name.value == "legs" for nodes in selected.collected().values())
    before = f'{{"data":{{"{key}":'.encode()

    async def read(connection: Connection, env: Environment) -> Shown:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            only = {"keys": _text_list(keys, env), "prefix": prefix.get(env) if prefix else None}
            wanted, arrived = await _arrived(connection, env, only)
            found, reached = _cut(wanted, arrived)
            is_over = await _is_over(connection, env, reached)
            legs = await _legs_in(connection, env, reached) if told else ()
        texts, way = [text for _, text in env[TARGET].facts], plain(coalesce.get(env))
        series = [_new(text, one, way) for text, ones in zip(texts, found, strict=True) for one in ones]
        json = before + write(Batch(reached, series, [NewLeg(texts[leg.place], leg) for leg in legs])) + b"}}"
        return Shown(Filled(json), bool(series or legs), reached, is_over and not reached.catching_up)

    return read


async def _is_over(connection: Connection, env: Environment, reached: Span) -> bool:
    """Whether nothing follows.

    Raises:
        NotFound: an object was deleted.
    """
    owners = [id_ for id_, _ in env[TARGET].facts]
    state = await followed.state(connection, env["$tenant"], owners, reached.streams, reached.upto.seqs)
    if not state.all_there:
        raise NotFound(env[TARGET].missing, path=env[TARGET].path)
    return state.is_over


async def _legs_in(connection: Connection, env: Environment, reached: Span) -> Sequence[Resumed]:
    if reached.is_empty:
        return ()
    owners = [id_ for id_, _ in env[TARGET].facts]
    return await followed.resumed(connection, env["$tenant"], owners, reached.after.seqs, reached.upto.seqs)


def _text_list(value: Value | None, env: Environment) -> list[str] | None:
    return value.get(env) if value else None


async def _arrived(
    connection: Connection, env: Environment, only: Mapping[str, Any]
) -> tuple[Span, list[list[Arrived]]]:
    """The series of each object that were added to in the span, or in as much of it as a frame holds."""
    wanted: Span = env[SPAN]
    places = zip(env[TARGET].facts, wanted.after.seqs, wanted.upto.seqs, strict=True)
    asked = {n: Between(id_, after, upto) for n, ((id_, _), after, upto) in enumerate(places) if after < upto}
    try:
        found = (
            await span.read(connection, env["$tenant"], [*asked.values()], **only, most_bytes=BYTES) if asked else []
        )
    except span.TooLong as error:
        return await _arrived(connection, {**env, SPAN: _before(wanted, [*asked][error.place], error.seq)}, only)
    by_place = dict(zip(asked, found, strict=True))
    return wanted, [by_place.get(n, []) for n in range(len(wanted.streams))]


def _before(wanted: Span, place: int, seq: int) -> Span:
    """The span up to a number of the stream at that place; of streams behind it, nothing."""
    ends = (*wanted.upto.seqs[:place], seq - 1, *wanted.after.seqs[place + 1 :])
    return replace(wanted, upto=Position(wanted.upto.epoch, ends), catching_up=True)


def _cut(wanted: Span, arrived: Sequence[Sequence[Arrived]]) -> tuple[list[list[Arrived]], Span]:
    """As much of the span as one frame should hold: whole calls, not many more points than `POINTS`."""
    if sum(len(one) for ones in arrived for one in ones) <= POINTS:
        return [list(ones) for ones in arrived], wanted
    ends = list(_ends(wanted, arrived))
    cut = [[_upto(one, end) for one in ones] for ones, end in zip(arrived, ends, strict=True)]
    reached = replace(wanted, upto=Position(wanted.upto.epoch, tuple(ends)), catching_up=True)
    return [[one for one in ones if len(one)] for ones in cut], reached if ends != list(wanted.upto.seqs) else wanted


def _ends(wanted: Span, arrived: Sequence[Sequence[Arrived]]) -> Iterator[int]:
    left = POINTS
    for ones, after, upto in zip(arrived, wanted.after.seqs, wanted.upto.seqs, strict=True):
        seqs = np.sort(np.concatenate([np.zeros(0, np.int64), *(one.seqs for one in ones)]))
        if left <= 0 and len(seqs):
            yield after
        else:
            yield upto if len(seqs) <= left else int(seqs[left - 1])
        left -= len(seqs)


def _upto(one: Arrived, end: int) -> Arrived:
    return _picked(one, np.flatnonzero(one.seqs <= end))


def _picked(one: Arrived, rows: Ints) -> Arrived:
    values: Any = one.values[rows] if isinstance(one.values, np.ndarray) else [one.values[row] for row in rows.tolist()]
    return replace(one, seqs=one.seqs[rows], steps=one.steps[rows], times=one.times[rows], values=values)


def _new(object_id: str, one: Arrived, way: str) -> New:
    return New(object_id, one if way == "ALL" else _picked(one, _chosen(one, way)), len(one))


def _chosen(one: Arrived, way: str) -> Ints:
    last = len(one) - 1
    if way == "LAST" or not isinstance(one.values, np.ndarray):
        return np.array([last])
    finite = np.flatnonzero(np.isfinite(one.values))
    if not len(finite):
        return np.array([last])
    least, greatest = (finite[pick(one.values[finite])] for pick in (np.argmin, np.argmax))
    return np.unique({"MIN": [least], "MAX": [greatest], "MINMAX": [least, greatest]}[way])


METRIC_BATCHES = read_field(
    MetricFrames(),
    "The points of objects as they are logged, each once, in order of arrival within a series. Resumed by cursor, also"
    " over what was compacted meanwhile. A reader who is slow gets fewer and larger frames; of a backlog, a frame holds"
    " about 20 000 points at most, and never part of a call. `legs` tells of resumptions, by which earlier points leave"
    " the line. When all the objects are experiments that have ended, and"
    " all is told, it completes. Ends with `CURSOR_EXPIRED` when points after the cursor were rolled up; with"
    " `NOT_FOUND` when an object is deleted; with `FORBIDDEN` when your role there is taken away.",
    [
        Argument("objectIds", list[strawberry.ID], f"Objects of any type; 1 to {MAX_IDS}.", ...),
        Argument("keys", list[str] | None, "Only series of these keys; not beside `keyPrefix`."),
        Argument("keyPrefix", str | None, "Only series whose keys begin with this."),
        Argument("after", Cursor | None, "Begin after this cursor; from now on when absent."),
        every(),
        Argument("coalesce", Coalescing, "Which of the points of a frame it holds, of each series.", Coalescing.ALL),
    ],
)
