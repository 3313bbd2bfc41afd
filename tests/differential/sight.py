"""What a caller may see, worked out row by row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from tests.differential.seed import Row
from tests.differential.store import Store

TYPES = {
    "namespace": "Namespace",
    "model": "Model",
    "model_version": "ModelVersion",
    "experiment": "Experiment",
    "checkpoint": "Checkpoint",
    "dataset": "Dataset",
    "dataset_use": "DatasetUse",
    "artifact": "Artifact",
    "file": "File",
    "upload": "Upload",
    "event": "Event",
    "audit_event": "AuditEvent",
    "series": "MetricSeries",
    "point": "MetricPoint",
    "unique_tag": "UniqueTag",
    "tag_change": "TagChange",
    "role_grant": "RoleGrant",
    "token": "Token",
    "tenant": "Viewer",
}
ENTITIES = ("namespace", "model", "model_version", "experiment", "checkpoint", "dataset", "dataset_use")
# What each row hangs on: the table that its column points into, or None for any entity.
OWNERS: dict[str, tuple[str | None, str]] = {
    "model_version": ("model", "model_id"),
    "checkpoint": ("experiment", "experiment_id"),
    "dataset_use": (None, "object_id"),
    "artifact": (None, "object_id"),
    "file": ("artifact", "artifact_id"),
    "event": (None, "object_id"),
    "series": (None, "owner_id"),
    "unique_tag": ("model", "model_id"),
    "tag_change": ("model", "model_id"),
}


@dataclass(frozen=True)
class Thing:
    """A row, and the GraphQL type that it is served as."""

    type_name: str
    row: Row


@dataclass(frozen=True)
class Sight:
    """One caller's view of the rows: `scope` holds the namespaces of their roles, None for the whole tenant."""

    store: Store
    scope: list[UUID] | None
    actor: UUID

    def climb(self, namespace: UUID | None) -> Iterator[Row]:
        """A namespace and all above it."""
        row = self.store.get("namespace", namespace)
        while row:
            yield row
            row = self.store.get("namespace", row["parent_id"])

    def is_in_scope(self, namespace: UUID | None) -> bool:
        """The caller has a role there."""
        return self.scope is None or any(row["id"] in self.scope for row in self.climb(namespace))

    def sees(self, table: str, row: Row) -> bool:
        """Neither the row nor what it hangs on is deleted, and the caller has a role there."""
        if table == "audit_event":
            return self.is_in_scope(row["namespace_id"])
        if table == "token":
            return self.scope is None or row["actor_id"] == self.actor
        if table == "role_grant" and row["namespace_id"] is None:
            return True
        if row.get("deleted_at") is not None or not self._sees_home(table, row):
            return False
        return table not in OWNERS or self._sees_owner(table, row)

    def _sees_home(self, table: str, row: Row) -> bool:
        if table not in ENTITIES and table != "role_grant":
            return True
        is_gone = any(place["deleted_at"] for place in self.climb(row["namespace_id"]))
        return not is_gone and self.is_in_scope(row["namespace_id"])

    def _sees_owner(self, table: str, row: Row) -> bool:
        owner_table, column = OWNERS[table]
        tables = ENTITIES if owner_table is None else (owner_table,)
        return any(
            owner is not None and self.sees(name, owner)
            for name, owner in ((name, self.store.get(name, row[column])) for name in tables)
        )

    def thing(self, table: str, row: Row | None) -> Thing | None:
        """The row, when the caller may see it."""
        return as_thing(table, row) if row is not None and self.sees(table, row) else None

    def by_id(self, table: str, id_: UUID | None) -> Thing | None:
        """The row of that id, when the caller may see it."""
        return self.thing(table, self.store.get(table, id_))

    def entity(self, id_: UUID) -> Thing | None:
        """The entity of that id, of whatever type."""
        return next(filter(None, (self.by_id(table, id_) for table in ENTITIES)), None)

    def seen(self, table: str, rows: Iterable[Row]) -> list[Row]:
        """Those that the caller may see."""
        return [row for row in rows if self.sees(table, row)]


def as_thing(table: str, row: Row) -> Thing:
    """The row under its type's name."""
    if table == "actor":
        return Thing("User" if row["kind"] == "USER" else "ServiceAccount", row)
    return Thing(TYPES[table], row)
