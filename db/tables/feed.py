"""What happened: stream heads, audit events, events, and remembered answers."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, LargeBinary, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from db.tables.row import Row, big, document, instant, one_of, references

ACTIONS = ("CREATE", "UPDATE", "DELETE", "RESTORE", "UPLOAD", "DOWNLOAD", "DENIED")


class Installation(SQLModel, table=True):
    """One row: which PostgreSQL this is. Another identity at start-up means a new feed epoch."""

    __tablename__ = "installation"
    id: int = Field(primary_key=True)
    system_identifier: str
    timeline: int
    epoch: int = big()


class StreamHead(SQLModel, table=True):
    """The last number given in a stream: a root namespace's changes, or the tenant's own.

    Writers lock it last and hold it until commit, so order of commit is order of number and
    numbers are dense.
    """

    __tablename__ = "stream_head"
    tenant_id: UUID = Field(primary_key=True)
    stream_id: UUID = Field(primary_key=True)
    seq: int = big(sa_column_kwargs={"server_default": text("0")})
    epoch: int = big(sa_column_kwargs={"server_default": text("1")})
    min_seq: int = big(sa_column_kwargs={"server_default": text("0")})


class AuditEvent(SQLModel, table=True):
    """What ModelBox recorded of a change, in the change's own transaction."""

    __tablename__ = "audit_event"
    __table_args__ = (
        one_of("action", *ACTIONS),
        Index("ix_audit_event_object", "tenant_id", "object_id", "id"),
        Index("ix_audit_event_id", "tenant_id", "id"),
        Index("ix_audit_event_namespace", "tenant_id", "namespace_id", "id"),
    )
    tenant_id: UUID = Field(primary_key=True)
    stream_id: UUID = Field(primary_key=True)
    seq: int = big(primary_key=True)
    id: UUID
    at: datetime = instant()
    action: str
    kind: str
    object_id: UUID
    object_name: str
    namespace_id: UUID | None = None
    actor_id: UUID
    actor_name: str
    request_id: str | None = None
    before: Any | None = Field(sa_type=JSONB(none_as_null=True), default=None)
    after: Any | None = Field(sa_type=JSONB(none_as_null=True), default=None)
    address: str | None = None
    byte_count: int | None = big(nullable=True, default=None)


class Event(Row, table=True):
    """What an outside system says happened to an object; a span when it has an end."""

    __tablename__ = "event"
    __table_args__ = (
        references("object_id", "object"),
        Index(
            "uq_event_external",
            "tenant_id",
            "object_id",
            "source",
            "external_id",
            unique=True,
            postgresql_where=text("external_id IS NOT NULL"),
        ),
        Index(
            "uq_event_moment",
            "tenant_id",
            "object_id",
            "source",
            "name",
            "at",
            unique=True,
            postgresql_where=text("external_id IS NULL"),
        ),
        Index("ix_event_stream", "tenant_id", "stream_id", "seq"),
        Index("ix_event_object", "tenant_id", "object_id", "at", "id"),
        Index("ix_event_namespace", "tenant_id", "namespace_id", "at", "id"),
        Index("ix_event_all", "tenant_id", "at", "id"),
    )
    stream_id: UUID
    seq: int = big()
    object_id: UUID
    namespace_id: UUID
    name: str
    source: str
    external_id: str | None = None
    at: datetime = instant()
    ended_at: datetime | None = instant(nullable=True, default=None)
    user_metadata: dict[str, Any] = document(name="metadata")
    actor_id: UUID
    recorded_at: datetime = instant()


class IdempotencyRecord(SQLModel, table=True):
    """The result of a mutation that was sent with a key, for the caller who lost the answer."""

    __tablename__ = "idempotency_record"
    __table_args__ = (Index("ix_idempotency_record_created_at", "created_at"),)
    tenant_id: UUID = Field(primary_key=True)
    actor_id: UUID = Field(primary_key=True)
    key: str = Field(primary_key=True)
    verb: str
    input_digest: bytes = Field(sa_type=LargeBinary)
    result: Any = Field(sa_type=JSONB, nullable=False)
    created_at: datetime = instant()
