"""Events: what outside systems say happened. Each is stored once, however often it is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from db import tables
from db.errors import Invalid
from db.identifiers import new_id
from db.read.source import EXPERIMENT
from db.transaction import Result, Transaction
from db.verbs import entity, experiments
from db.verbs.entity import Found, Path
from db.verbs.values import checked

MAX_EVENTS: Final = 1_000
EVENTS: Path = ("input", "events")

BY_EXTERNAL_ID = """
    SELECT known.object_id, known.source, known.external_id, NULL AS name, NULL::timestamptz AS moment,
        known.id, known.at, known.ended_at, known.stream_id
    FROM unnest($2::uuid[], $3::text[], $4::text[]) AS given(object_id, source, external_id)
    JOIN event known ON known.tenant_id = $1 AND known.object_id = given.object_id AND known.source = given.source
        AND known.external_id = given.external_id
"""
"""The stored ones of events that their source names."""

BY_MOMENT = """
    SELECT known.object_id, known.source, NULL AS external_id, known.name, known.at AS moment,
        known.id, known.at, known.ended_at, known.stream_id
    FROM unnest($2::uuid[], $3::text[], $4::text[], $5::timestamptz[]) AS given(object_id, source, name, at)
    JOIN event known ON known.tenant_id = $1 AND known.object_id = given.object_id AND known.source = given.source
        AND known.name = given.name AND known.at = given.at AND known.external_id IS NULL
"""
"""The stored ones of events that are known by name and moment."""


@dataclass(frozen=True)
class Given:
    """An event as it was sent, checked, with the object that it happened to."""

    where: Path
    owner: Found
    name: str
    source: str
    external_id: str | None
    at: datetime
    ended_at: datetime | None
    metadata: Mapping[str, Any]

    @property
    def identity(self) -> tuple[Any, ...]:
        """What makes it the same event as another one: the source's own id, or else its name and moment."""
        if self.external_id is not None:
            return (self.owner.id, self.source, self.external_id, None, None)
        return (self.owner.id, self.source, None, self.name, self.at)


@dataclass
class Known:
    """An event that is stored, or will be."""

    id: UUID
    stream_id: UUID
    at: datetime
    ended_at: datetime | None
    new: Given | None = None
    ended: bool = False


async def log(tx: Transaction, *, events: Sequence[Mapping[str, Any]]) -> Result:
    """Store events that are not known, and the ends of those that are."""
    if len(events) > MAX_EVENTS:
        raise Invalid(f"`input.events` has {len(events)} events; a call takes {MAX_EVENTS}. Split them.", path=EVENTS)
    values = [_checked(event, (*EVENTS, str(place))) for place, event in enumerate(events)]
    owners = await _owners(tx, values)
    given = [_given(event, owners, tx.now) for event in values]
    known = await _known(tx, given)
    created = [_meet(known, event) for event in given]
    for id_ in sorted({owner.id for owner in owners.values() if owner.source is EXPERIMENT}):
        await experiments.sign_of_life(tx, id_)
    await _write(tx, list(known.values()))
    return {"events": [known[event.identity].id for event in given], "created": created}


def _checked(event: Mapping[str, Any], where: Path) -> dict[str, Any]:
    values = checked(event, ".".join(where))
    if values.get("external_id") == "":
        raise Invalid(
            f"`{'.'.join(where)}.externalId` is empty. Leave it out, or give the source's own id.",
            path=(*where, "externalId"),
        )
    return {**values, "where": where}


async def _owners(tx: Transaction, events: Sequence[Mapping[str, Any]]) -> dict[str, Found]:
    """The objects of the events, locked in one order: so that nobody stores the same event meanwhile."""
    places = {event["object_id"]: (*event["where"], "objectId") for event in reversed(events)}
    return {text: await entity.load_owner(tx, text, places[text]) for text in sorted(places)}


def _given(event: Mapping[str, Any], owners: Mapping[str, Found], now: datetime) -> Given:
    return Given(
        where=event["where"],
        owner=owners[event["object_id"]],
        name=event["name"],
        source=event["source"],
        external_id=event.get("external_id"),
        at=event.get("at") or now,
        ended_at=event.get("ended_at"),
        metadata=event.get("metadata") or {},
    )


async def _known(tx: Transaction, given: Sequence[Given]) -> dict[tuple[Any, ...], Known]:
    """Those that are stored, by identity."""
    external = [event for event in given if event.external_id is not None]
    moments = [event for event in given if event.external_id is None]
    rows = []
    if external:
        rows += await tx.fetch(BY_EXTERNAL_ID, *_columns(external, "external_id"))
    if moments:
        rows += await tx.fetch(BY_MOMENT, *_columns(moments, "name", "at"))
    return {
        (row["object_id"], row["source"], row["external_id"], row["name"], row["moment"]): Known(
            row["id"], row["stream_id"], row["at"], row["ended_at"]
        )
        for row in rows
    }


def _columns(events: Sequence[Given], *names: str) -> list[list[Any]]:
    owners = [event.owner.id for event in events]
    return [owners, *([getattr(event, name) for event in events] for name in ("source", *names))]


def _meet(known: dict[tuple[Any, ...], Known], event: Given) -> bool:
    """Whether the event is new. One that is known gets its end, if it has none yet, and keeps all else."""
    stored = known.get(event.identity)
    is_new = stored is None
    if stored is None:
        stored = known[event.identity] = Known(new_id(), event.owner.home.root_id, event.at, None, new=event)
    if event.ended_at is not None and stored.ended_at is None:
        if event.ended_at < stored.at:
            where = (*event.where, "endedAt")
            raise Invalid(
                f"`{'.'.join(where)}` is before the event began, {stored.at:%Y-%m-%dT%H:%M:%S.%fZ}. Give `at` with the"
                " event, or a later end.",
                path=where,
            )
        stored.ended_at, stored.ended = event.ended_at, not stored.new
    return is_new


async def _write(tx: Transaction, events: Sequence[Known]) -> None:
    """Events with their numbers, at once: the answer shows them. The verb's last act, for heads are locked last.

    One that has got its end gets a new number, too: who follows the stream is shown it again.
    """
    for event in events:
        if event.new:
            _record(tx, event, event.new)
        elif event.ended:
            tx.amend(event.stream_id, tables.Event, event.id, ended_at=event.ended_at)
    await tx.settle()


def _record(tx: Transaction, event: Known, given: Given) -> None:
    tx.record(
        event.stream_id,
        tables.Event,
        id=event.id,
        object_id=given.owner.id,
        namespace_id=given.owner.home.id,
        name=given.name,
        source=given.source,
        external_id=given.external_id,
        at=event.at,
        ended_at=event.ended_at,
        metadata=given.metadata,
        actor_id=tx.caller.actor_id,
        recorded_at=tx.now,
    )
