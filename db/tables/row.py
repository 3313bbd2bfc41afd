"""What rows have in common: the tenant first in every key, and what each entity carries."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Float, ForeignKeyConstraint, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = SQLModel.metadata


def instant(**options: Any) -> Any:
    """A moment, kept in UTC to the microsecond."""
    return Field(sa_type=DateTime(timezone=True), **options)


def big(**options: Any) -> Any:
    """A 64-bit integer."""
    return Field(sa_type=BigInteger, **options)


def double(**options: Any) -> Any:
    """A 64-bit float, NaN and infinities included."""
    return Field(sa_type=Float(53), **options)


def words(**options: Any) -> Any:
    """A list of free words."""
    return Field(sa_type=ARRAY(Text), **options)


def document(default: str = "'{}'", **options: Any) -> Any:
    """A JSON value that the user owns."""
    return Field(sa_type=JSONB, sa_column_kwargs={"server_default": text(default), **options}, nullable=False)


def references(column: str, table: str) -> ForeignKeyConstraint:
    """A link inside the tenant: (tenant_id, column) to (tenant_id, id)."""
    return ForeignKeyConstraint(["tenant_id", column], [f"{table}.tenant_id", f"{table}.id"])


def live_unique(name: str, *columns: str, where: str = "deleted_at IS NULL") -> Index:
    """Unique among what is not deleted, so that a deleted name can be used again."""
    return Index(f"uq_{name}", "tenant_id", *columns, unique=True, postgresql_where=text(where))


def one_of(column: str, *values: str) -> CheckConstraint:
    """An enumeration kept as text: readable in `psql`, and JSON without a look-up."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


class Row(SQLModel):
    """A row of one tenant with an id made by the application (UUIDv7)."""

    tenant_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)


class EntityRow(Row):
    """What every entity has beside its own columns."""

    namespace_id: UUID
    created_at: datetime = instant()
    created_by: UUID
    updated_at: datetime = instant()
    revision: int = big(sa_column_kwargs={"server_default": text("1")})
    deleted_at: datetime | None = instant(nullable=True, default=None)
    labels: list[str] = words(sa_column_kwargs={"server_default": text("'{}'")})
    user_metadata: dict[str, Any] = document(name="metadata")


def entity_arguments(*own: Any, namespace: bool = True) -> tuple[Any, ...]:
    """Constraints that every entity table has, and its own."""
    shared = (references("id", "object"), references("created_by", "actor"))
    home = (references("namespace_id", "namespace"),) if namespace else ()
    return (*shared, *home, *own)
