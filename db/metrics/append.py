"""Points become durable: the batches of one or more calls, in one transaction, in a handful of statements.

The order of locks is the same for all: writers, series (both sorted), heartbeats, the heads of metric streams
(sorted), and last, by `Transaction.settle`, the heads of registry streams.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import numpy as np

from db.access import Role
from db.errors import Conflict, DomainError, NotFound
from db.identifiers import parse_id
from db.metrics import series_rows
from db.metrics.batch import INPUT, Batch
from db.metrics.columns import Ints
from db.metrics.lot import Lot, gathered
from db.metrics.series_part import Opaque
from db.metrics.series_rows import Kept
from db.metrics.stream import stream_of
from db.metrics.tail import encode
from db.read.source import ALIVE, BY_KIND, ENTITIES
from db.transaction import Result, Transaction
from db.verbs import entity, experiments
from db.verbs.entity import Home

PREFIXES: Final = tuple(source.prefix for source in ENTITIES)
LEG: Final = 0
MOST_RANGES: Final = 10_000
"""Stretches without a gap that a writer's sequences on one object make up. Each of its calls looks through them all."""

OWNERS: Final = f"""
    SELECT o.id, o.kind, b.at AS heard_of, {entity.HOME} FROM object o
    JOIN namespace h ON h.tenant_id = $1 AND h.id = o.namespace_id AND h.visible
    LEFT JOIN heartbeat b ON b.tenant_id = $1 AND b.experiment_id = o.id
    WHERE o.tenant_id = $1 AND o.id = ANY($2::uuid[]) AND {ALIVE}
"""
"""The objects of these ids that are not deleted, where they live, and their last signs of life."""

KINDS: Final = """
    SELECT s.owner_id, s.key, s.kind FROM unnest($2::uuid[], $3::text[]) AS wanted(owner_id, key)
    JOIN series s ON s.tenant_id = $1 AND s.owner_id = wanted.owner_id AND s.key = wanted.key AND s.leg = 0
"""
"""What series of these keys hold."""

APPLIED: Final = """
    SELECT wanted.* FROM unnest($2::uuid[], $3::text[], $4::bigint[]) AS wanted(owner_id, writer, sequence)
    JOIN metric_writer w ON w.tenant_id = $1 AND w.owner_id = wanted.owner_id AND w.writer = wanted.writer
    WHERE w.applied @> wanted.sequence
"""
"""Which of these batches their writers had brought before."""

FULL: Final = """
    SELECT wanted.* FROM unnest($2::uuid[], $3::text[], $4::bigint[]) AS wanted(owner_id, writer, sequence)
    JOIN metric_writer w ON w.tenant_id = $1 AND w.owner_id = wanted.owner_id AND w.writer = wanted.writer
    WHERE (SELECT count(*) FROM unnest(w.applied)) >= $5
        AND NOT (w.applied @> wanted.sequence - 1 OR w.applied @> wanted.sequence + 1)
"""
"""Which of them would leave a gap when there are so many already."""

MARK: Final = """
    INSERT INTO metric_writer AS known (tenant_id, owner_id, writer, applied, fresh)
    SELECT $1, owner_id, writer, range_agg(number), range_agg(number)
    FROM (
        SELECT owner_id, writer, int8range(sequence, sequence + 1) AS number
        FROM unnest($2::uuid[], $3::text[], $4::bigint[]) AS given(owner_id, writer, sequence)
    ) new GROUP BY owner_id, writer ORDER BY owner_id, writer
    ON CONFLICT (tenant_id, owner_id, writer) DO UPDATE
        SET applied = known.applied + excluded.applied, fresh = excluded.applied - known.applied
    RETURNING owner_id, writer, fresh, (SELECT count(*) FROM unnest(known.applied)) AS ranges
"""
"""Note the batches that writers bring, and learn which of them are new."""

