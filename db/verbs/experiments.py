"""Experiments: got or made, alive until they are finished."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from db import tables
from db.errors import Conflict, Invalid
from db.metrics.stream import stream_of
from db.names import check_name
from db.read.source import EXPERIMENT
from db.transaction import Result, Transaction
from db.verbs import entity, namespaces, parameters
from db.verbs.entity import PATCH, Found, Home, Path
from db.verbs.values import check_word, checked, spelled
from db.verbs.words import readable_name

UNFINISHED = ("RUNNING", "STALLED")

KNOWN = """
    SELECT id FROM experiment
    WHERE tenant_id = $1 AND namespace_id = $2 AND (name = $3 OR external_id = $4) AND deleted_at IS NULL
"""
"""The experiments of a namespace that a name and the trainer's own id hit: at most one each."""

TAKEN = """
    SELECT name FROM experiment
    WHERE tenant_id = $1 AND namespace_id = $2 AND name = ANY($3) AND deleted_at IS NULL
"""
"""Which of these names are in use."""

HEARD: Final = timedelta(seconds=1)
"""How often a sign of life is noted: more would say nothing new."""

BEAT = """
    UPDATE heartbeat h SET at = $3 FROM (
        SELECT experiment_id FROM heartbeat WHERE tenant_id = $1 AND experiment_id = ANY($2) AND at < $4
        ORDER BY experiment_id FOR NO KEY UPDATE
    ) due WHERE h.tenant_id = $1 AND h.experiment_id = due.experiment_id RETURNING h.experiment_id
"""
"""Note signs of life of those that were not heard of just now; locked in one order."""

WAKE = """
    UPDATE experiment e SET status = 'RUNNING', updated_at = $3, revision = e.revision + 1
    FROM namespace n
    WHERE e.tenant_id = $1 AND e.id = ANY($2) AND e.status = 'STALLED' AND n.tenant_id = $1 AND n.id = e.namespace_id
    RETURNING e.id, e.name, n.id AS home_id, n.path AS home_path, n.root_id AS home_root, n.lineage AS home_lineage
"""
"""End the stalls of those that are stalled."""

LINE_UP = "SELECT pg_advisory_xact_lock(hashtextextended('experiment parents of ' || $1::uuid, 0))"
"""Let one transaction of a tenant at a time change parents: two at once could close a circle."""

IS_ABOVE = """
    WITH RECURSIVE above AS (
        SELECT id, parent_id FROM experiment WHERE tenant_id = $1 AND id = $2
        UNION SELECT e.id, e.parent_id FROM experiment e JOIN above a ON e.tenant_id = $1 AND e.id = a.parent_id
    ) SELECT EXISTS (SELECT FROM above WHERE id = $3)
"""
"""Whether an experiment is another one, or contains it."""


async def create(
    tx: Transaction,
    *,
    namespace: str = namespaces.DEFAULT,
    name: str | None = None,
    external_id: str | None = None,
    parent_id: str | None = None,
    started_at: datetime | None = None,
    **values: Any,
) -> Result:
    """Make an experiment, or get the one of that name or external id unchanged."""
    values = checked({"name": name, "external_id": external_id, **values})
    rows = parameters.leaves(values.get("hyperparameters") or {}, ("input", "hyperparameters"))
    home = await namespaces.ensure(tx, namespace)
    known = await _known(tx, home, values)
    if known:
        return {"experiment": known, "created": False}
    values["name"] = values["name"] or await _fresh_name(tx, home)
    values["parent_id"] = await entity.linked(tx, EXPERIMENT, parent_id, ("input", "parentId"))
    id_ = await entity.add(tx, EXPERIMENT, home, started_at=started_at or tx.now, **values)
    await tx.insert(tables.Heartbeat, experiment_id=id_, at=tx.now)
    await parameters.write(tx, id_, rows)
    return {"experiment": id_, "created": True}


async def _known(tx: Transaction, home: Home, values: Mapping[str, Any]) -> UUID | None:
    hits = await tx.fetch(KNOWN, home.id, values["name"], values["external_id"])
    if len(hits) > 1:
        raise Conflict(
            f"The name {values['name']!r} and the external id {values['external_id']!r} belong to two experiments."
            " Give one of them.",
            path=("input", "externalId"),
        )
    return hits[0]["id"] if hits else None


async def _fresh_name(tx: Transaction, home: Home) -> str:
    for largest in (99, 9_999, 999_999_999):
        names = {readable_name(largest) for _ in range(5)}
        free = names.difference(row["name"] for row in await tx.fetch(TAKEN, home.id, list(names)))
        if free:
            return free.pop()
    raise Conflict("No readable name was free. Give a name.", path=("input", "name"))


