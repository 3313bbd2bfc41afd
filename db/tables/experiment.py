"""Experiments, their hyperparameters and signs of life, and their checkpoints."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from db.tables.registry import FRAMEWORKS
from db.tables.row import (
    EntityRow,
    big,
    document,
    double,
    entity_arguments,
    instant,
    live_unique,
    one_of,
    references,
)

STATUSES = ("RUNNING", "STALLED", "COMPLETED", "FAILED", "KILLED", "PREEMPTED")


class Experiment(EntityRow, table=True):
    """One training job."""

    __tablename__ = "experiment"
    __table_args__ = entity_arguments(
        references("parent_id", "experiment"),
        one_of("framework", *FRAMEWORKS),
        one_of("status", *STATUSES),
        live_unique("experiment_name", "namespace_id", "name"),
        live_unique("experiment_external", "namespace_id", "external_id"),
        Index("ix_experiment_namespace", "tenant_id", "namespace_id", "id"),
        Index("ix_experiment_parent", "tenant_id", "parent_id", "id"),
        Index("ix_experiment_group", "tenant_id", "namespace_id", "group", "id"),
        Index("ix_experiment_running", "status", postgresql_where=text("status IN ('RUNNING', 'STALLED')")),
    )
    name: str
    description: str | None = None
    owner: str | None = None
    framework: str | None = None
    external_id: str | None = None
    status: str = Field(sa_column_kwargs={"server_default": text("'RUNNING'")})
    hyperparameters: dict[str, Any] = document()
    environment: dict[str, Any] = document()
    group: str | None = None
    parent_id: UUID | None = None
    started_at: datetime = instant()
    ended_at: datetime | None = instant(nullable=True, default=None)
    stall_after: float = double(sa_column_kwargs={"server_default": text("600")})
    checkpoint_retention: dict[str, Any] | None = Field(sa_type=JSONB(none_as_null=True), default=None)
    leg: int = Field(sa_column_kwargs={"server_default": text("0")})


class Leg(SQLModel, table=True):
    """A resumption of an experiment: from its step on, what had been logged before is off the run's line.

    `seq` is its number in the experiment's metric stream.
    """

    __tablename__ = "leg"
    __table_args__ = (references("experiment_id", "experiment"), references("started_by", "actor"))
    tenant_id: UUID = Field(primary_key=True)
    experiment_id: UUID = Field(primary_key=True)
    number: int = Field(primary_key=True)
    from_step: int | None = big(nullable=True, default=None)
    checkpoint_id: UUID | None = None
    started_at: datetime = instant()
    started_by: UUID
    seq: int | None = big(nullable=True, default=None)


class Heartbeat(SQLModel, table=True):
    """The last sign of life of an experiment, apart from it so that a beat rewrites few bytes."""

    __tablename__ = "heartbeat"
    __table_args__ = (references("experiment_id", "experiment"),)
    tenant_id: UUID = Field(primary_key=True)
    experiment_id: UUID = Field(primary_key=True)
    at: datetime = instant()


class Parameter(SQLModel, table=True):
    """One leaf of an experiment's hyperparameters, for filters and orders."""

    __tablename__ = "parameter"
    __table_args__ = (
        references("experiment_id", "experiment"),
        Index("ix_parameter_number", "tenant_id", "path", "number", "experiment_id"),
        Index("ix_parameter_text", "tenant_id", "path", "text", "experiment_id"),
    )
    tenant_id: UUID = Field(primary_key=True)
    experiment_id: UUID = Field(primary_key=True)
    path: list[str] = Field(sa_type=ARRAY(Text), primary_key=True)
    number: float | None = double(nullable=True, default=None)
    text: str | None = None


class Checkpoint(EntityRow, table=True):
    """A saved state of an experiment at a step. `leg` is the leg that the experiment was on then."""

    __tablename__ = "checkpoint"
    __table_args__ = entity_arguments(
        references("experiment_id", "experiment"),
        one_of("status", "PENDING", "READY"),
        Index("ix_checkpoint_experiment", "tenant_id", "experiment_id", "id"),
        Index("ix_checkpoint_step", "tenant_id", "experiment_id", "step", "id"),
        Index("ix_checkpoint_namespace", "tenant_id", "namespace_id", "id"),
    )
    experiment_id: UUID
    name: str | None = None
    step: int | None = big(nullable=True, default=None)
    epoch: float | None = double(nullable=True, default=None)
    status: str = Field(sa_column_kwargs={"server_default": text("'READY'")})
    expected_shards: int | None = None
    pinned: bool = Field(sa_column_kwargs={"server_default": text("false")})
    retired_at: datetime | None = instant(nullable=True, default=None)
    leg: int = Field(sa_column_kwargs={"server_default": text("0")})
