"""What the server is asked with, as types of dictionaries.

Made by `make client`; change `operations.graphql` or the schema, and not this file.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from modelbox.api import enums

AuditActionFilter = TypedDict(
    "AuditActionFilter", {"eq": "enums.AuditAction", "in": "list[enums.AuditAction]"}, total=False
)
"""Conditions on AuditAction."""

AuditEventFilter = TypedDict(
    "AuditEventFilter",
    {
        "action": "AuditActionFilter",
        "kind": "ObjectKindFilter",
        "at": "DateTimeFilter",
        "actorName": "StringFilter",
        "objectName": "StringFilter",
        "and": "list[AuditEventFilter]",
        "or": "list[AuditEventFilter]",
        "not": "AuditEventFilter",
    },
    total=False,
)
"""Which rows of AuditEvent to list."""


class AuditEventOrder(TypedDict, total=False):
    """One key of an order of AuditEvent: exactly one of the ways, and a direction."""

    field: enums.AuditEventOrderField
    direction: enums.Direction


CheckpointFilter = TypedDict(
    "CheckpointFilter",
    {
        "name": "StringFilter",
        "step": "NumberFilter",
        "epoch": "NumberFilter",
        "status": "CheckpointStatusFilter",
        "createdAt": "DateTimeFilter",
        "updatedAt": "DateTimeFilter",
        "labels": "LabelFilter",
        "metrics": "list[MetricFilter]",
        "metadata": "list[PathFilter]",
        "and": "list[CheckpointFilter]",
        "or": "list[CheckpointFilter]",
        "not": "CheckpointFilter",
    },
    total=False,
)
"""Which rows of Checkpoint to list."""


class CheckpointOrder(TypedDict, total=False):
    """One key of an order of Checkpoint: exactly one of the ways, and a direction."""

    field: enums.CheckpointOrderField
    metric: MetricOrder
    direction: enums.Direction


CheckpointStatusFilter = TypedDict(
    "CheckpointStatusFilter", {"eq": "enums.CheckpointStatus", "in": "list[enums.CheckpointStatus]"}, total=False
)
"""Conditions on CheckpointStatus."""


class DateTimeFilter(TypedDict, total=False):
    """Conditions on a moment."""

    eq: datetime | str
    lt: datetime | str
    lte: datetime | str
    gt: datetime | str
    gte: datetime | str
    isNull: bool


class DeleteInput(TypedDict, total=False):
    """An object to delete."""

    id: str
    ifRevision: int
    idempotencyKey: str


EventFilter = TypedDict(
    "EventFilter",
    {
        "name": "StringFilter",
        "source": "StringFilter",
        "at": "DateTimeFilter",
        "endedAt": "DateTimeFilter",
        "recordedAt": "DateTimeFilter",
        "metadata": "list[PathFilter]",
        "and": "list[EventFilter]",
        "or": "list[EventFilter]",
        "not": "EventFilter",
    },
    total=False,
)
"""Which rows of Event to list."""


class EventOrder(TypedDict, total=False):
    """One key of an order of Event: exactly one of the ways, and a direction."""

    field: enums.EventOrderField
    direction: enums.Direction


class ExperimentBy(TypedDict, total=False):
    """How to find an experiment: one of these."""

    id: str
    name: NamespacedName
    externalId: NamespacedName


ExperimentFilter = TypedDict(
    "ExperimentFilter",
    {
        "name": "StringFilter",
        "description": "StringFilter",
        "owner": "StringFilter",
        "framework": "FrameworkFilter",
        "externalId": "StringFilter",
        "status": "ExperimentStatusFilter",
        "group": "StringFilter",
        "startedAt": "DateTimeFilter",
        "endedAt": "DateTimeFilter",
        "createdAt": "DateTimeFilter",
        "updatedAt": "DateTimeFilter",
        "labels": "LabelFilter",
        "metrics": "list[MetricFilter]",
        "hyperparameters": "list[PathFilter]",
        "metadata": "list[PathFilter]",
        "environment": "list[PathFilter]",
        "and": "list[ExperimentFilter]",
        "or": "list[ExperimentFilter]",
        "not": "ExperimentFilter",
    },
    total=False,
)
"""Which rows of Experiment to list."""


class ExperimentOrder(TypedDict, total=False):
    """One key of an order of Experiment: exactly one of the ways, and a direction."""

    field: enums.ExperimentOrderField
    metric: MetricOrder
    hyperparameter: ParameterOrder
    direction: enums.Direction


ExperimentStatusFilter = TypedDict(
    "ExperimentStatusFilter", {"eq": "enums.ExperimentStatus", "in": "list[enums.ExperimentStatus]"}, total=False
)
"""Conditions on ExperimentStatus."""

FrameworkFilter = TypedDict("FrameworkFilter", {"eq": "enums.Framework", "in": "list[enums.Framework]"}, total=False)
"""Conditions on Framework."""


class LabelFilter(TypedDict, total=False):
    """Conditions on labels."""

    all: list[str]
    any: list[str]


MetricFilter = TypedDict(
    "MetricFilter", {"key": "str", "aggregate": "enums.MetricAggregate", "is": "NumberFilter"}, total=False
)
"""A condition on an aggregate of one of the object's series."""


