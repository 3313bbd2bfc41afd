"""Artifacts: files that belong together on an object, tracked where they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from db import tables
from db.errors import Conflict, Invalid
from db.identifiers import format_id, new_id
from db.names import check_name
from db.read.source import ARTIFACT
from db.transaction import Result, Transaction
from db.verbs import entity, files
from db.verbs.entity import Found, Path
from db.verbs.files import MAX_FILES, Files
from db.verbs.metadata import changed_keys, require_small
from db.verbs.values import checked

MAX_ARTIFACTS: Final = 100
ARTIFACTS: Path = ("input", "artifacts")
SHARD: Path = ("input", "shard")

KNOWN = """
    SELECT * FROM artifact WHERE tenant_id = $1 AND object_id = $2 AND name = ANY($3::text[]) AND deleted_at IS NULL
    ORDER BY name FOR NO KEY UPDATE
"""
"""An object's artifacts of these names, locked."""


@dataclass
class Wanted:
    """All that a call says of the artifacts of one name."""

    kind: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    files: Files = field(default_factory=dict)


async def track(tx: Transaction, *, object_id: str, artifacts: Sequence[Mapping[str, Any]]) -> Result:
    """Make artifacts of an object, or add to those of that name."""
    names = _names(artifacts)
    wanted = _wanted(names, artifacts)
    owner = await entity.load_owner(tx, object_id, ("input", "objectId"))
    known = {row["name"]: Found(ARTIFACT, row, owner.home) for row in await tx.fetch(KNOWN, owner.id, list(wanted))}
    ids = {name: known[name].id if name in known else new_id() for name in wanted}
    await _add(tx, owner, {ids[name]: (name, want) for name, want in wanted.items() if name not in known})
    changes = await files.keep(tx, {ids[name]: want.files for name, want in wanted.items()})
    for name, want in wanted.items():
        before, after = changes[ids[name]]
        if name in known:
            await _extend(tx, known[name], want, before, after)
        else:
            _note_new(tx, owner, ids[name], name, want)
    created = [name not in known and name not in names[:place] for place, name in enumerate(names)]
    return {"artifacts": [ids[name] for name in names], "created": created}


SHARD_TAKEN = """
    SELECT name FROM artifact
    WHERE tenant_id = $1 AND object_id = $2 AND shard = $3 AND deleted_at IS NULL AND name <> $4
"""
"""Another artifact that is this shard of an object."""


async def prepare(tx: Transaction, owner: Found, name: str, want: Wanted, shard: int | None) -> UUID:
    """The artifact that files are being uploaded into: PENDING when it is new, until they are there.

    Raises:
        Conflict: it is another shard, or another artifact is this one.
    """
    row = next(iter(await tx.fetch(KNOWN, owner.id, [name])), None)
    if shard is not None:
        taken = await tx.fetchval(SHARD_TAKEN, owner.id, shard, name)
        if taken is not None:
            raise Conflict(
                f"Shard {shard} is the artifact {taken!r}. Delete that first, or upload into it.", path=SHARD
            )
    if row is not None:
        if row["shard"] != shard:
            raise Conflict(f"The artifact {name!r} is there, as {_as_shard(row['shard'])}.", path=SHARD)
        await _extend(tx, Found(ARTIFACT, row, owner.home), want, {}, {})
        return row["id"]  # type: ignore[no-any-return]
    id_ = new_id()
    await _add(tx, owner, {id_: (name, want)}, status="PENDING", shard=shard)
    _note_new(tx, owner, id_, name, want)
    return id_


def _as_shard(shard: int | None) -> str:
    return "no shard" if shard is None else f"shard {shard}"


def _names(artifacts: Sequence[Mapping[str, Any]]) -> list[str]:
    if len(artifacts) > MAX_ARTIFACTS:
        text = f"`input.artifacts` has {len(artifacts)} artifacts; a call takes {MAX_ARTIFACTS}. Split them."
        raise Invalid(text, path=ARTIFACTS)
    count = sum(len(artifact.get("files") or ()) for artifact in artifacts)
    if count > MAX_FILES:
        text = f"`input.artifacts` has {count} files together; a call takes {MAX_FILES}. Split them."
        raise Invalid(text, path=ARTIFACTS)
    return [check_name(a["name"], f"input.artifacts.{place}.name") for place, a in enumerate(artifacts)]


