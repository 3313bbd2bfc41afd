"""Organisations, who acts in them, and with what rights."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from db.tables.row import Row, instant, one_of, references, words

ROLES = ("READER", "WRITER", "MAINTAINER", "ADMIN")


class Tenant(SQLModel, table=True):
    """An organisation; every request acts in one."""

    __tablename__ = "tenant"
    id: UUID = Field(primary_key=True)
    name: str = Field(unique=True)
    created_at: datetime = instant()


class Actor(Row, table=True):
    """A user or a service account of one tenant."""

    __tablename__ = "actor"
    __table_args__ = (
        one_of("kind", "USER", "SERVICE_ACCOUNT"),
        UniqueConstraint("tenant_id", "kind", "name"),
    )
    kind: str
    name: str
    description: str | None = None
    created_at: datetime = instant()
    disabled_at: datetime | None = instant(nullable=True, default=None)


class RoleGrant(Row, table=True):
    """A role of an actor on a namespace and all below it; on the whole tenant when that is null."""

    __tablename__ = "role_grant"
    __table_args__ = (
        references("actor_id", "actor"),
        references("namespace_id", "namespace"),
        one_of("role", *ROLES),
        Index(
            "uq_role_grant_actor",
            "tenant_id",
            "actor_id",
            "namespace_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        Index("ix_role_grant_namespace", "tenant_id", "namespace_id"),
    )
    actor_id: UUID
    namespace_id: UUID | None = None
    role: str
    created_at: datetime = instant()
    created_by: UUID | None = None


class Token(SQLModel, table=True):
    """A bearer token: only its prefix and its SHA-256 are kept.

    It is looked up before the tenant is known, so its key is its own prefix.
    """

    __tablename__ = "token"
    __table_args__ = (
        references("actor_id", "actor"),
        one_of("role", *ROLES),
        Index("ix_token_actor", "tenant_id", "actor_id"),
    )
    prefix: str = Field(primary_key=True)
    id: UUID
    tenant_id: UUID
    actor_id: UUID
    digest: bytes
    description: str | None = None
    role: str = Field(sa_column_kwargs={"server_default": text("'ADMIN'")})
    namespaces: list[str] | None = words(nullable=True, default=None)
    created_at: datetime = instant()
    expires_at: datetime | None = instant(nullable=True, default=None)
    revoked_at: datetime | None = instant(nullable=True, default=None)
