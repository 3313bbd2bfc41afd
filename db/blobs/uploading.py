"""Uploads between their transactions: where parts are sent, which are there, and whether the bytes are right.

Each function here is a lane of `db.transaction`: it runs a verb, and what is to be done at the store before or after
it. Nothing of that holds a connection to the database, so that a slow store slows nobody who does not need it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from db.access import Caller
from db.blobs import sending
from db.blobs.clearing import clear, remove_spare
from db.blobs.store import BlobStore
from db.blobs.verification import is_under_way, start, stop
from db.engine import Database
from db.errors import StoreUnavailable
from db.transaction import Answer, Call, Finish, Result, Transaction, answered
from db.verbs import uploads

WAIT: Final = 5.0
"""Seconds that `completeUpload` waits for the bytes to be looked through; then it says that it is going on."""

POLL: Final = 0.25


def store_of(database: Database) -> BlobStore:
    """The open store.

    Raises:
        StoreUnavailable: this process has none.
    """
    if database.blobs is None:
        raise StoreUnavailable("This process was started without a store of files.")
    return database.blobs


async def begun(  # noqa: PLR0917 - a `Lane` of `db.transaction`
    database: Database, caller: Caller, request_id: str, call: Call, answer: Answer, finish: Finish | None
) -> str:
    """Begin an upload, or go on with one; the answer tells where the missing parts are sent."""
    store = store_of(database)
    arguments = dict(call.arguments)
    first = sending.checked_first(arguments.pop("first", None))
    result = await _committed(database, caller, request_id, call, lambda tx: call.verb(tx, **arguments))
    is_new = result.get("created", False)
    parts, count = await sending.missing(database, store, caller.tenant_id, result["upload"], first, is_new=is_new)
    result |= {"parts": parts, "missingPartCount": count}
    return await _answered(database, result, answer, finish)


async def completed(  # noqa: PLR0917 - a `Lane`
    database: Database, caller: Caller, request_id: str, call: Call, answer: Answer, finish: Finish | None
) -> str:
    """Have the bytes of an upload looked through, and make them its artifact's files."""
    store = store_of(database)
    text = call.arguments["id"]

    async def claim(tx: Transaction) -> Result:
        return await uploads.claim(tx, id=text, is_direct=store.is_direct)

    claimed = await _committed(database, caller, request_id, call, claim)
    if refusal := claimed.get("refusal"):
        raise refusal
    upload = uploads.upload_id(text)
    if claimed["is_mine"]:
        start(database, store, caller.tenant_id, upload)
    if not await _is_verified(database, caller.tenant_id, upload):
        return await _answered(database, {"upload": upload}, answer, finish)
    async with database.transaction() as connection:
        tx = _transaction(connection, caller, request_id, call)
        result = await call.verb(tx, **call.arguments)
        json = await answered(connection, result, answer, finish)
        await tx.settle()
    database.committed(caller.tenant_id, tx.moved)
    with contextlib.suppress(StoreUnavailable):
        await remove_spare(database, store, caller.tenant_id, upload, result.get("spare", ()))
    return json


async def _is_verified(database: Database, tenant_id: UUID, upload: UUID) -> bool:
    """Wait until the bytes were looked through, here or in another process; false when that takes long.

    Raises:
        DigestMismatch, UploadIncomplete, StoreUnavailable: what came of it here.
    """
    task = database.verifying.get(upload)
    if task is not None:
        done, _ = await asyncio.wait({task}, timeout=WAIT)
        if done and not task.cancelled():  # Else the upload was given up, as its row says.
            await task
        return bool(done)
    for _ in range(int(WAIT / POLL)):
        if not await is_under_way(database, tenant_id, upload):
            return True
        await asyncio.sleep(POLL)
    return False


async def aborted(  # noqa: PLR0917 - a `Lane`
    database: Database, caller: Caller, request_id: str, call: Call, answer: Answer, finish: Finish | None
) -> str:
    """Give an upload up, and remove its bytes."""
    store = store_of(database)
    result = await _committed(database, caller, request_id, call, lambda tx: call.verb(tx, **call.arguments))
    await stop(database, result["upload"])
    with contextlib.suppress(StoreUnavailable):  # The upload is over; a job removes what could not be removed now.
        await clear(database, store, caller.tenant_id, result["upload"], datetime.now(UTC))
    return await _answered(database, result, answer, finish)


def _transaction(connection: Any, caller: Caller, request_id: str, call: Call) -> Transaction:
    return Transaction(connection, caller, call.role, request_id, address=call.address)


async def _committed(
    database: Database, caller: Caller, request_id: str, call: Call, work: Callable[[Transaction], Any]
) -> Result:
    async with database.transaction() as connection:
        tx = _transaction(connection, caller, request_id, call)
        result: Result = await work(tx)
        await tx.settle()
    database.committed(caller.tenant_id, tx.moved)
    return result


async def _answered(database: Database, result: Result, answer: Answer, finish: Finish | None) -> str:
    async with database.transaction() as connection:
        return await answered(connection, result, answer, finish)
