"""Audit events: what ModelBox itself recorded."""

from __future__ import annotations

from datetime import datetime

import strawberry

from db.read import value
from db.read.link import by_column
from db.read.source import AUDIT_EVENT
from graphql_schema import enums
from graphql_schema.fields import column, computed, entity, one
from graphql_schema.node import ActorType, Entity, Node
from graphql_schema.scalars import JSON, SafeInt


@entity(AUDIT_EVENT)
class AuditEvent(Node):
    """A create, update, delete, upload or download, recorded in the same transaction."""

    sequence: SafeInt = column("Its number in the stream of its root namespace: dense, in the order of commits.", "seq")
    at: datetime = column("When.")
    action: enums.AuditAction = column("What was done.")
    kind: enums.ObjectKind = column("The type of the object.")
    object_id: strawberry.ID = computed("The id of the object, also when that is gone.", value.audited_id)
    object_name: str = column("The object's name as it was.")
    object: Entity | None = one("The object; null when deleted, or when it is no entity.", by_column("object_id"))
    actor: ActorType | None = one("Who did it.", by_column("actor_id"), contained=True)
    actor_name: str = column("The actor's name as it was.")
    request_id: str | None = column("The request that did it; the server's log has it too.")
    address: str | None = column("The network address from which it was done, when known.")
    byte_count: SafeInt | None = column("The bytes that an upload stored, or a download sent.")
    before: JSON | None = column("What changed, as it was before; null for a creation.")
    after: JSON | None = column("What changed, as it was after; null for a deletion.")
