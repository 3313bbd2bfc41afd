"""Where what is followed lives: in which stream it is recorded, and whose sight it is in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from db.engine import Database
from db.read.source import ALIVE, BY_KIND

AT_PATH = "SELECT id, root_id, lineage FROM namespace WHERE tenant_id = $1 AND path = $2 AND visible"

OF_OBJECTS = f"""
    SELECT o.id AS object_id, o.kind, n.id, n.root_id, n.lineage FROM object o
    JOIN namespace n ON n.tenant_id = $1 AND n.id = o.namespace_id AND n.visible
    WHERE o.tenant_id = $1 AND o.id = ANY($2::uuid[]) AND {ALIVE}
"""
"""The namespaces of objects that are not deleted, and are in none that is."""


@dataclass(frozen=True)
class Place:
    """A namespace; what happens in it is recorded in its root's stream."""

    id: UUID
    root_id: UUID
    lineage: tuple[UUID, ...]


async def at_path(database: Database, tenant_id: UUID, path: str) -> Place | None:
    """The namespace of a path."""
    async with database.connection() as connection:
        row = await connection.fetchrow(AT_PATH, tenant_id, path)
    return Place(row["id"], row["root_id"], tuple(row["lineage"])) if row else None


async def of_objects(database: Database, tenant_id: UUID, objects: Sequence[tuple[str, UUID]]) -> Mapping[UUID, Place]:
    """The namespaces of objects, which are given with the prefix of their ids; of those that are there."""
    wanted = {id_: prefix for prefix, id_ in objects}
    async with database.connection() as connection:
        rows = await connection.fetch(OF_OBJECTS, tenant_id, list(wanted))
    return {
        row["object_id"]: Place(row["id"], row["root_id"], tuple(row["lineage"]))
        for row in rows
        if BY_KIND[row["kind"]].prefix == wanted[row["object_id"]]
    }
