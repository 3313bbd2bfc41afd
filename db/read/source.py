"""Where rows come from, and which of them the caller may see.

The predicate stands inside every statement. A row reached from what contains it (a version from
its model) needs only its own deletion checked: place and access are those of the container, which
passed. A row reached in any other way carries the whole predicate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlmodel import SQLModel

from db import tables
from db.read.column import AnyTable
from db.read.sql import ACTOR as ACTOR_BIND
from db.read.sql import SCOPE, Statement

Predicate = Callable[[Statement, str], str]
"""Of a statement and an alias: a SQL condition."""


@dataclass(frozen=True)
class Source:
    """A table to read, the prefix of its ids, and its rules of sight.

    `alive` is asked of rows reached from their container, `visible` of all others. `outlives`: its rows are in sight
    even when their namespace is deleted.
    """

    table: AnyTable
    prefix: str
    alive: Predicate
    visible: Predicate
    kind: str = ""
    relation: Callable[[Statement], str] | None = None
    outlives: bool = False

    def rows(self, statement: Statement) -> str:
        """What stands in `FROM`: the table, or the subquery that is read in its place."""
        return self.relation(statement) if self.relation else f'"{self.table.__tablename__}"'


def always(statement: Statement, alias: str) -> str:
    """No condition beyond the tenant."""
    return "true"


def undeleted(statement: Statement, alias: str) -> str:
    """The row itself is not deleted."""
    return f"{alias}.deleted_at IS NULL"


def readable_namespace(statement: Statement, alias: str) -> str:
    """Condition on a row of `namespace`: in sight, and in the caller's scope."""
    if not statement.restricted:
        return f"{alias}.visible"
    return f"{alias}.visible AND {alias}.lineage && {statement.bind(SCOPE)}"


def in_readable_namespace(statement: Statement, alias: str) -> str:
    """The row's namespace is in sight and readable."""
    if alias in statement.in_sight:
        return "true"
    inner = statement.alias()
    return (
        f"EXISTS (SELECT 1 FROM namespace {inner} WHERE {inner}.tenant_id = {statement.tenant}"
        f" AND {inner}.id = {alias}.namespace_id AND {readable_namespace(statement, inner)})"
    )


def entity_visible(statement: Statement, alias: str) -> str:
    """Not deleted, in a readable namespace."""
    return f"{undeleted(statement, alias)} AND {in_readable_namespace(statement, alias)}"


def contained_in(table: str, link: str) -> Predicate:
    """Visible, and its container is not deleted."""

    def predicate(statement: Statement, alias: str) -> str:
        inner = statement.alias()
        return (
            f"{entity_visible(statement, alias)} AND EXISTS (SELECT 1 FROM {table} {inner}"
            f" WHERE {inner}.tenant_id = {statement.tenant} AND {inner}.id = {alias}.{link}"
            f" AND {inner}.deleted_at IS NULL)"
        )

    return predicate


ALIVE: Final = """o.deleted_at IS NULL AND NOT EXISTS (
        SELECT FROM object c WHERE c.tenant_id = $1 AND c.id = ANY(o.container_ids) AND c.deleted_at IS NOT NULL
    )"""
"""What `object_alive` asks, of a row `o` of `object`, for statements that are written out; `$1` is the tenant."""


def object_alive(statement: Statement, value: str, owner: str, also: str = "true") -> str:
    """The object of that id is not deleted, and nothing that contains it; `also` speaks of it by the alias `owner`."""
    container = statement.alias()
    return (
        f"EXISTS (SELECT 1 FROM object {owner} WHERE {owner}.tenant_id = {statement.tenant}"
        f" AND {owner}.id = {value} AND {owner}.deleted_at IS NULL AND {also}"
        f" AND NOT EXISTS (SELECT 1 FROM object {container} WHERE {container}.tenant_id = {statement.tenant}"
        f" AND {container}.id = ANY({owner}.container_ids) AND {container}.deleted_at IS NOT NULL))"
    )


def object_visible(statement: Statement, value: str) -> str:
    """The object of that id, and all that contains it, is in sight and readable."""
    owner = statement.alias()
    return object_alive(statement, value, owner, in_readable_namespace(statement, owner))


def owned(link: str) -> Predicate:
    """What an object owns is in sight with it."""
    return lambda statement, alias: object_visible(statement, f"{alias}.{link}")


def placed_with(link: str, *, deletable: bool = False) -> Predicate:
    """The same of rows that know their owner's namespace themselves."""

    def predicate(statement: Statement, alias: str) -> str:
        own = f"{undeleted(statement, alias)} AND " if deletable else ""
        alive = object_alive(statement, f"{alias}.{link}", statement.alias())
        return f"{own}{in_readable_namespace(statement, alias)} AND {alive}"

    return predicate


def file_visible(statement: Statement, alias: str) -> str:
    """A file is in sight with its artifact."""
    inner = statement.alias()
    return (
        f"EXISTS (SELECT 1 FROM artifact {inner} WHERE {inner}.tenant_id = {statement.tenant}"
        f" AND {inner}.id = {alias}.artifact_id AND {ARTIFACT.visible(statement, inner)})"
    )


