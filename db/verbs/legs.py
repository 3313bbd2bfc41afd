"""Experiments that are resumed from a step: what was logged past it leaves the run's line.

Locks are taken in the order of who logs: series, sign of life, experiment, the head of the object's metric stream.
Before all of them comes the right to rewrite the object's points, which whoever logs does not need.

The resumption has a number in that stream. What has a lesser one it has seen, also of series that were not there to be
held; so a follower of the points, told of it in its place, knows what is on the line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from db import tables
from db.access import Role
from db.errors import Invalid
from db.identifiers import format_id
from db.metrics import rewriting
from db.metrics.compact import compact_within
from db.metrics.leg import Leaving
from db.metrics.stream import stream_of
from db.read.source import CHECKPOINT, EXPERIMENT
from db.transaction import TAKE_NUMBERS, Result, Transaction
from db.verbs import entity
from db.verbs.entity import Found, Path

CHECKPOINT_ID: Final[Path] = ("input", "checkpointId")
STEP: Final[Path] = ("input", "step")

HOLD: Final = """
    SELECT FROM series WHERE tenant_id = $1 AND owner_id = $2 AND leg = 0 ORDER BY key COLLATE "C" FOR UPDATE
"""
"""Wait for who logs just now, and let nobody log until this is done; in the order in which calls lock series."""

BEAT: Final = "UPDATE heartbeat SET at = greatest(at, $3) WHERE tenant_id = $1 AND experiment_id = $2"


async def resume(tx: Transaction, *, id: str, checkpoint_id: str | None = None, step: int | None = None) -> Result:
    """Begin a new leg behind a step, or behind the step of a checkpoint."""
    seen = await entity.load(tx, EXPERIMENT, id, lock=False)
    await _start(tx, seen, checkpoint_id, step)
    await rewriting.alone(tx.connection, seen.id)
    await compact_within(tx.connection, tx.tenant_id, seen.id)
    await tx.execute(HOLD, seen.id)
    await tx.execute(BEAT, seen.id, tx.now)
    found = await entity.load(tx, EXPERIMENT, id)
    # Once more, now that retention waits: the checkpoint may have been dropped meanwhile.
    checkpoint, from_step = await _start(tx, found, checkpoint_id, step)
    stream = stream_of(found.id)
    seq = await tx.fetchval(TAKE_NUMBERS, stream, 1)
    tx.moved.add(stream)
    # What was logged until then.
    await compact_within(tx.connection, tx.tenant_id, seen.id)
    number = found.row["leg"] + 1
    await Leaving(tx.connection, tx.tenant_id, found.id, from_step, number, tx.now).run()
    leg = {"number": number, "from_step": from_step, "checkpoint_id": checkpoint, "seq": seq}
    await _begin(tx, found, leg)
    return {"experiment": found.id}


async def _start(
    tx: Transaction, experiment: Found, checkpoint_id: str | None, step: int | None
) -> tuple[UUID | None, int]:
    """The checkpoint, if it is one, and the step.

    Raises:
        Invalid: neither or both are given, or no job can resume this experiment from the checkpoint.
    """
    if checkpoint_id is None:
        if step is None:
            raise Invalid("Say from where it goes on: give `checkpointId` or `step`.", path=CHECKPOINT_ID)
        return None, step
    if step is not None:
        raise Invalid("Give `checkpointId` or `step`, not both.", path=STEP)
    row = (await entity.load(tx, CHECKPOINT, checkpoint_id, CHECKPOINT_ID, role=Role.READER)).row
    if row["experiment_id"] != experiment.id:
        raise Invalid("The checkpoint is of another experiment. Give one of this.", path=CHECKPOINT_ID)
    if row["status"] != "READY":
        raise Invalid("The checkpoint is not complete. Commit it, or give another.", path=CHECKPOINT_ID)
    if row["step"] is None:
        raise Invalid("The checkpoint has no step. Give the `step` to go on from.", path=CHECKPOINT_ID)
    return row["id"], row["step"]


async def _begin(tx: Transaction, found: Found, leg: Mapping[str, Any]) -> None:
    """Note the new leg; the experiment runs again, whatever had become of it."""
    await tx.insert(tables.Leg, experiment_id=found.id, started_at=tx.now, started_by=tx.caller.actor_id, **leg)
    changes: dict[str, Any] = {"leg": leg["number"], "status": "RUNNING", "ended_at": None}
    revision = found.row["revision"] + 1
    await tx.update(tables.Experiment, found.id, **changes, updated_at=tx.now, revision=revision)
    before = entity.shown({name: found.row[name] for name in changes}, EXPERIMENT)
    after = entity.shown(changes, EXPERIMENT) | {"fromStep": leg["from_step"]}
    if leg["checkpoint_id"] is not None:
        after["checkpointId"] = format_id(CHECKPOINT.prefix, leg["checkpoint_id"])
    entity.note(tx, "UPDATE", EXPERIMENT, found.home, found.id, name=found.name, before=before, after=after)
