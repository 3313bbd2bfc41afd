"""`Api`: what a server knows, as typed objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from modelbox import configuration, credentials
from modelbox.api import enums, inputs, operations, types
from modelbox.api.history import HISTORY, History, read_history
from modelbox.api.references import by_name, experiment_order, id_of, is_id, listed, model_by, version_by
from modelbox.api.rows import PAGE, Rows, there
from modelbox.connection import Connection
from modelbox.errors import ModelBoxError

Status = enums.ExperimentStatus


class Api:
    """A server, to be read.

    An object is named by itself, by its id, or by `namespace/name`; a name alone is in `namespace`, which is the
    configured one unless told. Everything raises Refused (NOT_FOUND for what is not there) and Unreachable.
    """

    def __init__(
        self, server: str | None = None, token: str | None = None, *, namespace: str | None = None, timeout: float = 30
    ) -> None:
        found = configuration.load(server=server, namespace=namespace)
        self.server_address = found.server
        self.namespace = found.namespace
        if token is not None:
            credentials.check_secure(found.server)
        self.connection = Connection(found.server, token or credentials.token(found.server), timeout=timeout)

    def query(self, document: str, /, **variables: Any) -> dict[str, Any]:
        """The `data` of any operation, as it was sent."""
        return self.connection.ask(document, **variables)

    def viewer(self) -> types.Viewer:
        """Who you are."""
        return there(operations.viewer(self.connection), "viewer")

    def server(self) -> types.Server:
        """The server that answers."""
        return there(operations.server(self.connection), "server")

    # --- Experiments ---

    def experiments(
        self,
        namespace: str | None = None,
        *,
        descendants: bool = True,
        status: Status | Sequence[Status] | None = None,
        labels: str | Sequence[str] | None = None,
        filter: inputs.ExperimentFilter | None = None,
        order: str | None = None,
        limit: int | None = None,
    ) -> Rows[types.Experiment]:
        """Experiments of a namespace and below it, newest first; of all namespaces without one.

        `labels` are all to be there. `order` is `name`, `-startedAt`, `metric:val/loss`, `hyperparameter:lr`.
        """
        conditions: inputs.ExperimentFilter = {}
        if status is not None:
            conditions["status"] = {"in": cast("list[Status]", listed(status))}
        if labels is not None:
            conditions["labels"] = {"all": cast("list[str]", listed(labels))}
        parts = [each for each in (conditions, filter) if each]
        wanted = cast("inputs.ExperimentFilter", {"and": parts}) if len(parts) > 1 else parts[0] if parts else None
        orders = [experiment_order(order)] if order else None
        return Rows(
            lambda first, after: operations.experiments(
                self.connection,
                namespace=namespace,
                descendants=descendants,
                filter=wanted,
                order_by=orders,
                first=first,
                after=after,
            ),
            what=f"experiments of {namespace}",
            limit=limit,
        )

    def experiment(self, which: str | types.Experiment) -> types.Experiment:
        """An experiment as it is now."""
        found = operations.experiment(self.connection, by=by_name(which, self.namespace))
        return there(found, f"experiment {id_of(which)!r}")

    def environment(self, which: str | types.Experiment) -> dict[str, Any]:
        """What an experiment ran on: packages, host, commit, command."""
        found: dict[str, Any] | None = operations.environment(self.connection, by=by_name(which, self.namespace))
        return there(found, f"experiment {id_of(which)!r}")

    def compare(self, *experiments: str | types.Experiment, keys: Sequence[str] | None = None) -> types.Comparison:
        """Experiments side by side: the hyperparameters that differ, and the figures of their metrics."""
        ids, wanted = [self.id(each) for each in experiments], list(keys) if keys is not None else None
        return there(operations.compare(self.connection, experiment_ids=ids, keys=wanted), "comparison")

    def checkpoints(
        self,
        experiment: str | types.Experiment,
        *,
        filter: inputs.CheckpointFilter | None = None,
        limit: int | None = None,
    ) -> Rows[types.Checkpoint]:
        """Checkpoints of an experiment, newest first."""
        place = by_name(experiment, self.namespace)
        return Rows(
            lambda first, after: operations.checkpoints(
                self.connection, experiment=place, filter=filter, first=first, after=after
            ),
            what=f"experiment {id_of(experiment)!r}",
            limit=limit,
        )

    # --- Models ---

    def models(
        self,
        namespace: str | None = None,
        *,
        descendants: bool = True,
        filter: inputs.ModelFilter | None = None,
        limit: int | None = None,
    ) -> Rows[types.Model]:
        """Models, newest first."""
        return Rows(
            lambda first, after: operations.models(
                self.connection, namespace=namespace, descendants=descendants, filter=filter, first=first, after=after
            ),
            what=f"models of {namespace}",
            limit=limit,
        )

    def model(self, which: str | types.Model) -> types.Model:
        """A model as it is now."""
        found = operations.model(self.connection, by=model_by(which, self.namespace))
        return there(found, f"model {id_of(which)!r}")

    def versions(
        self, model: str | types.Model, *, filter: inputs.ModelVersionFilter | None = None, limit: int | None = None
    ) -> Rows[types.ModelVersion]:
        """Versions of a model, newest first."""
        place = model_by(model, self.namespace)
        return Rows(
            lambda first, after: operations.model_versions(
                self.connection, model=place, filter=filter, first=first, after=after
            ),
            what=f"model {id_of(model)!r}",
            limit=limit,
        )

    def version(self, which: str | types.ModelVersion) -> types.ModelVersionWithFiles:
        """A version by `model:tag`, `model:version` (a tag goes first) or id, with the files of its artifacts."""
        text = id_of(which)
        for place in version_by(text, self.namespace):
            found = operations.model_version(self.connection, by=place)
            if found is None:
                continue
            if len(found.artifacts) == PAGE:
                return replace(found, artifacts=list(self.artifacts(found)))
            return found
        return there(None, f"model version {text!r}")

    def version_by_tag(
        self, model: str | types.Model, tag: str, as_of: datetime | str | None = None
    ) -> types.ModelVersion | None:
        """What a unique tag points to, or pointed to at a moment; None if to nothing."""
        place = model_by(model, self.namespace)
        return operations.version_by_tag(self.connection, model=place, tag=tag, as_of=as_of)

    def tag_history(
        self, model: str | types.Model, *, tag: str | None = None, limit: int | None = None
    ) -> Rows[types.TagChange]:
        """Who let which unique tag of a model point where, latest first."""
        place = model_by(model, self.namespace)
        only: inputs.TagChangeFilter | None = {"tag": {"eq": tag}} if tag else None
        return Rows(
            lambda first, after: operations.tag_history(
                self.connection, model=place, filter=only, first=first, after=after
            ),
            what=f"model {id_of(model)!r}",
            limit=limit,
        )

    # --- Of any object ---

    def id(self, thing: Any) -> str:
        """The id of an object: itself, an id, or the name of an experiment."""
        text = id_of(thing)
        return text if is_id(text) else self.experiment(text).id

    def artifacts(self, of: Any, *, limit: int | None = None) -> Rows[types.Artifact]:
        """Artifacts of an object, by name, with their files."""
        place = self.id(of)
        return Rows(
            lambda first, after: operations.artifacts(self.connection, id=place, first=first, after=after),
            what=f"object {place!r}",
            limit=limit,
        )

    def series(
        self,
        of: Any,
        *,
        keys: Sequence[str] | None = None,
        prefix: str | None = None,
        pattern: str | None = None,
        leg: int | None = None,
        limit: int | None = None,
    ) -> Rows[types.MetricSeries]:
        """Metrics of an object with their figures, by key."""
        place, wanted = self.id(of), list(keys) if keys is not None else None
        return Rows(
            lambda first, after: operations.series(
                self.connection,
                id=place,
                keys=wanted,
                key_prefix=prefix,
                key_pattern=pattern,
                leg=leg,
                first=first,
                after=after,
            ),
            what=f"object {place!r}",
            limit=limit,
        )

    def columns(
        self, of: Any, key: str, *, start: int | None = None, stop: int | None = None, leg: int | None = None
    ) -> types.MetricColumns:
        """All points of a series with their steps and times, or those of steps from `start` to `stop`."""
        bounds = {name: value for name, value in (("from", start), ("to", stop)) if value is not None}
        between = cast("inputs.StepRange", bounds) if bounds else None
        found = operations.columns(self.connection, id=self.id(of), key=key, leg=leg, range=between)
        return there(found, f"series {key!r} of {id_of(of)!r}")

    def history(self, of: Any, *, keys: Sequence[str] | None = None) -> History:
        """All points of series so far, 100 series at most, and the cursor behind them, for `follow_metrics`."""
        place, wanted = self.id(of), list(keys) if keys is not None else None
        return read_history(self.query(HISTORY, id=place, ids=[place], keys=wanted), place)

    def sample(
        self,
        of: Any,
        key: str,
        *,
        max_points: int = 500,
        method: enums.SampleMethod = "MINMAX",
        x: enums.SampleAxis = "STEP",
        leg: int | None = None,
    ) -> types.MetricSample:
        """A series as a curve of at most so many points; the same ones each time."""
        found = operations.sample(
            self.connection, id=self.id(of), key=key, leg=leg, max_points=max_points, method=method, x=x
        )
        return there(found, f"series {key!r} of {id_of(of)!r}")

    def events(
        self,
        namespace: str | None = None,
        *,
        of: Any = None,
        filter: inputs.EventFilter | None = None,
        limit: int | None = None,
    ) -> Rows[types.Event]:
        """Events of an object, or of a namespace and below it, latest first."""
        if of is None:
            return Rows(
                lambda first, after: operations.events(
                    self.connection, namespace=namespace, filter=filter, first=first, after=after
                ),
                what=f"events of {namespace}",
                limit=limit,
            )
        _only_one(namespace)
        place = self.id(of)
        return Rows(
            lambda first, after: operations.events_of(
                self.connection, id=place, filter=filter, first=first, after=after
            ),
            what=f"object {place!r}",
            limit=limit,
        )

    def audit(
        self,
        namespace: str | None = None,
        *,
        of: Any = None,
        filter: inputs.AuditEventFilter | None = None,
        limit: int | None = None,
    ) -> Rows[types.AuditEvent]:
        """What was recorded of an object, or of a namespace and below it, latest first."""
        if of is None:
            return Rows(
                lambda first, after: operations.audit_events(
                    self.connection, namespace=namespace, filter=filter, first=first, after=after
                ),
                what=f"audit events of {namespace}",
                limit=limit,
            )
        _only_one(namespace)
        place = self.id(of)
        return Rows(
            lambda first, after: operations.audit_events_of(
                self.connection, id=place, filter=filter, first=first, after=after
            ),
            what=f"object {place!r}",
            limit=limit,
        )

    def usage(self, namespace: str | None = None) -> types.Usage:
        """What a namespace and all below it keep in the store of files."""
        path = namespace or self.namespace
        return there(operations.usage(self.connection, by={"path": path}), f"namespace {path!r}")

    def feed_cursor(self, *of: Any) -> str:
        """Where the metric streams of objects stand: the `after` of `follow_metrics`."""
        found = operations.feed_cursor(self.connection, object_ids=[self.id(each) for each in of])
        return there(found, "cursor")

    def change(self, document: str, input: Mapping[str, Any]) -> dict[str, Any]:
        """The payload of a document's one mutation. Raises Refused with its first user error."""
        return self.connection.change(document, input)

    def close(self) -> None:
        """Close what is kept open."""
        self.connection.close()


def _only_one(namespace: str | None) -> None:
    if namespace is not None:
        raise ModelBoxError("BAD_REFERENCE", "Give a namespace or `of`, and not both.")
