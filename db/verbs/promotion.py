"""A model version made from a checkpoint: with its lineage, and with its files, whose bytes the two then share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from db import tables
from db.access import Role
from db.errors import Conflict, Invalid, NotFound
from db.identifiers import format_id, new_id
from db.read.source import ARTIFACT, CHECKPOINT, MODEL_VERSION
from db.transaction import Result, Transaction
from db.verbs import entity, versions
from db.verbs.entity import Found, Path

MAX_NAMES: Final = 1_000
FROM: Path = ("input", "checkpointId")
NAMES: Path = ("input", "artifactNames")

HOLD = "SELECT status FROM checkpoint WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL FOR SHARE"
"""Until the commit, the checkpoint is neither deleted by somebody nor dropped by rule."""

HOLD_ARTIFACTS = """
    SELECT * FROM artifact WHERE tenant_id = $1 AND object_id = $2 AND deleted_at IS NULL ORDER BY id FOR SHARE
"""
"""The artifacts of an object; until the commit, their files stay as they are."""

HOLD_BLOBS = """
    SELECT b.doomed_at FROM blob b WHERE b.tenant_id = $1 AND b.id IN (
        SELECT blob_id FROM file WHERE tenant_id = $1 AND artifact_id = ANY($2)
    ) ORDER BY b.digest FOR SHARE
"""
"""The bytes of these artifacts, held: what is being swept waits, and then finds them in use."""

COUNT_FILES = (
    "SELECT artifact_id, count(*) AS count FROM file WHERE tenant_id = $1 AND artifact_id = ANY($2) GROUP BY 1"
)

COPY_FILES = """
    INSERT INTO file (
        tenant_id, id, artifact_id, path, size, digest, media_type, uri, verified_at, created_at, blob_id
    )
    SELECT $1, fresh.id, old.copy, old.path, old.size, old.digest, old.media_type, old.uri, old.verified_at, $5,
        old.blob_id
    FROM (
        SELECT f.*, copy.id AS copy, row_number() OVER (ORDER BY copy.id, f.path) AS place
        FROM unnest($2::uuid[], $3::uuid[]) AS copy(original, id)
        JOIN file f ON f.tenant_id = $1 AND f.artifact_id = copy.original
    ) old JOIN unnest($4::uuid[]) WITH ORDINALITY AS fresh(id, place) ON fresh.place = old.place
"""
"""The files of artifacts once more, in other artifacts, under ids that are as new as they are."""


async def promote(
    tx: Transaction, *, checkpoint_id: str, artifact_names: list[str] | None = None, **values: Any
) -> Result:
    """Make a version of a model from a complete checkpoint, or get the one of that string unchanged.

    Raises:
        Conflict: the checkpoint, or an artifact that is named, is not complete.
        NotFound: the checkpoint has no artifact of a name.
    """
    checkpoint = await entity.load(tx, CHECKPOINT, checkpoint_id, FROM, role=Role.READER)
    status = await tx.fetchval(HOLD, checkpoint.id)
    if status is None:
        raise NotFound(f"There is no checkpoint {checkpoint_id}, or you may not see it.", path=FROM)
    if status != "READY":
        raise Conflict("The checkpoint is not complete. Commit it first; `shards` tells what is missing.", path=FROM)
    result = await versions.create(tx, checkpoint_id=checkpoint_id, **values)
    if result["created"]:
        chosen = _chosen(await tx.fetch(HOLD_ARTIFACTS, checkpoint.id), artifact_names)
        await _copy(tx, chosen, result["version"])
    return result


def _chosen(rows: Sequence[asyncpg.Record], names: list[str] | None) -> list[asyncpg.Record]:
    """The artifacts of these names; all that are complete when there are none."""
    if names is None:
        return [row for row in rows if row["status"] == "READY"]
    if len(names) > MAX_NAMES:
        raise Invalid(f"`input.artifactNames` has {len(names)} names; at most {MAX_NAMES} are copied.", path=NAMES)
    by_name = {row["name"]: row for row in rows}
    for place, name in enumerate(names):
        where = (*NAMES, str(place))
        if name not in by_name:
            raise NotFound(f"The checkpoint has no artifact {name!r}. `artifacts` lists those that it has.", path=where)
        if by_name[name]["status"] != "READY":
            raise Conflict(f"The artifact {name!r} is not complete. Complete its upload first.", path=where)
    return [by_name[name] for name in dict.fromkeys(names)]


async def _copy(tx: Transaction, artifacts: Sequence[asyncpg.Record], version_id: UUID) -> None:
    """Give a new version these artifacts, too, with all their files."""
    originals = [row["id"] for row in artifacts]
    if any(row["doomed_at"] is not None for row in await tx.fetch(HOLD_BLOBS, originals)):
        raise Conflict("Bytes of the checkpoint are being removed. Upload its files again.", path=FROM)
    counts = {row["artifact_id"]: row["count"] for row in await tx.fetch(COUNT_FILES, originals)}
    version = await entity.load(tx, MODEL_VERSION, format_id(MODEL_VERSION.prefix, version_id), FROM)
    twins = [_twin(tx, row, version) for row in artifacts]
    await tx.insert_many(tables.Artifact, twins)
    fresh = [new_id() for _ in range(sum(counts.values()))]
    await tx.execute(COPY_FILES, originals, [twin["id"] for twin in twins], fresh, tx.now)
    for original, twin in zip(artifacts, twins, strict=True):
        _note(tx, version, original, twin, counts.get(original["id"], 0))


def _twin(tx: Transaction, original: asyncpg.Record, version: Found) -> dict[str, Any]:
    """The row of an artifact's copy on a version."""
    stamps = {"created_at": tx.now, "created_by": tx.caller.actor_id, "updated_at": tx.now}
    same = {name: original[name] for name in ("name", "kind", "status", "metadata", "shard")}
    return {"id": new_id(), "object_id": version.id, "namespace_id": version.home.id, **same, **stamps}


def _note(tx: Transaction, version: Found, original: asyncpg.Record, twin: dict[str, Any], count: int) -> None:
    told = {
        "name": twin["name"],
        "ownerId": format_id(MODEL_VERSION.prefix, version.id),
        "kind": twin["kind"],
        "metadata": twin["metadata"],
        "copiedFrom": format_id(ARTIFACT.prefix, original["id"]),
        "fileCount": count,
    }
    entity.note(tx, "CREATE", ARTIFACT, version.home, twin["id"], name=twin["name"], after=told)
