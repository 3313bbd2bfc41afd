"""Uploads: files on their way into an artifact."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import strawberry

from db.read import value
from db.read.link import by_column
from db.read.source import UPLOAD
from graphql_schema import enums
from graphql_schema.artifact import Artifact
from graphql_schema.fields import column, computed, entity, one
from graphql_schema.node import ActorType, NamespaceType, Node
from graphql_schema.scalars import Digest, SafeInt
from graphql_schema.selection import Selected
from graphql_schema.written import WrittenRead, writer, written


@entity(UPLOAD)
class Upload(Node):
    """Files on their way into an artifact. Until it is READY, nobody sees any of them."""

    status: enums.UploadStatus = column("Where it stands.")
    artifact: Artifact | None = one(
        "The artifact that its files go into; null when that was deleted, or was given up with it.",
        by_column("artifact_id"),
    )
    namespace: NamespaceType = one("Where its artifact lives.", by_column("namespace_id"), contained=True)
    file_count: SafeInt = column("How many files it has.")
    total_size: SafeInt = column("The bytes of all its files.")
    received_size: SafeInt = computed(
        "The bytes of them that the server knows to be there. What is sent to the store itself is counted when"
        " somebody resumes or completes the upload.",
        value.received_size,
    )
    created_at: datetime = column("When it was begun.")
    created_by: ActorType = one("Who began it.", by_column("created_by"), contained=True)
    expires_at: datetime = column("When it is given up, if nothing is heard of it until then.")
    finished_at: datetime | None = column("When it became READY or was given up; null before.")
    failure: str | None = column("Why the server gave it up, as a sentence; null when it did not.")


@strawberry.type(description="A header of a request.")
class HttpHeader:
    name: str = written("Its name.", lambda pair: orjson.dumps(pair[0]))
    value: str = written("Its value, to be sent exactly.", lambda pair: orjson.dumps(pair[1]))


def _headers(selected: Selected) -> Callable[[Any], bytes]:
    write = writer(selected)
    return lambda missing: b"[" + b",".join(map(write, missing.address.headers.items())) + b"]"


def _until(missing: Any) -> bytes:
    at: datetime | None = missing.address.expires_at
    return b"null" if at is None else f'"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"'.encode()


@strawberry.type(
    description="A stretch of a file that has still to be sent: by HTTP PUT to `url`, with `headers`, as its body."
)
class UploadPart:
    path: str = written("The file's path in its artifact.", lambda missing: orjson.dumps(missing.path))
    file_number: int = written(
        "The file's place in the input that began the upload, from 0.", lambda missing: b"%d" % missing.file_number
    )
    number: int = written("The part's place in its file, from 0.", lambda missing: b"%d" % missing.part.number)
    offset: SafeInt = written("Where it begins in the file, in bytes.", lambda missing: b"%d" % missing.part.offset)
    size: SafeInt = written("Its length in bytes.", lambda missing: b"%d" % missing.part.size)
    digest: Digest = written(
        "SHA-256 of its bytes, as announced.", lambda missing: f'"sha256:{missing.part.digest.hex()}"'.encode()
    )
    url: str = written(
        "Where to. A relative reference, to be resolved against the address of this GraphQL endpoint, is the server's:"
        " send the same `Authorization` there. An absolute one is the store's, and signed: send no token there.",
        lambda missing: orjson.dumps(missing.address.url),
    )
    headers: list[HttpHeader] = strawberry.field(
        description="Headers that belong to the request, beside `Content-Length`.",
        metadata={"read": WrittenRead(_headers)},
    )
    expires_at: datetime | None = written(
        "Until when the store takes it there; then ask `resumeUpload` anew. Null when it does not expire.", _until
    )