KEEP: Final = """
    WITH taken AS (
        INSERT INTO stream_head AS head (tenant_id, stream_id, seq, epoch, min_seq)
        SELECT $1, stream_id, numbers, (SELECT epoch FROM installation LIMIT 1), 0
        FROM unnest($2::uuid[], $3::bigint[]) AS new(stream_id, numbers) ORDER BY stream_id
        ON CONFLICT (tenant_id, stream_id) DO UPDATE SET seq = head.seq + excluded.seq
        RETURNING stream_id, seq
    ), added AS (
        INSERT INTO metric_batch (tenant_id, owner_id, seq, leg, recorded_at, actor_id, point_count, data)
        SELECT $1, owner_id, taken.seq - later, $11, $10, actor_id, points, data
        FROM unnest($4::uuid[], $5::uuid[], $6::bigint[], $7::uuid[], $8::int[], $9::bytea[])
            AS new(stream_id, owner_id, later, actor_id, points, data)
        JOIN taken USING (stream_id)
    )
    SELECT stream_id, seq AS last FROM taken
"""
"""Take a number for each batch in its object's metric stream, and add it to the tail. `later` counts those behind."""

KEEP_OPAQUE: Final = """
    INSERT INTO opaque_point
        (tenant_id, owner_id, series_id, position, leg, seq, step, wall_time, string, "binary")
    SELECT $1, owner_id, series_id, place, $2, seq, step, wall_time, string, bytes
    FROM unnest($3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::timestamptz[], $9::text[],
        $10::bytea[]) AS new(owner_id, series_id, seq, place, step, wall_time, string, bytes)
"""


@dataclass
class Logged:
    """One call: what it brings, and what becomes of it."""

    tx: Transaction
    batches: Sequence[Batch]
    writer: str | None = None
    sequence: int | None = None
    error: DomainError | None = None
    kept: list[Accepted] = field(default_factory=list)

    def result(self) -> Result:
        """What was done, for the answer."""
        first = self.kept[0]
        return {
            "object": first.owner_id,
            "objectPrefix": first.batch.object_id.partition("_")[0],
            "keys": first.batch.all_keys,
            "objects": [batch.owner_id for batch in self.kept],
            "objectsPrefix": [batch.batch.object_id.partition("_")[0] for batch in self.kept],
            "pointCount": sum(batch.batch.point_count for batch in self.kept if batch.is_new),
            "replayed": not any(batch.is_new for batch in self.kept),
        }


@dataclass
class Accepted:
    """A batch on an object that its caller may write to. `is_new` unless its writer had brought it before."""

    call: Logged
    batch: Batch
    owner_id: UUID
    home: Home
    heard_of: datetime | None
    is_new: bool = True


async def append(calls: Sequence[Logged], *, is_wary: bool = False) -> set[UUID]:
    """Store the batches of calls of one tenant that share a transaction; the streams that took numbers.

    A call that is refused by itself says so in its `error`, and the rest goes on. Who `is_wary` looks first at what
    series hold, for then those that bring another kind of values are refused by themselves, too.

    Raises:
        Invalid: a series holds another kind of values, so nothing may be kept of any call.
    """
    tx = calls[0].tx
    await _find_owners(tx, calls)
    if is_wary:
        await _refuse_other_kinds(tx, calls)
    accepted = [batch for call in calls if call.error is None for batch in call.kept]
    await _set_replays_aside(tx, accepted)
    new = [batch for batch in accepted if batch.is_new and (batch.batch.keys or batch.batch.opaque)]
    if new:
        lot = gathered(new)
        series = await series_rows.add(tx, lot, [new[number].home.id for number in lot.first])
        _require_kinds(lot, series, new)
        await _give_signs_of_life(new)
        numbers = await _keep(tx, new, lot, series)
        if any(batch.batch.opaque for batch in new):
            await _keep_opaque(tx, new, lot, series, numbers)
    return {stream_of(batch.owner_id) for batch in new}


