"""A store against what is known of it: whatever is wrong is found, named and, where that can be, mended."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from db.access import local_caller
from db.blobs.check import Check, Finding, Tally
from db.blobs.s3 import open_s3
from db.blobs.store import BlobStore, Key, Parts, Session
from db.engine import Database
from db.errors import NotFound
from db.identifiers import new_id
from tests.blobs import stored_file
from tests.graph import Graph
from tests.s3.server import S3Server

MODEL = '{createModel(input: {name: "digits", namespace: "a/b"}) { model { id } }}'
BLOBS = "SELECT tenant_id, id, digest, damaged_at FROM blob WHERE digest = $1"
MADE_OF_PARTS = "UPDATE blob SET part_size = 4, part_digests = $2 WHERE digest = $1"
STAMPS = "SELECT verified_at, damaged_at FROM blob"
LATER = datetime.now(UTC) + timedelta(days=2)
DAY = timedelta(days=1)


@pytest.fixture(params=["disk", "s3"])
async def store(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[BlobStore]:
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        database.blobs = await open_s3(server.bucket, os.urandom(8).hex(), endpoint_url=server.endpoint)
    assert database.blobs is not None
    yield database.blobs
    await database.blobs.aclose()


async def put(store: BlobStore, key: Key, content: bytes) -> None:
    """Bytes under a key, as an upload leaves them."""
    session = Session(key, Parts(len(content), 8 << 20, hashlib.sha256(content).digest()))
    token = await store.open(session)
    session = Session(key, session.parts, token)
    if store.is_direct:
        import httpx

        [address] = await store.addresses(session, [0])
        async with httpx.AsyncClient() as client:
            (await client.put(address.url, headers=address.headers, content=content)).raise_for_status()
    else:
        await store.write(session, 0, [content])
    await store.close(session)


async def kept(database: Database, store: BlobStore, content: bytes, path: str = "weights.bin") -> Key:
    """A file of a model, and its bytes."""
    graph = Graph(database, await local_caller(database))
    owner = (await graph.change(f"mutation {MODEL}"))["model"]["id"]
    await stored_file(database, owner, path, content)
    digest = hashlib.sha256(content).hexdigest()
    async with database.connection() as connection:
        row = await connection.fetchrow(BLOBS, f"sha256:{digest}")
    key = Key(row["tenant_id"], digest, row["id"])
    await put(store, key, content)
    return key


async def look(
    database: Database, *, quick: bool = False, repair: bool = False, tenant: str | None = None
) -> tuple[Tally, list[Finding]]:
    found: list[Finding] = []
    assert database.blobs is not None
    check = Check(database, database.blobs, LATER, DAY, is_quick=quick, repairs=repair, tenant=tenant)
    return await check.run(found.append), found


async def test_nothing_is_wrong(database: Database, store: BlobStore) -> None:
    for content in (b"one", b"two", b"three"):
        await kept(database, store, content, content.decode())
    tally, found = await look(database)
    assert (tally.blobs, tally.bytes, tally.bytes_read, found) == (3, 11, 11, [])
    assert tally.is_right
    async with database.connection() as connection:
        assert all(row["verified_at"] == LATER for row in await connection.fetch(STAMPS))


@pytest.mark.parametrize("quick", [True, False])
async def test_missing_bytes_are_found_and_their_files_named(database: Database, store: BlobStore, quick: bool) -> None:
    await kept(database, store, b"others", "other.bin")
    key = await kept(database, store, b"weights")
    await store.remove(key)
    tally, [found] = await look(database, quick=quick)
    assert (found.kind, found.key, found.size, found.found) == ("missing", key, 7, 0)
    [holder] = found.holders
    assert (holder.namespace, holder.owner, holder.artifact, holder.path) == ("a/b", "digits", "files", "weights.bin")
    assert not tally.is_right
    await put(store, key, b"weights")
    assert (await look(database, quick=quick))[0].is_right
    async with database.connection() as connection:
        assert [row["damaged_at"] for row in await connection.fetch(STAMPS)] == [None, None]


async def test_bytes_of_the_wrong_size_are_missing(database: Database, store: BlobStore) -> None:
    key = await kept(database, store, b"weights")
    await store.remove(key)
    await put(store, key, b"weight")
    _, [found] = await look(database, quick=True)
    assert (found.kind, found.size, found.found) == ("missing", 7, 6)


async def test_wrong_bytes_are_found_by_their_parts(database: Database, store: BlobStore) -> None:
    content = b"aaaabbbbccccd"
    key = await kept(database, store, content)
    digests = b"".join(hashlib.sha256(content[at : at + 4]).digest() for at in range(0, 13, 4))
    async with database.connection() as connection:
        await connection.execute(MADE_OF_PARTS, f"sha256:{key.digest}", digests)
    await store.remove(key)
    await put(store, key, b"aaaaXbbbccccX")
    assert (await look(database, quick=True))[1] == []
    _, [found] = await look(database)
    assert (found.kind, found.parts) == ("corrupt", (1, 3))
    _, [found] = await look(database, quick=True)  # What is known to be wrong is read.
    assert found.kind == "corrupt"


async def test_bytes_of_nobody_are_found_and_removed_when_old(database: Database, store: BlobStore) -> None:
    await kept(database, store, b"weights")
    tenant = (await local_caller(database)).tenant_id
    orphans = [Key(place, hashlib.sha256(b"x").hexdigest(), new_id()) for place in (tenant, UUID(int=7))]
    for key in orphans:
        await put(store, key, b"x")
    check = Check(database, store, datetime.now(UTC), DAY)
    assert (await check.run(lambda _: None)).young == 2
    tally, found = await look(database, quick=True)
    assert {each.key for each in found} == set(orphans)
    assert (tally.orphaned, tally.orphaned_bytes, tally.is_right) == (2, 2, False)
    assert (await look(database, quick=True, tenant="default"))[0].orphaned == 1
    assert (await look(database, repair=True))[0].is_right
    assert (await look(database))[1] == []


async def test_an_unknown_tenant_is_refused(database: Database) -> None:
    with pytest.raises(NotFound):
        await look(database, tenant="nobody")


async def test_many_files_are_read_page_by_page(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.blobs.check.PAGE", 7)
    monkeypatch.setattr("db.blobs.check.NOTED", 5)
    assert database.blobs is not None
    for number in range(40):
        await kept(database, database.blobs, f"{number}".encode(), f"{number}.bin")
    tally, found = await look(database)
    assert (tally.blobs, found) == (40, [])
    for path in sorted((tmp_path / "blobs").rglob("*.*"))[::3]:
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    tally, found = await look(database)
    assert (tally.corrupt, len(found)) == (14, 14)
