"""The root of all queries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import orjson
import strawberry

from db.read import value
from db.read.link import Link, anything, at_path, both, by_id, by_value, in_namespace, tagged_of_model, version_of_model
from db.read.plan import One
from db.read.source import DATASET, EXPERIMENT, MODEL, MODEL_VERSION, NAMESPACE, TENANT_SOURCE
from db.read.sql import Pieces, Statement, constant
from graphql_schema import listings
from graphql_schema.arguments import Value, refused
from graphql_schema.artifact import Artifact
from graphql_schema.audit import AuditEvent
from graphql_schema.checkpoint import Checkpoint
from graphql_schema.comparison import Comparison, compare
from graphql_schema.connection import ROOT_PAGE, Connection, many
from graphql_schema.dataset import Dataset
from graphql_schema.distribution import MetricAggregation, aggregate_metrics
from graphql_schema.event import Event
from graphql_schema.experiment import Experiment
from graphql_schema.facets import ExperimentFacets, experiment_facets
from graphql_schema.feed_cursor import METRICS_CURSOR
from graphql_schema.fields import Argument, computed, read_field
from graphql_schema.listing import Listing
from graphql_schema.lookup import NodeRead, NodesRead, found, id_bind
from graphql_schema.model import Model
from graphql_schema.namespace import Namespace
from graphql_schema.node import Node
from graphql_schema.place import PLACE, within
from graphql_schema.scalars import Cursor, Digest
from graphql_schema.selection import Selected
from graphql_schema.version import ModelVersion
from graphql_schema.viewer import ServiceAccount, User, Viewer

if TYPE_CHECKING:
    from db.read.plan import Plan

DEFAULT_NAMESPACE = "default"


@strawberry.input(description="A name in a namespace.")
class NamespacedName:
    name: str = strawberry.field(description="Exactly.")
    namespace: str = strawberry.field(description="The namespace's path.", default=DEFAULT_NAMESPACE)


@strawberry.input(description="How to find a namespace: one of these.", one_of=True)
class NamespaceBy:
    id: strawberry.ID | None = strawberry.field(description="By its id.", default=strawberry.UNSET)
    path: str | None = strawberry.field(description="By its path, such as `vision/cifar`.", default=strawberry.UNSET)


@strawberry.input(description="How to find a model: one of these.", one_of=True)
class ModelBy:
    id: strawberry.ID | None = strawberry.field(description="By its id.", default=strawberry.UNSET)
    name: NamespacedName | None = strawberry.field(description="By its name.", default=strawberry.UNSET)


@strawberry.input(description="A version of a model, by names.")
class NamespacedVersion:
    model: str = strawberry.field(description="The model's name.")
    version: str = strawberry.field(description="The version string.")
    namespace: str = strawberry.field(description="The namespace's path.", default=DEFAULT_NAMESPACE)


@strawberry.input(description="A unique tag of a model, by names.")
class NamespacedTag:
    model: str = strawberry.field(description="The model's name.")
    tag: str = strawberry.field(description="The unique tag, such as `prod`.")
    namespace: str = strawberry.field(description="The namespace's path.", default=DEFAULT_NAMESPACE)


@strawberry.input(description="How to find a model version: one of these.", one_of=True)
class ModelVersionBy:
    id: strawberry.ID | None = strawberry.field(description="By its id.", default=strawberry.UNSET)
    version: NamespacedVersion | None = strawberry.field(
        description="By its model's name and its version string.", default=strawberry.UNSET
    )
    tag: NamespacedTag | None = strawberry.field(
        description="By its model's name and a unique tag that points to it.", default=strawberry.UNSET
    )


@strawberry.input(description="How to find an experiment: one of these.", one_of=True)
class ExperimentBy:
    id: strawberry.ID | None = strawberry.field(description="By its id.", default=strawberry.UNSET)
    name: NamespacedName | None = strawberry.field(description="By its name.", default=strawberry.UNSET)
    external_id: NamespacedName | None = strawberry.field(
        description="By the trainer's own id of it, given as `name`.", default=strawberry.UNSET
    )


@strawberry.input(description="A dataset, by names.")
class NamespacedDataset:
    name: str = strawberry.field(description="Exactly.")
    digest: Digest | None = strawberry.field(
        description="Of the wanted state; absent: the state without one.", default=strawberry.UNSET
    )
    namespace: str = strawberry.field(description="The namespace's path.", default=DEFAULT_NAMESPACE)


@strawberry.input(description="How to find a dataset: one of these.", one_of=True)
class DatasetBy:
    id: strawberry.ID | None = strawberry.field(description="By its id.", default=strawberry.UNSET)
    name: NamespacedDataset | None = strawberry.field(description="By its name and digest.", default=strawberry.UNSET)


def _way(selected: Selected) -> tuple[str, Value]:
    """The one way that is given."""
    by = selected.arguments["by"]
    way = next(by.fields(), None)
    if way is None:
        # Validation lets a nullable variable stand in it.
        raise refused("give exactly one way, not null.", by.path)
    return way


def _namespace(selected: Selected) -> Link:
    way, found_by = _way(selected)
    return by_id(id_bind(found_by, NAMESPACE.prefix)) if way == "id" else at_path(found_by.bind("text"))


def _named(prefix: str, **columns: str) -> Callable[[Selected], Link]:
    """Finds by `id`, or by a name in a namespace that stands in one of the columns."""

    def link(selected: Selected) -> Link:
        way, found_by = _way(selected)
        if way == "id":
            return by_id(id_bind(found_by, prefix))
        return in_namespace(found_by["namespace"].bind("text"), columns[way], found_by["name"].bind("text"))

    return link


def _version(selected: Selected) -> Link:
    way, found_by = _way(selected)
    if way == "id":
        return by_id(id_bind(found_by, MODEL_VERSION.prefix))
    find = version_of_model if way == "version" else tagged_of_model
    return find(found_by["namespace"].bind("text"), found_by["model"].bind("text"), found_by[way].bind("text"))


def _dataset(selected: Selected) -> Link:
    way, found_by = _way(selected)
    if way == "id":
        return by_id(id_bind(found_by, DATASET.prefix))
    named = in_namespace(found_by["namespace"].bind("text"), "name", found_by["name"].bind("text"))
    digest = found_by["digest"].bind("text") if "digest" in found_by else constant(None, "text")
    return both(named, by_value("digest", digest))


def _everywhere(description: str, listing: Callable[[], Listing]) -> Any:
    """A root list: of one namespace, of one and all below it, or of all in the caller's sight."""
    return many(
        description,
        listing,
        page=ROOT_PAGE,
        within=within,
        arguments=PLACE,
    )


