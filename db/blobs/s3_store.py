"""Blobs in a bucket of S3, or of what speaks its protocol: an object each, under a name made of its digest and its id.

Clients send bytes to S3 by addresses that are signed here, each with the digest of the very bytes that it is for. A
file of one part is an object put by its client; a longer one is a multipart upload, which `close` completes.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aioboto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from db.blobs.hashing import hashed
from db.blobs.s3 import Bucket, Limits
from db.blobs.s3_addresses import Request, Signer
from db.blobs.s3_calls import NETWORK, NO_BUCKET, Calls, Said, refused
from db.blobs.store import CHUNK, Address, Digest, Key, Missing, Part, Refused, Session, Source, Stored
from db.errors import StoreUnavailable

LINK_SECONDS: Final = 60
BROKEN_READS: Final = 5
"""Bodies in a row that may break off before they have brought CHUNK bytes."""

PAUSE_SECONDS: Final = 0.1
"""Until a body that broke off is asked for again; twice as long each time, and some of it by chance."""

NO_OBJECT: Final = frozenset({"404", "NoSuchKey", "NotFound"})
TOO_SHORT: Final = frozenset({"416", "InvalidRange"})
NO_UPLOAD: Final = frozenset({"404", "NoSuchUpload"})
NOT_AS_ANNOUNCED: Final = NO_UPLOAD | {
    "BadDigest",
    "EntityTooLarge",
    "EntityTooSmall",
    "InvalidPart",
    "InvalidPartOrder",
    "InvalidRequest",
    "MalformedXML",
}
_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class _BrokenOff(Exception):
    """A body ended before it was whole."""


class S3Store:
    """A `BlobStore` whose bytes go between clients and S3."""

    is_direct = True

    def __init__(
        self, bucket: Bucket, limits: Limits, calls: Calls, signer: Signer, stack: contextlib.AsyncExitStack
    ) -> None:
        self._root = bucket.root
        self._limits = limits
        self._call = calls
        self._signer = signer
        self._stack = stack
        self._bucket_was_there = False

    async def open(self, session: Session) -> str | None:
        """Begin a multipart upload, of a file that has more than one part."""
        if session.token or len(session.parts) <= 1:
            return session.token
        answer = await self._call("create_multipart_upload", Key=self._name(session.key), ChecksumAlgorithm="SHA256")
        return str(answer["UploadId"])

    def _name(self, key: Key) -> str:
        return self._root + key.path

    async def addresses(self, session: Session, numbers: Sequence[int]) -> list[Address]:
        """Where these parts are sent, within the hour."""
        until = datetime.now(UTC) + timedelta(seconds=self._limits.address_seconds)
        requests = [self._sending(session, session.parts[number]) for number in numbers]
        signed = await self._signer.sign(requests, seconds=self._limits.address_seconds)
        return [Address(url, dict(each.headers), until) for url, each in zip(signed, requests, strict=True)]

    def _sending(self, session: Session, part: Part) -> Request:
        """S3 refuses other bytes than those of the digest, and more of them before it has read them."""
        headers = {"Content-Length": str(part.size), "x-amz-checksum-sha256": _checksum(part)}
        query = {}
        if len(session.parts) > 1:
            query = {"partNumber": str(part.number + 1), "uploadId": _token(session)}
        return Request("PUT", self._name(session.key), query, headers)

    async def received(self, session: Session) -> set[int]:
        """Numbers of the parts that S3 has, in their size and, where it says so, with their digest."""
        if len(session.parts) > 1:
            try:
                return set(await self._listed(session))
            except Said:
                whole = await self._is_whole(session)
                return set(range(len(session.parts))) if whole else set()
        return set(range(len(session.parts))) if await self._is_whole(session) else set()

    async def _listed(self, session: Session) -> dict[int, str]:
        """ETags of the parts that are as announced, by their numbers.

        Raises:
            Said: there is no such upload.
        """
        pages = self._call.pages("list_parts", NO_UPLOAD, Key=self._name(session.key), UploadId=_token(session))
        found = {}
        async for page in pages:
            for each in page.get("Parts", ()):
                number = each["PartNumber"] - 1
                if number < len(session.parts) and _is_announced(each, session.parts[number], each["Size"]):
                    found[number] = each["ETag"]
        return found

    async def _is_whole(self, session: Session) -> bool:
        """Whether the object is there in its full size."""
        head = await self._head(session.key)
        parts = session.parts
        if head is None or head["ContentLength"] != parts.size:
            return False
        return len(parts) != 1 or _is_announced(head, parts[0], parts.size)

    async def write(self, session: Session, offset: int, pieces: Sequence[bytes], digest: Digest | None = None) -> None:
        """Never: bytes go from clients to S3."""
        raise NotImplementedError("bytes are sent to S3 by who has them")

    async def receive(self, session: Session, offset: int, size: int, source: Source, digest: Digest) -> int:
        """Never: bytes go from clients to S3."""
        raise NotImplementedError("bytes are sent to S3 by who has them")

    async def reopen(self, session: Session) -> None:
        """None: what S3 was told to join is whole, and is removed when it is wrong."""
        raise NotImplementedError("parts are sent to S3")

    async def close(self, session: Session) -> None:
        """Have S3 make an object of what it has.

        Raises:
            Refused: it has not all, or it is not as it was announced.
        """
        if len(session.parts) > 1:
            await self._complete(session)
            return
        if not session.parts:
            await self._call("put_object", Key=self._name(session.key), Body=b"")
        if not await self._is_whole(session):
            raise Refused("the file is not there, or not as it was announced")

    async def _complete(self, session: Session) -> None:
        """Join the parts; then nothing is left of other uploads of this key, whose answers were lost."""
        reason = await self._not_joined(session)
        # The answer to an earlier completion may have been lost: its upload is gone, and the object is there.
        if reason and not await self._is_whole(session):
            raise Refused(reason)
        await self._abort_all(session.key, None)

    async def _not_joined(self, session: Session) -> str | None:
        """Join the parts; None, or why they are not."""
        try:
            etags = await self._listed(session)
            absent = len(session.parts) - len(etags)
            if absent:
                return f"{absent} of {len(session.parts)} parts are not there, or not as they were announced"
            parts = [
                {"PartNumber": number + 1, "ETag": etags[number], "ChecksumSHA256": _checksum(session.parts[number])}
                for number in range(len(session.parts))
            ]
            await self._call(
                "complete_multipart_upload",
                NOT_AS_ANNOUNCED,
                Key=self._name(session.key),
                UploadId=_token(session),
                MultipartUpload={"Parts": parts},
            )
        except Said as said:
            return f"S3 says {said.code}"
        return None

    def read(self, key: Key, offset: int, size: int, digest: Digest | None = None) -> AsyncGenerator[bytes]:
        """So many bytes, in pieces of at most CHUNK. A body that breaks off is asked for again from there on.

        Raises:
            Missing: there is no such object, or it is shorter.
        """
        pieces = self._pieces(key, offset, size)
        return pieces if digest is None else hashed(pieces, digest)

    async def _pieces(self, key: Key, offset: int, size: int) -> AsyncGenerator[bytes]:
        if not size and await self.stat(key) is None:
            raise Missing(key.path)
        end, broken, mark = offset + size, 0, offset
        while offset < end:
            try:
                async with contextlib.aclosing(self._body(key, offset, end)) as pieces:
                    async for piece in pieces:
                        yield piece
                        offset += len(piece)
            except _BrokenOff:
                broken, mark = (1, offset) if offset - mark >= CHUNK else (broken + 1, mark)
                if broken >= BROKEN_READS:
                    raise StoreUnavailable from None
                await asyncio.sleep(PAUSE_SECONDS * 2**broken * random.uniform(0.5, 1))  # noqa: S311 - no secret

    async def _body(self, key: Key, offset: int, end: int) -> AsyncGenerator[bytes, None]:
        wanted = f"bytes={offset}-{end - 1}"
        try:
            async with self._call.reading(
                "get_object", NO_OBJECT | TOO_SHORT, Key=self._name(key), Range=wanted
            ) as answer:
                _check_range(key, answer, offset, end)
                while offset < end:
                    piece = await _piece(answer["Body"], min(CHUNK, end - offset))
                    offset += len(piece)
                    yield piece
        except Said:
            raise Missing(key.path) from None

    async def stat(self, key: Key) -> Stored | None:
        """What lies there; None if nothing does."""
        head = await self._head(key)
        return Stored(key, head["ContentLength"], head["LastModified"]) if head else None

    async def _head(self, key: Key) -> dict[str, Any] | None:
        try:
            return await self._call("head_object", NO_OBJECT, Key=self._name(key), ChecksumMode="ENABLED")
        except Said:
            # The same is said of an object in a bucket that is not there; then nothing is known of the object.
            if not self._bucket_was_there:
                await self._find_bucket()
            return None

    async def _find_bucket(self) -> None:
        try:
            await self._call("head_bucket", NO_OBJECT)
        except Said as said:
            refused("head_bucket", said.code, NO_BUCKET)
            raise StoreUnavailable from None
        self._bucket_was_there = True

    async def remove(self, key: Key, token: str | None = None) -> None:
        """Remove the object, and every multipart upload that would make it."""
        await self._abort_all(key, token)
        with contextlib.suppress(Said):
            await self._call("delete_object", NO_OBJECT, Key=self._name(key))

    async def _abort_all(self, key: Key, token: str | None) -> None:
        """Abort an upload, and others of the same key: of those, the answers were lost that named them."""
        name = self._name(key)
        tokens = {token} if token else set()
        async for page in self._call.pages("list_multipart_uploads", NO_UPLOAD, Prefix=name):
            tokens.update(each["UploadId"] for each in page.get("Uploads", ()) if each["Key"] == name)
        for each in tokens:
            with contextlib.suppress(Said):
                await self._call("abort_multipart_upload", NO_UPLOAD, Key=name, UploadId=each)

    async def keys(self) -> AsyncIterator[Stored]:
        """Every object whose name is a key; then every multipart upload, as of no bytes."""
        async for page in self._call.pages("list_objects_v2", Prefix=self._root):
            for each in page.get("Contents", ()):
                if key := self._key(each["Key"]):
                    yield Stored(key, each["Size"], each["LastModified"])
        async for page in self._call.pages("list_multipart_uploads", Prefix=self._root):
            for each in page.get("Uploads", ()):
                if key := self._key(each["Key"]):
                    yield Stored(key, 0, each["Initiated"])

    def _key(self, name: str) -> Key | None:
        return Key.parse(name.removeprefix(self._root)) if name.startswith(self._root) else None

    async def link(self, key: Key, *, media_type: str, disposition: str) -> str | None:
        """An address where anybody can read the object for a minute, with these headers."""
        query = {"response-content-type": media_type, "response-content-disposition": disposition}
        (url,) = await self._signer.sign([Request("GET", self._name(key), query)], seconds=LINK_SECONDS)
        return url

    async def aclose(self) -> None:
        """Let go of connections."""
        await self._stack.aclose()


def _token(session: Session) -> str:
    """The name of a multipart upload. One without it was not opened: S3 knows no upload of no name."""
    return session.token or "none"


def _checksum(part: Part) -> str:
    return base64.b64encode(part.digest).decode()


def _is_announced(found: dict[str, Any], part: Part, size: int) -> bool:
    """Whether what S3 has is of the part's size, and has its digest. Some do not say which digest it has."""
    return size == part.size and found.get("ChecksumSHA256", _checksum(part)) == _checksum(part)


