"""Inputs and payloads that mutations of several kinds of objects share."""

from __future__ import annotations

import strawberry

from graphql_schema.mutation import Payload, given, optional, payload, retry_key, told
from graphql_schema.scalars import SafeInt


@strawberry.input(description="An object to delete.")
class DeleteInput:
    id: strawberry.ID = given("The object.")
    if_revision: SafeInt | None = optional("Delete it only when it is still at this revision.")
    idempotency_key: str | None = retry_key()


@payload
class DeletePayload(Payload):
    """What was deleted."""

    deleted_id: strawberry.ID | None = told(
        "The id that was given; its `restore…` mutation brings it back.", "deletedId"
    )


@strawberry.input(description="A deleted object to bring back.")
class RestoreInput:
    id: strawberry.ID = given("The object.")
    new_name: str | None = optional("A new name, when its own is in use again.")
    idempotency_key: str | None = retry_key()
