"""Stored bytes and uploads; checkpoints of several shards, with retention; legs of experiments.

Files that are there keep lying where their URIs say; they have no blob.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.migrations.distribution import distribute
from db.migrations.steps import (
    LIVE,
    big,
    blob,
    boolean,
    create,
    index,
    instant,
    integer,
    json,
    link,
    ranges,
    row,
    text,
    unique,
    uuid,
)

revision = "0004"
down_revision = "0003"

BY_TENANT = ("blob", "upload", "upload_file", "leg")
UPLOAD_STATUSES = ("OPEN", "VERIFYING", "READY", "DISCARDED")


def upgrade() -> None:
    create_blobs()
    create_uploads()
    create_legs()
    distribute(op.get_bind(), everywhere=(), by_tenant=BY_TENANT)
    extend_artifacts()
    extend_checkpoints()
    find_what_was_deleted()
    op.add_column("namespace", *big("storage_quota?"))
    op.add_column("audit_event", *text("address?"))
    op.add_column("audit_event", *big("byte_count?"))
    link("upload", "artifact_id", "artifact")
    link("upload", "created_by", "actor")
    link("upload_file", "upload_id", "upload")
    link("leg", "experiment_id", "experiment")
    link("leg", "started_by", "actor")


def create_blobs() -> None:
    create(
        "blob",
        *row(),
        *text("digest"),
        *big("size", "part_size"),
        *blob("part_digests"),
        *instant("stored_at", "verified_at", "damaged_at?", "unreferenced_at?", "doomed_at?"),
    )
    unique("blob_digest", "blob", "digest", where="doomed_at IS NULL")
    for name in ("doomed", "unreferenced"):
        where = sa.text(f"{name}_at IS NOT NULL")
        op.create_index(f"ix_blob_{name}", "blob", [f"{name}_at"], postgresql_where=where)


def create_uploads() -> None:
    create(
        "upload",
        *row(),
        *uuid("artifact_id?", "namespace_id"),
        *text("status", default="OPEN"),
        *blob("spec"),
        *integer("file_count"),
        *big("total_size"),
        *instant("created_at"),
        *uuid("created_by"),
        *instant("expires_at", "verifying_since?", "finished_at?"),
        *text("failure?"),
        known={"status": UPLOAD_STATUSES},
    )
    unique("upload_spec", "upload", "artifact_id", "spec", where="status IN ('OPEN', 'VERIFYING')")
    index("upload_artifact", "upload", "artifact_id", "id")
    op.create_index("ix_upload_expires", "upload", ["expires_at"])
    verifying = sa.text("status = 'VERIFYING'")
    op.create_index("ix_upload_verifying", "upload", ["verifying_since"], postgresql_where=verifying)
    create(
        "upload_file",
        *uuid("tenant_id", "upload_id"),
        *integer("number"),
        *text("path"),
        *big("size"),
        *text("digest", "media_type?"),
        *big("part_size"),
        *blob("part_digests"),
        *ranges("received", default="{}"),
        *uuid("blob_id"),
        *text("session?"),
        *boolean("is_stored", default=False),
        key=("tenant_id", "upload_id", "number"),
    )
    index("upload_file_blob", "upload_file", "blob_id")


def create_legs() -> None:
    create(
        "leg",
        *uuid("tenant_id", "experiment_id"),
        *integer("number"),
        *big("from_step?"),
        *uuid("checkpoint_id?"),
        *instant("started_at"),
        *uuid("started_by"),
        key=("tenant_id", "experiment_id", "number"),
    )
    op.add_column("experiment", *json("checkpoint_retention?"))
    op.add_column("experiment", *integer("leg", default=0))


def extend_artifacts() -> None:
    op.add_column("artifact", *integer("shard?"))
    op.add_column("artifact", *instant("purged_at?"))
    unique("artifact_shard", "artifact", "object_id", "shard", where=f"{LIVE} AND shard IS NOT NULL")
    op.add_column("file", *uuid("blob_id?"))
    index("file_blob", "file", "blob_id", where="blob_id IS NOT NULL")
    link("file", "blob_id", "blob")


def extend_checkpoints() -> None:
    op.add_column("checkpoint", *integer("expected_shards?"))
    op.add_column("checkpoint", *boolean("pinned", default=False))
    op.add_column("checkpoint", *instant("retired_at?"))


def find_what_was_deleted() -> None:
    """What waits to be forgotten is found without a look at all that was."""
    op.add_column("object", *instant("purged_at?"))
    for table in ("object", "artifact"):
        where = sa.text("deleted_at IS NOT NULL AND purged_at IS NULL")
        op.create_index(f"ix_{table}_unpurged", table, ["deleted_at"], postgresql_where=where)