async def _find_owners(tx: Transaction, calls: Sequence[Logged]) -> None:
    wanted = {}
    for call in calls:
        try:
            wanted.update({b.object_id: parse_id(b.object_id, PREFIXES, _path(b)) for b in call.batches})
        except DomainError as error:
            call.error = error
    rows = {row["id"]: row for row in await tx.fetch(OWNERS, list({*wanted.values()}))}
    for call in calls:
        if call.error is None:
            try:
                call.kept = [_accepted(call, batch, rows.get(wanted[batch.object_id])) for batch in call.batches]
            except DomainError as error:
                call.error = error


def _path(batch: Batch) -> tuple[str, ...]:
    return (*batch.path, "objectId")


def _accepted(call: Logged, batch: Batch, row: Mapping[str, Any] | None) -> Accepted:
    """The batch, if the caller may see its object and write to it."""
    prefix = batch.object_id.partition("_")[0]
    home = entity.home_of(row) if row else None
    if row is None or home is None or BY_KIND[row["kind"]].prefix != prefix or not _sees(call, home):
        kind = next(source.kind for source in ENTITIES if source.prefix == prefix).lower().replace("_", " ")
        raise NotFound(f"There is no {kind} {batch.object_id}, or you may not see it.", path=_path(batch))
    entity.require(call.tx, home, Role.WRITER, _path(batch), kind=row["kind"], object_id=row["id"])
    return Accepted(call, batch, row["id"], home, row["heard_of"])


def _sees(call: Logged, home: Home) -> bool:
    return call.tx.caller.role_on(home.lineage) is not None


async def _refuse_other_kinds(tx: Transaction, calls: Sequence[Logged]) -> None:
    """What `_require_kinds` would find, call by call: before anything is marked or stored of those that it refuses."""
    batches = [batch for call in calls if call.error is None for batch in call.kept]
    series = list({(batch.owner_id, key): None for batch in batches for key in batch.batch.all_keys})
    kinds = {(row["owner_id"], row["key"]): row["kind"] for row in await tx.fetch(KINDS, *_columns(series, 2))}
    named = list({_name(batch): None for batch in batches if batch.call.writer is not None})
    seen = {tuple(row.values()) for row in await tx.fetch(APPLIED, *_columns(named, 3))}
    full = {tuple(row.values()) for row in await tx.fetch(FULL, *_columns(named, 3), MOST_RANGES)} - seen
    for call in calls:
        if call.error is None:
            try:
                _require_room(any(_name(batch) in full for batch in call.kept))
                _claim(call, kinds, seen)
            except DomainError as error:
                call.error = error


def _claim(call: Logged, kinds: dict[tuple[UUID, str], str], seen: set[tuple[Any, ...]]) -> None:
    """Note the kinds of a call's series. Raises Invalid where one is of another kind; then nothing is noted."""
    new = [batch for batch in call.kept if _name(batch) not in seen]
    brought = [(batch, key, "FLOAT") for batch in new for key in batch.batch.keys]
    brought += [(batch, one.key, one.kind) for batch in new for one in batch.batch.opaque]
    for batch, key, kind in brought:
        known = kinds.get((batch.owner_id, key), kind)
        if known != kind:
            raise batch.batch.refusal(key, known)
    kinds.update({(batch.owner_id, key): kind for batch, key, kind in brought})
    seen.update(_name(batch) for batch in new if call.writer is not None)


def _require_room(is_full: bool) -> None:
    if is_full:
        message = f"This writer has left {MOST_RANGES} gaps already. Count its calls from 0, one after the other."
        raise Conflict(message, path=(*INPUT, "sequence"))


def _name(batch: Accepted) -> tuple[Any, ...]:
    return batch.owner_id, batch.call.writer, batch.call.sequence


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[row[place] for row in rows] for place in range(width)]