class ServerRead:
    """`server`: nothing of it lies in a table."""

    def plan(self, selected: Selected) -> Plan:
        return selected.object()


class ViewerRead:
    """`viewer`: the tenant, seen by the caller."""

    def plan(self, selected: Selected) -> Plan:
        return One(TENANT_SOURCE, anything, selected.object())


def _version_pieces(_statement: Statement, _alias: str) -> Pieces:
    return [orjson.dumps(version("modelbox-server")).decode()]


@strawberry.type(description="The server that answers.")
class Server:
    version: str = computed("Its version.", _version_pieces)
    time: datetime = computed("The database's clock.", value.clock)


@strawberry.type(description="What can be read. Everything here is one SQL statement, however deep.")
class Query:
    viewer: Viewer = read_field(ViewerRead(), "Who you are.")
    server: Server = read_field(ServerRead(), "The server that answers.")
    node: Node | None = read_field(
        NodeRead(),
        "Any object by its id; null when there is none in your sight.",
        [Argument("id", strawberry.ID, "Its id.", ...)],
    )
    nodes: list[Node | None] = read_field(
        NodesRead(),
        "Many objects by their ids, in their order; null where there is none in your sight. At most 100.",
        [Argument("ids", list[strawberry.ID], "Their ids.", ...)],
    )
    feed_cursor: Cursor = METRICS_CURSOR
    namespace: Namespace | None = found(
        "A namespace.", NAMESPACE, _namespace, Argument("by", NamespaceBy, "How to find it.", ...)
    )
    namespaces: Connection[Namespace] = many("All namespaces, by path.", lambda: listings.NAMESPACES, page=ROOT_PAGE)
    model: Model | None = found(
        "A model.", MODEL, _named(MODEL.prefix, name="name"), Argument("by", ModelBy, "How to find it.", ...)
    )
    models: Connection[Model] = _everywhere("Models, newest first.", lambda: listings.MODELS)
    model_version: ModelVersion | None = found(
        "A model version.", MODEL_VERSION, _version, Argument("by", ModelVersionBy, "How to find it.", ...)
    )
    model_versions: Connection[ModelVersion] = _everywhere(
        "Model versions, newest first.", lambda: listings.MODEL_VERSIONS
    )
    experiment: Experiment | None = found(
        "An experiment.",
        EXPERIMENT,
        _named(EXPERIMENT.prefix, name="name", externalId="external_id"),
        Argument("by", ExperimentBy, "How to find it.", ...),
    )
    experiments: Connection[Experiment] = _everywhere("Experiments, newest first.", lambda: listings.EXPERIMENTS)
    experiment_facets: ExperimentFacets = experiment_facets()
    compare: Comparison = compare()
    aggregate_metrics: MetricAggregation = aggregate_metrics()
    checkpoints: Connection[Checkpoint] = _everywhere("Checkpoints, newest first.", lambda: listings.CHECKPOINTS)
    dataset: Dataset | None = found("A dataset.", DATASET, _dataset, Argument("by", DatasetBy, "How to find it.", ...))
    datasets: Connection[Dataset] = _everywhere("Datasets, newest first.", lambda: listings.DATASETS)
    artifacts: Connection[Artifact] = _everywhere("Artifacts, by name.", lambda: listings.ARTIFACTS)
    events: Connection[Event] = _everywhere("Events, latest first.", lambda: listings.EVENTS)
    users: Connection[User] = many("People, by name.", lambda: listings.USERS, page=ROOT_PAGE)
    service_accounts: Connection[ServiceAccount] = many(
        "Programs' accounts, by name.", lambda: listings.SERVICE_ACCOUNTS, page=ROOT_PAGE
    )
    audit_events: Connection[AuditEvent] = _everywhere("Audit events, latest first.", lambda: listings.AUDIT_EVENTS)
