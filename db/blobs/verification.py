"""The look at an upload's bytes before anybody gets them: whether they are all there, and are what their digests say.

It runs as a task of the process that was asked to complete the upload, and outlives the request. Each file that is
right is noted at once, so that another process, should this one die, begins with the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import structlog

from db.access import Role
from db.blobs.clearing import clear
from db.blobs.sending import Unfinished, look, unfinished
from db.blobs.store import BlobStore, Missing, Part, Refused, Session
from db.engine import Database
from db.errors import DigestMismatch, StoreUnavailable, UploadIncomplete
from db.identifiers import format_id
from db.jobs import server_actor
from db.transaction import Transaction
from db.verbs import discarding, uploads

log = structlog.get_logger("modelbox.blobs")

AT_ONCE: Final = 8
"""Files of an upload that are looked at together."""

BATCH: Final = 256
"""Files after which what is right is noted."""

BEAT: Final = 15.0
"""Seconds between two signs that somebody is at it; see `uploads.STALE`."""

STORED = """
    UPDATE upload_file SET is_stored = true WHERE tenant_id = $1 AND upload_id = $2 AND number = ANY($3::int[])
"""
ALIVE = "UPDATE upload SET verifying_since = $3 WHERE tenant_id = $1 AND id = $2 AND status = 'VERIFYING'"
REOPEN = "UPDATE upload SET status = 'OPEN' WHERE tenant_id = $1 AND id = $2 AND status = 'VERIFYING'"
MISSING = """
    UPDATE upload_file SET received = received - int8multirange(int8range($4::bigint, $4::bigint + 1))
    WHERE tenant_id = $1 AND upload_id = $2 AND number = $3
"""
UNDER_WAY = """
    SELECT u.status = 'VERIFYING' AND EXISTS (
        SELECT FROM upload_file f WHERE f.tenant_id = $1 AND f.upload_id = u.id AND NOT f.is_stored
    ) FROM upload u WHERE u.tenant_id = $1 AND u.id = $2
