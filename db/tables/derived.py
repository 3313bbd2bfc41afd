"""Rows that no table holds: what a subquery of a read computes, with the columns that it names."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Float, MetaData, Table, Text, Uuid


class EventDuration:
    """How long the ended spans of one name took on one object."""

    __tablename__ = "event_duration"
    # A registry of its own: migrations must not take it for a table.
    __table__: Any = Table(
        __tablename__,
        MetaData(),
        Column("tenant_id", Uuid, nullable=False),
        Column("object_id", Uuid, nullable=False),
        Column("name", Text, nullable=False),
        Column("count", BigInteger, nullable=False),
        Column("total_ms", Float(53), nullable=False),
        Column("mean_ms", Float(53), nullable=False),
        Column("max_ms", Float(53), nullable=False),
    )
