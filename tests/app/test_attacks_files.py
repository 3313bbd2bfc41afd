"""Uploads to which something happens in the middle: nothing is lost, left behind, or seen by who may not."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.auth import FRESH_SECONDS
from db.access import Role
from db.blobs.disk import DiskStore
from db.blobs.s3 import open_s3
from db.blobs.store import Session
from db.engine import Database
from db.jobs import abandoned, completion, sweep
from db.verbs import uploads
from tests.app import files_at_work as at
from tests.app.tokens import revoke
from tests.app.uploading import GRANT, PART, artifacts, kept, new_run, refused, somebody
from tests.s3.server import S3Server
from tests.uploader import ABORT, BEGIN, COMPLETE, RESUME, Refused, Uploader, announced

RENAME = at.changing("updateNamespace")
REVOKE = at.changing("revokeRole")
ENDS = {"CONFLICT", "NOT_FOUND", "UPLOAD_INCOMPLETE"}
STATUS = "UPDATE upload SET status = 'VERIFYING', verifying_since = $1"


@pytest.fixture
async def uploader(database: Database) -> AsyncIterator[Uploader]:
    async with at.at_work(database) as uploader:
        yield uploader


@pytest.fixture
async def run(uploader: Uploader) -> str:
    return await new_run(uploader)


async def sent(uploader: Uploader, owner: str, name: str = "w", data: bytes = b"bytes", **also: Any) -> dict[str, Any]:
    """An upload of one file that is begun and sent, but not complete."""
    begun = await uploader.change(BEGIN, objectId=owner, name=name, files=[announced("a", data, PART)], **also)
    await uploader.send(begun["parts"], {"a": data})
    return begun


async def completed(uploader: Uploader, begun: dict[str, Any]) -> None:
    payload = await uploader.complete(begun["upload"]["id"])
    assert (payload["upload"]["status"], payload["artifact"]["status"]) == ("READY", "READY")


# --- What happens to the place where it goes ---


async def test_its_namespace_is_deleted_and_comes_back(uploader: Uploader, database: Database) -> None:
    run, place = await at.run_in(uploader, "team/a")
    begun = await uploader.change(BEGIN, objectId=run, name="w", files=[announced("a", b"bytes")])
    await uploader.change(at.DELETE_NAMESPACE, id=place)
    assert (await uploader.put(begun["parts"][0], b"bytes")).status_code == 404
    for document in (RESUME, COMPLETE, ABORT):
        assert await refused(uploader.change(document, id=begun["upload"]["id"])) == "NOT_FOUND"
    await uploader.change(at.RESTORE_NAMESPACE, id=place)
    await uploader.send(begun["parts"], {"a": b"bytes"})
    await completed(uploader, begun)
    await at.looked_through(database)


async def test_its_namespace_is_renamed(uploader: Uploader) -> None:
    run, place = await at.run_in(uploader, "team/a")
    begun = await sent(uploader, run)
    await uploader.change(RENAME, id=place, patch={"name": "b"})
    await completed(uploader, begun)


async def test_its_object_is_deleted_and_comes_back(uploader: Uploader, run: str) -> None:
    begun = await sent(uploader, run)
    await uploader.change(at.DELETE_EXPERIMENT, id=run)
    assert await refused(uploader.complete(begun["upload"]["id"])) == "NOT_FOUND"
    await uploader.change(at.RESTORE_EXPERIMENT, id=run)
    await completed(uploader, begun)


async def test_its_artifact_is_deleted_and_comes_back(uploader: Uploader, run: str, database: Database) -> None:
    begun = await sent(uploader, run)
    artifact = begun["upload"]["artifact"]["id"]
    await uploader.change(at.DELETE_ARTIFACT, id=artifact)
    assert await refused(uploader.complete(begun["upload"]["id"])) == "NOT_FOUND"
    await completed(uploader, await sent(uploader, run, data=b"others"))
    assert await refused(uploader.change(at.RESTORE_ARTIFACT, id=artifact)) == "NAME_TAKEN"
    await uploader.change(at.RESTORE_ARTIFACT, id=artifact, newName="first")
    await completed(uploader, begun)
    assert {(each["name"], each["fileCount"]) for each in await artifacts(uploader, run)} == {("w", 1), ("first", 1)}
    await at.looked_through(database)


async def test_its_artifact_is_deleted_and_the_upload_given_up(
    uploader: Uploader, run: str, database: Database
) -> None:
    begun = await sent(uploader, run)
    await uploader.change(at.DELETE_ARTIFACT, id=begun["upload"]["artifact"]["id"])
    await uploader.change(ABORT, id=begun["upload"]["id"])
    restoring = uploader.change(at.RESTORE_ARTIFACT, id=begun["upload"]["artifact"]["id"])
    assert await refused(restoring) == "NOT_FOUND"
    assert await kept(database) == []


async def test_the_role_is_taken_away_and_given_back(uploader: Uploader, database: Database) -> None:
    writer = await somebody(uploader, Role.WRITER, "team")
    run, place = await at.run_in(uploader, "team")
    begun = await sent(writer, run)
    async with database.connection() as connection:
        grant = await connection.fetchrow("SELECT id, actor_id FROM role_grant WHERE namespace_id IS NOT NULL")
    await uploader.change(REVOKE, id=f"grt_{grant['id'].hex}")
    await asyncio.sleep(FRESH_SECONDS)
    assert (await writer.put(begun["parts"][0], b"bytes")).status_code == 404
    for document in (RESUME, COMPLETE, ABORT):
        assert await refused(writer.change(document, id=begun["upload"]["id"])) == "NOT_FOUND"
    # Nor does the server do it in the name of who may not.
    async with database.connection() as connection:
        await connection.execute(STATUS, datetime.now(UTC) - 2 * uploads.STALE)
    (piece,) = await completion.find(database, datetime.now(UTC))
    assert not await completion.do(database, piece, datetime.now(UTC))
    assert await completion.find(database, datetime.now(UTC) + timedelta(days=1)) == []
    assert await artifacts(uploader, run) == [{"name": "w", "status": "PENDING", "fileCount": 0}]
    await uploader.change(GRANT, actorId=f"svc_{grant['actor_id'].hex}", role="WRITER", namespaceId=place)
    await asyncio.sleep(FRESH_SECONDS)
    await completed(writer, begun)


async def test_the_token_is_revoked(uploader: Uploader, run: str, database: Database) -> None:
    begun = await sent(uploader, run)
    async with at.at_work(database) as other:
        await revoke(database, uploader.headers["Authorization"].partition(" ")[2])
        await asyncio.sleep(FRESH_SECONDS)
        assert (await uploader.put(begun["parts"][0], b"bytes")).status_code == 401
        await completed(other, begun)


async def test_the_quota_is_lowered(uploader: Uploader, database: Database) -> None:
    run, place = await at.run_in(uploader, "team")
    begun = await sent(uploader, run, data=b"0123456789")
    await uploader.change(at.QUOTA, namespaceId=place, bytes=9)
    assert await refused(uploader.complete(begun["upload"]["id"])) == "QUOTA_EXCEEDED"
    assert await artifacts(uploader, run) == [{"name": "w", "status": "PENDING", "fileCount": 0}]
    await uploader.change(at.QUOTA, namespaceId=place, bytes=0)
    assert await refused(sent(uploader, run, "x")) == "QUOTA_EXCEEDED"
    await completed(uploader, await sent(uploader, run, "empty", b""))
    await uploader.change(at.QUOTA, namespaceId=place, bytes=10)
    await completed(uploader, begun)
    await at.looked_through(database)


async def test_its_checkpoint_is_committed(uploader: Uploader, run: str, database: Database) -> None:
    """What is resumed from does not change afterwards, not even by uploads that were begun before."""
    checkpoint = await at.checkpoint_of(uploader, run, shards=1)
    await completed(uploader, await sent(uploader, checkpoint, "s", shard=0))
    late = await sent(uploader, checkpoint, "s", b"other bytes", shard=0)
    await uploader.change(at.COMMIT, id=checkpoint)
    assert await refused(uploader.complete(late["upload"]["id"])) == "CONFLICT"
    await uploader.change(ABORT, id=late["upload"]["id"])
    assert (await at.looked_through(database)).bytes == len(b"bytes")


async def test_bytes_at_hand_turn_out_to_be_damaged(uploader: Uploader, run: str, database: Database) -> None:
    await completed(uploader, await sent(uploader, run, "first"))
    begun = await uploader.change(BEGIN, objectId=run, name="second", files=[announced("b", b"bytes", PART)])
    assert begun["missingPartCount"] == 0
    async with database.connection() as connection:
        await connection.execute("UPDATE blob SET damaged_at = now()")
    assert await refused(uploader.complete(begun["upload"]["id"])) == "UPLOAD_INCOMPLETE"
    resumed = await uploader.change(RESUME, id=begun["upload"]["id"])
    assert resumed["missingPartCount"] == 1
    await uploader.send(resumed["parts"], {"b": b"bytes"})
    await completed(uploader, begun)
    tenant = (await sweep.tenants(database))[0][0]
    await sweep.do(database, tenant.hex, datetime.now(UTC) + timedelta(days=2), grace=timedelta(0))
    await at.looked_through(database)


# --- Its end, from several sides at once ---


async def test_who_begins_it_again_holds_nothing_that_its_end_needs(
    uploader: Uploader, run: str, database: Database
) -> None:
    """Locks in two orders were a deadlock whenever somebody began what another completed or gave up."""
    await sent(uploader, run)
    async with database.transaction() as ending:
        await ending.execute("SELECT FROM upload FOR NO KEY UPDATE")
        again = asyncio.create_task(sent(uploader, run))
        while not await ending.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        await ending.execute("SELECT FROM artifact FOR UPDATE NOWAIT")
    assert not (await again)["created"]


async def test_two_processes_complete_it_at_once(uploader: Uploader, run: str, database: Database, dsn: str) -> None:
    async with at.another_process(database, dsn) as other:
        for number in range(5):
            begun = await sent(uploader, run, f"w{number}", os.urandom(PART + 1))
            each = (uploader, other, uploader, other)
            payloads = await asyncio.gather(*(one.complete(begun["upload"]["id"]) for one in each))
            assert {payload["upload"]["status"] for payload in payloads} == {"READY"}
    assert (await at.looked_through(database)).blobs == 5


@pytest.mark.parametrize("count", [1, 2], ids=["one process", "two processes"])
async def test_completed_and_given_up_at_once(
    uploader: Uploader, run: str, database: Database, dsn: str, count: int
) -> None:
    """One of them wins, and the other is told so."""
    chance, ends = random.Random(count), []
    async with at.another_process(database, dsn) as other:
        aborter = (uploader, other)[count - 1]
        for number in range(12):
            begun = await sent(uploader, run, f"w{number}", os.urandom(chance.choice([0, 9, 3_000_000])))
            id_ = begun["upload"]["id"]
            completing = asyncio.create_task(uploader.complete(id_))
            await asyncio.sleep(chance.uniform(0, 0.03))
            aborting = asyncio.create_task(aborter.change(ABORT, id=id_))
            ended = await asyncio.gather(completing, aborting, return_exceptions=True)
            assert [isinstance(end, Refused) for end in ended].count(True) == 1, ended
            assert {end.code for end in ended if isinstance(end, Refused)} <= ENDS
            ends.append(not isinstance(ended[0], Refused))
    assert len(await artifacts(uploader, run)) == sum(ends)
    await at.looked_through(database)


class SlowStore(DiskStore):
    """One in which files are made whole only when somebody says so."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.is_closing, self.may_close = asyncio.Event(), asyncio.Event()

    async def close(self, session: Session) -> None:
        self.is_closing.set()
        await self.may_close.wait()
        await super().close(session)


