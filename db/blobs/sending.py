"""Where the parts of an upload are sent that are not there yet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg

from db.blobs.store import Address, BlobStore, Key, Part, Parts, Session
from db.engine import Database
from db.errors import Invalid

PARTS: Final = 1_000
"""Parts in an answer; the others are asked for when these are sent."""

MOST_PARTS: Final = 10_000
AT_ONCE: Final = 16
"""Files that the store is asked about at the same time."""

UNFINISHED = """
    SELECT number, path, size, digest, part_size, part_digests, received, blob_id, session
    FROM upload_file WHERE tenant_id = $1 AND upload_id = $2 AND NOT is_stored ORDER BY number
"""

OPENED = "UPDATE upload_file SET session = $4 WHERE tenant_id = $1 AND upload_id = $2 AND number = $3"

RECEIVED = """
    UPDATE upload_file SET received = $4::int8multirange WHERE tenant_id = $1 AND upload_id = $2 AND number = $3
"""


@dataclass(frozen=True)
class MissingPart:
    """A part to send, and where to."""

    path: str
    file_number: int
    part: Part
    address: Address


@dataclass(frozen=True)
class Unfinished:
    """A file of an upload that is not stored yet."""

    number: int
    path: str
    session: Session
    received: frozenset[int]

    @property
    def missing(self) -> list[int]:
        """The numbers of its parts that are not there."""
        return [number for number in range(len(self.session.parts)) if number not in self.received]


def session_of(tenant_id: UUID, row: Mapping[str, Any]) -> Session:
    """A row of `upload_file` as the store knows it."""
    key = Key(tenant_id, row["digest"].removeprefix("sha256:"), row["blob_id"])
    return Session(key, Parts(row["size"], row["part_size"], row["part_digests"]), row["session"])


def numbers_in(ranges: Sequence[asyncpg.Range]) -> Iterator[int]:
    """The numbers of a multirange."""
    for each in ranges:
        yield from range(each.lower, each.upper)


def checked_first(first: int | None) -> int:
    """How many parts an answer has.

    Raises:
        Invalid: it is out of bounds.
    """
    if first is not None and not 1 <= first <= MOST_PARTS:
        raise Invalid(f"`input.first` must be 1 to {MOST_PARTS} parts.", path=("input", "first"))
    return PARTS if first is None else first


async def missing(
    database: Database, store: BlobStore, tenant_id: UUID, upload: UUID, first: int, *, is_new: bool
) -> tuple[list[MissingPart], int]:
    """The first of the missing parts, and how many are missing, as far as the server knows.

    A store that clients send to directly is asked what it has, file by file, until enough is found missing.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    files = await unfinished(database, tenant_id, upload)
    if store.is_direct:
        files = await _looked_up(database, store, upload, files, first, is_new=is_new)
    count = sum(len(file.missing) for file in files)
    found: list[MissingPart] = []
    for file in files:
        numbers = file.missing[: first - len(found)]
        if not numbers:
            continue
        found += await _parts(store, upload, file, numbers)
    return found, count


async def unfinished(database: Database, tenant_id: UUID, upload: UUID) -> list[Unfinished]:
    """The files of an upload that are not stored yet."""
    async with database.connection() as connection:
        rows = await connection.fetch(UNFINISHED, tenant_id, upload)
    return [
        Unfinished(row["number"], row["path"], session_of(tenant_id, row), frozenset(numbers_in(row["received"])))
        for row in rows
    ]


async def _looked_up(
    database: Database, store: BlobStore, upload: UUID, files: Sequence[Unfinished], first: int, *, is_new: bool
) -> list[Unfinished]:
    """The same files, opened at the store, with what it has of them; those beyond `first` parts as they were."""
    found: list[Unfinished] = []
    count = 0
    for begin in range(0, len(files), AT_ONCE):
        if count >= first:
            return [*found, *files[begin:]]
        batch = files[begin : begin + AT_ONCE]
        looked = await asyncio.gather(*(look(database, store, upload, file, is_new=is_new) for file in batch))
        found += looked
        count += sum(len(file.missing) for file in looked)
    return found


async def look(database: Database, store: BlobStore, upload: UUID, file: Unfinished, *, is_new: bool) -> Unfinished:
    """A file as the store has it now, which is noted."""
    tenant_id = file.session.key.tenant_id
    token = await store.open(file.session)
    if token != file.session.token:
        async with database.connection() as connection:
            await connection.execute(OPENED, tenant_id, upload, file.number, token)
    session = Session(file.session.key, file.session.parts, token)
    received = frozenset() if is_new else frozenset(await store.received(session))
    if received != file.received:
        async with database.connection() as connection:
            await connection.execute(RECEIVED, tenant_id, upload, file.number, multirange(received))
    return Unfinished(file.number, file.path, session, received)


def multirange(numbers: frozenset[int]) -> list[asyncpg.Range]:
    """Numbers as PostgreSQL keeps them."""
    return [asyncpg.Range(number, number + 1) for number in sorted(numbers)]


async def _parts(store: BlobStore, upload: UUID, file: Unfinished, numbers: Sequence[int]) -> list[MissingPart]:
    if store.is_direct:
        addresses = await store.addresses(file.session, numbers)
    else:
        addresses = [Address(f"uploads/upl_{upload.hex}/{file.number}/{number}") for number in numbers]
    return [
        MissingPart(file.path, file.number, file.session.parts[number], address)
        for number, address in zip(numbers, addresses, strict=True)
    ]
