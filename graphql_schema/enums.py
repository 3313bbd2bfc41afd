"""The enumerations of the schema."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import strawberry


def _enum(name: str, description: str, values: Mapping[str, str]) -> type[enum.Enum]:
    members = {word: strawberry.enum_value(word, description=text) for word, text in values.items()}
    return strawberry.enum(enum.Enum(name, members, module=__name__), description=description)  # type: ignore[misc]


Framework = _enum(
    "Framework",
    "The library that a model was made with.",
    {
        "PYTORCH": "PyTorch.",
        "TENSORFLOW": "TensorFlow.",
        "KERAS": "Keras.",
        "JAX": "JAX.",
        "SKLEARN": "scikit-learn.",
        "XGBOOST": "XGBoost.",
        "LIGHTGBM": "LightGBM.",
        "CATBOOST": "CatBoost.",
        "MXNET": "MXNet.",
        "H2O": "H2O.",
        "SPARKML": "Spark ML.",
        "OTHER": "Anything else.",
    },
)
FileKind = _enum(
    "FileKind",
    "What the files of an artifact are.",
    {
        "MODEL": "Weights, or a whole model.",
        "CHECKPOINT": "The state of a training job.",
        "TEXT": "Text, logs, tables.",
        "IMAGE": "Images.",
        "AUDIO": "Sound.",
        "VIDEO": "Moving images.",
        "DATASET": "Data.",
        "CODE": "Source code, notebooks, patches.",
        "OTHER": "Anything else.",
    },
)
ExperimentStatus = _enum(
    "ExperimentStatus",
    "Where an experiment stands.",
    {
        "RUNNING": "Not finished, and heard of lately.",
        "STALLED": "Not finished, and silent for longer than `stallAfterSeconds`. Any sign of life ends it.",
        "COMPLETED": "Finished as intended.",
        "FAILED": "Finished by an error.",
        "KILLED": "Stopped by somebody.",
        "PREEMPTED": "Stopped by the machine's owner; may be resumed.",
    },
)
ModelVersionStatus = _enum(
    "ModelVersionStatus",
    "Whether a version can be used.",
    {"PENDING": "Still being put together.", "READY": "Complete."},
)
CheckpointStatus = _enum(
    "CheckpointStatus",
    "Whether a checkpoint can be resumed from.",
    {"PENDING": "Still being written.", "READY": "Complete."},
)
ArtifactStatus = _enum(
    "ArtifactStatus",
    "Whether an artifact's files are all there.",
    {"PENDING": "Still being uploaded.", "READY": "Complete, or tracked where the files are."},
)
MetricKind = _enum(
    "MetricKind",
    "What the values of a series are; fixed by its first point.",
    {"FLOAT": "64-bit floats.", "STRING": "Strings, such as serialised tensors.", "BYTES": "Bytes."},
)
AuditAction = _enum(
    "AuditAction",
    "What was done.",
    {
        "CREATE": "It was made.",
        "UPDATE": "It was changed.",
        "DELETE": "It was deleted; it can be restored.",
        "RESTORE": "It was brought back.",
        "UPLOAD": "Its bytes were stored.",
        "DOWNLOAD": "Its bytes were read.",
        "DENIED": "Somebody's role did not allow it.",
    },
)
ObjectKind = _enum(
    "ObjectKind",
    "The types of objects that audit events are about.",
    {
        "NAMESPACE": "A namespace.",
        "MODEL": "A model.",
        "MODEL_VERSION": "A model version.",
        "EXPERIMENT": "An experiment.",
        "CHECKPOINT": "A checkpoint.",
        "DATASET": "A dataset.",
        "DATASET_USE": "A dataset's use.",
        "ARTIFACT": "An artifact.",
        "SERIES": "A metric series.",
        "ACTOR": "A user or service account.",
        "TOKEN": "A token.",
        "ROLE_GRANT": "A role on a namespace.",
    },
)
Role = _enum(
    "Role",
    "Rights on a namespace and all below it. Each holds those before it.",
    {
        "READER": "May read.",
        "WRITER": "May create and change objects.",
        "MAINTAINER": "May also move unique tags, delete and restore objects.",
        "ADMIN": "May also delete namespaces, and grant and revoke roles.",
    },
)