def _check_range(key: Key, answer: dict[str, Any], offset: int, end: int) -> None:
    """Whether a body will be the stretch that was asked for.

    Raises:
        Missing: the object ends before.
        _BrokenOff: it is something else.
    """
    found = _RANGE.fullmatch(answer.get("ContentRange", ""))
    if found is None or int(found[1]) != offset:
        raise _BrokenOff
    if int(found[3]) < end:
        raise Missing(key.path)
    if int(found[2]) != end - 1:
        raise _BrokenOff


async def _piece(body: Any, most: int) -> bytes:
    """The next bytes of a body.

    Raises:
        _BrokenOff: there are none, though there should be.
    """
    try:
        piece: bytes = await body.read(most)
    except (BotoCoreError, *NETWORK):
        raise _BrokenOff from None
    if not piece:
        raise _BrokenOff
    return piece


async def opened(bucket: Bucket, *, limits: Limits) -> S3Store:
    """The store in a bucket. Its client is closed with it."""
    session = aioboto3.Session()
    region = bucket.region or session.region_name or "us-east-1"
    config = Config(
        region_name=region,
        signature_version="s3v4",
        connect_timeout=limits.connect_seconds,
        read_timeout=limits.read_seconds,
        max_pool_connections=limits.calls + limits.reads,
        retries={"mode": "standard", "total_max_attempts": limits.attempts},
        # Not every S3 knows CRC32 trailers; digests of ours go with every part.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": _style(bucket)},
    )
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(session.client("s3", endpoint_url=bucket.endpoint_url, config=config))
        signer = Signer(session, region, await _base(session, bucket, config))
        return S3Store(bucket, limits, Calls(client, bucket.name, limits), signer, stack.pop_all())


def _style(bucket: Bucket) -> str:
    """AWS wants the bucket in the host's name, where a certificate allows it; elsewhere names are rarely set up so."""
    return "path" if bucket.endpoint_url or "." in bucket.name else "virtual"


async def _base(session: aioboto3.Session, bucket: Bucket, config: Config) -> str:
    """What addresses of the bucket's objects begin with, for clients."""
    endpoint = bucket.public_endpoint_url or bucket.endpoint_url
    unsigned = config.merge(Config(signature_version=UNSIGNED))
    async with session.client("s3", endpoint_url=endpoint, config=unsigned) as client:
        example = {"Bucket": bucket.name, "Key": "-"}
        return str(await client.generate_presigned_url("get_object", Params=example)).removesuffix("-")
