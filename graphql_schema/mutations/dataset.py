"""Changes of datasets and of their uses."""

from __future__ import annotations

import strawberry

from db.access import Role
from db.verbs import datasets
from graphql_schema.dataset import Dataset, DatasetUse
from graphql_schema.mutation import Payload, changed, given, mutation, optional, payload, retry_key, told
from graphql_schema.mutations.inputs import DeleteInput, DeletePayload, RestoreInput
from graphql_schema.scalars import JSON, Digest, SafeInt


@strawberry.input(description="A dataset to create or to get.")
class CreateDatasetInput:
    name: str = given(
        "Unique, together with its digest, in its namespace; 1 to 255 characters, none of them `/`, `:` or `@`."
    )
    namespace: str = given("The path of its namespace, made when first named.", default="default")
    digest: Digest | None = optional("Of its content. Another digest under the same name is another dataset.")
    uri: str | None = optional("Where it lies; any scheme, kept as text, never opened; at most 4 096 characters.")
    description: str | None = optional("What it holds; at most 65 536 characters.")
    schema: JSON | None = optional("Its columns or features, as you describe them.")
    profile: JSON | None = optional("Its size and statistics, as you describe them.")
    labels: list[str] | None = optional("Free words; at most 100.")
    metadata: JSON | None = optional("A JSON object that you own.")
    idempotency_key: str | None = retry_key()


@strawberry.input(description="What to change of a dataset. What is absent stays as it is.")
class DatasetPatch:
    name: str | None = optional("A new name.")
    digest: Digest | None = optional("Of its content, when none was given yet; one that is known stays (`INVALID`).")
    uri: str | None = optional("Where it lies; null when unknown.")
    description: str | None = optional("What it holds; null for nothing.")
    schema: JSON | None = optional("Its columns or features; null when unknown.")
    profile: JSON | None = optional("Its size and statistics; null when unknown.")
    labels: list[str] | None = optional("All its labels, in place of the old ones.")
    metadata: JSON | None = optional("All its metadata, in place of the old; `logMetadata` adds to it.")


@strawberry.input(description="A change of a dataset.")
class UpdateDatasetInput:
    id: strawberry.ID = given("The dataset.")
    patch: DatasetPatch = given("What to change.")
    if_revision: SafeInt | None = optional("Change it only when it is still at this revision.")
    idempotency_key: str | None = retry_key()


@payload
class DatasetPayload(Payload):
    """The dataset as it is now."""

    dataset: Dataset | None = changed("The dataset.", "dataset")


@payload
class CreateDatasetPayload(DatasetPayload):
    """The dataset, and whether it is new."""

    created: bool | None = told(
        "False when there was one of that name and digest, which is returned unchanged.", "created"
    )


@strawberry.input(description="The use of a dataset to note, or to get.")
class UseDatasetInput:
    object_id: strawberry.ID = given("What uses it: a model, a model version or an experiment.")
    dataset_id: strawberry.ID = given("The dataset; one that you may see.")
    role: str = given("What for, such as `train` or `validation`; 1 to 255 characters, none of them `/`, `:` or `@`.")
    labels: list[str] | None = optional("Free words; at most 100.")
    metadata: JSON | None = optional("A JSON object that you own.")
    idempotency_key: str | None = retry_key()


@strawberry.input(description="What to change of a dataset's use. What is absent stays as it is.")
class DatasetUsePatch:
    role: str | None = optional("A new role.")
    labels: list[str] | None = optional("All its labels, in place of the old ones.")
    metadata: JSON | None = optional("All its metadata, in place of the old; `logMetadata` adds to it.")


@strawberry.input(description="A change of a dataset's use.")
class UpdateDatasetUseInput:
    id: strawberry.ID = given("The use.")
    patch: DatasetUsePatch = given("What to change.")
    if_revision: SafeInt | None = optional("Change it only when it is still at this revision.")
    idempotency_key: str | None = retry_key()


@strawberry.input(description="A deleted use of a dataset to bring back.")
class RestoreDatasetUseInput:
    id: strawberry.ID = given("The use.")
    new_role: str | None = optional("A new role, when the dataset is used in its own again.")
    idempotency_key: str | None = retry_key()


@payload
class DatasetUsePayload(Payload):
    """The use as it is now."""

    dataset_use: DatasetUse | None = changed("The use.", "datasetUse")


@payload
class UseDatasetPayload(DatasetUsePayload):
    """The use, and whether it is new."""

    created: bool | None = told(
        "False when the object used the dataset in that role already; that use is returned unchanged.", "created"
    )


@strawberry.type
class DatasetMutations:
    """Mutations of datasets and of their uses."""

    create_dataset: CreateDatasetPayload = mutation(
        "Create a dataset, or get the one of that name and digest unchanged.",
        datasets.create,
        Role.WRITER,
        CreateDatasetInput,
    )
    update_dataset: DatasetPayload = mutation(
        "Change a dataset. `NAME_TAKEN` when another one has its new name and digest.",
        datasets.update,
        Role.WRITER,
        UpdateDatasetInput,
    )
    delete_dataset: DeletePayload = mutation(
        "Delete a dataset. Its uses stay, and show null in its place.", datasets.delete, Role.MAINTAINER, DeleteInput
    )
    restore_dataset: DatasetPayload = mutation(
        "Bring a deleted dataset back. `NAME_TAKEN` when its name and digest are in use again: give `newName`.",
        datasets.restore,
        Role.MAINTAINER,
        RestoreInput,
    )
    use_dataset: UseDatasetPayload = mutation(
        "Note that a model, a version or an experiment uses a dataset in a role, or get what was noted unchanged. The"
        " use carries metrics, files and events of its own, lives where its user lives, and goes out of sight with it.",
        datasets.use,
        Role.WRITER,
        UseDatasetInput,
    )
    update_dataset_use: DatasetUsePayload = mutation(
        "Change the use of a dataset. `NAME_TAKEN` when the object uses it in the new role already.",
        datasets.update_use,
        Role.WRITER,
        UpdateDatasetUseInput,
    )
    delete_dataset_use: DeletePayload = mutation(
        "Delete the use of a dataset; the dataset stays.", datasets.delete_use, Role.MAINTAINER, DeleteInput
    )
    restore_dataset_use: DatasetUsePayload = mutation(
        "Bring a deleted use back. `NAME_TAKEN` when its role is in use again: give `newRole`; `CONFLICT` when its"
        " user is deleted.",
        datasets.restore_use,
        Role.MAINTAINER,
        RestoreDatasetUseInput,
    )
