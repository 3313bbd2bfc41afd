"""Keys of metadata, set and removed."""

from __future__ import annotations

import strawberry

from db.access import Role
from db.verbs import metadata
from graphql_schema.mutation import Payload, changed, given, mutation, optional, payload, retry_key
from graphql_schema.node import Entity
from graphql_schema.scalars import JSON, SafeInt


@strawberry.input(description="Keys of an object's metadata to set and to remove.")
class LogMetadataInput:
    object_id: strawberry.ID = given("The object; an entity of any type.")
    metadata: JSON | None = optional(
        "A JSON object of the keys to set; each value replaces the old one whole, null is kept as null, keys may hold"
        " `/`. All metadata of an object together is at most 1 MiB."
    )
    remove: list[str] | None = optional("Keys to remove, at most 1 000; those that are not there do no harm.")
    if_revision: SafeInt | None = optional("Change it only when it is still at this revision.")
    idempotency_key: str | None = retry_key()


@payload
class LogMetadataPayload(Payload):
    """The object as it is now."""

    object: Entity | None = changed("The object.", "object")


@strawberry.type
class MetadataMutations:
    """Mutations of metadata."""

    log_metadata: LogMetadataPayload = mutation(
        "Set and remove keys of the first level of an object's metadata, whatever others do to other keys at the same"
        " time; to replace all of it, use the object's `update…`. `INVALID` when a key is both set and removed, or"
        " the metadata grows beyond 1 MiB. Nothing is recorded when nothing changes.",
        metadata.log,
        Role.WRITER,
        LogMetadataInput,
    )
