"""Stored bytes, and what is being uploaded."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, LargeBinary, text
from sqlalchemy.dialects.postgresql import INT8MULTIRANGE
from sqlmodel import Field, SQLModel

from db.tables.row import Row, big, instant, one_of, references

UPLOAD_STATUSES = ("OPEN", "VERIFYING", "READY", "DISCARDED")


class Blob(Row, table=True):
    """Bytes of a tenant that are stored and verified; once, however many files consist of them.

    Its id is part of its place in the store, so that bytes which are being removed and the same bytes that somebody
    uploads at that moment lie in two places. `part_digests` are 32 bytes for each part.
    """

    __tablename__ = "blob"
    __table_args__ = (
        Index("uq_blob_digest", "tenant_id", "digest", unique=True, postgresql_where=text("doomed_at IS NULL")),
        Index("ix_blob_doomed", "doomed_at", postgresql_where=text("doomed_at IS NOT NULL")),
        Index("ix_blob_unreferenced", "unreferenced_at", postgresql_where=text("unreferenced_at IS NOT NULL")),
    )
    digest: str
    size: int = big()
    part_size: int = big()
    part_digests: bytes = Field(sa_type=LargeBinary)
    stored_at: datetime = instant()
    verified_at: datetime = instant()
    damaged_at: datetime | None = instant(nullable=True, default=None)
    unreferenced_at: datetime | None = instant(nullable=True, default=None)
    doomed_at: datetime | None = instant(nullable=True, default=None)


class Upload(Row, table=True):
    """Files on their way into an artifact. `spec` is a digest of what was begun, by which it is found again.

    One that was discarded says why in `failure`, and has no artifact any more if it was to make it; `verifying_since`
    is then when its bytes were removed.
    """

    __tablename__ = "upload"
    __table_args__ = (
        references("artifact_id", "artifact"),
        references("created_by", "actor"),
        one_of("status", *UPLOAD_STATUSES),
        Index(
            "uq_upload_spec",
            "tenant_id",
            "artifact_id",
            "spec",
            unique=True,
            postgresql_where=text("status IN ('OPEN', 'VERIFYING')"),
        ),
        Index("ix_upload_artifact", "tenant_id", "artifact_id", "id"),
        Index("ix_upload_expires", "expires_at"),
        Index("ix_upload_verifying", "verifying_since", postgresql_where=text("status = 'VERIFYING'")),
    )
    artifact_id: UUID | None = None
    namespace_id: UUID
    status: str = Field(sa_column_kwargs={"server_default": text("'OPEN'")})
    spec: bytes = Field(sa_type=LargeBinary)
    file_count: int
    total_size: int = big()
    created_at: datetime = instant()
    created_by: UUID
    expires_at: datetime = instant()
    verifying_since: datetime | None = instant(nullable=True, default=None)
    finished_at: datetime | None = instant(nullable=True, default=None)
    failure: str | None = None


class UploadFile(SQLModel, table=True):
    """One file of an upload: which of its parts are there, and under which id its bytes are put into the store.

    `session` is the store's own name of a multipart upload. Once `is_stored`, the bytes are a blob of that id.
    """

    __tablename__ = "upload_file"
    __table_args__ = (references("upload_id", "upload"), Index("ix_upload_file_blob", "tenant_id", "blob_id"))
    tenant_id: UUID = Field(primary_key=True)
    upload_id: UUID = Field(primary_key=True)
    number: int = Field(primary_key=True)
    path: str
    size: int = big()
    digest: str
    media_type: str | None = None
    part_size: int = big()
    part_digests: bytes = Field(sa_type=LargeBinary)
    received: Any = Field(sa_type=INT8MULTIRANGE, nullable=False, sa_column_kwargs={"server_default": text("'{}'")})
    blob_id: UUID
    session: str | None = None
    is_stored: bool = Field(sa_column_kwargs={"server_default": text("false")})
