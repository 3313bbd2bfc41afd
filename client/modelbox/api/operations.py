"""A function for each operation; None is what is not there, or not in your sight.

Made by `make client`; change `operations.graphql` or the schema, and not this file.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from modelbox.api import documents, enums, inputs, types
from modelbox.api.reading import Asker, Page, found, raw, sent


def viewer(server: Asker) -> types.Viewer | None:
    """Who you are."""
    data = server.ask(documents.VIEWER, **sent())
    return found(types.Viewer, data, "viewer")


def server(server: Asker) -> types.Server | None:
    """The server that answers."""
    data = server.ask(documents.SERVER, **sent())
    return found(types.Server, data, "server")


def experiment(server: Asker, *, by: inputs.ExperimentBy) -> types.Experiment | None:
    """An experiment."""
    data = server.ask(documents.EXPERIMENT, **sent(by=by))
    return found(types.Experiment, data, "experiment")


def environment(server: Asker, *, by: inputs.ExperimentBy) -> Any:
    """What it runs on: packages, host, commit, command."""
    data = server.ask(documents.ENVIRONMENT, **sent(by=by))
    return raw(data, "experiment", "environment")


def experiments(
    server: Asker,
    *,
    namespace: str | None = None,
    descendants: bool | None = None,
    filter: inputs.ExperimentFilter | None = None,
    order_by: list[inputs.ExperimentOrder] | None = None,
    first: int | None = None,
    after: str | None = None,
) -> Page[types.Experiment] | None:
    """Experiments, newest first."""
    data = server.ask(
        documents.EXPERIMENTS,
        **sent(namespace=namespace, descendants=descendants, filter=filter, orderBy=order_by, first=first, after=after),
    )
    return found(Page[types.Experiment], data, "experiments")


def model(server: Asker, *, by: inputs.ModelBy) -> types.Model | None:
    """A model."""
    data = server.ask(documents.MODEL, **sent(by=by))
    return found(types.Model, data, "model")


def models(
    server: Asker,
    *,
    namespace: str | None = None,
    descendants: bool | None = None,
    filter: inputs.ModelFilter | None = None,
    order_by: list[inputs.ModelOrder] | None = None,
    first: int | None = None,
    after: str | None = None,
) -> Page[types.Model] | None:
    """Models, newest first."""
    data = server.ask(
        documents.MODELS,
        **sent(namespace=namespace, descendants=descendants, filter=filter, orderBy=order_by, first=first, after=after),
    )
    return found(Page[types.Model], data, "models")


def model_version(server: Asker, *, by: inputs.ModelVersionBy) -> types.ModelVersionWithFiles | None:
    """A model version."""
    data = server.ask(documents.MODEL_VERSION, **sent(by=by))
    return found(types.ModelVersionWithFiles, data, "modelVersion")


def version_by_tag(
    server: Asker, *, model: inputs.ModelBy, tag: str, as_of: datetime | str | None = None
) -> types.ModelVersion | None:
    """The version that a unique tag points to, now or at a moment."""
    data = server.ask(documents.VERSION_BY_TAG, **sent(model=model, tag=tag, asOf=as_of))
    return found(types.ModelVersion, data, "model", "versionByTag")


def model_versions(
    server: Asker,
    *,
    model: inputs.ModelBy,
    filter: inputs.ModelVersionFilter | None = None,
    order_by: list[inputs.ModelVersionOrder] | None = None,
    first: int | None = None,
    after: str | None = None,
) -> Page[types.ModelVersion] | None:
    """Its versions, newest first."""
    data = server.ask(
        documents.MODEL_VERSIONS, **sent(model=model, filter=filter, orderBy=order_by, first=first, after=after)
    )
    return found(Page[types.ModelVersion], data, "model", "versions")


def tag_history(
    server: Asker,
    *,
    model: inputs.ModelBy,
    filter: inputs.TagChangeFilter | None = None,
    order_by: list[inputs.TagChangeOrder] | None = None,
    first: int | None = None,
    after: str | None = None,
) -> Page[types.TagChange] | None:
    """Every move of its unique tags, latest first."""
    data = server.ask(
        documents.TAG_HISTORY, **sent(model=model, filter=filter, orderBy=order_by, first=first, after=after)
    )
    return found(Page[types.TagChange], data, "model", "tagHistory")


def artifacts(
    server: Asker, *, id: str, first: int | None = None, after: str | None = None
) -> Page[types.Artifact] | None:
    """Its artifacts, by name."""
    data = server.ask(documents.ARTIFACTS, **sent(id=id, first=first, after=after))
    return found(Page[types.Artifact], data, "node", "artifacts")


def checkpoints(
    server: Asker,
    *,
    experiment: inputs.ExperimentBy,
    filter: inputs.CheckpointFilter | None = None,
    order_by: list[inputs.CheckpointOrder] | None = None,
    first: int | None = None,
    after: str | None = None,
) -> Page[types.Checkpoint] | None:
    """Its checkpoints, newest first."""
    data = server.ask(
        documents.CHECKPOINTS, **sent(experiment=experiment, filter=filter, orderBy=order_by, first=first, after=after)
    )
    return found(Page[types.Checkpoint], data, "experiment", "checkpoints")


def series(
    server: Asker,
    *,
    id: str,
    keys: list[str] | None = None,
    key_prefix: str | None = None,
    key_pattern: str | None = None,
    leg: int | None = None,
    first: int | None = None,
    after: str | None = None,
) -> Page[types.MetricSeries] | None:
    """Its metric series, by key."""
    data = server.ask(
        documents.SERIES,
        **sent(id=id, keys=keys, keyPrefix=key_prefix, keyPattern=key_pattern, leg=leg, first=first, after=after),
    )
    return found(Page[types.MetricSeries], data, "node", "metrics")


def columns(
    server: Asker, *, id: str, key: str, leg: int | None = None, range: inputs.StepRange | None = None
) -> types.MetricColumns | None:
    """All its points, exactly, in order of arrival; of stretches that were rolled up, the points that are left."""
    data = server.ask(documents.COLUMNS, **sent(id=id, key=key, leg=leg, range=range))
    return found(types.MetricColumns, data, "node", "metric", "columns")


def sample(
    server: Asker,
    *,
    id: str,
    key: str,
    leg: int | None = None,
    max_points: int | None = None,
    method: enums.SampleMethod | None = None,
    x: enums.SampleAxis | None = None,
    x_key: str | None = None,
    range: inputs.SampleRange | None = None,
) -> types.MetricSample | None:
    """The series in at most `maxPoints` points, the same before and after compaction; of no more points in range."""
    data = server.ask(
        documents.SAMPLE,
        **sent(id=id, key=key, leg=leg, maxPoints=max_points, method=method, x=x, xKey=x_key, range=range),
    )
    return found(types.MetricSample, data, "node", "metric", "sample")


def compare(server: Asker, *, experiment_ids: list[str], keys: list[str] | None = None) -> types.Comparison | None:
    """Experiments side by side: hyperparameters that differ, figures of series against a baseline's."""
    data = server.ask(documents.COMPARE, **sent(experimentIds=experiment_ids, keys=keys))
    return found(types.Comparison, data, "compare")


