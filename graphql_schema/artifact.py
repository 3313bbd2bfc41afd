"""Artifacts and their files."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import strawberry

from db import tables
from db.read import value
from db.read.link import by_column, children_by, open_uploads
from db.read.order import by_column as ordered_by
from db.read.order import by_id
from db.read.source import ARTIFACT, FILE, UPLOAD
from db.read.window import Window
from graphql_schema import enums, listings
from graphql_schema.connection import Connection, many
from graphql_schema.fields import column, computed, entity, listed, one
from graphql_schema.node import ActorType, Entity, Node
from graphql_schema.scalars import JSON, Digest, SafeInt

if TYPE_CHECKING:
    from graphql_schema.upload import Upload

MAX_FILES: Final = 100_000

UploadType = Annotated["Upload", strawberry.lazy("graphql_schema.upload")]
ArtifactType = Annotated["Artifact", strawberry.lazy("graphql_schema.artifact")]


@entity(FILE)
class File(Node):
    """One file of an artifact, known by its path inside it."""

    path: str = column("Unique in its artifact; `/` separates folders.")
    size: SafeInt | None = column("In bytes, when known.")
    digest: Digest | None = column("SHA-256 of its bytes, when known.")
    media_type: str | None = column("Such as `application/octet-stream`.")
    uri: str | None = column("Where a tracked file lies; kept as text, never opened.")
    artifact: ArtifactType = one("The artifact that it is in.", by_column("artifact_id"), contained=True)
    verified_at: datetime | None = column("When the server last compared its bytes with the digest.")
    download_url: str | None = computed(
        "Where its bytes are read, by GET: a reference to be resolved against the address of this GraphQL endpoint,"
        " with the same `Authorization`. Null when it is only tracked.",
        value.download_url,
    )
    is_damaged: bool = computed(
        "Whether its bytes were found missing or wrong when they were last read; a download of them breaks off.",
        value.is_damaged,
    )
    created_at: datetime = column("When it was recorded.")


@entity(ARTIFACT)
class Artifact(Node):
    """Files that belong together, under one name on one object."""

    name: str = column("Unique on its object among what is not deleted.")
    kind: enums.FileKind = column("What its files are.")
    status: enums.ArtifactStatus = column("Whether its files are all there.")
    shard: SafeInt | None = column("Which shard of its checkpoint it is, from 0; null for what is no shard.")
    owner: Entity | None = one("The object that it belongs to.", by_column("object_id"))
    metadata: JSON = column("What callers keep with it.")
    files: Connection[File] = many(
        "Its files, by path.", lambda: listings.FILES, children_by("artifact_id"), contained=True
    )
    all_files: list[File] = listed(
        "All its files, by path, in one answer; at most 100 000.",
        lambda _: Window(FILE, [ordered_by(tables.File, "path")], MAX_FILES, children_by("artifact_id"), True),
        expected=100,
    )
    archive_url: str = computed(
        "Where all its stored files are read at once, as a tar; with `.zip` in the place of `.tar`, as a zip. A"
        " reference like `downloadUrl`.",
        value.archive_url,
    )
    uploads: list[UploadType] = listed(
        "The uploads into it that are under way, oldest first; at most 100.",
        lambda _: Window(UPLOAD, [by_id(descending=False)], 100, open_uploads, True),
    )
    file_count: SafeInt = computed("How many files it has.", partial(value.over_files, "count(*)"))
    total_size: SafeInt | None = computed(
        "The sum of its files' known sizes, in bytes; null when that is beyond a SafeInt.", value.total_size
    )
    created_at: datetime = column("When it was first recorded.")
    created_by: ActorType = one("Who recorded it.", by_column("created_by"), contained=True)
    updated_at: datetime = column("When it was last changed.")
    revision: SafeInt = column("Counts its changes from 1.")
