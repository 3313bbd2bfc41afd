"""A tenant keeps an admin, whichever way somebody tries to take the last one."""

from __future__ import annotations

import asyncio

import pytest

from tests.graph import Callers, Graph

GRANT = """
mutation ($actor: ID!, $role: Role!) {
  grantRole(input: {actorId: $actor, role: $role}) { grants { role } userErrors { code path message } }
}
"""
REVOKE = "mutation ($id: ID!) { revokeRole(input: {id: $id}) { revokedId userErrors { code path message } } }"
DISABLE = "mutation ($id: ID!) { disableActor(input: {id: $id}) { userErrors { code path message } } }"
MINE = "{ viewer { actor { id grants { id role } } } }"
ADMINS = """
    SELECT count(*) FROM role_grant g JOIN actor a ON a.tenant_id = g.tenant_id AND a.id = g.actor_id
    WHERE g.namespace_id IS NULL AND g.role = 'ADMIN' AND a.disabled_at IS NULL
"""


async def admins(graph: Graph) -> int:
    async with graph.database.connection() as connection:
        count: int = await connection.fetchval(ADMINS)
        return count


async def test_the_last_admin_keeps_the_role_when_given_another(graphql: Graph, caller_with: Callers) -> None:
    me = (await graphql(MINE))["viewer"]["actor"]["id"]
    error = await graphql.refused(GRANT, actor=me, role="READER")
    assert (error["code"], error["path"]) == ("CONFLICT", ["input", "role"])
    assert await admins(graphql) == 1
    await caller_with("ADMIN")
    assert (await graphql.change(GRANT, actor=me, role="READER"))["grants"] == [{"role": "READER"}]


@pytest.fixture
async def two(graphql: Graph, caller_with: Callers) -> tuple[Graph, Graph]:
    return graphql, graphql.by(await caller_with("ADMIN"))


async def test_two_admins_cannot_revoke_each_other_at_once(two: tuple[Graph, Graph]) -> None:
    grants = [(await graph(MINE))["viewer"]["actor"]["grants"][0]["id"] for graph in two]
    answers = await asyncio.gather(*(g(REVOKE, id=id_) for g, id_ in zip(two, reversed(grants), strict=True)))
    refused = [answer["revokeRole"]["userErrors"] for answer in answers]
    assert [error["code"] for errors in refused for error in errors] == ["CONFLICT"]
    assert await admins(two[0]) == 1


async def test_two_admins_cannot_disable_each_other_at_once(two: tuple[Graph, Graph]) -> None:
    actors = [(await graph(MINE))["viewer"]["actor"]["id"] for graph in two]
    answers = await asyncio.gather(*(g(DISABLE, id=id_) for g, id_ in zip(two, reversed(actors), strict=True)))
    refused = [answer["disableActor"]["userErrors"] for answer in answers]
    assert [error["code"] for errors in refused for error in errors] == ["CONFLICT"]
    assert await admins(two[0]) == 1
