"""Which stored file or artifact a caller may read, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from db.access import Caller
from db.blobs.store import Key, Parts
from db.engine import Database
from db.errors import Invalid, NotFound
from db.identifiers import format_id, parse_id
from db.read.source import ALIVE, ARTIFACT, FILE

OWNER: Final = f"""
    JOIN object o ON o.tenant_id = $1 AND o.id = a.object_id AND {ALIVE}
    JOIN namespace n ON n.tenant_id = $1 AND n.id = a.namespace_id AND n.visible
"""
"""The object of an artifact `a`, when neither it nor what contains it is deleted, and where they live."""

OWNER_COLUMNS: Final = """
    a.id AS artifact_id, a.name AS artifact_name, o.id AS object_id, o.kind, o.name AS object_name,
    n.id AS namespace_id, n.root_id, n.lineage
"""

ONE_FILE: Final = f"""
    SELECT f.id, f.path, f.media_type, f.created_at, f.digest, f.blob_id, b.size, b.part_size, b.part_digests,
        {OWNER_COLUMNS}
    FROM file f JOIN artifact a ON a.tenant_id = $1 AND a.id = f.artifact_id AND a.deleted_at IS NULL {OWNER}
    LEFT JOIN blob b ON b.tenant_id = $1 AND b.id = f.blob_id
    WHERE f.tenant_id = $1 AND f.id = $2
"""
"""A file of an artifact that is in somebody's sight."""

ONE_ARTIFACT: Final = f"""
    SELECT {OWNER_COLUMNS} FROM artifact a {OWNER} WHERE a.tenant_id = $1 AND a.id = $2 AND a.deleted_at IS NULL
"""

STORED: Final = """
    SELECT f.id, f.path, f.media_type, f.created_at, f.digest, f.blob_id, b.size, b.part_size, b.part_digests
    FROM file f JOIN blob b ON b.tenant_id = $1 AND b.id = f.blob_id
    WHERE f.tenant_id = $1 AND f.artifact_id = $2 ORDER BY f.path
"""
"""The files of an artifact that are stored here."""

DAMAGED: Final = "UPDATE blob SET damaged_at = coalesce(damaged_at, $3) WHERE tenant_id = $1 AND id = $2"


@dataclass(frozen=True)
class Owner:
    """An artifact, the object that it belongs to, and where that lives."""

    artifact_id: UUID
    artifact_name: str
    object_id: UUID
    kind: str
    object_name: str
    namespace_id: UUID
    root_id: UUID

    @property
    def artifact(self) -> str:
        """The artifact's id as callers know it."""
        return format_id(ARTIFACT.prefix, self.artifact_id)


@dataclass(frozen=True)
class StoredFile:
    """A file whose bytes are here."""

    id: UUID
    path: str
    media_type: str | None
    created_at: datetime
    key: Key
    parts: Parts

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]


async def find_file(database: Database, caller: Caller, text: str) -> tuple[Owner, StoredFile]:
    """The file of an id.

    Raises:
        NotFound: there is none in the caller's sight, or it is only tracked.
    """
    row = await _row(database, caller, ONE_FILE, _parsed(text, FILE.prefix))
    if row["blob_id"] is None:
        raise NotFound("The file is only tracked: its bytes are where its `uri` says, and never came here.")
    return _owner(row), _stored(caller.tenant_id, row)


async def find_artifact(database: Database, caller: Caller, text: str) -> tuple[Owner, Sequence[StoredFile]]:
    """The artifact of an id, and those of its files that are stored here, by path.

    Raises:
        NotFound: there is none in the caller's sight.
    """
    row = await _row(database, caller, ONE_ARTIFACT, _parsed(text, ARTIFACT.prefix))
    async with database.connection() as connection:
        files = await connection.fetch(STORED, caller.tenant_id, row["artifact_id"])
    return _owner(row), [_stored(caller.tenant_id, file) for file in files]


async def note_damage(database: Database, key: Key, now: datetime) -> None:
    """Remember that bytes were found missing or wrong."""
    async with database.connection() as connection:
        await connection.execute(DAMAGED, key.tenant_id, key.id, now)


def _parsed(text: str, prefix: str) -> UUID:
    try:
        return parse_id(text, (prefix,))
    except Invalid as error:
        raise NotFound from error


async def _row(database: Database, caller: Caller, statement: str, id_: UUID) -> Mapping[str, Any]:
    """What is missing and what is not the caller's look the same."""
    async with database.connection() as connection:
        row: Mapping[str, Any] | None = await connection.fetchrow(statement, caller.tenant_id, id_)
    if row is None or caller.role_on(row["lineage"]) is None:
        raise NotFound
    return row


def _owner(row: Mapping[str, Any]) -> Owner:
    return Owner(**{field.name: row[field.name] for field in fields(Owner)})


def _stored(tenant_id: UUID, row: Mapping[str, Any]) -> StoredFile:
    key = Key(tenant_id, row["digest"].removeprefix("sha256:"), row["blob_id"])
    parts = Parts(row["size"], row["part_size"], row["part_digests"])
    return StoredFile(row["id"], row["path"], row["media_type"], row["created_at"], key, parts)
