"""Artifacts: files that belong together on an object, tracked where they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, Final
from uuid import UUID

from db import tables
from db.errors import Invalid
from db.file_paths import check_file_path
from db.identifiers import format_id, new_id
from db.names import check_name
from db.read.source import ARTIFACT
from db.transaction import Result, Transaction
from db.verbs import entity
from db.verbs.entity import Found, Path
from db.verbs.metadata import changed_keys, require_small
from db.verbs.values import checked, spelled

MAX_ARTIFACTS: Final = 100
MAX_FILES: Final = 10_000
RECORDED_FILES: Final = 1_000
ARTIFACTS: Path = ("input", "artifacts")

_MEDIA_TYPE: Final = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?: *;[ -~]*)?", re.ASCII)

KNOWN = """
    SELECT * FROM artifact WHERE tenant_id = $1 AND object_id = $2 AND name = ANY($3::text[]) AND deleted_at IS NULL
    ORDER BY name FOR NO KEY UPDATE
"""
"""An object's artifacts of these names, locked."""

STORED_FILES = """
    SELECT file.artifact_id, file.path, file.size, file.digest, file.media_type, file.uri
    FROM unnest($2::uuid[], $3::text[]) AS given(artifact_id, path)
    JOIN file ON file.tenant_id = $1 AND file.artifact_id = given.artifact_id AND file.path = given.path
"""
"""Those of these files that are known."""

REPLACE_FILES = """
    UPDATE file SET size = new.size, digest = new.digest, media_type = new.media_type, uri = new.uri,
        verified_at = NULL
    FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[])
        AS new(artifact_id, path, size, digest, media_type, uri)
    WHERE file.tenant_id = $1 AND file.artifact_id = new.artifact_id AND file.path = new.path
"""
"""New values of known files. What was verified was the old file."""

FILE_COLUMNS = ("tenant_id", "id", "artifact_id", "path", "size", "digest", "media_type", "uri", "created_at")


@dataclass(frozen=True)
class File:
    """What is said of a file."""

    size: int | None = None
    digest: str | None = None
    media_type: str | None = None
    uri: str | None = None


Files = dict[str, File]
"""Files by path."""


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
    changes = await _keep_files(tx, {ids[name]: want.files for name, want in wanted.items()})
    for name, want in wanted.items():
        before, after = changes[ids[name]]
        if name in known:
            await _extend(tx, known[name], want, before, after)
        else:
            _note_new(tx, owner, ids[name], name, want)
    created = [name not in known and name not in names[:place] for place, name in enumerate(names)]
    return {"artifacts": [ids[name] for name in names], "created": created}


def _names(artifacts: Sequence[Mapping[str, Any]]) -> list[str]:
    if len(artifacts) > MAX_ARTIFACTS:
        text = f"`input.artifacts` has {len(artifacts)} artifacts; a call takes {MAX_ARTIFACTS}. Split them."
        raise Invalid(text, path=ARTIFACTS)
    files = sum(len(artifact.get("files") or ()) for artifact in artifacts)
    if files > MAX_FILES:
        text = f"`input.artifacts` has {files} files together; a call takes {MAX_FILES}. Split them."
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
            path, values = _file(file, (*where, "files", str(number)))
            want.files[path] = values
        require_small(want.metadata, (*where, "metadata"))
    return wanted


def _file(given: Mapping[str, Any], where: Path) -> tuple[str, File]:
    path = check_file_path(given["path"], (*where, "path"))
    values = checked({name: given.get(name) for name in ("size", "digest", "media_type", "uri")}, ".".join(where))
    if values["size"] is not None and values["size"] < 0:
        raise Invalid(f"`{'.'.join(where)}.size` is below 0. Give bytes.", path=(*where, "size"))
    if values["media_type"] is not None and not _MEDIA_TYPE.fullmatch(values["media_type"]):
        text = f"`{'.'.join(where)}.mediaType` is no media type. Give one such as `image/png`, or leave it out."
        raise Invalid(text, path=(*where, "mediaType"))
    return path, File(**values)


async def _add(tx: Transaction, owner: Found, new: Mapping[UUID, tuple[str, Wanted]]) -> None:
    stamps = {"created_at": tx.now, "created_by": tx.caller.actor_id, "updated_at": tx.now}
    place = {"object_id": owner.id, "namespace_id": owner.home.id}
    rows = [
        {"id": id_, **place, "name": name, "kind": want.kind or "OTHER", "metadata": want.metadata, **stamps}
        for id_, (name, want) in new.items()
    ]
    await tx.insert_many(tables.Artifact, rows)


async def _keep_files(tx: Transaction, wanted: Mapping[UUID, Files]) -> dict[UUID, tuple[Files, Files]]:
    """Store what is said of files; for each artifact, what changed: as it was, and as it is."""
    rows = await tx.fetch(STORED_FILES, *_columns((id_, path) for id_, files in wanted.items() for path in files))
    known = {(row["artifact_id"], row["path"]): File(*list(row.values())[2:]) for row in rows}
    different = {
        id_: {path: file for path, file in files.items() if known.get((id_, path)) != file}
        for id_, files in wanted.items()
    }
    flat = [(id_, path, file) for id_, files in different.items() for path, file in files.items()]
    new = [(tx.tenant_id, new_id(), *_row(*each), tx.now) for each in flat if each[:2] not in known]
    if new:
        await tx.connection.copy_records_to_table("file", records=new, columns=FILE_COLUMNS)
    replaced = [_row(*each) for each in flat if each[:2] in known]
    if replaced:
        await tx.execute(REPLACE_FILES, *_columns(replaced))
    return {
        id_: ({path: known[id_, path] for path in files if (id_, path) in known}, files)
        for id_, files in different.items()
    }


def _row(artifact_id: UUID, path: str, file: File) -> tuple[Any, ...]:
    return (artifact_id, path, file.size, file.digest, file.media_type, file.uri)


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[], []]


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
    files = (_shown(before), _shown(after)) if after else ({}, {})
    told = [kinds[side] | keys[side] | files[side] for side in (0, 1)]
    entity.note(tx, "UPDATE", ARTIFACT, found.home, found.id, name=row["name"], before=told[0], after=told[1])


def _note_new(tx: Transaction, owner: Found, id_: UUID, name: str, want: Wanted) -> None:
    owner_id = format_id(owner.source.prefix, owner.id)
    told = {"name": name, "ownerId": owner_id, "kind": want.kind or "OTHER", "metadata": want.metadata}
    entity.note(tx, "CREATE", ARTIFACT, owner.home, id_, name=name, after={**told, **_shown(want.files)})


def _shown(files: Files) -> dict[str, Any]:
    """Files as an audit record keeps them: how many, and the first thousand with all that is said of them."""
    shown = {
        path: {spelled(name): value for name, value in asdict(file).items() if value is not None}
        for path, file in islice(files.items(), RECORDED_FILES)
    }
    return {"fileCount": len(files), "files": shown}


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
    where = ("input", "newName")
    changes = {} if new_name is None else {"name": check_name(new_name, ".".join(where))}
    name = changes.get("name", found.row["name"])
    await entity.refuse_taken(tx, ARTIFACT, where, object_id=owner, name=name)
    await entity.bring_back(tx, found, **changes)
    return {"artifact": found.id}
