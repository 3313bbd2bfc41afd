"""Files on their way to S3, and a client that sends them as any would: part by part, and again if it must."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar
from uuid import UUID, uuid4

import httpx

from db.blobs.s3_store import S3Store
from db.blobs.store import Address, Key, Parts, Refused, Session
from db.errors import StoreUnavailable

Result = TypeVar("Result")

TENANT: Final = UUID(int=7)
PART_SIZE: Final = 5 << 20
"""S3 joins no smaller ones."""

TRIES: Final = 60
"""Until a test gives up: with three calls in ten failing, nothing fails that often."""


@dataclass(frozen=True)
class File:
    """Bytes, and the session that brings them."""

    content: bytes
    session: Session

    def part(self, number: int) -> bytes:
        part = self.session.parts[number]
        return self.content[part.offset : part.offset + part.size]


def file_of(size: int, part_size: int = PART_SIZE, *, seed: int = 0) -> File:
    """A file of random bytes."""
    content = random.Random(seed).randbytes(size)
    pieces = [content[at : at + part_size] for at in range(0, size, part_size)]
    digests = b"".join(hashlib.sha256(piece).digest() for piece in pieces)
    key = Key(TENANT, hashlib.sha256(content).hexdigest(), uuid4())
    return File(content, Session(key, Parts(size, part_size, digests)))


async def opened(store: S3Store, file: File) -> File:
    """The same with the store's own name of its session."""
    return dataclasses.replace(file, session=dataclasses.replace(file.session, token=await store.open(file.session)))


async def put(client: httpx.AsyncClient, address: Address, content: bytes) -> int:
    """The status of an answer to a part; 0 if none came."""
    try:
        return (await client.put(address.url, headers=address.headers, content=content)).status_code
    except httpx.TransportError:
        return 0


async def sent(client: httpx.AsyncClient, store: S3Store, file: File) -> None:
    """Send the parts that S3 has not, each once."""
    missing = sorted(set(range(len(file.session.parts))) - await store.received(file.session))
    for number, address in zip(missing, await store.addresses(file.session, missing), strict=True):
        await put(client, address, file.part(number))


async def again(work: Callable[[], Awaitable[Result]]) -> Result:
    """Do it until it succeeds, as long as it fails in a way that may pass."""
    for _ in range(TRIES - 1):
        try:
            return await work()
        except (StoreUnavailable, Refused):
            continue
    return await work()


async def uploaded(client: httpx.AsyncClient, store: S3Store, file: File) -> File:
    """A file in the store, whatever it takes."""
    file = await again(lambda: opened(store, file))

    async def finish() -> None:
        await sent(client, store, file)
        await store.close(file.session)

    await again(finish)
    return file


async def content_of(store: S3Store, key: Key, offset: int, size: int, received: list[bytes] | None = None) -> bytes:
    """A stretch, read to its end. Its pieces are in `received` even if it has none."""
    pieces = [] if received is None else received
    async for piece in store.read(key, offset, size):
        pieces.append(piece)
    return b"".join(pieces)


async def paths(store: S3Store) -> list[tuple[str, int]]:
    """What lies in a store: paths and sizes."""
    everything = store.keys()
    return sorted([(each.key.path, each.size) async for each in everything])
