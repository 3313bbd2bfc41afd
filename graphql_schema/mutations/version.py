"""Changes of model versions, and of the tags that are unique among them."""

from __future__ import annotations

import strawberry

from db.access import Role
from db.verbs import tags, versions
from graphql_schema import enums
from graphql_schema.model import Model
from graphql_schema.mutation import Payload, changed, given, mutation, optional, payload, retry_key, told
from graphql_schema.mutations.inputs import DeleteInput, DeletePayload
from graphql_schema.scalars import JSON, SafeInt
from graphql_schema.version import ModelVersion


@strawberry.input(description="A model version to create or to get.")
class CreateModelVersionInput:
    model_id: strawberry.ID = given("The model that it is a version of.")
    version: str | None = optional(
        "Unique among the model's versions; 1 to 255 characters, none of them `/`, `:` or `@`. When absent, the next"
        " whole number. Whole numbers are never used again, also after their version is deleted."
    )
    name: str | None = optional("A name of its own; it reads as the model's when absent.")
    description: str | None = optional("What it is; at most 65 536 characters.")
    framework: enums.Framework | None = optional("The library that it was made with.")
    experiment_id: strawberry.ID | None = optional(
        "The experiment that produced it, one that you may see; the checkpoint's when absent."
    )
    checkpoint_id: strawberry.ID | None = optional("The checkpoint that it was made from, one of the experiment's.")
    unique_tags: list[str] | None = optional(
        "Unique tags that point to it from the same moment on, wherever they pointed before; at most 100. They need"
        " the role MAINTAINER, and are not moved when the version exists already."
    )
    labels: list[str] | None = optional("Free words; at most 100.")
    metadata: JSON | None = optional("A JSON object that you own.")
    idempotency_key: str | None = retry_key()


@strawberry.input(description="What to change of a model version. What is absent stays as it is.")
class ModelVersionPatch:
    name: str | None = optional("A name of its own; null to read as the model's.")
    description: str | None = optional("What it is.")
    framework: enums.Framework | None = optional("The library that it was made with.")
    experiment_id: strawberry.ID | None = optional("The experiment that produced it; null when unknown.")
    checkpoint_id: strawberry.ID | None = optional("The checkpoint that it was made from; null when unknown.")
    labels: list[str] | None = optional("All its labels, in place of the old ones.")
    metadata: JSON | None = optional("All its metadata, in place of the old; `logMetadata` adds to it.")


@strawberry.input(description="A change of a model version.")
class UpdateModelVersionInput:
    id: strawberry.ID = given("The version.")
    patch: ModelVersionPatch = given("What to change.")
    if_revision: SafeInt | None = optional("Change it only when it is still at this revision.")
    idempotency_key: str | None = retry_key()


@strawberry.input(description="A deleted model version to bring back.")
class RestoreModelVersionInput:
    id: strawberry.ID = given("The version.")
    new_version: str | None = optional("A new version string, when its own is in use again.")
    idempotency_key: str | None = retry_key()


@strawberry.input(description="A unique tag, and where it shall point.")
class SetUniqueTagInput:
    version_id: strawberry.ID = given("The version that it shall point to.")
    tag: str = given("The tag, such as `prod`; 1 to 255 characters, none of them `/`, `:` or `@`.")
    idempotency_key: str | None = retry_key()


@strawberry.input(description="A unique tag that shall point to nothing.")
class RemoveUniqueTagInput:
    model_id: strawberry.ID = given("The model whose tag it is.")
    tag: str = given("The tag.")
    idempotency_key: str | None = retry_key()


@payload
class ModelVersionPayload(Payload):
    """The version as it is now."""

    model_version: ModelVersion | None = changed("The version.", "version")


@payload
class CreateModelVersionPayload(ModelVersionPayload):
    """The version, and whether it is new."""

    created: bool | None = told("False when there was one of that string, which is returned unchanged.", "created")


@payload
class SetUniqueTagPayload(ModelVersionPayload):
    """The version that the tag points to now."""

    previous_version: ModelVersion | None = changed("Where it pointed before; null when it was new.", "previousVersion")


@payload
class RemoveUniqueTagPayload(Payload):
    """The model without the tag."""

    model: Model | None = changed("The model.", "model")
    previous_version: ModelVersion | None = changed("Where the tag pointed.", "previousVersion")


@strawberry.type
class ModelVersionMutations:
    """Mutations of model versions and unique tags."""

    create_model_version: CreateModelVersionPayload = mutation(
        "Create a version of a model, or get the one of that string unchanged. `CONFLICT` when the checkpoint is not"
        " one of the experiment; `NAME_TAKEN` for a whole number that a deleted version had.",
        versions.create,
        Role.WRITER,
        CreateModelVersionInput,
    )
    update_model_version: ModelVersionPayload = mutation(
        "Change a model version. Its version string and its model stay.",
        versions.update,
        Role.WRITER,
        UpdateModelVersionInput,
    )
    delete_model_version: DeletePayload = mutation(
        "Delete a model version. Its unique tags are removed, which `tagHistory` remembers.",
        versions.delete,
        Role.MAINTAINER,
        DeleteInput,
    )
    restore_model_version: ModelVersionPayload = mutation(
        "Bring a deleted model version back, without the unique tags that it had. `NAME_TAKEN` when its version string"
        " is in use again: give `newVersion`. `CONFLICT` when its model is deleted, too: restore that first.",
        versions.restore,
        Role.MAINTAINER,
        RestoreModelVersionInput,
    )
    set_unique_tag: SetUniqueTagPayload = mutation(
        "Let a unique tag of a model point to one of its versions. It moves in one step from where it pointed before;"
        " every move is remembered in `tagHistory`.",
        tags.set_tag,
        Role.MAINTAINER,
        SetUniqueTagInput,
    )
    remove_unique_tag: RemoveUniqueTagPayload = mutation(
        "Let a unique tag of a model point to nothing. `NOT_FOUND` when the model has no such tag.",
        tags.remove_tag,
        Role.MAINTAINER,
        RemoveUniqueTagInput,
    )