def _wanted(names: Sequence[str], artifacts: Sequence[Mapping[str, Any]]) -> dict[str, Wanted]:
    """What is said of each name. Said twice, files and metadata are joined, and the later word counts."""
    wanted: dict[str, Wanted] = {name: Wanted() for name in names}
    for place, (name, artifact) in enumerate(zip(names, artifacts, strict=True)):
        where = (*ARTIFACTS, str(place))
        want = wanted[name]
        want.kind = artifact.get("kind") or want.kind
        want.metadata |= checked({"metadata": artifact.get("metadata")}, ".".join(where))["metadata"] or {}
        for number, file in enumerate(artifact.get("files") or ()):
            path, values = files.described(file, (*where, "files", str(number)))
            want.files[path] = values
        require_small(want.metadata, (*where, "metadata"))
    return wanted


async def _add(tx: Transaction, owner: Found, new: Mapping[UUID, tuple[str, Wanted]], **also: Any) -> None:
    stamps = {"created_at": tx.now, "created_by": tx.caller.actor_id, "updated_at": tx.now}
    place = {"object_id": owner.id, "namespace_id": owner.home.id}
    rows = [
        {"id": id_, **place, "name": name, "kind": want.kind or "OTHER", "metadata": want.metadata, **stamps, **also}
        for id_, (name, want) in new.items()
    ]
    await tx.insert_many(tables.Artifact, rows)


async def _extend(tx: Transaction, found: Found, want: Wanted, before: Files, after: Files) -> None:
    """A known artifact with what was added; not touched when that was nothing new."""
    row = found.row
    metadata = {**row["metadata"], **want.metadata}
    require_small(metadata, ARTIFACTS)
    old, new = changed_keys(row["metadata"], metadata)
    kind = want.kind or row["kind"]
    if kind == row["kind"] and not new and not after:
        return
    revision = row["revision"] + 1
    await tx.update(tables.Artifact, found.id, kind=kind, metadata=metadata, updated_at=tx.now, revision=revision)
    kinds = ({"kind": row["kind"]}, {"kind": kind}) if kind != row["kind"] else ({}, {})
    keys = ({"metadata": old}, {"metadata": new}) if new else ({}, {})
    listed = (files.shown(before), files.shown(after)) if after else ({}, {})
    told = [kinds[side] | keys[side] | listed[side] for side in (0, 1)]
    entity.note(tx, "UPDATE", ARTIFACT, found.home, found.id, name=row["name"], before=told[0], after=told[1])


def _note_new(tx: Transaction, owner: Found, id_: UUID, name: str, want: Wanted) -> None:
    owner_id = format_id(owner.source.prefix, owner.id)
    told = {"name": name, "ownerId": owner_id, "kind": want.kind or "OTHER", "metadata": want.metadata}
    entity.note(tx, "CREATE", ARTIFACT, owner.home, id_, name=name, after={**told, **files.shown(want.files)})


async def update(tx: Transaction, *, id: str, patch: dict[str, Any], if_revision: int | None = None) -> Result:
    """Change an artifact."""
    found = await entity.load(tx, ARTIFACT, id)
    changes = checked(patch, "input.patch")
    if changes.get("name"):
        where = (*entity.PATCH, "name")
        owner = found.row["object_id"]
        await entity.refuse_taken(tx, ARTIFACT, where, but=found.id, object_id=owner, name=changes["name"])
    await entity.revise(tx, found, changes, if_revision)
    return {"artifact": found.id}


async def delete(tx: Transaction, *, id: str, if_revision: int | None = None) -> Result:
    """Delete an artifact; its files go out of sight with it."""
    found = await entity.load(tx, ARTIFACT, id)
    await entity.remove(tx, found, if_revision)
    return {"deletedId": id}


async def restore(tx: Transaction, *, id: str, new_name: str | None = None) -> Result:
    """Bring a deleted artifact back, under a new name if its own is taken."""
    found = await entity.load(tx, ARTIFACT, id, deleted=True)
    owner = found.row["object_id"]
    await entity.require_owner_alive(tx, owner)
    if found.row["purged_at"] is not None:
        raise Conflict(f"The files of {id} are gone: it was deleted too long ago to come back.", path=entity.ID)
    where = ("input", "newName")
    changes = {} if new_name is None else {"name": check_name(new_name, ".".join(where))}
    name = changes.get("name", found.row["name"])
    await entity.refuse_taken(tx, ARTIFACT, where, object_id=owner, name=name)
    await entity.bring_back(tx, found, **changes)
    return {"artifact": found.id}
