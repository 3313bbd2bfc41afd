"""Series of metrics: a narrow summary, and the points."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from db.tables.row import big, double, instant, one_of, references

AGGREGATES = ("last", "min", "max", "mean")


def _by(aggregate: str) -> Index:
    """For orders by it and filters on it; knows the namespace, so that rows elsewhere are passed by without a look."""
    return Index(
        f"ix_series_{aggregate}",
        "tenant_id",
        "key",
        aggregate,
        "owner_id",
        postgresql_include=["namespace_id"],
        postgresql_where=text("leg = 0"),
    )


class Series(SQLModel, table=True):
    """The summary of one series, kept up to date with every append.

    Aggregates run over finite values; `first` and `last` may be non-finite. They are null in
    series of strings and of bytes.
    """

    __tablename__ = "series"
    __table_args__ = (
        references("owner_id", "object"),
        one_of("kind", "FLOAT", "STRING", "BYTES"),
        *(_by(aggregate) for aggregate in AGGREGATES),
    )
    tenant_id: UUID = Field(primary_key=True)
    owner_id: UUID = Field(primary_key=True)
    key: str = Field(primary_key=True)
    leg: int = Field(primary_key=True, sa_column_kwargs={"server_default": text("0")})
    namespace_id: UUID
    kind: str
    count: int = big()
    non_finite_count: int = big(sa_column_kwargs={"server_default": text("0")})
    first_step: int | None = big(nullable=True, default=None)
    last_step: int | None = big(nullable=True, default=None)
    first_at: datetime | None = instant(nullable=True, default=None)
    last_at: datetime | None = instant(nullable=True, default=None)
    first: float | None = double(nullable=True, default=None)
    last: float | None = double(nullable=True, default=None)
    min: float | None = double(nullable=True, default=None)
    min_step: int | None = big(nullable=True, default=None)
    max: float | None = double(nullable=True, default=None)
    max_step: int | None = big(nullable=True, default=None)
    sum: float | None = double(nullable=True, default=None)
    mean: float | None = double(nullable=True, default=None)
    updated_at: datetime = instant()


class Point(SQLModel, table=True):
    """One value of a series. `position` counts the series' points in order of arrival."""

    __tablename__ = "point"
    __table_args__ = (references("owner_id", "object"),)
    tenant_id: UUID = Field(primary_key=True)
    owner_id: UUID = Field(primary_key=True)
    key: str = Field(primary_key=True)
    leg: int = Field(primary_key=True, sa_column_kwargs={"server_default": text("0")})
    position: int = big(primary_key=True)
    step: int | None = big(nullable=True, default=None)
    wall_time: datetime | None = instant(nullable=True, default=None)
    number: float | None = double(nullable=True, default=None)
    string: str | None = None
    binary: bytes | None = None
