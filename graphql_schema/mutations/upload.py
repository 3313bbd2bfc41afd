"""Uploads, begun, gone on with, completed or given up."""

from __future__ import annotations

import strawberry

from db.access import Role
from db.blobs import uploading
from db.verbs import discarding, uploads
from graphql_schema import enums
from graphql_schema.artifact import Artifact
from graphql_schema.mutation import Payload, changed, given, mutation, optional, payload, told, told_objects
from graphql_schema.scalars import JSON, Digest, SafeInt
from graphql_schema.upload import Upload, UploadPart


@strawberry.input(description="A file to upload.")
class UploadedFileInput:
    path: str = given(
        "Its place inside the artifact, 1 to 1 024 bytes: relative, folders separated by `/`, no part empty or of dots"
        " and blanks only, no backslashes, control characters, drives or URIs, also when percent escapes are decoded."
    )
    size: SafeInt = given("Its length in bytes, 0 or more.")
    digest: Digest = given("SHA-256 of its bytes.")
    media_type: str | None = optional("Such as `image/png`; at most 255 characters.")
    part_size: SafeInt | None = optional(
        "The length of its parts, but for the last: 5 242 880 to 67 108 864 bytes; 8 388 608 when absent. A file has"
        " at most 10 000 parts."
    )
    part_digests: list[Digest] | None = optional(
        "SHA-256 of each part, in their order. May be left out for files of one part."
    )


@strawberry.input(description="Files to upload into an artifact.")
class BeginUploadInput:
    object_id: strawberry.ID = given("The object that the artifact belongs to; an entity of any type.")
    name: str = given("The artifact's name on its object; 1 to 255 characters, none of them `/`, `:` or `@`.")
    kind: enums.FileKind | None = optional("What its files are. When absent: OTHER for a new one, else as it was.")
    metadata: JSON | None = optional("A JSON object whose keys are added to the artifact's; at most 1 MiB in all.")
    shard: int | None = optional(
        "Which shard of a checkpoint it is, from 0; only for a checkpoint that was created with `expectedShards`."
    )
    files: list[UploadedFileInput] = given("1 to 10 000 files of different paths.")
    first: int | None = optional("How many of the missing parts to answer at most, 1–10 000; 1 000 when absent.")


@strawberry.input(description="An upload to go on with.")
class ResumeUploadInput:
    id: strawberry.ID = given("The upload.")
    first: int | None = optional("How many of the missing parts to answer at most, 1–10 000; 1 000 when absent.")


@strawberry.input(description="An upload whose parts were all sent.")
class CompleteUploadInput:
    id: strawberry.ID = given("The upload.")


@strawberry.input(description="An upload to give up.")
class AbortUploadInput:
    id: strawberry.ID = given("The upload.")


@payload
class ResumeUploadPayload(Payload):
    """The upload, and what of it has still to be sent."""

    upload: Upload | None = changed("The upload.", "upload")
    parts: list[UploadPart] | None = told_objects("The first of the parts that are missing, by file.", "parts")
    missing_part_count: SafeInt | None = told(
        "How many are missing in all, as far as the server knows; after these, `resumeUpload` answers the next.",
        "missingPartCount",
    )


@payload
class BeginUploadPayload(ResumeUploadPayload):
    """The upload, whether it is new, and what of it has still to be sent."""

    created: bool | None = told(
        "False when the same files were begun before: the upload goes on where it was, whoever began it.", "created"
    )


@payload
class CompleteUploadPayload(Payload):
    """The upload, and the artifact with its files."""

    upload: Upload | None = changed("The upload: READY, or VERIFYING while its bytes are looked through.", "upload")
    artifact: Artifact | None = changed("The artifact; null while the upload is VERIFYING.", "artifact")


@payload
class AbortUploadPayload(Payload):
    """The upload as it ended."""

    upload: Upload | None = changed("The upload.", "upload")


@strawberry.type
class UploadMutations:
    """Mutations of uploads."""

    begin_upload: BeginUploadPayload = mutation(
        "Begin to upload files into an artifact of an object, which is made PENDING when it is missing. The answer"
        " tells where each part is sent; parts may be sent in any order and several at once. Bytes that you can read"
        " elsewhere already need not be sent again. The same files begun again for the same artifact are the same"
        " upload, which so is gone on with after a crash, from any machine. `QUOTA_EXCEEDED` when the namespace has no"
        " room for them.",
        uploads.begin,
        Role.WRITER,
        BeginUploadInput,
        lane=uploading.begun,
    )
    resume_upload: ResumeUploadPayload = mutation(
        "Ask which parts of an upload are missing and where they are sent, with fresh addresses.",
        uploads.resume,
        Role.WRITER,
        ResumeUploadInput,
        lane=uploading.begun,
    )
    complete_upload: CompleteUploadPayload = mutation(
        "Make uploaded files those of their artifact: all at once, when all bytes are stored and are what their"
        " digests say. A large upload is VERIFYING for a while; call it again until it is READY. Said again, it changes"
        " nothing. `UPLOAD_INCOMPLETE` when parts are missing; `DIGEST_MISMATCH` when a file is another one than its"
        " digest says: then the upload is given up, and nothing of it stays.",
        uploads.complete,
        Role.WRITER,
        CompleteUploadInput,
        lane=uploading.completed,
    )
    abort_upload: AbortUploadPayload = mutation(
        "Give an upload up and remove its bytes, and its artifact when that was waiting only for them. `CONFLICT` when"
        " it is READY.",
        discarding.abort,
        Role.WRITER,
        AbortUploadInput,
        lane=uploading.aborted,
    )
