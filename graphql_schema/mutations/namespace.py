"""Changes of namespaces."""

from __future__ import annotations

import strawberry

from db.access import Role
from db.verbs import namespaces
from graphql_schema.mutation import Payload, changed, given, mutation, optional, payload, retry_key, told
from graphql_schema.mutations.inputs import DeleteInput, DeletePayload, RestoreInput
from graphql_schema.namespace import Namespace
from graphql_schema.scalars import JSON, SafeInt


@strawberry.input(description="A namespace to create or to get.")
class CreateNamespaceInput:
    path: str = given("Such as `vision/cifar`; what is missing above it is made too. At most 20 levels.")
    description: str | None = optional("What it is for.")
    labels: list[str] | None = optional("Free words.")
    metadata: JSON | None = optional("A JSON object that you own.")
    raw_metric_days: int | None = optional(
        "After how many days raw metric points in it and below it are rolled up: each 512 points leave their least,"
        " greatest, mean and last value. 1 to 36 500; absent: as above it. Needs the role MAINTAINER."
    )
    idempotency_key: str | None = retry_key()


@strawberry.input(description="What to change of a namespace. What is absent stays as it is.")
class NamespacePatch:
    name: str | None = optional("A new last part of its path; the paths of all below it change with it.")
    description: str | None = optional("What it is for.")
    labels: list[str] | None = optional("All its labels, in place of the old ones.")
    metadata: JSON | None = optional("All its metadata, in place of the old; `logMetadata` adds to it.")
    raw_metric_days: int | None = optional(
        "After how many days raw metric points in it and below it are rolled up: each 512 points leave their least,"
        " greatest, mean and last value. 1 to 36 500; null: as above it."
    )


@strawberry.input(description="A change of a namespace.")
class UpdateNamespaceInput:
    id: strawberry.ID = given("The namespace.")
    patch: NamespacePatch = given("What to change.")
    if_revision: SafeInt | None = optional("Change it only when it is still at this revision.")
    idempotency_key: str | None = retry_key()


@strawberry.input(description="How much a namespace may keep.")
class SetStorageQuotaInput:
    namespace_id: strawberry.ID = given("The namespace.")
    bytes: SafeInt | None = given(
        "The most that it and all below it may keep, in bytes, 0 to 2^53 − 1; null: as much as the namespaces above it"
        " let it."
    )
    idempotency_key: str | None = retry_key()


@payload
class NamespacePayload(Payload):
    """The namespace as it is now."""

    namespace: Namespace | None = changed("The namespace.", "namespace")


@payload
class CreateNamespacePayload(NamespacePayload):
    """The namespace, and whether it is new."""

    created: bool | None = told("False when there was one of that path, which is returned unchanged.", "created")


@strawberry.type
class NamespaceMutations:
    """Mutations of namespaces."""

    create_namespace: CreateNamespacePayload = mutation(
        "Create a namespace and all above it, or get the one of that path unchanged. A new root needs an admin of"
        " the tenant.",
        namespaces.create,
        Role.WRITER,
        CreateNamespaceInput,
    )
    update_namespace: NamespacePayload = mutation(
        "Change a namespace. A new name moves all that is below it.",
        namespaces.update,
        Role.MAINTAINER,
        UpdateNamespaceInput,
    )
    set_storage_quota: NamespacePayload = mutation(
        "Say how much a namespace and all below it may keep in the store of files. Uploads that would go beyond it are"
        " refused with `QUOTA_EXCEEDED`; what is there stays, even if it is more.",
        namespaces.set_storage_quota,
        Role.ADMIN,
        SetStorageQuotaInput,
    )
    delete_namespace: DeletePayload = mutation(
        "Delete a namespace; all that is in it or below it goes out of sight with it.",
        namespaces.delete,
        Role.ADMIN,
        DeleteInput,
    )
    restore_namespace: NamespacePayload = mutation(
        "Bring a deleted namespace back with all that is in it. `NAME_TAKEN` when its path is in use again: give"
        " `newName`.",
        namespaces.restore,
        Role.ADMIN,
        RestoreInput,
    )