async def update(tx: Transaction, *, id: str, patch: dict[str, Any], if_revision: int | None = None) -> Result:
    """Change an experiment; hyperparameters are replaced as a whole."""
    found = await entity.load(tx, EXPERIMENT, id)
    entity.check_revision(found, if_revision)
    changes = checked(patch, ".".join(PATCH))
    for column in ("name", "external_id"):
        if changes.get(column) is not None:
            await _refuse_taken(tx, found, column, changes[column], (*PATCH, spelled(column)))
    if "parent_id" in changes:
        changes["parent_id"] = await _new_parent(tx, found, changes["parent_id"])
    rows = parameters.leaves(changes.get("hyperparameters") or {}, (*PATCH, "hyperparameters"))
    if await entity.revise(tx, found, changes) and "hyperparameters" in changes:
        await parameters.rewrite(tx, found.id, rows)
    return {"experiment": found.id}


async def _refuse_taken(tx: Transaction, found: Found, column: str, value: str, where: Path) -> None:
    home = found.home.id
    await entity.refuse_taken(tx, EXPERIMENT, where, but=found.id, namespace_id=home, **{column: value})


async def _new_parent(tx: Transaction, found: Found, text: str | None) -> UUID | None:
    where = (*PATCH, "parentId")
    if text is not None:
        await tx.execute(LINE_UP)
    parent = await entity.linked(tx, EXPERIMENT, text, where)
    if parent is not None and await tx.fetchval(IS_ABOVE, parent, found.id):
        raise Invalid("An experiment cannot be part of itself. Choose a parent that it does not contain.", path=where)
    return parent


async def sign_of_life(tx: Transaction, experiment_id: UUID) -> None:
    """Note that an experiment lives, which ends STALLED."""
    await signs_of_life({experiment_id: tx})


async def signs_of_life(by_experiment: Mapping[UUID, Transaction]) -> None:
    """The same for many experiments, each in the name of who showed it; the transactions share a connection."""
    tx = next(iter(by_experiment.values()))
    due = await tx.fetch(BEAT, list(by_experiment), tx.now, tx.now - HEARD)
    if due:
        for woken in await tx.fetch(WAKE, [row["experiment_id"] for row in due], tx.now):
            note_status(by_experiment[woken["id"]], woken, "STALLED", "RUNNING")


def is_due(heard_of: datetime, now: datetime) -> bool:
    """Whether an experiment that was heard of then needs another note of it."""
    return heard_of < now - HEARD


def note_status(tx: Transaction, row: Mapping[str, Any], before: str, after: str) -> None:
    """The audit record of a status that changed without being asked for."""
    change = {"before": {"status": before}, "after": {"status": after}}
    entity.note(tx, "UPDATE", EXPERIMENT, entity.home_of(row), row["id"], name=row["name"], **change)


async def heartbeat(tx: Transaction, *, id: str) -> Result:
    """Say that an experiment lives."""
    found = await entity.load(tx, EXPERIMENT, id, lock=False)
    await sign_of_life(tx, found.id)
    return {"experiment": found.id}


async def finish(tx: Transaction, *, id: str, status: str, ended_at: datetime | None = None) -> Result:
    """End an experiment. Said again, it changes nothing; said otherwise, it is refused."""
    found = await entity.load(tx, EXPERIMENT, id)
    row = found.row
    if row["status"] not in UNFINISHED:
        if row["status"] != status or ended_at not in (None, row["ended_at"]):
            raise Conflict(
                f"The experiment is {row['status']} since {row['ended_at']:%Y-%m-%dT%H:%M:%S.%fZ}, and stays so."
                " Start a new one to go on.",
                path=("input", "status"),
            )
        return {"experiment": found.id}
    ended_at = ended_at or max(tx.now, row["started_at"])
    if ended_at < row["started_at"]:
        raise Invalid(
            "`input.endedAt` is before the experiment started. Send a later moment.", path=("input", "endedAt")
        )
    await entity.revise(tx, found, {"status": status, "ended_at": ended_at})
    tx.touch(stream_of(found.id))
    return {"experiment": found.id}


async def delete(tx: Transaction, *, id: str, if_revision: int | None = None) -> Result:
    """Delete an experiment; its checkpoints go out of sight with it."""
    found = await entity.load(tx, EXPERIMENT, id)
    await entity.remove(tx, found, if_revision)
    return {"deletedId": id}


async def restore(
    tx: Transaction, *, id: str, new_name: str | None = None, new_external_id: str | None = None
) -> Result:
    """Bring a deleted experiment back, under a new name or external id if its own is taken."""
    found = await entity.load(tx, EXPERIMENT, id, deleted=True)
    changes: dict[str, Any] = {}
    if new_name is not None:
        changes["name"] = check_name(new_name, "input.newName")
    if new_external_id is not None:
        changes["external_id"] = check_word(new_external_id, "input.newExternalId")
    kept = {**dict(found.row), **changes}
    for column, argument in (("name", "newName"), ("external_id", "newExternalId")):
        if kept[column] is not None:
            await _refuse_taken(tx, found, column, kept[column], ("input", argument))
    await entity.bring_back(tx, found, **changes)
    return {"experiment": found.id}
