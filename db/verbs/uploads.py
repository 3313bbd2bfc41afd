"""Uploads: files on their way into an artifact, begun, gone on with, completed or given up.

Here is what the database remembers of them. What is done at the store stands between two of these transactions, in
`db.blobs.uploading`: nothing waits for a store while it holds a lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from db import tables
from db.blobs.usage import require_room
from db.errors import Conflict, DigestMismatch, Invalid, NotFound, UploadIncomplete
from db.identifiers import format_id, new_id, parse_id
from db.names import check_name
from db.read.source import ARTIFACT, UPLOAD
from db.transaction import Again, Result, Transaction
from db.verbs import announced, artifacts, entity, files
from db.verbs.announced import Announced
from db.verbs.artifacts import SHARD, Wanted
from db.verbs.entity import Found, Home, Path
from db.verbs.files import File, Files
from db.verbs.metadata import require_small
from db.verbs.values import checked

KEPT: Final = timedelta(days=7)
"""How long an upload of which nothing is heard can be gone on with."""

HOLD_SAME = """
    SELECT u.id FROM upload u JOIN artifact a ON a.tenant_id = $1 AND a.id = u.artifact_id AND a.deleted_at IS NULL
    WHERE u.tenant_id = $1 AND a.object_id = $2 AND a.name = $3 AND u.spec = $4 AND u.status IN ('OPEN', 'VERIFYING')
    FOR NO KEY UPDATE OF u
"""
"""Hold the upload of the same files before its artifact: who completes it or gives it up takes them in this order."""

SAME = """
    SELECT id FROM upload WHERE tenant_id = $1 AND artifact_id = $2 AND spec = $3 AND status IN ('OPEN', 'VERIFYING')
    FOR NO KEY UPDATE
"""
"""The upload of the same files to the same artifact that is under way, and is not being given up."""

AT_HAND = """
    SELECT b.digest, b.id FROM blob b
    WHERE b.tenant_id = $1 AND b.digest = ANY($2::text[]) AND b.doomed_at IS NULL AND b.damaged_at IS NULL
        AND EXISTS (
            SELECT FROM file f JOIN artifact a ON a.tenant_id = $1 AND a.id = f.artifact_id AND a.deleted_at IS NULL
            JOIN namespace n ON n.tenant_id = $1 AND n.id = a.namespace_id AND n.visible
            WHERE f.tenant_id = $1 AND f.blob_id = b.id AND ($3::uuid[] IS NULL OR n.lineage && $3)
        )
    ORDER BY b.digest FOR SHARE OF b
"""
"""Bytes that are stored already, in files that the caller may read: from others' nobody learns that they exist.