def audit_visible(statement: Statement, alias: str) -> str:
    """Records outlive what they are about: only the namespace decides; the tenant's own are for who sees all of it."""
    if not statement.restricted or alias in statement.in_sight:
        return "true"
    inner = statement.alias()
    return (
        f"EXISTS (SELECT 1 FROM namespace {inner} WHERE {inner}.tenant_id = {statement.tenant}"
        f" AND {inner}.id = {alias}.namespace_id AND {inner}.lineage && {statement.bind(SCOPE)})"
    )


def of_kind(kind: str) -> Predicate:
    """Users and service accounts share a table."""
    return lambda statement, alias: f"{alias}.kind = '{kind}'"


def grant_visible(statement: Statement, alias: str) -> str:
    """A role on the whole tenant, or on a namespace in sight."""
    return f"({alias}.namespace_id IS NULL OR {in_readable_namespace(statement, alias)})"


def own_or_all(statement: Statement, alias: str) -> str:
    """One's own, or, for who sees the whole tenant, everybody's."""
    return f"{alias}.actor_id = {statement.bind(ACTOR_BIND)}" if statement.restricted else "true"


def durations(statement: Statement) -> str:
    """The ended spans of each object, added up by name; exactly, for doubles would depend on the order."""
    row = statement.alias()
    return f"""(
        SELECT tenant_id, object_id, name, count(*) AS count, sum(span)::float8 AS total_ms,
            (sum(span) / count(*))::float8 AS mean_ms, max(span)::float8 AS max_ms
        FROM (
            SELECT {row}.tenant_id, object_id, name, extract(epoch FROM ended_at - at) * 1000 AS span
            FROM event {row} WHERE {row}.tenant_id = {statement.tenant} AND ended_at IS NOT NULL
        ) spans GROUP BY tenant_id, object_id, name
    )"""


def _entity(table: type[SQLModel], prefix: str, kind: str, visible: Predicate = entity_visible) -> Source:
    return Source(table, prefix, undeleted, visible, kind)


NAMESPACE = Source(tables.Namespace, "nsp", lambda s, a: f"{a}.visible", readable_namespace, "NAMESPACE")
MODEL = _entity(tables.Model, "mod", "MODEL")
MODEL_VERSION = _entity(tables.ModelVersion, "ver", "MODEL_VERSION", contained_in("model", "model_id"))
EXPERIMENT = _entity(tables.Experiment, "exp", "EXPERIMENT")
CHECKPOINT = _entity(tables.Checkpoint, "ckp", "CHECKPOINT", contained_in("experiment", "experiment_id"))
DATASET = _entity(tables.Dataset, "dst", "DATASET")
DATASET_USE = _entity(tables.DatasetUse, "use", "DATASET_USE", owned("id"))
ARTIFACT = Source(tables.Artifact, "art", undeleted, placed_with("object_id", deletable=True), "ARTIFACT")
LEG = Source(tables.Leg, "leg", always, owned("experiment_id"))
FILE = Source(tables.File, "fil", always, file_visible)
UPLOAD = Source(tables.Upload, "upl", always, in_readable_namespace, "UPLOAD")
EVENT_DURATION = Source(
    tables.EventDuration,
    "dur",
    always,
    owned("object_id"),
    relation=durations,
)
EVENT = Source(tables.Event, "evt", always, placed_with("object_id"))
AUDIT_EVENT = Source(tables.AuditEvent, "aud", always, audit_visible, outlives=True)
SERIES = Source(tables.Series, "ser", always, placed_with("owner_id"))
TAG = Source(tables.UniqueTag, "tag", always, owned("model_id"))
TAG_CHANGE = Source(tables.TagChange, "tch", always, owned("model_id"))
ACTOR = Source(tables.Actor, "act", always, always)
USER = Source(tables.Actor, "usr", of_kind("USER"), of_kind("USER"), "USER")
SERVICE_ACCOUNT = Source(tables.Actor, "svc", of_kind("SERVICE_ACCOUNT"), of_kind("SERVICE_ACCOUNT"), "SERVICE_ACCOUNT")
ROLE_GRANT = Source(tables.RoleGrant, "grt", always, grant_visible)
TOKEN = Source(tables.Token, "tok", own_or_all, own_or_all)
OBJECT = Source(tables.Object, "obj", always, always)
TENANT_SOURCE = Source(
    tables.Tenant,
    "ten",
    always,
    always,
    relation=lambda statement: "(SELECT id AS tenant_id, id, name, created_at FROM tenant)",
)

ENTITIES = (NAMESPACE, MODEL, MODEL_VERSION, EXPERIMENT, CHECKPOINT, DATASET, DATASET_USE)
BY_KIND = {source.kind: source for source in ENTITIES}

PREFIXES = {
    **{source.kind: source.prefix for source in ENTITIES},
    "ARTIFACT": ARTIFACT.prefix,
    "UPLOAD": UPLOAD.prefix,
    "USER": USER.prefix,
    "SERVICE_ACCOUNT": SERVICE_ACCOUNT.prefix,
    "TOKEN": TOKEN.prefix,
    "ROLE_GRANT": ROLE_GRANT.prefix,
}
"""The prefix of ids, by the kind that audit events name."""
