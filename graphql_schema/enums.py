"""The enumerations of the schema. Each stored word is its name."""

from __future__ import annotations

import enum

import strawberry
from strawberry import enum_value


@strawberry.enum(description="The library that a model was made with.")
class Framework(enum.Enum):
    PYTORCH = enum_value("PYTORCH", description="PyTorch.")
    TENSORFLOW = enum_value("TENSORFLOW", description="TensorFlow.")
    KERAS = enum_value("KERAS", description="Keras.")
    JAX = enum_value("JAX", description="JAX.")
    SKLEARN = enum_value("SKLEARN", description="scikit-learn.")
    XGBOOST = enum_value("XGBOOST", description="XGBoost.")
    LIGHTGBM = enum_value("LIGHTGBM", description="LightGBM.")
    CATBOOST = enum_value("CATBOOST", description="CatBoost.")
    MXNET = enum_value("MXNET", description="MXNet.")
    H2O = enum_value("H2O", description="H2O.")
    SPARKML = enum_value("SPARKML", description="Spark ML.")
    OTHER = enum_value("OTHER", description="Anything else.")


@strawberry.enum(description="What the files of an artifact are.")
class FileKind(enum.Enum):
    MODEL = enum_value("MODEL", description="Weights, or a whole model.")
    CHECKPOINT = enum_value("CHECKPOINT", description="The state of a training job.")
    TEXT = enum_value("TEXT", description="Text, logs, tables.")
    IMAGE = enum_value("IMAGE", description="Images.")
    AUDIO = enum_value("AUDIO", description="Sound.")
    VIDEO = enum_value("VIDEO", description="Moving images.")
    DATASET = enum_value("DATASET", description="Data.")
    CODE = enum_value("CODE", description="Source code, notebooks, patches.")
    OTHER = enum_value("OTHER", description="Anything else.")


@strawberry.enum(description="Where an experiment stands.")
class ExperimentStatus(enum.Enum):
    RUNNING = enum_value("RUNNING", description="Not finished, and heard of lately.")
    STALLED = enum_value(
        "STALLED",
        description="Not finished, and silent for longer than `stallAfterSeconds`. Any sign of life ends it.",
    )
    COMPLETED = enum_value("COMPLETED", description="Finished as intended.")
    FAILED = enum_value("FAILED", description="Finished by an error.")
    KILLED = enum_value("KILLED", description="Stopped by somebody.")
    PREEMPTED = enum_value("PREEMPTED", description="Stopped by the machine's owner; may be resumed.")


@strawberry.enum(description="Whether a version can be used.")
class ModelVersionStatus(enum.Enum):
    PENDING = enum_value("PENDING", description="Still being put together.")
    READY = enum_value("READY", description="Complete.")


@strawberry.enum(description="Whether a checkpoint can be resumed from.")
class CheckpointStatus(enum.Enum):
    PENDING = enum_value("PENDING", description="Still being written.")
    READY = enum_value("READY", description="Complete.")


@strawberry.enum(description="Whether an artifact's files are all there.")
class ArtifactStatus(enum.Enum):
    PENDING = enum_value("PENDING", description="Still being uploaded.")
    READY = enum_value("READY", description="Complete, or tracked where the files are.")


@strawberry.enum(description="Where an upload stands.")
class UploadStatus(enum.Enum):
    OPEN = enum_value("OPEN", description="Parts can be sent.")
    VERIFYING = enum_value("VERIFYING", description="Its bytes are being looked through.")
    READY = enum_value("READY", description="Its files are those of the artifact.")
    DISCARDED = enum_value("DISCARDED", description="It was given up; nothing of it stays.")


@strawberry.enum(description="Which end of a metric is the better one.")
class MetricMode(enum.Enum):
    MIN = enum_value("MIN", description="The lesser, as of a loss.")
    MAX = enum_value("MAX", description="The greater, as of an accuracy.")


@strawberry.enum(description="What the values of a series are; fixed by its first point.")
class MetricKind(enum.Enum):
    FLOAT = enum_value("FLOAT", description="64-bit floats.")
    STRING = enum_value("STRING", description="Strings, such as serialised tensors.")
    BYTES = enum_value("BYTES", description="Bytes.")


@strawberry.enum(description="What was done.")
class AuditAction(enum.Enum):
    CREATE = enum_value("CREATE", description="It was made.")
    UPDATE = enum_value("UPDATE", description="It was changed.")
    DELETE = enum_value("DELETE", description="It was deleted; it can be restored.")
    RESTORE = enum_value("RESTORE", description="It was brought back.")
    UPLOAD = enum_value("UPLOAD", description="Its bytes were stored.")
    DOWNLOAD = enum_value("DOWNLOAD", description="Its bytes were read.")
    DENIED = enum_value("DENIED", description="Somebody's role did not allow it.")


@strawberry.enum(description="The types of objects that audit events are about.")
class ObjectKind(enum.Enum):
    NAMESPACE = enum_value("NAMESPACE", description="A namespace.")
    MODEL = enum_value("MODEL", description="A model.")
    MODEL_VERSION = enum_value("MODEL_VERSION", description="A model version.")
    EXPERIMENT = enum_value("EXPERIMENT", description="An experiment.")
    CHECKPOINT = enum_value("CHECKPOINT", description="A checkpoint.")
    DATASET = enum_value("DATASET", description="A dataset.")
    DATASET_USE = enum_value("DATASET_USE", description="A dataset's use.")
    ARTIFACT = enum_value("ARTIFACT", description="An artifact.")
    UPLOAD = enum_value("UPLOAD", description="An upload.")
    SERIES = enum_value("SERIES", description="A metric series.")
    USER = enum_value("USER", description="A person.")
    SERVICE_ACCOUNT = enum_value("SERVICE_ACCOUNT", description="A program's account.")
    TOKEN = enum_value("TOKEN", description="A token.")
    ROLE_GRANT = enum_value("ROLE_GRANT", description="A role on a namespace.")


@strawberry.enum(description="Rights on a namespace and all below it. Each holds those before it.")
class Role(enum.Enum):
    READER = enum_value("READER", description="May read.")
    WRITER = enum_value("WRITER", description="May create and change objects.")
    MAINTAINER = enum_value("MAINTAINER", description="May also move unique tags, delete and restore objects.")
    ADMIN = enum_value("ADMIN", description="May also delete namespaces, and grant and revoke roles.")