class MetricOrder(TypedDict, total=False):
    """An aggregate of a series, to order by."""

    key: str
    aggregate: enums.MetricAggregate


class ModelBy(TypedDict, total=False):
    """How to find a model: one of these."""

    id: str
    name: NamespacedName


ModelFilter = TypedDict(
    "ModelFilter",
    {
        "name": "StringFilter",
        "owner": "StringFilter",
        "task": "StringFilter",
        "description": "StringFilter",
        "createdAt": "DateTimeFilter",
        "updatedAt": "DateTimeFilter",
        "labels": "LabelFilter",
        "metrics": "list[MetricFilter]",
        "metadata": "list[PathFilter]",
        "and": "list[ModelFilter]",
        "or": "list[ModelFilter]",
        "not": "ModelFilter",
    },
    total=False,
)
"""Which rows of Model to list."""


class ModelOrder(TypedDict, total=False):
    """One key of an order of Model: exactly one of the ways, and a direction."""

    field: enums.ModelOrderField
    metric: MetricOrder
    direction: enums.Direction


class ModelVersionBy(TypedDict, total=False):
    """How to find a model version: one of these."""

    id: str
    version: NamespacedVersion
    tag: NamespacedTag


ModelVersionFilter = TypedDict(
    "ModelVersionFilter",
    {
        "version": "StringFilter",
        "name": "StringFilter",
        "description": "StringFilter",
        "framework": "FrameworkFilter",
        "status": "ModelVersionStatusFilter",
        "createdAt": "DateTimeFilter",
        "updatedAt": "DateTimeFilter",
        "labels": "LabelFilter",
        "metrics": "list[MetricFilter]",
        "metadata": "list[PathFilter]",
        "and": "list[ModelVersionFilter]",
        "or": "list[ModelVersionFilter]",
        "not": "ModelVersionFilter",
    },
    total=False,
)
"""Which rows of ModelVersion to list."""


class ModelVersionOrder(TypedDict, total=False):
    """One key of an order of ModelVersion: exactly one of the ways, and a direction."""

    field: enums.ModelVersionOrderField
    metric: MetricOrder
    direction: enums.Direction


ModelVersionStatusFilter = TypedDict(
    "ModelVersionStatusFilter", {"eq": "enums.ModelVersionStatus", "in": "list[enums.ModelVersionStatus]"}, total=False
)
"""Conditions on ModelVersionStatus."""


class NamespaceBy(TypedDict, total=False):
    """How to find a namespace: one of these."""

    id: str
    path: str


class NamespacedName(TypedDict, total=False):
    """A name in a namespace."""

    name: str
    namespace: str


class NamespacedTag(TypedDict, total=False):
    """A unique tag of a model, by names."""

    model: str
    tag: str
    namespace: str


class NamespacedVersion(TypedDict, total=False):
    """A version of a model, by names."""

    model: str
    version: str
    namespace: str


NumberFilter = TypedDict(
    "NumberFilter",
    {
        "eq": "float | str",
        "ne": "float | str",
        "lt": "float | str",
        "lte": "float | str",
        "gt": "float | str",
        "gte": "float | str",
        "in": "list[float | str]",
        "isNull": "bool",
    },
    total=False,
)
"""Conditions on a number."""

ObjectKindFilter = TypedDict(
    "ObjectKindFilter", {"eq": "enums.ObjectKind", "in": "list[enums.ObjectKind]"}, total=False
)
"""Conditions on ObjectKind."""


class ParameterOrder(TypedDict, total=False):
    """A hyperparameter, to order by."""

    path: list[str]
    type: enums.ParameterType


class PathFilter(TypedDict, total=False):
    """A condition on a value inside JSON, found by its path."""

    path: list[str]
    number: NumberFilter
    text: StringFilter


SampleRange = TypedDict("SampleRange", {"from": "float | str", "to": "float | str"}, total=False)
"""A stretch of the axis of a sample."""


class SetUniqueTagInput(TypedDict, total=False):
    """A unique tag, and where it shall point."""

    versionId: str
    tag: str
    idempotencyKey: str


StepRange = TypedDict("StepRange", {"from": "int", "to": "int"}, total=False)
"""A stretch of steps."""

StringFilter = TypedDict(
    "StringFilter",
    {
        "eq": "str",
        "ne": "str",
        "in": "list[str]",
        "startsWith": "str",
        "contains": "str",
        "matches": "str",
        "isNull": "bool",
    },
    total=False,
)
"""Conditions on text."""

TagChangeFilter = TypedDict(
    "TagChangeFilter",
    {
        "tag": "StringFilter",
        "at": "DateTimeFilter",
        "and": "list[TagChangeFilter]",
        "or": "list[TagChangeFilter]",
        "not": "TagChangeFilter",
    },
    total=False,
)
"""Which rows of TagChange to list."""


class TagChangeOrder(TypedDict, total=False):
    """One key of an order of TagChange: exactly one of the ways, and a direction."""

    field: enums.TagChangeOrderField
    direction: enums.Direction
