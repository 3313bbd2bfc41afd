"""What the server answers, as classes.

Made by `make client`; change `operations.graphql` or the schema, and not this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelbox.api import enums
from modelbox.api.reading import Blob


@dataclass(frozen=True)
class Experiment:
    """One training job: its hyperparameters, environment, metrics, events and checkpoints."""

    id: str
    name: str
    namespace: str
    status: enums.ExperimentStatus
    description: str | None
    owner: str | None
    framework: enums.Framework | None
    external_id: str | None
    group: str | None
    parent_id: str | None
    labels: list[str]
    hyperparameters: Any
    metadata: Any
    leg: int
    started_at: datetime
    ended_at: datetime | None
    heartbeat_at: datetime | None
    created_by: str
    created_at: datetime
    updated_at: datetime
    revision: int


@dataclass(frozen=True)
class Model:
    """A task's standing object: its versions, and the datasets that train and judge them."""

    id: str
    name: str
    namespace: str
    description: str | None
    owner: str | None
    task: str | None
    labels: list[str]
    metadata: Any
    unique_tags: list[UniqueTag]
    created_by: str
    created_at: datetime
    updated_at: datetime
    revision: int


@dataclass(frozen=True)
class UniqueTag:
    """A tag of a model: it points to one of its versions at a time."""

    tag: str
    version: str | None
    version_id: str | None
    at: datetime


@dataclass(frozen=True)
class TagChange:
    """A move of a unique tag."""

    id: str
    tag: str
    version: str | None
    version_id: str | None
    previous_version: str | None
    previous_version_id: str | None
    actor: str
    at: datetime


@dataclass(frozen=True)
class ModelVersion:
    """One trained model: its files, metadata, metrics, labels and unique tags."""

    id: str
    version: str
    name: str
    namespace: str
    model: str
    model_id: str
    experiment_id: str | None
    checkpoint_id: str | None
    status: enums.ModelVersionStatus
    description: str | None
    framework: enums.Framework | None
    unique_tags: list[str]
    labels: list[str]
    metadata: Any
    created_by: str
    created_at: datetime
    updated_at: datetime
    revision: int


@dataclass(frozen=True)
class ModelVersionWithFiles(ModelVersion):
    """One trained model: its files, metadata, metrics, labels and unique tags."""

    artifacts: list[Artifact]


@dataclass(frozen=True)
class Artifact:
    """Files that belong together, under one name on one object."""

    id: str
    name: str
    kind: enums.FileKind
    status: enums.ArtifactStatus
    shard: int | None
    metadata: Any
    file_count: int
    total_size: int | None
    archive_url: str
    files: list[File]
    created_by: str
    created_at: datetime
    updated_at: datetime
    revision: int


@dataclass(frozen=True)
class File:
    """One file of an artifact, known by its path inside it."""

    id: str
    path: str
    size: int | None
    digest: str | None
    media_type: str | None
    uri: str | None
    download_url: str | None
    is_damaged: bool
    verified_at: datetime | None
    created_at: datetime


@dataclass(frozen=True)
class Checkpoint:
    """A saved state of an experiment at a step: what a job resumes from."""

    id: str
    name: str | None
    step: int | None
    epoch: float | None
    status: enums.CheckpointStatus
    is_pinned: bool
    leg: int
    is_left_behind: bool
    experiment_id: str
    labels: list[str]
    metadata: Any
    created_by: str
    created_at: datetime
    updated_at: datetime
    revision: int


@dataclass(frozen=True)
class MetricSeries:
    """A named series of values on an object, with figures that are kept up to date as points arrive."""

    key: str
    kind: enums.MetricKind
    leg: int
    count: int
    non_finite_count: int
    first_step: int | None
    last_step: int | None
    first_at: datetime | None
    last_at: datetime | None
    first: float | None
    last: float | None
    min: float | None
    min_step: int | None
    max: float | None
    max_step: int | None
    mean: float | None


@dataclass(frozen=True)
class MetricColumns:
    """Points of one series as columns of one length: what stands at one place of each is one point."""

    steps: list[int | None] | None
    wall_times: list[int | None] | None
    values: list[float | None] | None
    strings: list[str] | None
    bytes: list[Blob] | None


@dataclass(frozen=True)
class MetricSample:
    """A series in as many points as were asked for, or fewer."""

    x: list[float | None]
    columns: MetricColumns
    raw_count: int
    non_finite_count: int
    method: enums.SampleMethod
    is_exact: bool


@dataclass(frozen=True)
class Event:
    """Something that a trainer, an inference engine or a pipeline says happened; a span when it has an end."""

    id: str
    name: str
    source: str
    external_id: str | None
    at: datetime
    ended_at: datetime | None
    duration_ms: float | None
    metadata: Any
    object_id: str | None
    actor: str
    recorded_at: datetime


@dataclass(frozen=True)
class AuditEvent:
    """A create, update, delete, upload or download, recorded in the same transaction."""

    id: str
    sequence: int
    at: datetime
    action: enums.AuditAction
    kind: enums.ObjectKind
    object_id: str
    object_name: str
    actor_name: str
    request_id: str | None
    address: str | None
    byte_count: int | None
    before: Any
    after: Any


@dataclass(frozen=True)
class Comparison:
    """Experiments side by side."""

    experiments: list[Experiment | None]
    hyperparameters: list[HyperparameterComparison]
    metrics: list[MetricComparison]


@dataclass(frozen=True)
class HyperparameterComparison:
    """A path of the experiments' hyperparameters that leads to a value without others inside."""

    path: list[str]
    values: list[Any]
    is_different: bool


@dataclass(frozen=True)
class MetricComparison:
    """A metric of the experiments."""

    key: str
    kind: enums.MetricKind | None
    series: list[MetricSeries | None]


@dataclass(frozen=True)
class Usage:
    """What a namespace and all below it keep in the store of files."""

    file_count: int
    file_bytes: int
    stored_bytes: int
    upload_bytes: int
    quota_bytes: int | None


@dataclass(frozen=True)
class Viewer:
    """Who is asking."""

    tenant: str
    actor: str


@dataclass(frozen=True)
class Server:
    """The server that answers."""

    version: str
    time: datetime


@dataclass(frozen=True)
class MetricBatch:
    """Points that were logged together or shortly after each other."""

    cursor: str
    catching_up: bool
    series: list[SeriesPoints]
    legs: list[BegunLeg]


@dataclass(frozen=True)
class SeriesPoints:
    """New points of one series."""

    object_id: str
    key: str
    kind: enums.MetricKind
    leg: int
    columns: MetricColumns
    raw_count: int


@dataclass(frozen=True)
class BegunLeg:
    """An experiment was resumed: what its earlier points past a step are from now on."""

    object_id: str
    number: int
    from_step: int


@dataclass(frozen=True)
class EventBatch:
    """Events that were reported together or shortly after each other, in the order of commits."""

    cursor: str
    catching_up: bool
    events: list[Event]
