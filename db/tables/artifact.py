"""Named groups of files."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field

from db.tables.row import Row, big, document, instant, live_unique, one_of, references

FILE_KINDS = ("MODEL", "CHECKPOINT", "TEXT", "IMAGE", "AUDIO", "VIDEO", "DATASET", "CODE", "OTHER")


class Artifact(Row, table=True):
    """Files that belong together, under one name on one object."""

    __tablename__ = "artifact"
    __table_args__ = (
        references("object_id", "object"),
        references("created_by", "actor"),
        one_of("kind", *FILE_KINDS),
        one_of("status", "PENDING", "READY"),
        live_unique("artifact_name", "object_id", "name"),
        live_unique("artifact_shard", "object_id", "shard", where="deleted_at IS NULL AND shard IS NOT NULL"),
        Index("ix_artifact_object", "tenant_id", "object_id"),
        Index("ix_artifact_namespace", "tenant_id", "namespace_id", "name", "id"),
        Index("ix_artifact_all", "tenant_id", "name", "id"),
        Index(
            "ix_artifact_unpurged",
            "deleted_at",
            postgresql_where=text("deleted_at IS NOT NULL AND purged_at IS NULL"),
        ),
    )
    object_id: UUID
    namespace_id: UUID
    name: str
    kind: str
    status: str = Field(sa_column_kwargs={"server_default": text("'READY'")})
    user_metadata: dict[str, Any] = document(name="metadata")
    created_at: datetime = instant()
    created_by: UUID
    updated_at: datetime = instant()
    revision: int = big(sa_column_kwargs={"server_default": text("1")})
    deleted_at: datetime | None = instant(nullable=True, default=None)
    shard: int | None = None
    purged_at: datetime | None = instant(nullable=True, default=None)


class File(Row, table=True):
    """One file of an artifact, known by its path inside it. Its bytes are a blob, or lie where `uri` says."""

    __tablename__ = "file"
    __table_args__ = (
        references("artifact_id", "artifact"),
        UniqueConstraint("tenant_id", "artifact_id", "path"),
        references("blob_id", "blob"),
        Index("ix_file_digest", "tenant_id", "digest"),
        Index("ix_file_blob", "tenant_id", "blob_id", postgresql_where=text("blob_id IS NOT NULL")),
    )
    artifact_id: UUID
    path: str
    size: int | None = big(nullable=True, default=None)
    digest: str | None = None
    media_type: str | None = None
    uri: str | None = None
    verified_at: datetime | None = instant(nullable=True, default=None)
    created_at: datetime = instant()
    blob_id: UUID | None = None
