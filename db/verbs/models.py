"""Models."""

from __future__ import annotations

from typing import Any

from db.names import check_name
from db.read.source import MODEL
from db.transaction import Result, Transaction
from db.verbs import entity, namespaces
from db.verbs.values import checked

BY_NAME = "SELECT id FROM model WHERE tenant_id = $1 AND namespace_id = $2 AND name = $3 AND deleted_at IS NULL"


async def create(tx: Transaction, *, namespace: str = namespaces.DEFAULT, name: str, **values: Any) -> Result:
    """Make a model, or get the one of that name unchanged."""
    values = checked({"name": name, **values})
    home = await namespaces.ensure(tx, namespace)
    known = await tx.fetchval(BY_NAME, home.id, values["name"])
    if known:
        return {"model": known, "created": False}
    return {"model": await entity.add(tx, MODEL, home, **values), "created": True}


async def update(tx: Transaction, *, id: str, patch: dict[str, Any], if_revision: int | None = None) -> Result:
    """Change a model."""
    found = await entity.load(tx, MODEL, id)
    changes = checked(patch, "input.patch")
    if changes.get("name"):
        where = (*entity.PATCH, "name")
        await entity.refuse_taken(tx, MODEL, where, but=found.id, namespace_id=found.home.id, name=changes["name"])
    await entity.revise(tx, found, changes, if_revision)
    return {"model": found.id}


async def delete(tx: Transaction, *, id: str, if_revision: int | None = None) -> Result:
    """Delete a model; its versions go out of sight with it."""
    found = await entity.load(tx, MODEL, id)
    await entity.remove(tx, found, if_revision)
    return {"deletedId": id}


async def restore(tx: Transaction, *, id: str, new_name: str | None = None) -> Result:
    """Bring a deleted model back, under a new name if its own is taken."""
    found = await entity.load(tx, MODEL, id, deleted=True)
    where = ("input", "newName")
    changes = {} if new_name is None else {"name": check_name(new_name, ".".join(where))}
    name = changes.get("name", found.row["name"])
    await entity.refuse_taken(tx, MODEL, where, namespace_id=found.home.id, name=name)
    await entity.bring_back(tx, found, **changes)
    return {"model": found.id}