@pytest.mark.parametrize("data", [b"bytes", b""], ids=["bytes", "no bytes"])
async def test_given_up_while_its_bytes_are_looked_through(
    uploader: Uploader, run: str, database: Database, tmp_path: Path, data: bytes
) -> None:
    database.blobs = store = SlowStore(tmp_path / "blobs")
    begun = await sent(uploader, run, data=data)
    completing = asyncio.create_task(uploader.complete(begun["upload"]["id"]))
    await store.is_closing.wait()
    aborting = asyncio.create_task(uploader.change(ABORT, id=begun["upload"]["id"]))
    await asyncio.wait({aborting}, timeout=0.3)
    store.may_close.set()
    assert (await aborting)["upload"]["status"] == "DISCARDED"
    assert await refused(completing) == "NOT_FOUND"
    assert await kept(database) == []


async def test_gone_on_with_after_it_was_given_up(uploader: Uploader, run: str, database: Database) -> None:
    begun = await sent(uploader, run)
    await uploader.change(ABORT, id=begun["upload"]["id"])
    assert (await uploader.put(begun["parts"][0], b"bytes")).status_code == 409
    for document in (RESUME, COMPLETE, ABORT):
        assert await refused(uploader.change(document, id=begun["upload"]["id"])) == "NOT_FOUND"
    again = await sent(uploader, run)
    assert again["created"]
    await completed(uploader, again)
    assert (await uploader.put(again["parts"][0], b"other")).status_code == 409
    await at.looked_through(database)


