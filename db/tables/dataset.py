"""Datasets, and their use by a model, a version or an experiment."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from db.tables.row import EntityRow, entity_arguments, references


class Dataset(EntityRow, table=True):
    """What a version was trained or judged on: a name, and the digest of one state of it."""

    __tablename__ = "dataset"
    __table_args__ = entity_arguments(
        Index(
            "uq_dataset_name",
            "tenant_id",
            "namespace_id",
            "name",
            "digest",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("ix_dataset_namespace", "tenant_id", "namespace_id", "id"),
    )
    name: str
    digest: str | None = None
    uri: str | None = None
    description: str | None = None
    data_schema: Any | None = Field(sa_type=JSONB(none_as_null=True), default=None, sa_column_kwargs={"name": "schema"})
    profile: Any | None = Field(sa_type=JSONB(none_as_null=True), default=None)


class DatasetUse(EntityRow, table=True):
    """A dataset in a role (`train`, `validation`, …) of a model, a version or an experiment."""

    __tablename__ = "dataset_use"
    __table_args__ = entity_arguments(
        references("object_id", "object"),
        references("dataset_id", "dataset"),
        Index(
            "uq_dataset_use",
            "tenant_id",
            "object_id",
            "dataset_id",
            "role",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("ix_dataset_use_object", "tenant_id", "object_id", "id"),
        Index("ix_dataset_use_dataset", "tenant_id", "dataset_id", "id"),
        Index("ix_dataset_use_namespace", "tenant_id", "namespace_id", "id"),
    )
    object_id: UUID
    dataset_id: UUID
    role: str