They are held until the upload that needs them is there to be seen by who sweeps.
"""

# fmt: off
FILE_COLUMNS = (
    "tenant_id", "upload_id", "number", "path", "size", "digest", "media_type", "part_size", "part_digests", "blob_id",
    "is_stored",
)
# fmt: on


async def begin(
    tx: Transaction,
    *,
    object_id: str,
    name: str,
    files: Sequence[Mapping[str, Any]],
    kind: str | None = None,
    metadata: dict[str, Any] | None = None,
    shard: int | None = None,
) -> Result:
    """Make ready for files of an artifact, made when it is missing; or find the upload of the same files."""
    check_name(name, "input.name")
    wanted = announced.read(files)
    want = Wanted(kind, checked({"metadata": metadata}, "input")["metadata"] or {})
    require_small(want.metadata, ("input", "metadata"))
    owner = await entity.load_owner(tx, object_id, ("input", "objectId"))
    _check_shard(owner, shard)
    spec = announced.spec(wanted, shard)
    await tx.fetch(HOLD_SAME, owner.id, name, spec)
    artifact = await artifacts.prepare(tx, owner, name, want, shard)
    known = await tx.fetchval(SAME, artifact, spec)
    if known:
        await tx.update(tables.Upload, known, expires_at=tx.now + KEPT)
        return {"upload": known, "created": False}
    await require_room(tx, owner.home, sum(each.parts.size for each in wanted), announced.FILES)
    id_ = await _add(tx, owner.home, artifact, wanted, spec)
    return {"upload": id_, "created": True}


def _check_shard(owner: Found, shard: int | None) -> None:
    if shard is None:
        return
    expected = owner.row.get("expected_shards")
    if expected is None:
        text = "Only a checkpoint that was created with `expectedShards` has shards. Leave `shard` out."
        raise Invalid(text, path=SHARD)
    if not 0 <= shard < expected:
        raise Invalid(f"`input.shard` is {shard}; this checkpoint has shards 0 to {expected - 1}.", path=SHARD)
    if owner.row["status"] == "READY":
        raise Conflict("The checkpoint is complete, and its shards stay as they are. Create another one.", path=SHARD)


async def _add(tx: Transaction, home: Home, artifact: UUID, wanted: Sequence[Announced], spec: bytes) -> UUID:
    id_, total = new_id(), sum(each.parts.size for each in wanted)
    await tx.insert(
        tables.Upload,
        id=id_,
        artifact_id=artifact,
        namespace_id=home.id,
        spec=spec,
        file_count=len(wanted),
        total_size=total,
        created_at=tx.now,
        created_by=tx.caller.actor_id,
        expires_at=tx.now + KEPT,
    )
    blobs = await _at_hand(tx, wanted)
    rows = []
    for number, each in enumerate(wanted):
        is_stored = each.digest in blobs  # here already, or sent as another file of this upload
        rows.append(_row(tx, id_, number, each, (blobs.setdefault(each.digest, new_id()), is_stored)))
    await tx.connection.copy_records_to_table("upload_file", records=rows, columns=FILE_COLUMNS)
    return id_


async def _at_hand(tx: Transaction, wanted: Sequence[Announced]) -> dict[str, UUID]:
    digests = list({each.digest for each in wanted})
    return {row["digest"]: row["id"] for row in await tx.fetch(AT_HAND, digests, tx.caller.scope)}


def _row(tx: Transaction, upload: UUID, number: int, each: Announced, blob: tuple[UUID, bool]) -> tuple[Any, ...]:
    about = (tx.tenant_id, upload, number, each.path, each.parts.size, each.digest, each.media_type)
    return (*about, each.parts.part_size, each.parts.digests, *blob)


@dataclass(frozen=True)
class Opened:
    """An upload that the caller may go on with, locked."""

    row: Mapping[str, Any]
    home: Home

    @property
    def id(self) -> UUID:
        """Its id."""
        return self.row["id"]  # type: ignore[no-any-return]


async def load(tx: Transaction, text: str, path: Path = entity.ID) -> Opened:
    """The upload of an id, locked.

    Raises:
        NotFound: there is none in the caller's sight.
        Denied: the caller may see it, but not write there.
        DigestMismatch, NotFound: it was discarded.
    """
    found = await entity.load(tx, UPLOAD, text, path)
    if found.row["status"] == "DISCARDED":
        if found.row["failure"]:
            raise DigestMismatch(found.row["failure"], path=path)
        raise NotFound(f"The upload {text} was given up. Begin it again.", path=path)
    return Opened(found.row, found.home)


async def resume(tx: Transaction, *, id: str) -> Result:
    """Go on with an upload: it is kept for another while."""
    found = await load(tx, id)
    await tx.update(tables.Upload, found.id, expires_at=tx.now + KEPT)
    return {"upload": found.id}


def upload_id(text: str) -> UUID:
    """The UUID inside an upload's id.

    Raises:
        Invalid: it is malformed, or of another type.
    """
    return parse_id(text, (UPLOAD.prefix,), entity.ID)


def artifact_text(id_: UUID) -> str:
    """An artifact's id as callers know it."""
    return format_id(ARTIFACT.prefix, id_)


# --- Its end ---

STALE: Final = timedelta(seconds=60)
"""A process that looks through an upload's bytes says so more often than this."""

