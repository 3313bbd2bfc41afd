"""Every listing of the schema: one line says what a list can be filtered and ordered by."""

from __future__ import annotations

from db.read import source
from graphql_schema import enums
from graphql_schema.listing import Listing

COMMON = ("created_at", "updated_at")

NAMESPACES = Listing(
    source.NAMESPACE,
    "Namespace",
    ("path", "name", "description", *COMMON),
    default=(("path", False),),
    tie="id",
)
MODELS = Listing(source.MODEL, "Model", ("name", "owner", "task", "description", *COMMON))
MODEL_VERSIONS = Listing(
    source.MODEL_VERSION,
    "ModelVersion",
    ("version", "name", "description", "framework", "status", *COMMON),
    enums={"framework": enums.Framework, "status": enums.ModelVersionStatus},
)
EXPERIMENTS = Listing(
    source.EXPERIMENT,
    "Experiment",
    (
        "name",
        "description",
        "owner",
        "framework",
        "external_id",
        "status",
        "group",
        "started_at",
        "ended_at",
        *COMMON,
    ),
    enums={"framework": enums.Framework, "status": enums.ExperimentStatus},
    parameters=True,
    json=("metadata", "environment"),
)
CHECKPOINTS = Listing(
    source.CHECKPOINT,
    "Checkpoint",
    ("name", "step", "epoch", "status", *COMMON),
    enums={"status": enums.CheckpointStatus},
)
DATASETS = Listing(source.DATASET, "Dataset", ("name", "digest", "uri", "description", *COMMON))
DATASET_USES = Listing(source.DATASET_USE, "DatasetUse", ("role", *COMMON))
ARTIFACTS = Listing(
    source.ARTIFACT,
    "Artifact",
    ("name", "kind", "status", *COMMON),
    default=(("name", False),),
    enums={"kind": enums.FileKind, "status": enums.ArtifactStatus},
    labels=False,
    metrics=False,
    unique="name",
)
FILES = Listing(
    source.FILE,
    "File",
    ("path", "size", "digest", "media_type", "created_at"),
    default=(("path", False),),
    labels=False,
    metrics=False,
    json=(),
    unique="path",
)
SERIES = Listing(
    source.SERIES,
    "MetricSeries",
    ("key", "kind", "count", "last", "min", "max", "mean"),
    default=(("key", False),),
    enums={"kind": enums.MetricKind},
    labels=False,
    metrics=False,
    json=(),
    tie="key",
    cost=0.1,
)
EVENTS = Listing(
    source.EVENT,
    "Event",
    ("name", "source", "at", "ended_at", "recorded_at"),
    default=(("at", True),),
    labels=False,
    metrics=False,
)
TIMELINE = EVENTS.ordered(("at", False))
AUDIT_EVENTS = Listing(
    source.AUDIT_EVENT,
    "AuditEvent",
    ("action", "kind", "at", "actor_name", "object_name"),
    default=(),
    enums={"action": enums.AuditAction, "kind": enums.ObjectKind},
    labels=False,
    metrics=False,
    json=(),
)
TAG_CHANGES = Listing(source.TAG_CHANGE, "TagChange", ("tag", "at"), default=(), labels=False, metrics=False, json=())


def _actors(kind: source.Source, type_name: str, *columns: str) -> Listing:
    names = ("name", *columns, "created_at", "disabled_at")
    return Listing(kind, type_name, names, default=(("name", False),), labels=False, metrics=False, json=())


USERS = _actors(source.USER, "User")
SERVICE_ACCOUNTS = _actors(source.SERVICE_ACCOUNT, "ServiceAccount", "description")