async def _set_replays_aside(tx: Transaction, accepted: Iterable[Accepted]) -> None:
    """Mark the batches that their writer had brought before, or brings twice at once.

    Raises:
        Conflict: a writer leaves more gaps than can be looked through in each of its calls.
    """
    marked = [batch for batch in accepted if batch.call.writer is not None]
    if not marked:
        return
    names = [_name(batch) for batch in marked]
    rows = await tx.fetch(MARK, *(list(column) for column in zip(*names, strict=True)))
    _require_room(any(row["ranges"] > MOST_RANGES for row in rows))
    fresh = {(row["owner_id"], row["writer"]): row["fresh"] for row in rows}
    seen: set[Any] = set()
    for batch, name in zip(marked, names, strict=True):
        batch.is_new = name not in seen and any(name[2] in span for span in map(_numbers, fresh[name[:2]]))
        seen.add(name)


def _numbers(span: asyncpg.Range) -> range:
    return range(span.lower, span.upper)


async def _give_signs_of_life(new: Sequence[Accepted]) -> None:
    """Logging is a sign of life of an experiment, which ends STALLED: in the name of the first who logged."""
    first: dict[UUID, Transaction] = {}
    for batch in new:
        if batch.heard_of is not None and experiments.is_due(batch.heard_of, batch.call.tx.now):
            first.setdefault(batch.owner_id, batch.call.tx)
    if first:
        await experiments.signs_of_life(first)


def _require_kinds(lot: Lot, series: Sequence[Kept], new: Sequence[Accepted]) -> None:
    """Raises Invalid, naming the first point, where a stored series holds other values."""
    for (_, key), kind, first, kept in zip(lot.names, lot.kinds, lot.first, series, strict=True):
        if kept.kind != kind:
            raise new[first].batch.refusal(key, kept.kind)


async def _keep(tx: Transaction, new: Sequence[Accepted], lot: Lot, series: Sequence[Kept]) -> list[int]:
    """Add the batches to the tail, in order; the number that each took."""
    streams = [stream_of(batch.owner_id) for batch in new]
    total = Counter(streams)
    later = _later(streams, total)
    ids = np.array([kept.id for kept in series], np.int64)
    rows = await tx.fetch(
        KEEP,
        list(total),
        list(total.values()),
        streams,
        [batch.owner_id for batch in new],
        later,
        [batch.call.tx.caller.actor_id for batch in new],
        [batch.batch.point_count for batch in new],
        [_encoded(batch.batch, ids[numbers]) for batch, numbers in zip(new, lot.numbers, strict=True)],
        tx.now,
        LEG,
    )
    last = {row["stream_id"]: row["last"] for row in rows}
    return [last[stream] - behind for stream, behind in zip(streams, later, strict=True)]


def _later(streams: Sequence[UUID], total: Mapping[UUID, int]) -> list[int]:
    """For each of them, how many of the same stream come after it."""
    left = dict(total)
    found = []
    for stream in streams:
        left[stream] -= 1
        found.append(left[stream])
    return found


def _encoded(batch: Batch, ids: Ints) -> bytes:
    return encode(ids[: len(batch.keys)], batch.counts, batch.columns)


async def _keep_opaque(
    tx: Transaction, new: Sequence[Accepted], lot: Lot, series: Sequence[Kept], seqs: Sequence[int]
) -> None:
    """Positions go on from the count of each series before this lot."""
    place = [kept.total - count for kept, count in zip(series, lot.counts.tolist(), strict=True)]
    rows: list[tuple[Any, ...]] = []
    for batch, numbers, seq in zip(new, lot.numbers, seqs, strict=True):
        for opaque, number in zip(batch.batch.opaque, numbers[len(batch.batch.keys) :].tolist(), strict=True):
            rows += _opaque_rows((batch.owner_id, series[number].id, seq), opaque, place[number])
            place[number] += len(opaque.points)
    await tx.execute(KEEP_OPAQUE, LEG, *zip(*rows, strict=True))


def _opaque_rows(about: tuple[UUID, int, int], opaque: Opaque, place: int) -> Iterator[tuple[Any, ...]]:
    for position, (step, at, value) in enumerate(opaque.points, place):
        text, data = (value, None) if isinstance(value, str) else (None, value)
        yield (*about, position, step, at, text, data)
