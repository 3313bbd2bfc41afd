"""Model versions made from checkpoints."""

from __future__ import annotations

import strawberry

from db.access import Role
from db.verbs import promotion
from graphql_schema import enums
from graphql_schema.mutation import given, mutation, optional, retry_key
from graphql_schema.mutations.version import CreateModelVersionPayload
from graphql_schema.scalars import JSON


@strawberry.input(description="A checkpoint, and the model version that it shall become.")
class PromoteCheckpointInput:
    checkpoint_id: strawberry.ID = given("The checkpoint; one that is READY, and that you may see.")
    model_id: strawberry.ID = given("The model that it becomes a version of.")
    version: str | None = optional("As for `createModelVersion`; when absent, the next whole number.")
    name: str | None = optional("A name of its own; it reads as the model's when absent.")
    description: str | None = optional("What it is; at most 65 536 characters.")
    framework: enums.Framework | None = optional("The library that it was made with.")
    artifact_names: list[str] | None = optional(
        "The names of the checkpoint's artifacts that the version gets, at most 1 000; all that are READY when absent."
    )
    unique_tags: list[str] | None = optional(
        "Unique tags that point to it from the same moment on; at most 100. They need the role MAINTAINER, and are not"
        " moved when the version exists already."
    )
    labels: list[str] | None = optional("Free words; at most 100.")
    metadata: JSON | None = optional("A JSON object that you own.")
    idempotency_key: str | None = retry_key()


@strawberry.type
class PromotionMutations:
    """Mutations that make one thing of another."""

    promote_checkpoint: CreateModelVersionPayload = mutation(
        "Make a version of a model from a checkpoint, with its lineage and its artifacts; their bytes are not copied,"
        " and stay as long as either has them. Or get the version of that string unchanged. `CONFLICT` when the"
        " checkpoint, or an artifact that is named, is not READY; `NOT_FOUND` when it has no artifact of a name."
        " The role READER suffices on the checkpoint's namespace.",
        promotion.promote,
        Role.WRITER,
        PromoteCheckpointInput,
        on="the namespace of the model",
    )