@pytest.mark.parametrize("ending", ["given up", "completed without it"])
@pytest.mark.parametrize("is_right", [True, False])
async def test_a_part_that_is_sent_while_its_upload_ends_leaves_nothing(
    uploader: Uploader, run: str, database: Database, ending: str, is_right: bool
) -> None:
    data, goes_on = os.urandom(4_000_000), asyncio.Event()
    begun = await uploader.change(BEGIN, objectId=run, name="w", files=[announced("a", data, PART)])

    async def slowly() -> AsyncIterator[bytes]:
        yield data[:2_000_000]
        await goes_on.wait()
        yield data[2_000_000:] if is_right else bytes(2_000_000)

    sending = asyncio.create_task(uploader.put(begun["parts"][0], slowly()))  # type: ignore[arg-type]
    while not await kept(database):  # noqa: ASYNC110 - nobody tells of it
        await asyncio.sleep(0.01)
    if ending == "given up":
        await uploader.change(ABORT, id=begun["upload"]["id"])
    else:  # Its bytes are here already, in a file that was uploaded meanwhile: another process sent the part, say.
        await completed(uploader, await sent(uploader, run, "other", data))
        async with database.connection() as connection:
            await connection.execute("UPDATE upload SET status = 'READY', finished_at = now()")
    goes_on.set()
    assert (await sending).status_code == (409 if is_right else 422)
    assert len(await kept(database)) == (0 if ending == "given up" else 1)
    await at.looked_through(database)


async def test_what_is_put_into_a_bucket_after_the_end_goes(database: Database, s3_server: S3Server) -> None:
    """An address is good for an hour, whatever became of its upload."""
    database.blobs = await open_s3(s3_server.bucket, os.urandom(8).hex(), endpoint_url=s3_server.endpoint)
    async with at.at_work(database) as uploader:
        begun = await sent(uploader, await new_run(uploader))
        await uploader.change(ABORT, id=begun["upload"]["id"])
        assert await kept(database) == []
        await uploader.send(begun["parts"], {"a": b"bytes"})
        assert len(await kept(database)) == 1
        now = datetime.now(UTC)
        assert await abandoned.find(database, now + timedelta(hours=1)) == []
        for tenant in await abandoned.find(database, now + timedelta(hours=3)):
            await abandoned.do(database, tenant, now + timedelta(hours=3))
        assert await kept(database) == []
        assert await abandoned.find(database, now + timedelta(hours=4)) == []
    await database.blobs.aclose()