def events(
    server: Asker,
    *,
    namespace: str | None = None,
    descendants: bool | None = None,
    filter: inputs.EventFilter | None = None,
    order_by: list[inputs.EventOrder] | None = None,
    first: int | None = None,
    after: str | None = None,
) -> Page[types.Event] | None:
    """Events, latest first."""
    data = server.ask(
        documents.EVENTS,
        **sent(namespace=namespace, descendants=descendants, filter=filter, orderBy=order_by, first=first, after=after),
    )
    return found(Page[types.Event], data, "events")


def events_of(
    server: Asker,
    *,
    id: str,
    filter: inputs.EventFilter | None = None,
    order_by: list[inputs.EventOrder] | None = None,
    first: int | None = None,
    after: str | None = None,
) -> Page[types.Event] | None:
    """What outside systems reported of it, latest first."""
    data = server.ask(documents.EVENTS_OF, **sent(id=id, filter=filter, orderBy=order_by, first=first, after=after))
    return found(Page[types.Event], data, "node", "events")


def audit_events(
    server: Asker,
    *,
    namespace: str | None = None,
    descendants: bool | None = None,
    filter: inputs.AuditEventFilter | None = None,
    order_by: list[inputs.AuditEventOrder] | None = None,
    first: int | None = None,
    after: str | None = None,
) -> Page[types.AuditEvent] | None:
    """Audit events, latest first."""
    data = server.ask(
        documents.AUDIT_EVENTS,
        **sent(namespace=namespace, descendants=descendants, filter=filter, orderBy=order_by, first=first, after=after),
    )
    return found(Page[types.AuditEvent], data, "auditEvents")


def audit_events_of(
    server: Asker,
    *,
    id: str,
    filter: inputs.AuditEventFilter | None = None,
    order_by: list[inputs.AuditEventOrder] | None = None,
    first: int | None = None,
    after: str | None = None,
) -> Page[types.AuditEvent] | None:
    """What ModelBox recorded of it, latest first."""
    data = server.ask(
        documents.AUDIT_EVENTS_OF, **sent(id=id, filter=filter, orderBy=order_by, first=first, after=after)
    )
    return found(Page[types.AuditEvent], data, "node", "auditEvents")


def usage(server: Asker, *, by: inputs.NamespaceBy) -> types.Usage | None:
    """What it and all below it keep in the store of files; counted when it is asked for."""
    data = server.ask(documents.USAGE, **sent(by=by))
    return found(types.Usage, data, "namespace", "usage")


def feed_cursor(server: Asker, *, object_ids: list[str]) -> str | None:
    """Where the metric streams of objects stand: for `metricBatches(after:)`."""
    data = server.ask(documents.FEED_CURSOR, **sent(objectIds=object_ids))
    return found(str, data, "feedCursor")


def delete_experiment(server: Asker, *, input: inputs.DeleteInput) -> str | None:
    """The id that was given; its `restore…` mutation brings it back."""
    data = server.ask(documents.DELETE_EXPERIMENT, **sent(input=input))
    return found(str, data, "deleteExperiment", "deletedId")


def set_unique_tag(server: Asker, *, input: inputs.SetUniqueTagInput) -> types.ModelVersion | None:
    """Where it pointed before; null when it was new."""
    data = server.ask(documents.SET_UNIQUE_TAG, **sent(input=input))
    return found(types.ModelVersion, data, "setUniqueTag", "previousVersion")
