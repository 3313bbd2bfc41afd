"""The reference: the committed words of the schema, executed field by field over rows in memory.

Deliberately plain and slow. It shares with the server the printed schema and the tables, nothing else.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from importlib.metadata import version
from typing import Any
from uuid import UUID

from graphql import DocumentNode, GraphQLResolveInfo, GraphQLScalarType, GraphQLSchema, build_schema, execute_sync

from tests.differential.matching import snake
from tests.differential.paging import listed
from tests.differential.seed import Row
from tests.differential.sight import ENTITIES, Sight, Thing, as_thing

Args = Mapping[str, Any]
Resolver = Callable[[Sight, Row, Args], Any]
FIELDS: dict[str, Resolver] = {}

PREFIXES = {
    "Namespace": "nsp",
    "Model": "mod",
    "ModelVersion": "ver",
    "Experiment": "exp",
    "Checkpoint": "ckp",
    "Dataset": "dst",
    "DatasetUse": "use",
    "Artifact": "art",
    "File": "fil",
    "Event": "evt",
    "AuditEvent": "aud",
    "TagChange": "tch",
    "User": "usr",
    "ServiceAccount": "svc",
    "RoleGrant": "grt",
    "Token": "tok",
}
BY_PREFIX = {
    "nsp": "namespace",
    "mod": "model",
    "ver": "model_version",
    "exp": "experiment",
    "ckp": "checkpoint",
    "dst": "dataset",
    "use": "dataset_use",
    "art": "artifact",
    "fil": "file",
    "evt": "event",
    "aud": "audit_event",
    "tch": "tag_change",
}
COLUMNS = {
    "MetricPoint.value": "number",
    "MetricPoint.bytes": "binary",
    "AuditEvent.sequence": "seq",
    "Experiment.stallAfterSeconds": "stall_after",
    "Viewer.tenant": "name",
}


def field(*names: str) -> Callable[[Resolver], Resolver]:
    """Declares how fields are found, by `Type.field`."""

    def declare(resolver: Resolver) -> Resolver:
        for name in names:
            FIELDS[name] = resolver
        return resolver

    return declare


UNIQUE = {"artifact": "name", "file": "path"}
"""What no two rows of one object share."""


def link(table: str, column: str) -> Resolver:
    """A linked row, where it is in sight."""
    return lambda see, row, args: see.by_id(table, row[column])


def many(table: str, column: str, *, page: int = 10, order: Sequence[tuple[str, bool]] | None = None) -> Resolver:
    """The rows that name this one in a column of theirs."""

    def resolve(see: Sight, row: Row, args: Args) -> Any:
        rows = see.seen(table, see.store.where(table, **{column: row["id"]}))
        return listed(see, table, rows, args, page=page, order=order, unique=UNIQUE.get(table))

    return resolve


def everywhere(table: str) -> Resolver:
    """A root list, of a namespace (and all below it) or of all in sight."""

    def resolve(see: Sight, row: Row, args: Args) -> Any:
        rows = see.seen(table, see.store.rows[table])
        if args.get("namespace") is not None:
            places = [home["id"] for home in homes(see, args["namespace"], deep=args["descendants"])]
            rows = [found for found in rows if found["namespace_id"] in places]
        return listed(see, table, rows, args, page=20)

    return resolve


def homes(see: Sight, path: str, *, deep: bool) -> list[Row]:
    """The namespaces of a path."""
    return [
        row
        for row in see.seen("namespace", see.store.rows["namespace"])
        if row["path"] == path or (deep and row["path"].startswith(path + "/"))
    ]


FIELDS.update(
    {
        "Entity.namespace": link("namespace", "namespace_id"),
        "Entity.createdBy": link("actor", "created_by"),
        "Entity.artifacts": many("artifact", "object_id"),
        "Entity.events": many("event", "object_id"),
        "Entity.auditEvents": many("audit_event", "object_id"),
        "Namespace.parent": link("namespace", "parent_id"),
        "Namespace.children": many("namespace", "parent_id"),
        "Namespace.models": many("model", "namespace_id"),
        "Namespace.experiments": many("experiment", "namespace_id"),
        "Namespace.datasets": many("dataset", "namespace_id"),
        "Namespace.events": many("event", "namespace_id"),
        "Namespace.auditEvents": many("audit_event", "namespace_id"),
        "Model.versions": many("model_version", "model_id"),
        "Model.tagHistory": many("tag_change", "model_id"),
        "Model.datasets": many("dataset_use", "object_id"),
        "ModelVersion.model": link("model", "model_id"),
        "ModelVersion.experiment": link("experiment", "experiment_id"),
        "ModelVersion.checkpoint": link("checkpoint", "checkpoint_id"),
        "ModelVersion.datasets": many("dataset_use", "object_id"),
        "UniqueTag.version": link("model_version", "version_id"),
        "TagChange.version": link("model_version", "version_id"),
        "TagChange.previousVersion": link("model_version", "previous_version_id"),
        "TagChange.actor": link("actor", "actor_id"),
        "Experiment.parent": link("experiment", "parent_id"),
        "Experiment.children": many("experiment", "parent_id"),
        "Experiment.checkpoints": many("checkpoint", "experiment_id"),
        "Experiment.versions": many("model_version", "experiment_id"),
        "Experiment.datasets": many("dataset_use", "object_id"),
        "Experiment.timeline": many("event", "object_id", page=50, order=[("at", False)]),
        "Checkpoint.experiment": link("experiment", "experiment_id"),
        "Checkpoint.versions": many("model_version", "checkpoint_id"),
        "Dataset.uses": many("dataset_use", "dataset_id"),
        "DatasetUse.dataset": link("dataset", "dataset_id"),
        "Artifact.createdBy": link("actor", "created_by"),
        "Artifact.files": many("file", "artifact_id"),
        "Event.actor": link("actor", "actor_id"),
        "AuditEvent.actor": link("actor", "actor_id"),
        "RoleGrant.actor": link("actor", "actor_id"),
        "RoleGrant.namespace": link("namespace", "namespace_id"),
        "Query.namespaces": everywhere("namespace"),
        "Query.models": everywhere("model"),
        "Query.modelVersions": everywhere("model_version"),
        "Query.experiments": everywhere("experiment"),
        "Query.checkpoints": everywhere("checkpoint"),
        "Query.datasets": everywhere("dataset"),
        "Query.artifacts": everywhere("artifact"),
        "Query.events": everywhere("event"),
        "Query.auditEvents": everywhere("audit_event"),
    }
)


@field("DatasetUse.object", "Artifact.owner", "Event.object", "AuditEvent.object")
def _object(see: Sight, row: Row, args: Args) -> Any:
    return see.entity(row["object_id"])


@field("Entity.metadata")
def _metadata(see: Sight, row: Row, args: Args) -> Any:
    keys = args.get("keys")
    return {key: value for key, value in row["metadata"].items() if keys is None or key in keys}


@field("Namespace.members")
def _members(see: Sight, row: Row, args: Args) -> Any:
    return in_order("role_grant", see.store.where("role_grant", namespace_id=row["id"]))


@field("User.grants", "ServiceAccount.grants")
def _grants(see: Sight, row: Row, args: Args) -> Any:
    return in_order("role_grant", see.seen("role_grant", see.store.where("role_grant", actor_id=row["id"])))


@field("User.tokens", "ServiceAccount.tokens")
def _tokens(see: Sight, row: Row, args: Args) -> Any:
    return in_order("token", see.seen("token", see.store.where("token", actor_id=row["id"])))


@field("Token.namespaceIds")
def _namespace_ids(see: Sight, row: Row, args: Args) -> Any:
    return None if row["namespaces"] is None else [f"nsp_{digits}" for digits in row["namespaces"]]


def in_order(table: str, rows: Any, name: str = "id") -> list[Thing]:
    """A short list, whole, by one column."""
    return [as_thing(table, row) for row in sorted(rows, key=lambda row: row[name])]


@field("Model.version")
def _version(see: Sight, row: Row, args: Args) -> Any:
    found = see.seen("model_version", see.store.where("model_version", model_id=row["id"], version=args["version"]))
    return next((as_thing("model_version", version) for version in found), None)


@field("Model.versionByTag")
def _version_by_tag(see: Sight, row: Row, args: Args) -> Any:
    moment = args.get("asOf")
    if moment is None:
        moves = list(see.store.where("unique_tag", model_id=row["id"], tag=args["tag"]))
    else:
        moves = [m for m in see.store.where("tag_change", model_id=row["id"], tag=args["tag"]) if m["at"] <= moment]
        moves.sort(key=lambda move: (move["at"], move["id"]))
    return see.by_id("model_version", moves[-1]["version_id"]) if moves else None


@field("Model.uniqueTags")
def _unique_tags(see: Sight, row: Row, args: Args) -> Any:
    tags = see.store.where("unique_tag", model_id=row["id"])
    return [as_thing("unique_tag", tag) for tag in sorted(tags, key=lambda tag: tag["tag"].encode())]


@field("ModelVersion.uniqueTags")
def _tags_of_version(see: Sight, row: Row, args: Args) -> Any:
    tags = [tag["tag"] for tag in see.store.where("unique_tag", version_id=row["id"])]
    return sorted(tags, key=str.encode)


@field("Model.experiments")
def _experiments_of_model(see: Sight, row: Row, args: Args) -> Any:
    produced = {v["experiment_id"] for v in see.store.where("model_version", model_id=row["id"], deleted_at=None)}
    rows = [found for found in see.seen("experiment", see.store.rows["experiment"]) if found["id"] in produced]
    return listed(see, "experiment", rows, args, page=10)


@field("ModelVersion.name")
def _version_name(see: Sight, row: Row, args: Args) -> Any:
    model = see.store.get("model", row["model_id"])
    return model["name"] if row["name"] is None and model else row["name"]


@field("Experiment.heartbeatAt")
def _heartbeat(see: Sight, row: Row, args: Args) -> Any:
    return next((beat["at"] for beat in see.store.where("heartbeat", experiment_id=row["id"])), None)


@field("Experiment.eventDurations")
def _durations(see: Sight, row: Row, args: Args) -> Any:
    spans: dict[str, list[Fraction]] = {}
    for event in see.store.where("event", object_id=row["id"]):
        if event["ended_at"] is not None:
            spans.setdefault(event["name"], []).append(milliseconds(event))
    return [
        {
            "name": name,
            "count": len(spans[name]),
            "totalMs": float(sum(spans[name])),
            "meanMs": float(sum(spans[name]) / len(spans[name])),
            "maxMs": float(max(spans[name])),
        }
        for name in sorted(spans, key=str.encode)
    ]


def milliseconds(event: Row) -> Fraction:
    return Fraction((event["ended_at"] - event["at"]) // timedelta(microseconds=1), 1000)


@field("Event.durationMs")
def _duration(see: Sight, row: Row, args: Args) -> Any:
    return None if row["ended_at"] is None else float(milliseconds(row))


@field("Namespace.feedCursor", "Experiment.feedCursor")
def _feed_cursor(see: Sight, row: Row, args: Args) -> Any:
    root = list(see.climb(row["namespace_id"]))[-1]["id"]
    head = next(see.store.where("stream_head", stream_id=root), None)
    epoch = head["epoch"] if head else see.store.rows["installation"][0]["epoch"]
    keys = ["f", epoch, [[root.hex, head["seq"] if head else 0]]]
    return base64.urlsafe_b64encode(json.dumps(keys, separators=(",", ":")).encode()).decode().rstrip("=")


@field("Namespace.effectiveRawMetricDays")
def _raw_metric_days(see: Sight, row: Row, args: Args) -> Any:
    set_days = (home["raw_metric_days"] for home in see.climb(row["id"]))
    return next((days for days in set_days if days is not None), None)


@field("Artifact.fileCount")
def _file_count(see: Sight, row: Row, args: Args) -> Any:
    return len(list(see.store.where("file", artifact_id=row["id"])))


@field("Artifact.totalSize")
def _total_size(see: Sight, row: Row, args: Args) -> Any:
    total = sum(file["size"] or 0 for file in see.store.where("file", artifact_id=row["id"]))
    return total if total < 2**53 else None


@field("AuditEvent.objectId")
def _audited_id(see: Sight, row: Row, args: Args) -> Any:
    words = row["kind"].lower().split("_")
    prefix = PREFIXES.get("".join(word.capitalize() for word in words), "obj")
    return f"{prefix}_{row['object_id'].hex}"


@field("Query.viewer")
def _viewer(see: Sight, row: Row, args: Args) -> Any:
    return as_thing("tenant", see.store.rows["tenant"][0])


@field("Viewer.actor")
def _actor(see: Sight, row: Row, args: Args) -> Any:
    return see.by_id("actor", see.actor)


@field("Query.server")
def _server(see: Sight, row: Row, args: Args) -> Any:
    return {"version": version("modelbox-server")}


@field("Query.users", "Query.serviceAccounts")
def _actors(see: Sight, row: Row, args: Args) -> Any:
    raise LookupError("told apart by `resolve`")


@field("Query.node")
def _node(see: Sight, row: Row, args: Args) -> Any:
    prefix, _, digits = args["id"].partition("_")
    return see.by_id(BY_PREFIX[prefix], UUID(hex=digits))


@field("Query.nodes")
def _nodes(see: Sight, row: Row, args: Args) -> Any:
    return [_node(see, row, {"id": id_}) for id_ in args["ids"]]


def addressed(table: str) -> Resolver:
    """An object by its id, or by a name in a namespace."""

    def resolve(see: Sight, row: Row, args: Args) -> Any:
        ((way, wanted),) = args["by"].items()
        if way == "id":
            return _node(see, row, {"id": wanted})
        columns = {"externalId": "external_id"} if way == "externalId" else {"name": "name"}
        values = dict.fromkeys(columns.values(), wanted["name"])
        if table == "dataset":
            values["digest"] = wanted.get("digest")
        return in_home(see, table, wanted["namespace"], values)

    return resolve


def in_home(see: Sight, table: str, path: str, values: Mapping[str, Any]) -> Thing | None:
    places = [home["id"] for home in homes(see, path, deep=False)]
    found = see.seen(table, (row for row in see.store.where(table, **values) if row["namespace_id"] in places))
    return as_thing(table, found[0]) if found else None


for _name in ("model", "experiment", "dataset"):
    FIELDS[f"Query.{_name}"] = addressed(_name)


@field("Query.namespace")
def _namespace(see: Sight, row: Row, args: Args) -> Any:
    if "id" in args["by"]:
        return _node(see, row, args["by"])
    found = homes(see, args["by"]["path"], deep=False)
    return as_thing("namespace", found[0]) if found else None


@field("Query.modelVersion")
def _model_version(see: Sight, row: Row, args: Args) -> Any:
    ((way, wanted),) = args["by"].items()
    if way == "id":
        return _node(see, row, {"id": wanted})
    model = in_home(see, "model", wanted["namespace"], {"name": wanted["model"]})
    if model is None:
        return None
    return _version(see, model.row, wanted) if way == "version" else _version_by_tag(see, model.row, wanted)


def resolve(source: Any, info: GraphQLResolveInfo[Any], **args: Any) -> Any:
    """Every field of every type."""
    see: Sight = info.context
    name = info.field_name
    if isinstance(source, dict):
        part = source[name]
        return part(args) if callable(part) else part
    if source is None and name in ("users", "serviceAccounts"):
        kind = "USER" if name == "users" else "SERVICE_ACCOUNT"
        return listed(see, "actor", list(see.store.where("actor", kind=kind)), args, page=20)
    type_name = source.type_name if source else info.parent_type.name
    row = source.row if source else {}
    found = FIELDS.get(f"{type_name}.{name}")
    if found is None and source and any(i.name == "Entity" for i in info.parent_type.interfaces):
        found = FIELDS.get(f"Entity.{name}")
    if found is not None:
        return found(see, row, args)
    return f"{PREFIXES[type_name]}_{row['id'].hex}" if name == "id" else row[column_of(type_name, name)]


def column_of(type_name: str, name: str) -> str:
    return COLUMNS.get(f"{type_name}.{name}", snake(name))


def metric_value(value: float) -> float | str:
    return value if math.isfinite(value) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")


def moment(value: datetime) -> str:
    return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def number(value: Any) -> float:
    return float(value.replace("Infinity", "inf") if isinstance(value, str) else value)


def reference_schema(sdl: str) -> GraphQLSchema:
    """The printed schema, with scalars that read and write as the schema says."""
    schema = build_schema(sdl)
    forms: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
        "MetricValue": (metric_value, number),
        "DateTime": (moment, datetime.fromisoformat),
        "Base64": (lambda value: base64.b64encode(value).decode(), base64.b64decode),
    }
    for name, (serialize, parse) in forms.items():
        scalar = schema.type_map[name]
        assert isinstance(scalar, GraphQLScalarType)
        scalar.coerce_output_value = serialize
        scalar.coerce_input_value = parse
        scalar.coerce_input_literal = lambda node, parse=parse: parse(node.value)
    return schema


def answer(schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any], see: Sight) -> Any:
    """The response's data."""
    result = execute_sync(
        schema,
        document,
        context_value=see,
        variable_values=dict(variables),
        field_resolver=resolve,
        type_resolver=lambda thing, info, abstract: thing.type_name,
    )
    if result.errors:
        raise result.errors[0]
    return result.data


__all__ = ["ENTITIES", "answer", "reference_schema"]
