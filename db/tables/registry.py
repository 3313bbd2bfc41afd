"""Models, their versions, and the tags that are unique among those."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from db.tables.row import EntityRow, Row, big, entity_arguments, instant, live_unique, one_of, references

FRAMEWORKS = (
    "PYTORCH",
    "TENSORFLOW",
    "KERAS",
    "JAX",
    "SKLEARN",
    "XGBOOST",
    "LIGHTGBM",
    "CATBOOST",
    "MXNET",
    "H2O",
    "SPARKML",
    "OTHER",
)


class Model(EntityRow, table=True):
    """A task's standing object. `next_version` only grows: integers are never given twice."""

    __tablename__ = "model"
    __table_args__ = entity_arguments(
        live_unique("model_name", "namespace_id", "name"),
        Index("ix_model_namespace", "tenant_id", "namespace_id", "id"),
    )
    name: str
    owner: str | None = None
    task: str | None = None
    description: str | None = None
    next_version: int = big(sa_column_kwargs={"server_default": text("1")})


class ModelVersion(EntityRow, table=True):
    """One trained model."""

    __tablename__ = "model_version"
    __table_args__ = entity_arguments(
        references("model_id", "model"),
        references("experiment_id", "experiment"),
        references("checkpoint_id", "checkpoint"),
        one_of("framework", *FRAMEWORKS),
        one_of("status", "PENDING", "READY"),
        live_unique("model_version_version", "model_id", "version"),
        Index("ix_model_version_model", "tenant_id", "model_id", "id"),
        Index("ix_model_version_experiment", "tenant_id", "experiment_id", "id"),
        Index("ix_model_version_checkpoint", "tenant_id", "checkpoint_id", "id"),
        Index("ix_model_version_namespace", "tenant_id", "namespace_id", "id"),
    )
    model_id: UUID
    version: str
    name: str | None = None
    description: str | None = None
    framework: str | None = None
    status: str = Field(sa_column_kwargs={"server_default": text("'READY'")})
    experiment_id: UUID | None = None
    checkpoint_id: UUID | None = None


class UniqueTag(SQLModel, table=True):
    """Where a tag of a model points now."""

    __tablename__ = "unique_tag"
    __table_args__ = (
        references("model_id", "model"),
        references("version_id", "model_version"),
        Index("ix_unique_tag_version", "tenant_id", "version_id"),
    )
    tenant_id: UUID = Field(primary_key=True)
    model_id: UUID = Field(primary_key=True)
    tag: str = Field(primary_key=True)
    version_id: UUID
    at: datetime = instant()


class TagChange(Row, table=True):
    """Every move of a unique tag; a removal has no version."""

    __tablename__ = "tag_change"
    __table_args__ = (
        references("model_id", "model"),
        references("version_id", "model_version"),
        references("previous_version_id", "model_version"),
        references("actor_id", "actor"),
        Index("ix_tag_change_model", "tenant_id", "model_id", "id"),
        Index("ix_tag_change_tag", "tenant_id", "model_id", "tag", "at"),
        Index("ix_tag_change_version", "tenant_id", "version_id"),
        Index("ix_tag_change_previous_version", "tenant_id", "previous_version_id"),
    )
    model_id: UUID
    tag: str
    version_id: UUID | None = None
    previous_version_id: UUID | None = None
    actor_id: UUID
    at: datetime = instant()
