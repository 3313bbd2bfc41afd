"""Changes of artifacts."""

from __future__ import annotations

import strawberry

from db.access import Role
from db.verbs import artifacts
from graphql_schema import enums
from graphql_schema.artifact import Artifact
from graphql_schema.mutation import Payload, changed, given, mutation, optional, payload, retry_key, told
from graphql_schema.mutations.inputs import DeleteInput, DeletePayload, RestoreInput
from graphql_schema.scalars import JSON, Digest, SafeInt


@strawberry.input(description="A file that is tracked where it lies. The server never opens it.")
class TrackedFileInput:
    path: str = given(
        "Its place inside the artifact, 1 to 1 024 bytes: relative, folders separated by `/`, no part empty or of dots"
        " and blanks only, no backslashes, control characters, drives or URIs, also when percent escapes are decoded."
    )
    uri: str | None = optional("Where it lies, such as `s3://bucket/key`; any scheme, at most 4 096 characters.")
    size: SafeInt | None = optional("In bytes, 0 or more; null when unknown.")
    digest: Digest | None = optional("SHA-256 of its bytes; null when unknown.")
    media_type: str | None = optional("Such as `application/octet-stream`; at most 255 characters.")


@strawberry.input(description="An artifact to make, or to add to.")
class TrackedArtifactInput:
    name: str = given(
        "Unique on its object; 1 to 255 characters, none of them `/`, `:` or `@`. Entries of one name are one artifact."
    )
    kind: enums.FileKind | None = optional("What its files are. When absent: OTHER for a new one, else as it was.")
    metadata: JSON | None = optional("A JSON object whose keys are added to those that it has; at most 1 MiB in all.")
    files: list[TrackedFileInput] | None = optional(
        "Files to add. One whose path is known replaces all that is known of that file; the others stay."
    )


@strawberry.input(description="Artifacts of one object.")
class TrackArtifactsInput:
    object_id: strawberry.ID = given("The object that they belong to; an entity of any type.")
    artifacts: list[TrackedArtifactInput] = given("At most 100, with at most 10 000 files together.")
    idempotency_key: str | None = retry_key()


@payload
class TrackArtifactsPayload(Payload):
    """The artifacts as they are now, by position in the input."""

    artifacts: list[Artifact] | None = changed(
        "The artifacts, in the order of the input; null when refused.", "artifacts"
    )
    created: list[bool] | None = told(
        "For each, in the same order: false when there was one of that name, or it stood earlier in the same call.",
        "created",
    )


@strawberry.input(description="What to change of an artifact. What is absent stays as it is.")
class ArtifactPatch:
    name: str | None = optional("A new name.")
    kind: enums.FileKind | None = optional("What its files are.")
    metadata: JSON | None = optional("All its metadata, in place of the old; `trackArtifacts` adds to it.")


@strawberry.input(description="A change of an artifact.")
class UpdateArtifactInput:
    id: strawberry.ID = given("The artifact.")
    patch: ArtifactPatch = given("What to change.")
    if_revision: SafeInt | None = optional("Change it only when it is still at this revision.")
    idempotency_key: str | None = retry_key()


@payload
class ArtifactPayload(Payload):
    """The artifact as it is now."""

    artifact: Artifact | None = changed("The artifact.", "artifact")


@strawberry.type
class ArtifactMutations:
    """Mutations of artifacts."""

    track_artifacts: TrackArtifactsPayload = mutation(
        "Make artifacts of an object, or add files and metadata to those that it has; their files stay where they"
        " are. All of it is done or nothing: what is refused is named by its index, as in"
        ' `["input", "artifacts", "0", "files", "17", "path"]`. What is known already changes nothing.',
        artifacts.track,
        Role.WRITER,
        TrackArtifactsInput,
    )
    update_artifact: ArtifactPayload = mutation(
        "Change an artifact. `NAME_TAKEN` when its object has another one of the new name.",
        artifacts.update,
        Role.WRITER,
        UpdateArtifactInput,
    )
    delete_artifact: DeletePayload = mutation(
        "Delete an artifact; its files go out of sight with it, and stay where they are.",
        artifacts.delete,
        Role.MAINTAINER,
        DeleteInput,
    )
    restore_artifact: ArtifactPayload = mutation(
        "Bring a deleted artifact back with its files. `NAME_TAKEN` when its name is in use again: give `newName`;"
        " `CONFLICT` when its object is deleted.",
        artifacts.restore,
        Role.MAINTAINER,
        RestoreInput,
    )