LOST = """
    UPDATE upload_file f SET is_stored = false, received = '{}', blob_id = gen_random_uuid()
    WHERE f.tenant_id = $1 AND f.upload_id = $2 AND f.is_stored
        AND EXISTS (SELECT FROM blob b WHERE b.tenant_id = $1 AND b.id = f.blob_id
            AND (b.doomed_at IS NOT NULL OR b.damaged_at IS NOT NULL))
"""
"""Bytes that were at hand when the upload was begun, and are not any more."""

ABSENT = """
    SELECT f.path, p.count - r.count AS missing FROM upload_file f
    CROSS JOIN LATERAL (SELECT (f.size + f.part_size - 1) / f.part_size AS count) p
    CROSS JOIN LATERAL (SELECT coalesce(sum(upper(part) - lower(part)), 0) AS count FROM unnest(f.received) part) r
    WHERE f.tenant_id = $1 AND f.upload_id = $2 AND NOT f.is_stored AND r.count < p.count ORDER BY f.number
"""
"""Files whose parts did not all arrive, and how many did not."""

TO_KEEP = "SELECT * FROM upload_file WHERE tenant_id = $1 AND upload_id = $2 ORDER BY number"

DOOM_DAMAGED = """
    UPDATE blob SET doomed_at = $3 WHERE tenant_id = $1 AND id IN (
        SELECT id FROM blob WHERE tenant_id = $1 AND digest = ANY($2::text[]) AND damaged_at IS NOT NULL
            AND doomed_at IS NULL ORDER BY digest FOR UPDATE
    ) RETURNING id
"""
"""Blobs of these digests whose bytes were found missing or wrong make room for right ones."""

HEAL = """
    UPDATE file f SET blob_id = new.id, verified_at = $3 FROM blob old, blob new
    WHERE f.tenant_id = $1 AND f.blob_id = old.id AND old.tenant_id = $1 AND old.id = ANY($2::uuid[])
        AND new.tenant_id = $1 AND new.digest = old.digest AND new.doomed_at IS NULL
"""
"""Files that consisted of those consist of the right ones."""

NEW_BLOBS = """
    INSERT INTO blob (tenant_id, id, digest, size, part_size, part_digests, stored_at, verified_at)
    SELECT DISTINCT ON (digest) $1, blob_id, digest, size, part_size, part_digests, $3::timestamptz, $3::timestamptz
    FROM upload_file WHERE tenant_id = $1 AND upload_id = $2 ORDER BY digest, number
    ON CONFLICT (tenant_id, digest) WHERE doomed_at IS NULL DO NOTHING
"""
"""The bytes of an upload as blobs, but for those that the tenant has already. In one order, against deadlocks."""

BLOBS = """
    SELECT id, digest FROM blob WHERE tenant_id = $1 AND digest = ANY($2::text[]) AND doomed_at IS NULL
    ORDER BY digest FOR SHARE
"""
"""The blobs of these digests, held: what is being swept waits, and then finds them in use."""

IS_COMMITTED = "SELECT status = 'READY' FROM checkpoint WHERE tenant_id = $1 AND id = $2"
"""Who commits a checkpoint waits for those who hold its shards."""

OWNER = "SELECT o.kind, o.name FROM object o WHERE o.tenant_id = $1 AND o.id = $2"


async def claim(tx: Transaction, *, id: str, is_direct: bool) -> Result:
    """Say that the bytes of an upload are being looked through; whether that is for the caller to do now.

    `is_direct`: which parts arrived, only the store knows. What is missing is an answer and no exception, for then
    what was found out about it would not be kept.
    """
    found = await load(tx, id)
    if found.row["status"] == "READY":
        return {"is_mine": False}
    await tx.execute(LOST, found.id)
    absent = [] if is_direct else await tx.fetch(ABSENT, found.id)
    if absent:
        await tx.update(tables.Upload, found.id, status="OPEN")
        return {"is_mine": False, "refusal": incomplete(sum(row["missing"] for row in absent), absent[0]["path"])}
    since = found.row["verifying_since"]
    if found.row["status"] == "VERIFYING" and since > tx.now - STALE:
        return {"is_mine": False}
    await tx.update(tables.Upload, found.id, status="VERIFYING", verifying_since=tx.now)
    return {"is_mine": True}


