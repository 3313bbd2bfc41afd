"""The words of which the server's enums consist today; a newer server may have more.

Made by `make client`; change `operations.graphql` or the schema, and not this file.
"""

from __future__ import annotations

from typing import Literal

ArtifactStatus = Literal["PENDING", "READY"]
"""Whether an artifact's files are all there."""

AuditAction = Literal["CREATE", "UPDATE", "DELETE", "RESTORE", "UPLOAD", "DOWNLOAD", "DENIED"]
"""What was done."""

AuditEventOrderField = Literal["ACTION", "KIND", "AT", "ACTOR_NAME", "OBJECT_NAME"]
"""The fields that lists of AuditEvent can be ordered by."""

CheckpointOrderField = Literal["NAME", "STEP", "EPOCH", "STATUS", "CREATED_AT", "UPDATED_AT"]
"""The fields that lists of Checkpoint can be ordered by."""

CheckpointStatus = Literal["PENDING", "READY"]
"""Whether a checkpoint can be resumed from."""

Coalescing = Literal["ALL", "LAST", "MIN", "MAX", "MINMAX"]
"""Which of the points that came since the last frame a frame holds, of each series."""

Direction = Literal["ASC", "DESC"]
"""Which way an order runs."""

EventOrderField = Literal["NAME", "SOURCE", "AT", "ENDED_AT", "RECORDED_AT"]
"""The fields that lists of Event can be ordered by."""

ExperimentOrderField = Literal[
    "NAME",
    "DESCRIPTION",
    "OWNER",
    "FRAMEWORK",
    "EXTERNAL_ID",
    "STATUS",
    "GROUP",
    "STARTED_AT",
    "ENDED_AT",
    "CREATED_AT",
    "UPDATED_AT",
]
"""The fields that lists of Experiment can be ordered by."""

ExperimentStatus = Literal["RUNNING", "STALLED", "COMPLETED", "FAILED", "KILLED", "PREEMPTED"]
"""Where an experiment stands."""

FileKind = Literal["MODEL", "CHECKPOINT", "TEXT", "IMAGE", "AUDIO", "VIDEO", "DATASET", "CODE", "OTHER"]
"""What the files of an artifact are."""

Framework = Literal[
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
]
"""The library that a model was made with."""

MetricAggregate = Literal[
    "LAST",
    "MIN",
    "MAX",
    "MEAN",
    "FIRST",
    "COUNT",
    "NON_FINITE_COUNT",
    "FIRST_STEP",
    "LAST_STEP",
    "MIN_STEP",
    "MAX_STEP",
]
"""A figure kept of every series, over its finite values."""

MetricKind = Literal["FLOAT", "STRING", "BYTES"]
"""What the values of a series are; fixed by its first point."""

ModelOrderField = Literal["NAME", "OWNER", "TASK", "DESCRIPTION", "CREATED_AT", "UPDATED_AT"]
"""The fields that lists of Model can be ordered by."""

ModelVersionOrderField = Literal["VERSION", "NAME", "DESCRIPTION", "FRAMEWORK", "STATUS", "CREATED_AT", "UPDATED_AT"]
"""The fields that lists of ModelVersion can be ordered by."""

ModelVersionStatus = Literal["PENDING", "READY"]
"""Whether a version can be used."""

ObjectKind = Literal[
    "NAMESPACE",
    "MODEL",
    "MODEL_VERSION",
    "EXPERIMENT",
    "CHECKPOINT",
    "DATASET",
    "DATASET_USE",
    "ARTIFACT",
    "UPLOAD",
    "SERIES",
    "USER",
    "SERVICE_ACCOUNT",
    "TOKEN",
    "ROLE_GRANT",
]
"""The types of objects that audit events are about."""

ParameterType = Literal["NUMBER", "TEXT"]
"""How a hyperparameter is compared."""

SampleAxis = Literal["STEP", "WALL_TIME", "RELATIVE_TIME", "METRIC"]
"""What a series is drawn over."""

SampleMethod = Literal["MINMAX", "LTTB", "LAST", "MEAN"]
"""How a sample is taken."""

TagChangeOrderField = Literal["TAG", "AT"]
"""The fields that lists of TagChange can be ordered by."""
