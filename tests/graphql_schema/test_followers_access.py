"""What a follower may see is looked at again when it changes, and for all who hold the same token at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Any

import asyncpg
import orjson
import pytest

from db import access
from db.access import authenticate
from db.engine import Database
from db.feed.feed import Feed
from graphql_schema.broadcast import Live
from graphql_schema.errors import RequestErrors
from graphql_schema.executor import Context, subscribe
from graphql_schema.frame import Frame
from graphql_schema.schema import documents
from tests.graph import Graph

FOLLOW = """
subscription ($namespace: String!) { changes(namespace: $namespace) { cursor changes { objectName } } }
"""
MODEL = """
mutation ($name: String!, $namespace: String! = "lab/inner") {
  createModel(input: {name: $name, namespace: $namespace}) { model { id } userErrors { message } }
}
"""
PLACES = '{ lab: namespace(by: {path: "lab"}) { id } inner: namespace(by: {path: "lab/inner"}) { id } }'
CREATE_ACCOUNT = """
mutation { createServiceAccount(input: {name: "watcher"}) { serviceAccount { id } userErrors { message } } }
"""
CREATE_TOKEN = """
mutation ($actor: ID!) { createToken(input: {actorId: $actor}) { tokens { id } secret userErrors { message } } }
"""
GRANT = """
mutation ($actor: ID!, $namespace: ID!, $role: Role! = READER) {
  grantRole(input: {actorId: $actor, role: $role, namespaceId: $namespace}) { grants { id } userErrors { message } }
}
"""
REVOKE_TOKEN = "mutation ($id: ID!) { revokeToken(input: {id: $id}) { revokedId userErrors { message } } }"
REVOKE_ROLE = "mutation ($id: ID!) { revokeRole(input: {id: $id}) { revokedId userErrors { message } } }"
DISABLE = "mutation ($id: ID!) { disableActor(input: {id: $id}) { userErrors { message } } }"


class Watcher:
    """A service account with a token and a role on `lab`, and what takes these away."""

    def __init__(self, admin: Graph) -> None:
        self.admin = admin
        self.actor = self.token_id = self.grant = self.secret = ""

    async def make(self) -> Watcher:
        await self.admin.change(MODEL, name="first")
        self.places = {name: place["id"] for name, place in (await self.admin(PLACES)).items()}
        self.actor = (await self.admin.change(CREATE_ACCOUNT))["serviceAccount"]["id"]
        token = await self.admin.change(CREATE_TOKEN, actor=self.actor)
        self.token_id, self.secret = token["tokens"][0]["id"], token["secret"]
        self.grant = await self.may("lab")
        return self

    async def may(self, place: str) -> str:
        granted = await self.admin.change(GRANT, actor=self.actor, namespace=self.places[place])
        grant: str = granted["grants"][0]["id"]
        return grant

    async def loses(self, what: str) -> None:
        if what == "token":
            await self.admin.change(REVOKE_TOKEN, id=self.token_id)
        elif what == "role":
            await self.admin.change(REVOKE_ROLE, id=self.grant)
        else:
            await self.admin.change(DISABLE, id=self.actor)

    async def follow(self, live: Live, namespace: str = "lab/inner") -> AsyncGenerator[Frame, None]:
        database = self.admin.database
        context = Context(database, await authenticate(database, self.secret), "test-request", live)
        return subscribe(documents.prepare(FOLLOW), {"namespace": namespace}, context)


@pytest.fixture
async def watcher(graphql: Graph) -> Watcher:
    return await Watcher(graphql).make()


@pytest.fixture
def live(graphql: Graph) -> Live:
    return Live(Feed(graphql.database), graphql.database)


@pytest.fixture
async def elsewhere(watcher: Watcher, dsn: str) -> AsyncIterator[Watcher]:
    """The same, changed by another process whose hints are lost."""
    database = await Database.connect(dsn)
    there = Watcher(Graph(database, watcher.admin.caller))
    there.actor, there.token_id, there.grant = watcher.actor, watcher.token_id, watcher.grant
    yield there
    await database.close()


async def ended(follower: AsyncGenerator[Frame, None]) -> str:
    with pytest.raises(RequestErrors) as refusal:
        await anext(follower)
    return refusal.value.errors[0].code


def names(frame: Frame) -> list[str]:
    return [change["objectName"] for change in orjson.loads(frame.json)["data"]["changes"]["changes"]]


ENDS = pytest.mark.parametrize(
    ("what", "code"), [("token", "UNAUTHENTICATED"), ("role", "FORBIDDEN"), ("account", "UNAUTHENTICATED")]
)


@ENDS
async def test_what_is_taken_away_ends_the_stream_at_once(watcher: Watcher, live: Live, what: str, code: str) -> None:
    async with asyncio.timeout(10), aclosing(await watcher.follow(live)) as follower:
        await anext(follower)
        waiting = asyncio.create_task(ended(follower))
        await asyncio.sleep(0)
        began = time.perf_counter()
        await watcher.loses(what)
        assert await waiting == code
    assert time.perf_counter() - began < 0.5


@ENDS
async def test_taken_away_by_another_process_it_ends_within_a_second(
    watcher: Watcher, elsewhere: Watcher, live: Live, what: str, code: str
) -> None:
    async with asyncio.timeout(10), aclosing(await watcher.follow(live)) as follower:
        await anext(follower)
        await elsewhere.loses(what)
        began = time.perf_counter()
        assert await ended(follower) == code
    assert time.perf_counter() - began < 1.5


async def test_what_was_never_visible_is_not_found(watcher: Watcher, live: Live) -> None:
    await watcher.admin.change(MODEL, name="other", namespace="other")
    async with aclosing(await watcher.follow(live, "other")) as follower:
        assert await ended(follower) == "NOT_FOUND"


async def test_a_role_that_was_gone_before_it_began(watcher: Watcher, live: Live) -> None:
    """The caller may have been found a moment before: whoever begins to follow is looked at again."""
    follower = await watcher.follow(live)
    await watcher.loses("role")
    async with aclosing(follower):
        assert await ended(follower) == "NOT_FOUND"


async def test_another_sight_goes_on_without_a_gap(watcher: Watcher, live: Live) -> None:
    await watcher.may("inner")
    async with asyncio.timeout(10), aclosing(await watcher.follow(live)) as follower:
        await anext(follower)
        await watcher.admin.change(MODEL, name="before")
        await watcher.loses("role")
        await watcher.admin.change(MODEL, name="after")
        seen = names(await anext(follower))
        while "after" not in seen:
            seen += names(await anext(follower))
        await watcher.admin.change(MODEL, name="later")
        seen += names(await anext(follower))
    assert [name for name in seen if name in ("before", "after", "later")] == ["before", "after", "later"]


async def test_a_thousand_with_one_token_are_looked_up_once(
    watcher: Watcher, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up = 0
    fetchrow = asyncpg.Connection.fetchrow

    async def counted(connection: Any, query: str, *arguments: Any, **options: Any) -> Any:
        nonlocal looked_up
        looked_up += query == access.HOLDER
        return await fetchrow(connection, query, *arguments, **options)

    async with AsyncExitStack() as stack, asyncio.timeout(30):
        first = await watcher.follow(live)
        await stack.enter_async_context(aclosing(first))
        await anext(first)
        followers = [await watcher.follow(live) for _ in range(1_000)]
        monkeypatch.setattr(asyncpg.Connection, "fetchrow", counted)
        for follower in followers:
            await stack.enter_async_context(aclosing(follower))
        await asyncio.gather(*(anext(follower) for follower in followers))
        assert looked_up <= 1
        await watcher.may("inner")
        await watcher.admin.change(MODEL, name="seen")
        while "seen" not in names((await asyncio.gather(*(anext(follower) for follower in followers)))[-1]):
            pass
    assert looked_up <= 2
