"""Checkpoints of experiments."""

from __future__ import annotations

from typing import Any

from db.read.source import CHECKPOINT, EXPERIMENT
from db.transaction import Result, Transaction
from db.verbs import entity, experiments
from db.verbs.values import checked


async def create(tx: Transaction, *, experiment_id: str, **values: Any) -> Result:
    """Note that a state was saved; it is complete at once. Each call makes one."""
    found = await entity.load(tx, EXPERIMENT, experiment_id, ("input", "experimentId"), lock=False)
    values = checked(values)
    id_ = await entity.add(tx, CHECKPOINT, found.home, [found.id], experiment_id=found.id, **values)
    await experiments.sign_of_life(tx, found.id)
    return {"checkpoint": id_}


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
    """Bring a deleted checkpoint back."""
    found = await entity.load(tx, CHECKPOINT, id, deleted=True)
    await entity.require_alive(tx, EXPERIMENT, found.row["experiment_id"])
    await entity.bring_back(tx, found)
    return {"checkpoint": found.id}
