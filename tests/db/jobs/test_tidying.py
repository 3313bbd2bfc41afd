"""What nobody needs any more goes, step by step, and nothing else: files of what was deleted, bytes without a file."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from db.access import local_caller
from db.blobs.store import Key, Parts, Session
from db.engine import Database
from db.identifiers import new_id
from db.jobs import abandoned, purge, sweep
from db.jobs.purge import Ages
from tests.blobs import stored_file
from tests.graph import Graph
from tests.jobs import done

MODEL = 'mutation ($name: String!) { createModel(input: {name: $name, namespace: "a/b"}) { model { id } } }'
VERSION = "mutation ($id: ID!) { createModelVersion(input: {modelId: $id}) { modelVersion { id } } }"
CHANGE = "mutation ($id: ID!) { %s(input: {id: $id}) { userErrors { code path message } } }"
ARTIFACT = "SELECT purged_at, deleted_at FROM artifact WHERE id = $1"
AUDIT = "SELECT actor_name, before, after, byte_count FROM audit_event WHERE object_id = $1 ORDER BY seq DESC LIMIT 1"
BLOB = "SELECT * FROM blob"
FILES = "SELECT count(*) FROM file"
HOLD = "SELECT id FROM blob WHERE digest = $1 AND doomed_at IS NULL FOR SHARE"
COPY = """
    INSERT INTO file (tenant_id, id, artifact_id, path, size, digest, blob_id, created_at)
    SELECT tenant_id, $1, artifact_id, 'copy', size, digest, blob_id, created_at FROM file LIMIT 1
"""
LOSE = "DELETE FROM file WHERE path = $1"
PLACE = "SELECT o.tenant_id, o.id, o.namespace_id FROM object o WHERE o.kind = 'MODEL' LIMIT 1"
PENDING = """
    INSERT INTO artifact (tenant_id, id, object_id, namespace_id, name, kind, status, created_at, created_by,
        updated_at)
    VALUES ($1, $2, $3, $4, 'new', 'OTHER', 'PENDING', $6, $5, $6)
"""
UPLOAD = """
    INSERT INTO upload (tenant_id, id, artifact_id, namespace_id, spec, file_count, total_size, created_at, created_by,
        expires_at)
    VALUES ($1, $2, $3, $4, '', 1, 3, $6, $5, $6)
"""
UPLOAD_FILE = """
    INSERT INTO upload_file (tenant_id, upload_id, number, path, size, digest, part_size, part_digests, blob_id)
    VALUES ($1, $2, 0, 'f', 3, $3, 8388608, $4, $5)
