"""Namespaces, and the narrow row that every entity has."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlmodel import Field

from db.tables.row import EntityRow, Row, big, entity_arguments, instant, live_unique, one_of, references

KINDS = ("NAMESPACE", "MODEL", "MODEL_VERSION", "EXPERIMENT", "CHECKPOINT", "DATASET", "DATASET_USE")


class Object(Row, table=True):
    """One per entity: what metrics, artifacts, events and links refer to; carries place and deletion.

    `container_ids` are the objects (not namespaces) that contain this one, outermost first: an
    object is visible when neither it nor any of them is deleted. `purged_at`: when the files of what was deleted with
    it were forgotten; null again once it is restored.
    """

    __tablename__ = "object"
    __table_args__ = (
        one_of("kind", *KINDS),
        Index("ix_object_namespace", "tenant_id", "namespace_id", "kind"),
        Index(
            "ix_object_unpurged",
            "deleted_at",
            postgresql_where=text("deleted_at IS NOT NULL AND purged_at IS NULL"),
        ),
    )
    kind: str
    namespace_id: UUID
    container_ids: list[UUID] = Field(sa_type=ARRAY(PG_UUID), nullable=False)
    name: str
    deleted_at: datetime | None = instant(nullable=True, default=None)
    purged_at: datetime | None = instant(nullable=True, default=None)


class Namespace(EntityRow, table=True):
    """A path such as `vision/cifar`.

    `path`, `lineage` (ids from the root to itself) and `visible` (neither it nor an ancestor is
    deleted) are derived: the verbs rewrite them below a namespace that is renamed, deleted or
    restored, in the same transaction, so that no read has to climb.
    """

    __tablename__ = "namespace"
    __table_args__ = entity_arguments(
        references("parent_id", "namespace"),
        live_unique("namespace_path", "path", where="visible"),
        Index("ix_namespace_parent", "tenant_id", "parent_id", "path"),
        Index("ix_namespace_prefix", "tenant_id", "path"),
        namespace=False,
    )
    parent_id: UUID | None = None
    root_id: UUID
    name: str
    path: str
    description: str | None = None
    lineage: list[UUID] = Field(sa_type=ARRAY(PG_UUID), nullable=False)
    visible: bool = True
    raw_metric_days: int | None = None
    storage_quota: int | None = big(nullable=True, default=None)