"""


async def reopen(database: Database, tenant_id: UUID, upload: UUID) -> None:
    """Nobody looks through an upload any more: its client may go on."""
    async with database.connection() as connection:
        await connection.execute(REOPEN, tenant_id, upload)


async def is_under_way(database: Database, tenant_id: UUID, upload: UUID) -> bool:
    """Whether another process is still at the bytes of an upload."""
    async with database.connection() as connection:
        return bool(await connection.fetchval(UNDER_WAY, tenant_id, upload))


def start(database: Database, store: BlobStore, tenant_id: UUID, upload: UUID) -> asyncio.Task[None]:
    """Look through an upload in the background of this process; the task says how it ended."""
    task = asyncio.create_task(verify(database, store, tenant_id, upload))
    database.verifying[upload] = task

    def forget(done: asyncio.Task[None]) -> None:
        if database.verifying.get(upload) is done:
            del database.verifying[upload]
        if not done.cancelled():
            done.exception()  # Whoever waited was told; and if nobody did, the upload's row says it.

    task.add_done_callback(forget)
    return task


async def stop(database: Database, upload: UUID) -> None:
    """End the look through an upload in this process, if there is one, and wait until nothing of it is at the store."""
    task = database.verifying.get(upload)
    if task is not None:
        task.cancel()
        await asyncio.wait({task})


async def verify(database: Database, store: BlobStore, tenant_id: UUID, upload: UUID) -> None:
    """Look through the files of an upload that were not looked at yet.

    Raises:
        DigestMismatch: a file is another one than its digest says; the upload is discarded.
        UploadIncomplete: parts are missing after all, and can be sent.
        StoreUnavailable: the store does not answer; it can be tried again.
    """
    beating = asyncio.create_task(_beat(database, tenant_id, upload))
    try:
        await _verify_all(database, store, tenant_id, upload)
    except DigestMismatch as error:
        await discard(database, store, tenant_id, upload, failure=error.message)
        raise
    except BaseException:
        await reopen(database, tenant_id, upload)
        raise
    finally:
        beating.cancel()


async def _beat(database: Database, tenant_id: UUID, upload: UUID) -> None:
    while True:
        await asyncio.sleep(BEAT)
        with contextlib.suppress(Exception):  # The next one may come through.
            async with database.connection() as connection:
                await connection.execute(ALIVE, tenant_id, upload, datetime.now(UTC))


async def _verify_all(database: Database, store: BlobStore, tenant_id: UUID, upload: UUID) -> None:
    files = await unfinished(database, tenant_id, upload)
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(file: Unfinished) -> None:
        async with turns:
            await _verify_one(database, store, upload, file)

    for begin in range(0, len(files), BATCH):
        batch = files[begin : begin + BATCH]
        ends = await asyncio.gather(*map(one, batch), return_exceptions=True)
        right = [file.number for file, end in zip(batch, ends, strict=True) if end is None]
        async with database.connection() as connection:
            await connection.execute(STORED, tenant_id, upload, right)
        _raise_worst(ends)


def _raise_worst(ends: Sequence[BaseException | None]) -> None:
    """Of several things that went wrong, what cannot be mended counts most."""
    wrong = [end for end in ends if end is not None]
    for kind in (DigestMismatch, UploadIncomplete, BaseException):
        for error in wrong:
            if isinstance(error, kind):
                raise error


async def _verify_one(database: Database, store: BlobStore, upload: UUID, file: Unfinished) -> None:
    if store.is_direct and file.session.token is None and len(file.session.parts) > 1:
        file = await look(database, store, upload, file, is_new=False)
    try:
        await _close(store, file.session)
        wrong = await _wrong_parts(store, file.session, is_hashed=not store.is_direct)
    except (Refused, Missing) as error:
        raise await _missing(database, store, upload, file, has_vanished=isinstance(error, Missing)) from error
    if wrong is None:
        return
    if wrong and not store.is_direct:
        await store.reopen(file.session)
        raise await _rotten(database, upload, file, wrong)
    raise DigestMismatch(
        f"The bytes of {file.path!r} are not those of sha256:{file.session.key.digest}. Nothing of the upload was"
        " kept; begin it again with the digests of what you send.",
        path=("input", "id"),
    )


async def _close(store: BlobStore, session: Session) -> None:
    """Make a file whole. Cancelled, it waits for the store, which would go on nevertheless."""
    closing = asyncio.ensure_future(store.close(session))
    try:
        await asyncio.shield(closing)
    finally:
        await asyncio.wait({closing})


async def _wrong_parts(store: BlobStore, session: Session, *, is_hashed: bool) -> list[Part] | None:
    """None if a file is right; else those of its parts that are not. `is_hashed`: its parts were right on arrival."""
    whole = hashlib.sha256()
    if is_hashed:
        await _hash(store.read(session.key, 0, session.parts.size), whole.update)
    if is_hashed and whole.hexdigest() == session.key.digest:
        return None
    whole = hashlib.sha256()
    wrong = [part for part in session.parts if await _digest(store, session, part, whole) != part.digest]
    return wrong if wrong or whole.hexdigest() != session.key.digest else None


async def _digest(store: BlobStore, session: Session, part: Part, whole: Any) -> bytes:
    """The digest of a part as the store has it; its bytes go into the digest of the whole, too."""
    own = hashlib.sha256()

    def update(piece: bytes) -> None:
        own.update(piece)
        whole.update(piece)

    await _hash(store.read(session.key, part.offset, part.size), update)
    return own.digest()


async def _hash(pieces: AsyncIterator[bytes], update: Callable[[bytes], None]) -> None:
    """While one piece is hashed, the next is read."""
    hashing: asyncio.Future[None] | None = None
    async for piece in pieces:
        if hashing is not None:
            await hashing
        hashing = asyncio.ensure_future(asyncio.to_thread(update, piece))
    if hashing is not None:
        await hashing


async def _missing(
    database: Database, store: BlobStore, upload: UUID, file: Unfinished, *, has_vanished: bool
) -> UploadIncomplete:
    """What the store refused: it is asked once more what it has, so that the rest can be sent."""
    if has_vanished and not store.is_direct:
        return await _rotten(database, upload, file, list(file.session.parts))
    if store.is_direct:
        file = await look(database, store, upload, file, is_new=False)
    return uploads.incomplete(max(1, len(file.missing)), file.path)


async def _rotten(database: Database, upload: UUID, file: Unfinished, parts: Sequence[Part]) -> UploadIncomplete:
    """Parts that were right when they arrived, and are not any more: to be sent again."""
    log.error("parts of an upload changed in the store", key=file.session.key.path, parts=[p.number for p in parts])
    async with database.connection() as connection:
        for part in parts:
            await connection.execute(MISSING, file.session.key.tenant_id, upload, file.number, part.number)
    return uploads.incomplete(len(parts), file.path)


async def discard(database: Database, store: BlobStore, tenant_id: UUID, upload: UUID, *, failure: str | None) -> None:
    """End an upload in the server's name, and remove its bytes."""
    async with database.transaction() as connection:
        now = datetime.now(UTC)
        caller = await server_actor.of(connection, tenant_id, now)
        tx = Transaction(connection, caller, Role.ADMIN, format_id("upl", upload), now)
        await discarding.discard_by_id(tx, upload, failure=failure)
        await tx.settle()
    database.committed(tenant_id, tx.moved)
    with contextlib.suppress(StoreUnavailable):  # The upload is over; a job removes what could not be removed now.
        await clear(database, store, tenant_id, upload, now)
