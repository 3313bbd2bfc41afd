"""Series of metrics: a narrow summary, and the points in a tail of batches and in segments."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy.dialects.postgresql import INT8MULTIRANGE
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
    series of strings and of bytes. What stores the points names a series by its `id`, so that a
    rename touches this row alone.
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
    mean: float | None = double(nullable=True, default=None)
    updated_at: datetime = instant()
    id: int = big()


class MetricBatch(SQLModel, table=True):
    """What one call logged on one object: a row of the tail, until compaction moves its points into segments.

    `data` is written by `db.metrics.tail`: the points of series of floats. `seq` is its number in the object's
    metric stream.
    """

    __tablename__ = "metric_batch"
    tenant_id: UUID = Field(primary_key=True)
    owner_id: UUID = Field(primary_key=True)
    seq: int = big(primary_key=True)
    leg: int = Field(sa_column_kwargs={"server_default": text("0")})
    recorded_at: datetime = instant()
    actor_id: UUID | None = None
    point_count: int
    data: bytes


class MetricSegment(SQLModel, table=True):
    """Up to 4 096 points of one series, compressed; `db.metrics.segment` writes and reads its bytes.

    `position` counts the series' points in order of arrival and is a multiple of 4 096; only the last segment of a
    series holds fewer. Where `data` is gone, the points were rolled up: `parts` has the figures of each 512.
    """

    __tablename__ = "metric_segment"
    __table_args__ = (
        Index("ix_metric_segment_seq", "tenant_id", "owner_id", "last_seq"),
        Index(
            "ix_metric_segment_raw",
            "tenant_id",
            "owner_id",
            "recorded_until",
            postgresql_where=text("data IS NOT NULL"),
        ),
    )
    tenant_id: UUID = Field(primary_key=True)
    owner_id: UUID = Field(primary_key=True)
    series_id: int = big(primary_key=True)
    position: int = big(primary_key=True)
    leg: int = Field(sa_column_kwargs={"server_default": text("0")})
    count: int
    first_seq: int = big()
    last_seq: int = big()
    min_step: int | None = big(nullable=True, default=None)
    max_step: int | None = big(nullable=True, default=None)
    min_time: int | None = big(nullable=True, default=None)
    max_time: int | None = big(nullable=True, default=None)
    recorded_until: datetime = instant()
    summary: bytes
    parts: bytes
    data: bytes | None = None


class OpaquePoint(SQLModel, table=True):
    """One value of a series of strings or of bytes."""

    __tablename__ = "opaque_point"
    __table_args__ = (Index("ix_opaque_point_seq", "tenant_id", "owner_id", "seq"),)
    tenant_id: UUID = Field(primary_key=True)
    owner_id: UUID = Field(primary_key=True)
    series_id: int = big(primary_key=True)
    position: int = big(primary_key=True)
    leg: int = Field(sa_column_kwargs={"server_default": text("0")})
    seq: int = big()
    step: int | None = big(nullable=True, default=None)
    wall_time: datetime | None = instant(nullable=True, default=None)
    string: str | None = None
    binary: bytes | None = None


class MetricWriter(SQLModel, table=True):
    """Which of a writer's batches an object has: so that a replay is known, however late.

    `fresh` are those that the last call added; it tells a call which of its own were new.
    """

    __tablename__ = "metric_writer"
    tenant_id: UUID = Field(primary_key=True)
    owner_id: UUID = Field(primary_key=True)
    writer: str = Field(primary_key=True)
    applied: Any = Field(sa_type=INT8MULTIRANGE, nullable=False)
    fresh: Any = Field(sa_type=INT8MULTIRANGE, nullable=False)


class MetricAuthor(SQLModel, table=True):
    """Who logged which numbers of an object's metric stream, kept when compaction takes the batches away."""

    __tablename__ = "metric_author"
    tenant_id: UUID = Field(primary_key=True)
    owner_id: UUID = Field(primary_key=True)
    actor_id: UUID = Field(primary_key=True)
    applied: Any = Field(sa_type=INT8MULTIRANGE, nullable=False)
    first_at: datetime = instant()
    last_at: datetime = instant()