"""
NOW = datetime.now(UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
AGES = Ages(deleted=30 * DAY, retired=DAY)
LATER = NOW + 31 * DAY


@pytest.fixture
async def graphql(database: Database) -> Graph:
    return Graph(database, await local_caller(database))


async def one(database: Database, statement: str, *arguments: Any) -> Any:
    async with database.connection() as connection:
        return await connection.fetchrow(statement, *arguments)


async def forgotten(database: Database, now: datetime = LATER) -> int:
    find = lambda database, now: purge.find(database, now, ages=AGES)  # noqa: E731 - two words of one
    do = lambda database, piece, now: purge.forget(database, piece, now, ages=AGES)  # noqa: E731
    return await done(find, do, database, now)


async def model(graphql: Graph, name: str = "m") -> str:
    return str((await graphql.change(MODEL, name=name))["model"]["id"])


async def tenant_of(graphql: Graph) -> UUID:
    return (await local_caller(graphql.database)).tenant_id


# --- Forgetting ---


async def test_files_of_a_deleted_artifact_are_forgotten_in_time(graphql: Graph) -> None:
    database, owner = graphql.database, await model(graphql)
    artifact = await stored_file(database, owner, content=b"12345")
    await graphql.change(CHANGE % "deleteArtifact", id=artifact)
    assert await forgotten(database, NOW + 29 * DAY) == 0
    assert await forgotten(database) == 1
    assert await forgotten(database) == 0
    row = await one(database, AUDIT, UUID(artifact[4:]))
    assert (row["actor_name"], row["before"], row["byte_count"]) == ("modelbox", {"fileCount": 1}, 5)
    refusal = await graphql.refused(CHANGE % "restoreArtifact", id=artifact)
    assert refusal["code"] == "CONFLICT"
    assert "too long ago" in refusal["message"]


@pytest.mark.parametrize("place", ["owner", "container", "namespace"])
async def test_files_of_what_is_below_something_deleted(graphql: Graph, place: str) -> None:
    database, owner = graphql.database, await model(graphql)
    inner = str((await graphql.change(VERSION, id=owner))["modelVersion"]["id"])
    artifact = await stored_file(database, inner)
    other = await stored_file(database, await model(graphql, "other")) if place != "namespace" else None
    if place == "namespace":
        id_ = (await graphql('{ namespace(by: {path: "a"}) { id } }'))["namespace"]["id"]
        await graphql.change(CHANGE % "deleteNamespace", id=id_)
    else:
        await graphql.change(
            CHANGE % ("deleteModel" if place == "container" else "deleteModelVersion"),
            id=owner if place == "container" else inner,
        )
    assert await forgotten(database) == 1
    row = await one(database, ARTIFACT, UUID(artifact[4:]))
    assert row["purged_at"] == row["deleted_at"] == LATER
    if other:
        assert (await one(database, ARTIFACT, UUID(other[4:])))["purged_at"] is None
    assert await purge.find(database, LATER, ages=AGES) == []


async def test_what_is_restored_in_time_keeps_its_files(graphql: Graph) -> None:
    owner = await model(graphql)
    await stored_file(graphql.database, owner)
    await graphql.change(CHANGE % "deleteModel", id=owner)
    await graphql.change(CHANGE % "restoreModel", id=owner)
    assert await forgotten(graphql.database) == 0


async def test_more_than_a_batch_by_several_processes(graphql: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "ARTIFACTS", 2)
    owner = await model(graphql)
    for number in range(5):
        await stored_file(graphql.database, owner, artifact=f"a{number}")
    await graphql.change(CHANGE % "deleteModel", id=owner)
    assert sum(await asyncio.gather(*(forgotten(graphql.database) for _ in range(3)))) == 5


# --- Sweeping ---


async def stored_blob(graphql: Graph, content: bytes = b"weights") -> Key:
    """A file of a model whose bytes are in the store."""
    database = graphql.database
    await stored_file(database, await model(graphql), content=content)
    row = await one(database, BLOB)
    key = Key(row["tenant_id"], row["digest"].removeprefix("sha256:"), row["id"])
    await put(database, key, content)
    return key


async def put(database: Database, key: Key, content: bytes) -> None:
    assert database.blobs is not None
    session = Session(key, Parts(len(content), 8 << 20, hashlib.sha256(content).digest()))
    await database.blobs.open(session)
    await database.blobs.write(session, 0, [content])
    await database.blobs.close(session)


async def is_there(database: Database, key: Key) -> bool:
    assert database.blobs is not None
    return await database.blobs.stat(key) is not None


async def lose_file(database: Database, path: str = "weights.bin") -> None:
    async with database.connection() as connection:
        await connection.execute(LOSE, path)


async def test_each_step_may_be_the_last(graphql: Graph) -> None:
    database, key = graphql.database, await stored_blob(graphql)
    tenant = key.tenant_id
    await sweep.mark(database, tenant, NOW)
    assert (await one(database, BLOB))["unreferenced_at"] is None
    await lose_file(database)
    await sweep.mark(database, tenant, NOW)
    assert (await one(database, BLOB))["unreferenced_at"] == NOW
    assert await sweep.doom(database, tenant, NOW, before=NOW - HOUR) == 0
    assert await sweep.doom(database, tenant, NOW, before=NOW) == 1
    assert await is_there(database, key)
    assert database.blobs is not None
    await database.blobs.remove(key)  # Killed before the row was deleted.
    assert await sweep.find(database, NOW) == [tenant.hex]
    assert await sweep.do(database, tenant.hex, NOW, grace=DAY) == sweep.Amount(1, 7)
    assert await one(database, BLOB) is None
    assert await sweep.do(database, tenant.hex, NOW, grace=DAY) == sweep.Amount()


async def test_what_has_a_file_again_begins_anew(graphql: Graph) -> None:
    database, key = graphql.database, await stored_blob(graphql)
    async with database.connection() as connection:
        await connection.execute("UPDATE blob SET unreferenced_at = $1", NOW - 9 * DAY)
    assert await sweep.doom(database, key.tenant_id, NOW, before=NOW - DAY) == 0
    assert (await one(database, BLOB))["unreferenced_at"] is None


async def test_an_upload_that_takes_the_bytes_comes_first(graphql: Graph) -> None:
    database, key = graphql.database, await stored_blob(graphql)
    taken, go_on = asyncio.Event(), asyncio.Event()
    async with database.connection() as connection:
        await connection.execute("UPDATE blob SET unreferenced_at = $1", NOW - 9 * DAY)

    async def complete() -> None:
        async with database.transaction() as connection:
            assert await connection.fetchval(HOLD, f"sha256:{key.digest}")
            taken.set()
            await go_on.wait()
            await connection.execute(COPY, new_id())

    completing = asyncio.create_task(complete())
    await taken.wait()
    assert await sweep.doom(database, key.tenant_id, NOW, before=NOW) == 0  # Held: not even looked at.
    go_on.set()
    await completing
    await lose_file(database)
    assert await sweep.doom(database, key.tenant_id, NOW, before=NOW) == 0
    assert await is_there(database, key)


async def test_an_upload_that_comes_second_finds_nothing_to_take(graphql: Graph) -> None:
    database, key = graphql.database, await stored_blob(graphql)
    await lose_file(database)
    await sweep.mark(database, key.tenant_id, NOW)
    async with database.transaction() as dooming, database.transaction() as completing:
        assert await sweep._doom_some(dooming, key.tenant_id, NOW, NOW) == (1, 1)
        waiting = asyncio.create_task(completing.fetchval(HOLD, f"sha256:{key.digest}"))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await dooming.execute("COMMIT")
        assert await waiting is None
        await dooming.execute("BEGIN")  # For the block to end.


async def test_bytes_of_an_open_upload_are_in_use(graphql: Graph) -> None:
    database, key = graphql.database, await stored_blob(graphql)
    await begun(graphql, key)
    await lose_file(database)
    await sweep.do(database, key.tenant_id.hex, NOW, grace=timedelta(0))
    assert await is_there(database, key)


async def test_nothing_is_done_without_a_store_or_dry(graphql: Graph) -> None:
    database, key = graphql.database, await stored_blob(graphql)
    await lose_file(database)
    due, waiting = await sweep.unused(database, key.tenant_id, NOW, grace=DAY)
    assert (due.count, waiting) == (0, sweep.Amount(1, 7))
    due, waiting = await sweep.unused(database, key.tenant_id, NOW, grace=timedelta(0))
    assert (due, waiting.count) == (sweep.Amount(1, 7), 0)
    assert (await one(database, BLOB))["unreferenced_at"] is None
    store, database.blobs = database.blobs, None
    assert await sweep.find(database, NOW) == await abandoned.find(database, NOW + 9 * DAY) == []
    database.blobs = store


# --- Abandoned uploads ---


async def begun(graphql: Graph, key: Key) -> UUID:
    """An upload of one file to a new artifact."""
    id_, artifact = new_id(), new_id()
    actor = graphql.caller.actor_id
    async with graphql.database.transaction() as connection:
        tenant, owner, place = await connection.fetchrow(PLACE)
        await connection.execute(PENDING, tenant, artifact, owner, place, actor, NOW)
        await connection.execute(UPLOAD, tenant, id_, artifact, place, actor, NOW)
        await connection.execute(
            UPLOAD_FILE, tenant, id_, f"sha256:{key.digest}", hashlib.sha256(b"new").digest(), key.id
        )
    return id_


async def test_an_abandoned_upload_goes_with_its_bytes_and_its_artifact(graphql: Graph) -> None:
    database = graphql.database
    await model(graphql)
    key = Key(await tenant_of(graphql), hashlib.sha256(b"new").hexdigest(), new_id())
    await put(database, key, b"new")
    upload = await begun(graphql, key)
    assert await abandoned.find(database, NOW - HOUR) == []
    assert await abandoned.count(database, key.tenant_id, NOW + HOUR) == (1, 3)
    assert await abandoned.give_up(database, key.tenant_id, NOW + HOUR) == upload  # Killed here.
    assert await one(database, "SELECT id FROM artifact") is None
    assert await is_there(database, key)
    assert await abandoned.find(database, NOW + HOUR) == []
    await done(abandoned.find, abandoned.do, database, NOW + 2 * HOUR)
    assert not await is_there(database, key)
    assert (await one(database, "SELECT status FROM upload"))["status"] == "DISCARDED"
    await done(abandoned.find, abandoned.do, database, NOW + 3 * DAY)
    assert await one(database, "SELECT id FROM upload") is None
