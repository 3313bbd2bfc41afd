"""Files of artifacts: what is said of them, and how that is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Final
from uuid import UUID

from db.errors import Invalid
from db.file_paths import check_file_path
from db.identifiers import new_id
from db.transaction import Transaction
from db.verbs.entity import Path
from db.verbs.values import checked, spelled

MAX_FILES: Final = 10_000
RECORDED_FILES: Final = 1_000

_MEDIA_TYPE: Final = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?: *;[ -~]*)?", re.ASCII)

STORED_FILES = """
    SELECT file.artifact_id, file.path, file.size, file.digest, file.media_type, file.uri, file.blob_id
    FROM unnest($2::uuid[], $3::text[]) AS given(artifact_id, path)
    JOIN file ON file.tenant_id = $1 AND file.artifact_id = given.artifact_id AND file.path = given.path
"""
"""Those of these files that are known."""

REPLACE_FILES = """
    UPDATE file SET size = new.size, digest = new.digest, media_type = new.media_type, uri = new.uri,
        blob_id = new.blob_id, verified_at = new.verified_at
    FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::uuid[], $9::timestamptz[])
        AS new(artifact_id, path, size, digest, media_type, uri, blob_id, verified_at)
    WHERE file.tenant_id = $1 AND file.artifact_id = new.artifact_id AND file.path = new.path
"""
"""New values of known files. What was verified was the old file."""

# fmt: off
FILE_COLUMNS = (
    "tenant_id", "id", "artifact_id", "path", "size", "digest", "media_type", "uri", "blob_id", "verified_at",
    "created_at",
)
# fmt: on


@dataclass(frozen=True)
class File:
    """What is said of a file. One with a blob is stored here, and was verified."""

    size: int | None = None
    digest: str | None = None
    media_type: str | None = None
    uri: str | None = None
    blob_id: UUID | None = None


Files = dict[str, File]
"""Files by path."""


def described(given: Mapping[str, Any], where: Path) -> tuple[str, File]:
    """The path of a file in an input, and what is said of it.

    Raises:
        Invalid: a value is not acceptable; `where` is the file's place in the input.
    """
    path = check_file_path(given["path"], (*where, "path"))
    values = checked({name: given.get(name) for name in ("size", "digest", "media_type", "uri")}, ".".join(where))
    if values["size"] is not None and values["size"] < 0:
        raise Invalid(f"`{'.'.join(where)}.size` is below 0. Give bytes.", path=(*where, "size"))
    if values["media_type"] is not None and not _MEDIA_TYPE.fullmatch(values["media_type"]):
        text = f"`{'.'.join(where)}.mediaType` is no media type. Give one such as `image/png`, or leave it out."
        raise Invalid(text, path=(*where, "mediaType"))
    return path, File(**values)


async def keep(tx: Transaction, wanted: Mapping[UUID, Files]) -> dict[UUID, tuple[Files, Files]]:
    """Store what is said of files; for each artifact, what changed: as it was, and as it is."""
    rows = await tx.fetch(STORED_FILES, *_columns((id_, path) for id_, files in wanted.items() for path in files))
    known = {(row["artifact_id"], row["path"]): File(*list(row.values())[2:]) for row in rows}
    different = {
        id_: {path: file for path, file in files.items() if known.get((id_, path)) != file}
        for id_, files in wanted.items()
    }
    flat = [(id_, path, file) for id_, files in different.items() for path, file in files.items()]
    new = [(tx.tenant_id, new_id(), *_row(tx, *each), tx.now) for each in flat if each[:2] not in known]
    if new:
        await tx.connection.copy_records_to_table("file", records=new, columns=FILE_COLUMNS)
    replaced = [_row(tx, *each) for each in flat if each[:2] in known]
    if replaced:
        await tx.execute(REPLACE_FILES, *_columns(replaced))
    return {
        id_: ({path: known[id_, path] for path in files if (id_, path) in known}, files)
        for id_, files in different.items()
    }


def _row(tx: Transaction, artifact_id: UUID, path: str, file: File) -> tuple[Any, ...]:
    verified_at = None if file.blob_id is None else tx.now
    return (artifact_id, path, file.size, file.digest, file.media_type, file.uri, file.blob_id, verified_at)


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[], []]


def shown(files: Files) -> dict[str, Any]:
    """Files as an audit record keeps them: how many, and the first thousand with all that is said of them."""
    told = {
        path: {spelled(name): value for name, value in asdict(file).items() if value is not None and name != "blob_id"}
        for path, file in islice(files.items(), RECORDED_FILES)
    }
    return {"fileCount": len(files), "files": told}
