"""How much a namespace keeps, and who may say how much it may."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from db.access import Caller, Role
from db.blobs.usage import require_room
from db.engine import Database
from db.errors import QuotaExceeded
from db.identifiers import new_id
from db.transaction import Transaction
from db.verbs.entity import Home
from tests.blobs import stored_file
from tests.graph import Callers, Graph

USAGE = """
    query ($path: String!) {
      namespace(by: {path: $path}) { id usage { fileCount fileBytes storedBytes uploadBytes quotaBytes } }
    }
"""
MODEL = 'mutation ($path: String!) { createModel(input: {name: "m", namespace: $path}) { model { id } } }'
DELETE = "mutation ($id: ID!) { deleteModel(input: {id: $id}) { userErrors { code } } }"
QUOTA = """
    mutation ($id: ID!, $bytes: SafeInt) {
      setStorageQuota(input: {namespaceId: $id, bytes: $bytes}) {
        namespace { usage { quotaBytes } }
        userErrors { code path message }
      }
    }
"""
AUDIT = "query ($path: String!) { namespace(by: {path: $path}) { auditEvents(first: 1) { nodes { before after } } } }"
HOME = "SELECT id, path, root_id, lineage FROM namespace WHERE path = $1"
UPLOAD = """
    INSERT INTO upload (tenant_id, id, namespace_id, spec, file_count, total_size, created_at, created_by, expires_at)
    VALUES ($1, $2, $3, '', 1, $4, now(), $5, now())
"""


async def usage(graphql: Graph, path: str) -> tuple[Any, ...]:
    return tuple((await graphql(USAGE, path=path))["namespace"]["usage"].values())


async def model(graphql: Graph, path: str) -> str:
    return str((await graphql.change(MODEL, path=path))["model"]["id"])


async def namespace(graphql: Graph, path: str) -> str:
    return str((await graphql(USAGE, path=path))["namespace"]["id"])


async def home(database: Database, path: str) -> Home:
    async with database.connection() as connection:
        row = await connection.fetchrow(HOME, path)
    return Home(row["id"], row["path"], row["root_id"], row["lineage"])


async def uploaded(database: Database, caller: Caller, place: Home, size: int, seconds: float = 0) -> UUID:
    """An upload that was let in, in a transaction that takes a while."""
    id_ = new_id()
    async with database.transaction() as connection:
        tx = Transaction(connection, caller, Role.WRITER, "test", datetime.now(UTC))
        await require_room(tx, place, size, ("input", "files"))
        await asyncio.sleep(seconds)
        await tx.execute(UPLOAD, id_, place.id, size, caller.actor_id)
    return id_


async def test_a_namespace_counts_what_is_below_it(graphql: Graph) -> None:
    inner, outer = await model(graphql, "a/b"), await model(graphql, "a")
    await stored_file(graphql.database, inner, "one", b"12345")
    await stored_file(graphql.database, inner, "same", b"12345")
    await stored_file(graphql.database, outer, "same", b"12345")
    await stored_file(graphql.database, outer, "other", b"123")
    assert await usage(graphql, "a/b") == (2, 10, 5, 0, None)
    assert await usage(graphql, "a") == (4, 18, 8, 0, None)
    await uploaded(graphql.database, graphql.caller, await home(graphql.database, "a/b"), 100)
    assert await usage(graphql, "a") == (4, 18, 8, 100, None)
    await graphql.change(DELETE, id=inner)
    assert await usage(graphql, "a") == (4, 18, 8, 100, None)


async def test_a_quota_is_set_seen_audited_and_lifted(graphql: Graph) -> None:
    await model(graphql, "a")
    id_ = await namespace(graphql, "a")
    set_ = (await graphql.change(QUOTA, id=id_, bytes=10))["namespace"]
    assert set_["usage"] == {"quotaBytes": 10}
    assert (await graphql(AUDIT, path="a"))["namespace"]["auditEvents"]["nodes"] == [
        {"before": {"storageQuota": None}, "after": {"storageQuota": 10}}
    ]
    assert (await graphql.change(QUOTA, id=id_, bytes=None))["namespace"]["usage"] == {"quotaBytes": None}
    assert (await graphql.refused(QUOTA, id=id_, bytes=-1))["path"] == ["input", "bytes"]
    assert (await graphql.refused(QUOTA, id=id_))["code"] == "INVALID"


async def test_readers_see_it_and_only_admins_set_it(graphql: Graph, caller_with: Callers) -> None:
    await model(graphql, "a")
    id_ = await namespace(graphql, "a")
    reader = graphql.by(await caller_with(Role.READER, "a"))
    assert await usage(reader, "a") == (0, 0, 0, 0, None)
    maintainer = graphql.by(await caller_with(Role.MAINTAINER, "a"))
    assert (await maintainer.refused(QUOTA, id=id_, bytes=1))["code"] == "FORBIDDEN"


async def test_every_quota_on_the_way_up_holds(graphql: Graph, caller_with: Callers) -> None:
    await model(graphql, "a/b")
    place = await home(graphql.database, "a/b")
    await uploaded(graphql.database, graphql.caller, place, 10**15)
    await graphql.change(QUOTA, id=await namespace(graphql, "a"), bytes=10**15 + 20)
    first = await uploaded(graphql.database, graphql.caller, place, 20)
    with pytest.raises(QuotaExceeded, match="'a' may keep 1 PB and keeps 1 PB; 1 bytes"):
        await uploaded(graphql.database, graphql.caller, place, 1)
    insider = await caller_with(Role.WRITER, "a/b")
    with pytest.raises(QuotaExceeded) as refusal:
        await uploaded(graphql.database, insider, place, 1)
    assert "'a'" not in str(refusal.value)
    async with graphql.database.transaction() as connection:
        tx = Transaction(connection, graphql.caller, Role.WRITER, "test", datetime.now(UTC))
        await require_room(tx, place, 20, ("input", "id"), excluding=first)
        with pytest.raises(QuotaExceeded):
            await require_room(tx, place, 21, ("input", "id"), excluding=first)


async def test_two_at_once_do_not_both_get_the_last_room(graphql: Graph) -> None:
    await model(graphql, "a")
    await graphql.change(QUOTA, id=await namespace(graphql, "a"), bytes=10)
    place = await home(graphql.database, "a")
    ends = await asyncio.gather(
        *(uploaded(graphql.database, graphql.caller, place, 6, 0.1) for _ in range(3)), return_exceptions=True
    )
    assert sorted(type(end).__name__ for end in ends) == ["QuotaExceeded", "QuotaExceeded", "UUID"]
