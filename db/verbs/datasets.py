"""Datasets, known by name and digest, and their uses."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from db.access import Role
from db.errors import Invalid
from db.identifiers import parse_id
from db.names import check_name
from db.read.source import DATASET, DATASET_USE, EXPERIMENT, MODEL, MODEL_VERSION
from db.transaction import Result, Transaction
from db.verbs import entity, namespaces
from db.verbs.entity import PATCH, Found, Path
from db.verbs.values import checked

NEW_NAME: Path = ("input", "newName")
USERS = {source.prefix: source for source in (MODEL, MODEL_VERSION, EXPERIMENT)}

BY_IDENTITY = """
    SELECT id FROM dataset WHERE tenant_id = $1 AND namespace_id = $2 AND name = $3
        AND digest IS NOT DISTINCT FROM $4 AND deleted_at IS NULL
"""
"""The dataset of a name and a digest; none is a digest, too."""

KNOWN_USE = """
    SELECT id FROM dataset_use
    WHERE tenant_id = $1 AND object_id = $2 AND dataset_id = $3 AND role = $4 AND deleted_at IS NULL
"""

CONTAINERS = "SELECT container_ids FROM object WHERE tenant_id = $1 AND id = $2"


async def create(
    tx: Transaction, *, namespace: str = namespaces.DEFAULT, name: str, digest: str | None = None, **values: Any
) -> Result:
    """Make a dataset, or get the one of that name and digest unchanged."""
    values = checked({"name": name, "digest": digest, **values})
    home = await namespaces.ensure(tx, namespace)
    known = await tx.fetchval(BY_IDENTITY, home.id, values["name"], digest)
    if known:
        return {"dataset": known, "created": False}
    return {"dataset": await entity.add(tx, DATASET, home, **values), "created": True}


async def update(tx: Transaction, *, id: str, patch: dict[str, Any], if_revision: int | None = None) -> Result:
    """Change a dataset. A digest that is known stays: another state is another dataset."""
    found = await entity.load(tx, DATASET, id)
    entity.check_revision(found, if_revision)
    changes = checked(patch, ".".join(PATCH))
    if found.row["digest"] not in (None, changes.get("digest", found.row["digest"])):
        raise Invalid(
            "`input.patch.digest` differs from the dataset's own. Create another dataset for another state of it.",
            path=(*PATCH, "digest"),
        )
    if changes.get("name") or changes.get("digest"):
        await _refuse_taken(tx, found, changes, (*PATCH, "name" if changes.get("name") else "digest"))
    await entity.revise(tx, found, changes)
    return {"dataset": found.id}


async def _refuse_taken(tx: Transaction, found: Found, changes: dict[str, Any], where: Path) -> None:
    """Raises NameTaken when another dataset has the name and the digest that this one would have."""
    digest, name = (changes.get(column) or found.row[column] for column in ("digest", "name"))
    home = found.home.id
    await entity.refuse_taken(tx, DATASET, where, but=found.id, namespace_id=home, digest=digest, name=name)


async def delete(tx: Transaction, *, id: str, if_revision: int | None = None) -> Result:
    """Delete a dataset. Its uses stay, without it."""
    found = await entity.load(tx, DATASET, id)
    await entity.remove(tx, found, if_revision, digest=found.row["digest"])
    return {"deletedId": id}


async def restore(tx: Transaction, *, id: str, new_name: str | None = None) -> Result:
    """Bring a deleted dataset back, under a new name if its own is taken."""
    found = await entity.load(tx, DATASET, id, deleted=True)
    changes = {} if new_name is None else {"name": check_name(new_name, ".".join(NEW_NAME))}
    await _refuse_taken(tx, found, changes, NEW_NAME)
    await entity.bring_back(tx, found, **changes)
    return {"dataset": found.id}


async def use(tx: Transaction, *, object_id: str, dataset_id: str, role: str, **values: Any) -> Result:
    """Note that an object uses a dataset in a role, or get what was noted unchanged."""
    values = checked({"role": role, **values})
    where = ("input", "objectId")
    parse_id(object_id, tuple(USERS), where)
    owner = await entity.load(tx, USERS[object_id.partition("_")[0]], object_id, where, lock=False)
    dataset = await entity.load(tx, DATASET, dataset_id, ("input", "datasetId"), role=Role.READER)
    known = await tx.fetchval(KNOWN_USE, owner.id, dataset.id, values["role"])
    if known:
        return {"datasetUse": known, "created": False}
    containers = [*await tx.fetchval(CONTAINERS, owner.id), owner.id]
    links = {"object_id": owner.id, "dataset_id": dataset.id}
    told = {"objectId": object_id}
    id_ = await entity.add(tx, DATASET_USE, owner.home, containers, told=told, **links, **values)
    return {"datasetUse": id_, "created": True}


async def update_use(tx: Transaction, *, id: str, patch: dict[str, Any], if_revision: int | None = None) -> Result:
    """Change the use of a dataset."""
    found = await entity.load(tx, DATASET_USE, id)
    entity.check_revision(found, if_revision)
    changes = checked(patch, ".".join(PATCH))
    if changes.get("role"):
        await _refuse_role_taken(tx, found, changes["role"], (*PATCH, "role"))
    await entity.revise(tx, found, changes)
    return {"datasetUse": found.id}


async def _refuse_role_taken(tx: Transaction, found: Found, role: str, where: Path) -> None:
    links: dict[str, UUID] = {name: found.row[name] for name in ("object_id", "dataset_id")}
    await entity.refuse_taken(tx, DATASET_USE, where, but=found.id, **links, role=role)


async def delete_use(tx: Transaction, *, id: str, if_revision: int | None = None) -> Result:
    """Delete the use of a dataset; the dataset stays."""
    found = await entity.load(tx, DATASET_USE, id)
    await entity.remove(tx, found, if_revision)
    return {"deletedId": id}


async def restore_use(tx: Transaction, *, id: str, new_role: str | None = None) -> Result:
    """Bring a deleted use back, in a new role if its own is noted again."""
    found = await entity.load(tx, DATASET_USE, id, deleted=True)
    await entity.require_owner_alive(tx, found.row["object_id"])
    where = ("input", "newRole")
    changes = {} if new_role is None else {"role": check_name(new_role, ".".join(where))}
    await _refuse_role_taken(tx, found, changes.get("role", found.row["role"]), where)
    await entity.bring_back(tx, found, **changes)
    return {"datasetUse": found.id}
