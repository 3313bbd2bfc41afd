"""Changes of models."""

from __future__ import annotations

import strawberry

from db.access import Role
from db.verbs import models
from graphql_schema.model import Model
from graphql_schema.mutation import Payload, changed, given, mutation, optional, payload, retry_key, told
from graphql_schema.mutations.inputs import DeleteInput, DeletePayload, RestoreInput
from graphql_schema.scalars import JSON, SafeInt


@strawberry.input(description="A model to create or to get.")
class CreateModelInput:
    name: str = given("Unique in its namespace; 1 to 255 characters, none of them `/`, `:` or `@`.")
    namespace: str = given("The path of its namespace, made when first named.", default="default")
    owner: str | None = optional("Who answers for it.")
    task: str | None = optional("What it does, such as `image-classification`.")
    description: str | None = optional("What it is.")
    labels: list[str] | None = optional("Free words.")
    metadata: JSON | None = optional("A JSON object that you own.")
    idempotency_key: str | None = retry_key()


@strawberry.input(description="What to change of a model. What is absent stays as it is.")
class ModelPatch:
    name: str | None = optional("A new name.")
    owner: str | None = optional("Who answers for it; null for nobody.")
    task: str | None = optional("What it does.")
    description: str | None = optional("What it is.")
    labels: list[str] | None = optional("All its labels, in place of the old ones.")
    metadata: JSON | None = optional("All its metadata, in place of the old; `logMetadata` adds to it.")


@strawberry.input(description="A change of a model.")
class UpdateModelInput:
    id: strawberry.ID = given("The model.")
    patch: ModelPatch = given("What to change.")
    if_revision: SafeInt | None = optional("Change it only when it is still at this revision.")
    idempotency_key: str | None = retry_key()


@payload
class ModelPayload(Payload):
    """The model as it is now."""

    model: Model | None = changed("The model.", "model")


@payload
class CreateModelPayload(ModelPayload):
    """The model, and whether it is new."""

    created: bool | None = told("False when there was one of that name, which is returned unchanged.", "created")


@strawberry.type
class ModelMutations:
    """Mutations of models."""

    create_model: CreateModelPayload = mutation(
        "Create a model, or get the one of that name unchanged.", models.create, Role.WRITER, CreateModelInput
    )
    update_model: ModelPayload = mutation("Change a model.", models.update, Role.WRITER, UpdateModelInput)
    delete_model: DeletePayload = mutation(
        "Delete a model; its versions go out of sight with it.", models.delete, Role.MAINTAINER, DeleteInput
    )
    restore_model: ModelPayload = mutation(
        "Bring a deleted model back with its versions. `NAME_TAKEN` when its name is in use again: give `newName`.",
        models.restore,
        Role.MAINTAINER,
        RestoreInput,
    )