def incomplete(count: int, path: str) -> UploadIncomplete:
    """So many parts are missing, the first of them of the file at `path`."""
    parts = "1 part is" if count == 1 else f"{count} parts are"
    return UploadIncomplete(
        f"{parts} missing, the first of {path!r}. Ask for them with `resumeUpload`, send them, and complete it again.",
        path=entity.ID,
    )


async def complete(tx: Transaction, *, id: str) -> Result:
    """Make the verified bytes of an upload the files of its artifact.

    Raises:
        Again: not all is verified any more.
    """
    found = await load(tx, id)
    result = {"upload": found.id, "artifact": found.row["artifact_id"]}
    if found.row["status"] == "READY":
        return result
    rows = await tx.fetch(TO_KEEP, found.id)
    if not all(row["is_stored"] for row in rows):
        raise Again
    artifact = await entity.load(tx, ARTIFACT, artifact_text(found.row["artifact_id"]))
    await _require_open_shard(tx, artifact)
    await require_room(tx, artifact.home, found.row["total_size"], entity.ID, excluding=found.id)
    blobs = await _blobs(tx, found.id, [row["digest"] for row in rows])
    if any(row["digest"] not in blobs for row in rows):
        raise Again
    stored = {row["path"]: _stored(row, blobs) for row in rows}
    before, after = (await files.keep(tx, {artifact.id: stored}))[artifact.id]
    if after or artifact.row["status"] == "PENDING":
        await _revise(tx, artifact)
    await _note(tx, artifact, found, before, after)
    await tx.update(tables.Upload, found.id, status="READY", finished_at=tx.now, verifying_since=None)
    return {**result, "spare": [row["number"] for row in rows if blobs[row["digest"]] != row["blob_id"]]}


async def _require_open_shard(tx: Transaction, artifact: Found) -> None:
    """Raises Conflict for a shard of a checkpoint that became complete while the upload was under way."""
    if artifact.row["shard"] is not None and await tx.fetchval(IS_COMMITTED, artifact.row["object_id"]):
        text = "The checkpoint was committed meanwhile, and its shards stay as they are. Abort this upload."
        raise Conflict(text, path=entity.ID)


async def _blobs(tx: Transaction, upload: UUID, digests: Sequence[str]) -> dict[str, UUID]:
    """The blobs of an upload's verified bytes, held; those of damaged ones are replaced."""
    damaged = [row["id"] for row in await tx.fetch(DOOM_DAMAGED, digests, tx.now)]
    await tx.execute(NEW_BLOBS, upload, tx.now)
    if damaged:
        await tx.execute(HEAL, damaged, tx.now)
    return {row["digest"]: row["id"] for row in await tx.fetch(BLOBS, digests)}


def _stored(row: Mapping[str, Any], blobs: Mapping[str, UUID]) -> File:
    return File(row["size"], row["digest"], row["media_type"], None, blobs[row["digest"]])


async def _revise(tx: Transaction, artifact: Found) -> None:
    revision = artifact.row["revision"] + 1
    await tx.update(tables.Artifact, artifact.id, status="READY", updated_at=tx.now, revision=revision)


async def _note(tx: Transaction, artifact: Found, upload: Opened, before: Files, after: Files) -> None:
    """The audit record is about the object whose files they are, as it is of a download."""
    (owner,) = await tx.fetch(OWNER, artifact.row["object_id"])
    about = {"artifactId": artifact_text(artifact.id), "artifactName": artifact.row["name"]}
    tx.audit(
        "UPLOAD",
        owner["kind"],
        artifact.row["object_id"],
        name=owner["name"],
        stream_id=artifact.home.root_id,
        namespace_id=artifact.home.id,
        before={**about, **files.shown(before)} if before else None,
        after={**about, "uploadId": format_id(UPLOAD.prefix, upload.id), **files.shown(after)},
        byte_count=upload.row["total_size"],
    )
