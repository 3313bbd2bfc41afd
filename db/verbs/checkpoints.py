"""Checkpoints of experiments: saved states, complete at once or when all their shards are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from db import tables
from db.errors import Conflict, Invalid, UploadIncomplete
from db.identifiers import format_id
from db.read.source import CHECKPOINT, EXPERIMENT
from db.transaction import Result, Transaction
from db.verbs import entity, experiments
from db.verbs.entity import Path
from db.verbs.values import checked

MAX_SHARDS: Final = 4_096
EXPECTED: Path = ("input", "expectedShards")
NAMED: Final = 20
"""How many missing shards a refusal names."""

HOLD_SHARDS = """
    SELECT shard FROM artifact
    WHERE tenant_id = $1 AND object_id = $2 AND shard IS NOT NULL AND deleted_at IS NULL AND status = 'READY'
    ORDER BY shard FOR SHARE
"""
"""The shards of a checkpoint that are there; until the commit, none of them is deleted or opened again."""

HOLD_OBJECT = "SELECT id FROM object WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE"
"""What forgets files of deleted objects holds this row, too."""

FORGOTTEN = """
    SELECT EXISTS (
        SELECT FROM artifact
        WHERE tenant_id = $1 AND object_id = $2 AND purged_at IS NOT NULL
            AND (deleted_at IS NULL OR deleted_at = purged_at)
    )
"""
"""Whether files of an object were forgotten because it was deleted; not those of artifacts that were deleted before."""


async def create(tx: Transaction, *, experiment_id: str, expected_shards: int | None = None, **values: Any) -> Result:
    """Note that a state was saved; without shards it is complete at once. Each call makes one."""
    shards: dict[str, Any] = {}
    if expected_shards is not None:
        shards = {"expected_shards": _checked(expected_shards), "status": "PENDING"}
    found = await entity.load(tx, EXPERIMENT, experiment_id, ("input", "experimentId"), lock=False)
    values = checked({**values, **shards})
    # On the first leg nothing is said of it, like of all that goes without saying.
    values["leg"] = found.row["leg"] or None
    id_ = await entity.add(tx, CHECKPOINT, found.home, [found.id], experiment_id=found.id, **values)
    await experiments.sign_of_life(tx, found.id)
    return {"checkpoint": id_}


def _checked(count: int) -> int:
    if not 1 <= count <= MAX_SHARDS:
        text = f"`input.expectedShards` must be 1 to {MAX_SHARDS}. Leave it out for a checkpoint without shards."
        raise Invalid(text, path=EXPECTED)
    return count


async def commit(tx: Transaction, *, id: str) -> Result:
    """Make a checkpoint complete, once all its shards are there. Said again, it changes nothing.

    Raises:
        UploadIncomplete: shards are missing.
    """
    found = await entity.load(tx, CHECKPOINT, id)
    if found.row["status"] == "PENDING":
        expected: int = found.row["expected_shards"] or 0
        there = {row["shard"] for row in await tx.fetch(HOLD_SHARDS, found.id)}
        missing = [number for number in range(expected) if number not in there]
        if missing:
            raise UploadIncomplete(_told(missing, expected), path=entity.ID)
        await entity.revise(tx, found, {"status": "READY"})
        await experiments.sign_of_life(tx, found.row["experiment_id"])
    return {"checkpoint": found.id}


def _told(missing: Sequence[int], expected: int) -> str:
    numbers = ", ".join(map(str, missing[:NAMED])) + (", …" if len(missing) > NAMED else "")
    return (
        f"{len(missing)} of {expected} shards are missing: {numbers}. Complete their uploads, then commit again;"
        " `shards` of the checkpoint tells which are there."
    )


async def update(tx: Transaction, *, id: str, patch: dict[str, Any], if_revision: int | None = None) -> Result:
    """Change a checkpoint."""
    found = await entity.load(tx, CHECKPOINT, id)
    await entity.revise(tx, found, checked(patch, "input.patch"), if_revision)
    return {"checkpoint": found.id}


async def delete(tx: Transaction, *, id: str, if_revision: int | None = None) -> Result:
    """Delete a checkpoint."""
    found = await entity.load(tx, CHECKPOINT, id)
    await entity.remove(tx, found, if_revision)
    return {"deletedId": id}


async def restore(tx: Transaction, *, id: str) -> Result:
    """Bring a deleted checkpoint back. One that was deleted by rule is pinned from then on, or it would go again."""
    found = await entity.load(tx, CHECKPOINT, id, deleted=True)
    await entity.require_alive(tx, EXPERIMENT, found.row["experiment_id"])
    await _require_files(tx, found.id)
    was_retired = found.row["retired_at"] is not None
    await entity.bring_back(tx, found, **({"pinned": True} if was_retired else {}))
    if was_retired:
        await tx.update(tables.Checkpoint, found.id, retired_at=None)
    return {"checkpoint": found.id}


async def _require_files(tx: Transaction, id_: UUID) -> None:
    """Raises Conflict when the files of a deleted checkpoint are gone."""
    await tx.execute(HOLD_OBJECT, id_)
    if await tx.fetchval(FORGOTTEN, id_):
        text = f"The files of {format_id(CHECKPOINT.prefix, id_)} are gone: it was deleted too long ago to come back."
        raise Conflict(text, path=entity.ID)
