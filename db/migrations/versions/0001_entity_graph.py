"""The entity graph: tenants and actors, registry, experiments, metrics, artifacts, datasets, the feed.

Tables come first, then their places on Citus, then foreign keys.
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
    double,
    entity,
    index,
    instant,
    integer,
    json,
    link,
    row,
    text,
    unique,
    uuid,
    uuids,
    words,
)

revision = "0001"
down_revision = None

ROLES = ("READER", "WRITER", "MAINTAINER", "ADMIN")
KINDS = ("NAMESPACE", "MODEL", "MODEL_VERSION", "EXPERIMENT", "CHECKPOINT", "DATASET", "DATASET_USE")
# fmt: off
FRAMEWORKS = (
    "PYTORCH", "TENSORFLOW", "KERAS", "JAX", "SKLEARN", "XGBOOST", "LIGHTGBM", "CATBOOST", "MXNET", "H2O",
    "SPARKML", "OTHER",
)
FILE_KINDS = ("MODEL", "CHECKPOINT", "TEXT", "IMAGE", "AUDIO", "VIDEO", "DATASET", "CODE", "OTHER")
ACTIONS = ("CREATE", "UPDATE", "DELETE", "RESTORE", "UPLOAD", "DOWNLOAD", "DENIED")
READINESS = ("PENDING", "READY")
STATUSES = ("RUNNING", "STALLED", "COMPLETED", "FAILED", "KILLED", "PREEMPTED")

# A token is found before its tenant is known, and so must be everywhere; what it refers to, too.
EVERYWHERE = ("installation", "tenant", "actor", "token")
BY_TENANT = (
    "stream_head", "audit_event", "idempotency_record", "object", "namespace", "role_grant", "model",
    "experiment", "heartbeat", "parameter", "checkpoint", "model_version", "unique_tag", "tag_change",
    "dataset", "dataset_use", "artifact", "file", "series", "point", "event",
)

ENTITY = {"id": "object", "created_by": "actor", "namespace_id": "namespace"}
# Of each table, its columns that name a row of another one.
LINKS = {
    "role_grant": {"actor_id": "actor", "namespace_id": "namespace"},
    "token": {"actor_id": "actor"},
    "namespace": {"id": "object", "created_by": "actor", "parent_id": "namespace"},
    "model": ENTITY,
    "model_version": ENTITY | {"model_id": "model", "experiment_id": "experiment", "checkpoint_id": "checkpoint"},
    "unique_tag": {"model_id": "model", "version_id": "model_version"},
    "tag_change": {
        "model_id": "model", "version_id": "model_version", "previous_version_id": "model_version",
        "actor_id": "actor",
    },
    "experiment": ENTITY | {"parent_id": "experiment"},
    "heartbeat": {"experiment_id": "experiment"},
    "parameter": {"experiment_id": "experiment"},
    "checkpoint": ENTITY | {"experiment_id": "experiment"},
    "dataset": ENTITY,
    "dataset_use": ENTITY | {"object_id": "object", "dataset_id": "dataset"},
    "artifact": {"object_id": "object", "created_by": "actor"},
    "file": {"artifact_id": "artifact"},
    "series": {"owner_id": "object"},
    "point": {"owner_id": "object"},
    "event": {"object_id": "object"},
}
# fmt: on


def upgrade() -> None:
    create_people()
    create_feed()
    create_namespaces()
    create_models()
    create_tags()
    create_experiments()
    create_checkpoints()
    create_datasets()
    create_artifacts()
    create_metrics()
    create_events()
    distribute(op.get_bind(), everywhere=EVERYWHERE, by_tenant=BY_TENANT)
    for table, links in LINKS.items():
        for column, target in links.items():
            link(table, column, target)


def create_people() -> None:
    create("tenant", *uuid("id"), *text("name"), *instant("created_at"), key=["id"], unique=["name"])
    create(
        "actor",
        *row(),
        *text("kind", "name", "description?"),
        *instant("created_at", "disabled_at?"),
        unique=["tenant_id", "kind", "name"],
        known={"kind": ("USER", "SERVICE_ACCOUNT")},
    )
    create(
        "role_grant",
        *row(),
        *uuid("actor_id", "namespace_id?"),
        *text("role"),
        *instant("created_at"),
        *uuid("created_by?"),
        known={"role": ROLES},
    )
    unique("role_grant_actor", "role_grant", "actor_id", "namespace_id", where=None, nulls_equal=True)
    index("role_grant_namespace", "role_grant", "namespace_id")
    create(
        "token",
        *text("prefix"),
        *uuid("id", "tenant_id", "actor_id"),
        *blob("digest"),
        *text("description?"),
        *text("role", default="ADMIN"),
        *words("namespaces?"),
        *instant("created_at", "expires_at?", "revoked_at?"),
        key=["prefix"],
        known={"role": ROLES},
    )
    index("token_actor", "token", "actor_id")


def create_feed() -> None:
    create(
        "installation",
        *integer("id"),
        *text("system_identifier"),
        *integer("timeline"),
        *big("epoch"),
        key=["id"],
    )
    create(
        "stream_head",
        *uuid("tenant_id", "stream_id"),
        *big("seq", default=0),
        *big("epoch", default=1),
        *big("min_seq", default=0),
        key=["tenant_id", "stream_id"],
    )
    create(
        "audit_event",
        *uuid("tenant_id", "stream_id"),
        *big("seq"),
        *uuid("id"),
        *instant("at"),
        *text("action", "kind"),
        *uuid("object_id"),
        *text("object_name"),
        *uuid("namespace_id?", "actor_id"),
        *text("actor_name", "request_id?"),
        *json("before?", "after?"),
        key=["tenant_id", "stream_id", "seq"],
        known={"action": ACTIONS},
    )
    index("audit_event_object", "audit_event", "object_id", "id")
    index("audit_event_id", "audit_event", "id")
    index("audit_event_namespace", "audit_event", "namespace_id", "id")


def create_namespaces() -> None:
    create(
        "object",
        *row(),
        *text("kind"),
        *uuid("namespace_id"),
        *uuids("container_ids"),
        *text("name"),
        *instant("deleted_at?"),
        known={"kind": KINDS},
    )
    index("object_namespace", "object", "namespace_id", "kind")
    create(
        "namespace",
        *entity(),
        *uuid("parent_id?", "root_id"),
        *text("name", "path", "description?"),
        *uuids("lineage"),
        *boolean("visible"),
    )
    unique("namespace_path", "namespace", "path", where="visible")
    index("namespace_parent", "namespace", "parent_id", "path")
    index("namespace_prefix", "namespace", "path")


def create_models() -> None:
    create("model", *entity(), *text("name", "owner?", "task?", "description?"), *big("next_version", default=1))
    unique("model_name", "model", "namespace_id", "name", where=LIVE)
    index("model_namespace", "model", "namespace_id", "id")
    create(
        "model_version",
        *entity(),
        *uuid("model_id"),
        *text("version", "name?", "description?", "framework?"),
        *text("status", default="READY"),
        *uuid("experiment_id?", "checkpoint_id?"),
        known={"framework": FRAMEWORKS, "status": READINESS},
    )
    unique("model_version_version", "model_version", "model_id", "version", where=LIVE)
    for owner in ("model", "experiment", "checkpoint", "namespace"):
        index(f"model_version_{owner}", "model_version", f"{owner}_id", "id")


def create_tags() -> None:
    create(
        "unique_tag",
        *uuid("tenant_id", "model_id"),
        *text("tag"),
        *uuid("version_id"),
        *instant("at"),
        key=["tenant_id", "model_id", "tag"],
    )
    index("unique_tag_version", "unique_tag", "version_id")
    create(
        "tag_change",
        *row(),
        *uuid("model_id"),
        *text("tag"),
        *uuid("version_id?", "previous_version_id?", "actor_id"),
        *instant("at"),
    )
    index("tag_change_model", "tag_change", "model_id", "id")
    index("tag_change_tag", "tag_change", "model_id", "tag", "at")
    index("tag_change_version", "tag_change", "version_id")
    index("tag_change_previous_version", "tag_change", "previous_version_id")


def create_experiments() -> None:
    create(
        "experiment",
        *entity(),
        *text("name", "description?", "owner?", "framework?", "external_id?"),
        *text("status", default="RUNNING"),
        *json("hyperparameters", "environment", default="{}"),
        *text("group?"),
        *uuid("parent_id?"),
        *instant("started_at", "ended_at?"),
        *double("stall_after", default=600),
        known={"framework": FRAMEWORKS, "status": STATUSES},
    )
    unique("experiment_name", "experiment", "namespace_id", "name", where=LIVE)
    unique("experiment_external", "experiment", "namespace_id", "external_id", where=LIVE)
    for owner in ("namespace", "parent"):
        index(f"experiment_{owner}", "experiment", f"{owner}_id", "id")
    index("experiment_group", "experiment", "namespace_id", "group", "id")
    at_work = sa.text("status IN ('RUNNING', 'STALLED')")
    op.create_index("ix_experiment_running", "experiment", ["status"], postgresql_where=at_work)
    run = uuid("tenant_id", "experiment_id")
    create("heartbeat", *run, *instant("at"), key=["tenant_id", "experiment_id"])
    create(
        "parameter",
        *uuid("tenant_id", "experiment_id"),
        *words("path"),
        *double("number?"),
        *text("text?"),
        key=["tenant_id", "experiment_id", "path"],
    )
    index("parameter_number", "parameter", "path", "number", "experiment_id")
    index("parameter_text", "parameter", "path", "text", "experiment_id")


def create_checkpoints() -> None:
    create(
        "checkpoint",
        *entity(),
        *uuid("experiment_id"),
        *text("name?"),
        *big("step?"),
        *double("epoch?"),
        *text("status", default="READY"),
        known={"status": READINESS},
    )
    index("checkpoint_experiment", "checkpoint", "experiment_id", "id")
    index("checkpoint_step", "checkpoint", "experiment_id", "step", "id")
    index("checkpoint_namespace", "checkpoint", "namespace_id", "id")


def create_datasets() -> None:
    create("dataset", *entity(), *text("name", "digest?", "uri?", "description?"), *json("schema?", "profile?"))
    identity = ("namespace_id", "name", "digest")
    unique("dataset_name", "dataset", *identity, where=LIVE, nulls_equal=True)
    index("dataset_namespace", "dataset", "namespace_id", "id")
    create("dataset_use", *entity(), *uuid("object_id", "dataset_id"), *text("role"))
    unique("dataset_use", "dataset_use", "object_id", "dataset_id", "role", where=LIVE)
    for owner in ("object", "dataset", "namespace"):
        index(f"dataset_use_{owner}", "dataset_use", f"{owner}_id", "id")


def create_artifacts() -> None:
    create(
        "artifact",
        *row(),
        *uuid("object_id", "namespace_id"),
        *text("name", "kind"),
        *text("status", default="READY"),
        *json("metadata", default="{}"),
        *instant("created_at"),
        *uuid("created_by"),
        *instant("updated_at"),
        *big("revision", default=1),
        *instant("deleted_at?"),
        known={"kind": FILE_KINDS, "status": READINESS},
    )
    unique("artifact_name", "artifact", "object_id", "name", where=LIVE)
    index("artifact_object", "artifact", "object_id")
    index("artifact_namespace", "artifact", "namespace_id", "name", "id")
    index("artifact_all", "artifact", "name", "id")
    create(
        "file",
        *row(),
        *uuid("artifact_id"),
        *text("path"),
        *big("size?"),
        *text("digest?", "media_type?", "uri?"),
        *instant("verified_at?", "created_at"),
        unique=["tenant_id", "artifact_id", "path"],
    )
    index("file_digest", "file", "digest")


def create_metrics() -> None:
    create(
        "series",
        *uuid("tenant_id", "owner_id"),
        *text("key"),
        *integer("leg", default=0),
        *uuid("namespace_id"),
        *text("kind"),
        *big("count"),
        *big("non_finite_count", default=0),
        *big("first_step?", "last_step?"),
        *instant("first_at?", "last_at?"),
        *double("first?", "last?", "min?"),
        *big("min_step?"),
        *double("max?"),
        *big("max_step?"),
        *double("sum?", "mean?"),
        *instant("updated_at"),
        key=["tenant_id", "owner_id", "key", "leg"],
        known={"kind": ("FLOAT", "STRING", "BYTES")},
    )
    for aggregate in ("last", "min", "max", "mean"):
        index(f"series_{aggregate}", "series", "key", aggregate, "owner_id", include=["namespace_id"], where="leg = 0")
    create(
        "point",
        *uuid("tenant_id", "owner_id"),
        *text("key"),
        *integer("leg", default=0),
        *big("position", "step?"),
        *instant("wall_time?"),
        *double("number?"),
        *text("string?"),
        *blob("binary?"),
        key=["tenant_id", "owner_id", "key", "leg", "position"],
    )


def create_events() -> None:
    create(
        "event",
        *row(),
        *uuid("stream_id"),
        *big("seq"),
        *uuid("object_id", "namespace_id"),
        *text("name", "source", "external_id?"),
        *instant("at", "ended_at?"),
        *json("metadata", default="{}"),
        *uuid("actor_id"),
        *instant("recorded_at"),
    )
    unique("event_external", "event", "object_id", "source", "external_id", where="external_id IS NOT NULL")
    unique("event_moment", "event", "object_id", "source", "name", "at", where="external_id IS NULL")
    index("event_stream", "event", "stream_id", "seq")
    index("event_object", "event", "object_id", "at", "id")
    index("event_namespace", "event", "namespace_id", "at", "id")
    index("event_all", "event", "at", "id")
    create(
        "idempotency_record",
        *uuid("tenant_id", "actor_id"),
        *text("key", "verb"),
        *blob("input_digest"),
        *json("result"),
        *instant("created_at"),
        key=["tenant_id", "actor_id", "key"],
    )
    op.create_index("ix_idempotency_record_created_at", "idempotency_record", ["created_at"])
