"""Model versions: numbered or named, and always of a model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from db.errors import Conflict, Invalid, NameTaken, NotFound
from db.names import check_name
from db.read.source import CHECKPOINT, EXPERIMENT, MODEL, MODEL_VERSION
from db.transaction import Result, Transaction
from db.verbs import entity, tags
from db.verbs.entity import PATCH, Found, Path
from db.verbs.values import checked, spelled

VERSION: Path = ("input", "version")
TAGS: Path = ("input", "uniqueTags")
MAX_TAGS: Final = 100
WHOLE: Final = re.compile(r"0|[1-9][0-9]{0,14}", re.ASCII)
"""The strings that count: the next automatic number is above all of them."""

UNCOUNTED: Final = 10**15
"""From here on, strings that callers give do not count, and automatic numbers pass over them."""

BY_STRING = "SELECT id, deleted_at FROM model_version WHERE tenant_id = $1 AND model_id = $2 AND version = $3"
"""The versions of a model with a string: at most one is not deleted."""

OWNER = "SELECT experiment_id, deleted_at FROM checkpoint WHERE tenant_id = $1 AND id = $2 FOR SHARE"
"""Whose a checkpoint is; held, for the rules of its experiment drop none that a version was made from."""

LINKS = {"experiment_id": EXPERIMENT, "checkpoint_id": CHECKPOINT}

COUNT_ON = "UPDATE model SET next_version = greatest(next_version, $3::bigint + 1) WHERE tenant_id = $1 AND id = $2"
"""Never give this number again, nor any before it."""


async def create(
    tx: Transaction,
    *,
    model_id: str,
    version: str | None = None,
    experiment_id: str | None = None,
    checkpoint_id: str | None = None,
    unique_tags: list[str] | None = None,
    **values: Any,
) -> Result:
    """Make a version of a model, or get the one of that string unchanged."""
    model = await entity.load(tx, MODEL, model_id, ("input", "modelId"))
    values = checked({"version": version, **values})
    wanted = _tags(tx, model, unique_tags or [])
    known = await _live(tx, model.id, values["version"])
    if known:
        return {"version": known, "created": False}
    links = {"experiment_id": experiment_id, "checkpoint_id": checkpoint_id}
    origin = await _origin(tx, {name: text for name, text in links.items() if text is not None}, {}, ("input",))
    values["version"] = await _number(tx, model, values["version"])
    id_ = await entity.add(tx, MODEL_VERSION, model.home, [model.id], model_id=model.id, **origin, **values)
    await tags.move(tx, model, wanted, id_, TAGS)
    return {"version": id_, "created": True}


def _tags(tx: Transaction, model: Found, wanted: list[str]) -> set[str]:
    if not wanted:
        return set()
    tags.require_moves(tx, model, TAGS)
    if len(wanted) > MAX_TAGS:
        raise Invalid(f"`input.uniqueTags` has {len(wanted)} tags; at most {MAX_TAGS} are set at once.", path=TAGS)
    return {check_name(tag, ".".join(TAGS)) for tag in wanted}


async def _live(tx: Transaction, model_id: UUID, version: str | None) -> UUID | None:
    rows = await tx.fetch(BY_STRING, model_id, version) if version is not None else []
    return next((row["id"] for row in rows if row["deleted_at"] is None), None)


async def _number(tx: Transaction, model: Found, version: str | None, where: Path = VERSION) -> str:
    """The version's string, by default the next whole number of its locked model.

    Raises:
        NameTaken: it is a number that a deleted version had; numbers are never used again.
    """
    if version is None:
        number: int = model.row["next_version"]
        while number >= UNCOUNTED and await tx.fetch(BY_STRING, model.id, str(number)):
            number += 1
        version = str(number)
    elif not WHOLE.fullmatch(version):
        return version
    elif await tx.fetch(BY_STRING, model.id, version):
        raise NameTaken(
            f"The version {version} was deleted, and whole numbers are never used again. Restore it, or give another.",
            path=where,
        )
    await tx.execute(COUNT_ON, model.id, int(version))
    return version


async def _origin(
    tx: Transaction, given: Mapping[str, str | None], current: Mapping[str, Any], where: Path
) -> dict[str, UUID | None]:
    """The experiment and the checkpoint that a version comes from, after what is given of them.

    Raises:
        Conflict: the checkpoint is not one of the experiment.
    """
    if not given:
        return {}
    origin: dict[str, UUID | None] = {name: current.get(name) for name in LINKS}
    for name, source in LINKS.items():
        if name in given:
            origin[name] = await entity.linked(tx, source, given[name], (*where, spelled(name)))
    if origin["checkpoint_id"] is None:
        return origin
    owner, deleted_at = (await tx.fetch(OWNER, origin["checkpoint_id"]))[0]
    if deleted_at is not None and "checkpoint_id" in given:
        raise NotFound("The checkpoint was deleted just now. Choose another.", path=(*where, "checkpointId"))
    if "experiment_id" not in given:
        origin["experiment_id"] = origin["experiment_id"] or owner
    if origin["experiment_id"] != owner:
        raise Conflict(
            "The checkpoint is not one of the version's experiment."
            " Give a checkpoint and its own experiment, or the checkpoint alone.",
            path=(*where, "checkpointId" if "checkpoint_id" in given else "experimentId"),
        )
    return origin


async def update(tx: Transaction, *, id: str, patch: dict[str, Any], if_revision: int | None = None) -> Result:
    """Change a version; its string stays."""
    found = await entity.load(tx, MODEL_VERSION, id)
    entity.check_revision(found, if_revision)
    changes = checked(patch, ".".join(PATCH))
    links = {name: changes.pop(name) for name in LINKS if name in changes}
    await entity.revise(tx, found, {**changes, **await _origin(tx, links, found.row, PATCH)})
    return {"version": found.id}


async def delete(tx: Transaction, *, id: str, if_revision: int | None = None) -> Result:
    """Delete a version; its unique tags are removed with it."""
    found = await entity.load(tx, MODEL_VERSION, id)
    model = await tags.model_of(tx, found)
    pointing = await tags.of_version(tx, model, found.id)
    await entity.remove(tx, found, if_revision, **({"unique_tags": pointing} if pointing else {}))
    await tags.move(tx, model, pointing, None, entity.ID)
    return {"deletedId": id}


async def restore(tx: Transaction, *, id: str, new_version: str | None = None) -> Result:
    """Bring a deleted version back, under a new string if its own is taken. Its unique tags stay where they are."""
    found = await entity.load(tx, MODEL_VERSION, id, deleted=True)
    await entity.require_alive(tx, MODEL, found.row["model_id"])
    where = ("input", "newVersion")
    version = found.row["version"] if new_version is None else check_name(new_version, ".".join(where))
    changes: dict[str, Any] = {}
    await entity.refuse_taken(tx, MODEL_VERSION, where, model_id=found.row["model_id"], version=version)
    if version != found.row["version"]:
        changes["version"] = await _number(tx, await tags.model_of(tx, found), version, where)
    await entity.bring_back(tx, found, **changes)
    return {"version": found.id}
