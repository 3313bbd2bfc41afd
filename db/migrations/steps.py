"""The words that migrations are written in: tables, indexes and columns in the schema's house form.

A column is not null unless a question mark follows its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

Columns = list[sa.Column[Any]]
LIVE = "deleted_at IS NULL"


def create(
    table: str,
    *columns: sa.Column[Any],
    key: Sequence[str] = ("tenant_id", "id"),
    unique: Sequence[str] = (),
    known: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """A table with its primary key, at most one unique constraint, and its enumerations."""
    constraints: list[sa.Constraint] = [sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{table}"))]
    if unique:
        constraints.append(sa.UniqueConstraint(*unique, name=op.f("_".join(["uq", table, *unique]))))
    for column, values in (known or {}).items():
        listed = ", ".join(f"'{value}'" for value in values)
        name = op.f(f"ck_{table}_{column}_known")
        constraints.append(sa.CheckConstraint(f"{column} IN ({listed})", name=name))
    op.create_table(table, *columns, *constraints)


def link(table: str, column: str, target: str) -> None:
    """A foreign key inside the tenant: (tenant_id, column) to (tenant_id, id)."""
    name = op.f(f"fk_{table}_tenant_id_{column}")
    op.create_foreign_key(name, table, target, ["tenant_id", column], ["tenant_id", "id"])


def index(name: str, table: str, *columns: str, include: Sequence[str] = (), where: str | None = None) -> None:
    """An index that begins with the tenant."""
    options: dict[str, Any] = {"postgresql_where": sa.text(where)} if where else {}
    if include:
        options["postgresql_include"] = list(include)
    op.create_index(f"ix_{name}", table, ["tenant_id", *columns], **options)


def unique(name: str, table: str, *columns: str, where: str | None, nulls_equal: bool = False) -> None:
    """A unique index that begins with the tenant."""
    options: dict[str, Any] = {"postgresql_where": sa.text(where)} if where else {}
    if nulls_equal:
        options["postgresql_nulls_not_distinct"] = True
    op.create_index(f"uq_{name}", table, ["tenant_id", *columns], unique=True, **options)


def uuid(*names: str) -> Columns:
    """Identifiers."""
    return _columns(names, sa.Uuid())


def uuids(*names: str) -> Columns:
    """Lists of identifiers."""
    return _columns(names, postgresql.ARRAY(postgresql.UUID))


def text(*names: str, default: str | None = None) -> Columns:
    """Texts of any length."""
    return _columns(names, sa.String(), default)


def words(*names: str, default: str | None = None) -> Columns:
    """Lists of words."""
    return _columns(names, postgresql.ARRAY(sa.Text), default)


def json(*names: str, default: str | None = None) -> Columns:
    """JSON values."""
    return _columns(names, postgresql.JSONB(), default)


def instant(*names: str) -> Columns:
    """Moments."""
    return _columns(names, sa.DateTime(timezone=True))


def blob(*names: str) -> Columns:
    """Bytes."""
    return _columns(names, sa.LargeBinary())


def ranges(*names: str, default: str | None = None) -> Columns:
    """Sets of 64-bit integers, as ranges."""
    return _columns(names, postgresql.INT8MULTIRANGE(), default)


def boolean(*names: str, default: bool | None = None) -> Columns:
    """Truths."""
    return _columns(names, sa.Boolean(), default)


def integer(*names: str, default: int | None = None) -> Columns:
    """32-bit integers."""
    return _columns(names, sa.Integer(), default)


def big(*names: str, default: int | None = None) -> Columns:
    """64-bit integers."""
    return _columns(names, sa.BigInteger(), default)


def double(*names: str, default: int | None = None) -> Columns:
    """64-bit floats."""
    return _columns(names, sa.Float(53), default)


def row() -> Columns:
    """The key of most tables."""
    return uuid("tenant_id", "id")


def entity() -> Columns:
    """What every entity has before its own columns."""
    return [
        *uuid("tenant_id", "id", "namespace_id"),
        *instant("created_at"),
        *uuid("created_by"),
        *instant("updated_at"),
        *big("revision", default=1),
        *instant("deleted_at?"),
        *words("labels", default="{}"),
        *json("metadata", default="{}"),
    ]


def _columns(names: Sequence[str], kind: TypeEngine[Any], default: str | int | None = None) -> Columns:
    literal = sa.text(str(default).lower()) if isinstance(default, int) else default
    return [
        sa.Column(name.removesuffix("?"), kind, nullable=name.endswith("?"), server_default=literal) for name in names
    ]
