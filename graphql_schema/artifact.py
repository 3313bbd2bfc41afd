"""Artifacts and their files."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from db.read import value
from db.read.link import by_column, children_by
from db.read.source import ARTIFACT, FILE
from graphql_schema import enums, listings
from graphql_schema.connection import Connection, many
from graphql_schema.fields import column, computed, entity, one
from graphql_schema.node import ActorType, Entity, Node
from graphql_schema.scalars import JSON, Digest, SafeInt


@entity(FILE)
class File(Node):
    """One file of an artifact, known by its path inside it."""

    path: str = column("Unique in its artifact; `/` separates folders.")
    size: SafeInt | None = column("In bytes, when known.")
    digest: Digest | None = column("SHA-256 of its bytes, when known.")
    media_type: str | None = column("Such as `application/octet-stream`.")
    uri: str | None = column("Where a tracked file lies; kept as text, never opened.")
    verified_at: datetime | None = column("When the server last compared its bytes with the digest.")
    created_at: datetime = column("When it was recorded.")


@entity(ARTIFACT)
class Artifact(Node):
    """Files that belong together, under one name on one object."""

    name: str = column("Unique on its object among what is not deleted.")
    kind: enums.FileKind = column("What its files are.")
    status: enums.ArtifactStatus = column("Whether its files are all there.")
    owner: Entity | None = one("The object that it belongs to.", by_column("object_id"))
    metadata: JSON = column("What callers keep with it.")
    files: Connection[File] = many(
        "Its files, by path.", lambda: listings.FILES, children_by("artifact_id"), contained=True
    )
    file_count: SafeInt = computed("How many files it has.", partial(value.over_files, "count(*)"))
    total_size: SafeInt | None = computed(
        "The sum of its files' known sizes, in bytes; null when that is beyond a SafeInt.", value.total_size
    )
    created_at: datetime = column("When it was first recorded.")
    created_by: ActorType = one("Who recorded it.", by_column("created_by"), contained=True)
    updated_at: datetime = column("When it was last changed.")
    revision: SafeInt = column("Counts its changes from 1.")
