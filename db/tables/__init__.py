"""Tables, one class each. The first column of every key is the tenant."""

from db.tables.access import Actor, RoleGrant, Tenant, Token
from db.tables.artifact import Artifact, File
from db.tables.blob import Blob, Upload, UploadFile
from db.tables.dataset import Dataset, DatasetUse
from db.tables.derived import EventDuration
from db.tables.experiment import Checkpoint, Experiment, Heartbeat, Leg, Parameter
from db.tables.feed import AuditEvent, Event, IdempotencyRecord, Installation, StreamHead
from db.tables.metric import MetricAuthor, MetricBatch, MetricSegment, MetricWriter, OpaquePoint, Series
from db.tables.namespace import Namespace, Object
from db.tables.registry import Model, ModelVersion, TagChange, UniqueTag

__all__ = [
    "Actor",
    "Artifact",
    "AuditEvent",
    "Blob",
    "Checkpoint",
    "Dataset",
    "DatasetUse",
    "Event",
    "EventDuration",
    "Experiment",
    "File",
    "Heartbeat",
    "IdempotencyRecord",
    "Installation",
    "Leg",
    "MetricAuthor",
    "MetricBatch",
    "MetricSegment",
    "MetricWriter",
    "Model",
    "ModelVersion",
    "Namespace",
    "Object",
    "OpaquePoint",
    "Parameter",
    "RoleGrant",
    "Series",
    "StreamHead",
    "TagChange",
    "Tenant",
    "Token",
    "UniqueTag",
    "Upload",
    "UploadFile",
]
