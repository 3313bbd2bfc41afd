"""Service accounts, tokens and roles."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.access import Caller, Role, Unauthenticated, authenticate, is_valid
from tests.graph import Callers, Graph

ACCOUNT = """
mutation ($name: String! = "trainer") {
  createServiceAccount(input: {name: $name, description: "nightly"}) {
    created serviceAccount { id name description } userErrors { code message path }
  }
}
"""
TOKEN = """
mutation ($input: CreateTokenInput!) {
  createToken(input: $input) {
    tokens { id prefix role namespaceIds expiresAt revokedAt } secret userErrors { code message path }
  }
}
"""
GRANT = """
mutation ($input: GrantRoleInput!) {
  grantRole(input: $input) { grants { id role namespace { path } actor { name } } userErrors { code message path } }
}
"""
REVOKE_TOKEN = "mutation ($id: ID!) { revokeToken(input: {id: $id}) { revokedId userErrors { code message } } }"
REVOKE_ROLE = "mutation ($id: ID!) { revokeRole(input: {id: $id}) { revokedId userErrors { code message path } } }"
NAMESPACE = (
    "mutation ($path: String!) { createNamespace(input: {path: $path}) { namespace { id } userErrors { code } } }"
)
MODEL = """
mutation ($namespace: String!) {
  createModel(input: {name: "m", namespace: $namespace}) { created userErrors { code message path } }
}
"""


@pytest.fixture
async def account(graphql: Graph) -> str:
    actor: str = (await graphql.change(ACCOUNT))["serviceAccount"]["id"]
    return actor


async def place(graph: Graph, path: str) -> str:
    id_: str = (await graph.change(NAMESPACE, path=path))["namespace"]["id"]
    return id_


async def holder(graph: Graph, actor: str, **options: Any) -> tuple[Graph, dict[str, Any]]:
    token = await graph.change(TOKEN, input={"actorId": actor, **options})
    return graph.by(await authenticate(graph.database, token["secret"])), token


async def test_an_account_is_made_once(graphql: Graph, account: str) -> None:
    again = await graphql.change(ACCOUNT)
    assert (again["created"], again["serviceAccount"]["id"]) == (False, account)


async def test_a_token_acts_with_the_roles_of_its_account(graphql: Graph, account: str) -> None:
    await graphql.change(GRANT, input={"actorId": account, "role": "WRITER", "namespaceId": await place(graphql, "a")})
    trainer, _ = await holder(graphql, account)
    assert (await trainer.change(MODEL, namespace="a/new"))["created"]
    assert (await trainer.refused(MODEL, namespace="b"))["code"] == "NOT_FOUND"
    assert (await trainer("{ viewer { actor { __typename name } } }"))["viewer"]["actor"] == {
        "__typename": "ServiceAccount",
        "name": "trainer",
    }


async def test_only_a_digest_of_the_token_is_kept(graphql: Graph, account: str) -> None:
    _, token = await holder(graphql, account)
    secret = token["secret"].split("_", 2)[2]  # It may hold more of them.
    async with graphql.database.connection() as connection:
        for table in ("token", "audit_event", "idempotency_record"):
            rows = await connection.fetch(f'SELECT t::text AS whole FROM "{table}" t')
            assert not any(secret in row["whole"] for row in rows), table


async def test_a_token_may_allow_less_than_its_account(graphql: Graph, account: str) -> None:
    inside, outside = await place(graphql, "a/in"), await place(graphql, "a/out")
    await graphql.change(GRANT, input={"actorId": account, "role": "ADMIN"})
    reader, token = await holder(graphql, account, role="READER", namespaceIds=[inside])
    assert token["tokens"][0]["namespaceIds"] == [inside]
    seen = await reader("{ namespaces { nodes { id } } }")
    assert [node["id"] for node in seen["namespaces"]["nodes"]] == [inside]
    assert (await reader.refused(MODEL, namespace="a/in"))["code"] == "FORBIDDEN"
    assert (await reader(f'{{ node(id: "{outside}") {{ id }} }}'))["node"] is None


async def test_a_bound_token_keeps_roles_that_lie_deeper(graphql: Graph, account: str) -> None:
    upper = await place(graphql, "a")
    deeper = await place(graphql, "a/b")
    await graphql.change(GRANT, input={"actorId": account, "role": "WRITER", "namespaceId": deeper})
    trainer, _ = await holder(graphql, account, namespaceIds=[upper])
    assert (await trainer.change(MODEL, namespace="a/b"))["created"]
    assert (await trainer.refused(MODEL, namespace="a"))["code"] == "NOT_FOUND"


@pytest.mark.parametrize("how", ["revoked", "expired", "disabled", "altered", "foreign"])
async def test_what_is_no_valid_token_is_refused_alike(graphql: Graph, account: str, how: str) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    made, token = await holder(graphql, account, expiresAt=soon)
    secret = token["secret"]
    async with graphql.database.connection() as connection:
        if how == "revoked":
            await graphql.change(REVOKE_TOKEN, id=token["tokens"][0]["id"])
        elif how == "expired":
            await connection.execute("UPDATE token SET expires_at = now() - interval '1 second'")
        elif how == "disabled":
            disable = (
                "mutation ($id: ID!) { disableActor(input: {id: $id}) { actor { disabledAt } userErrors { code } } }"
            )
            assert (await graphql.change(disable, id=account))["actor"]["disabledAt"]
        elif how == "altered":
            secret = secret[:-1] + ("A" if secret[-1] != "A" else "B")
        else:
            secret = "mbx_000000000000_" + "A" * 43
    with pytest.raises(Unauthenticated) as refusal:
        await authenticate(graphql.database, secret)
    assert str(refusal.value) == Unauthenticated.__doc__
    if how not in ("altered", "foreign"):
        assert not await is_valid(graphql.database, made.caller)


@pytest.mark.parametrize("token", ["", "x", "Bearer", "mbx_", "mbx__", "mbx_\0_x", "mbx_" + "9" * 10_000, "é_ü_ß"])
async def test_malformed_tokens_are_refused(graphql: Graph, token: str) -> None:
    with pytest.raises(Unauthenticated):
        await authenticate(graphql.database, token)


async def test_a_role_replaces_the_earlier_one_there(graphql: Graph, account: str) -> None:
    target = await place(graphql, "a")
    grant = {"actorId": account, "namespaceId": target}
    first = await graphql.change(GRANT, input={**grant, "role": "READER"})
    second = await graphql.change(GRANT, input={**grant, "role": "MAINTAINER"})
    assert first["grants"][0]["id"] == second["grants"][0]["id"]
    members = await graphql('{ namespace(by: {path: "a"}) { members { role actor { name } } } }')
    assert members["namespace"]["members"] == [{"role": "MAINTAINER", "actor": {"name": "trainer"}}]


async def test_an_admin_of_a_namespace_grants_there_and_nowhere_else(
    graphql: Graph, caller_with: Callers, account: str
) -> None:
    mine, other = await place(graphql, "a"), await place(graphql, "b")
    admin = graphql.by(await caller_with("ADMIN", "a"))
    await admin.change(GRANT, input={"actorId": account, "role": "ADMIN", "namespaceId": mine})
    assert (await admin.refused(GRANT, input={"actorId": account, "role": "READER", "namespaceId": other}))[
        "code"
    ] == "NOT_FOUND"
    assert (await admin.refused(GRANT, input={"actorId": account, "role": "READER"}))["code"] == "FORBIDDEN"
    assert (await admin.refused(TOKEN, input={"actorId": account}))["code"] == "FORBIDDEN"
    assert (await admin.refused(ACCOUNT, name="mine"))["code"] == "FORBIDDEN"


@pytest.mark.parametrize("role", [Role.READER, Role.WRITER, Role.MAINTAINER])
async def test_who_is_no_admin_grants_nothing(graphql: Graph, caller_with: Callers, account: str, role: Role) -> None:
    target = await place(graphql, "a")
    somebody = graphql.by(await caller_with(role, "a"))
    refusal = await somebody.refused(GRANT, input={"actorId": account, "role": "READER", "namespaceId": target})
    assert refusal["code"] == "FORBIDDEN"


async def test_the_last_admin_of_the_tenant_stays(graphql: Graph, account: str) -> None:
    me = (await graphql("{ viewer { actor { id grants { id } } } }"))["viewer"]["actor"]
    own = me["grants"][0]["id"]
    assert (await graphql.refused(REVOKE_ROLE, id=own))["code"] == "CONFLICT"
    await graphql.change(GRANT, input={"actorId": account, "role": "ADMIN"})
    assert (await graphql.change(REVOKE_ROLE, id=own))["revokedId"] == own
    assert (await graphql.refused(REVOKE_ROLE, id=own))["code"] == "NOT_FOUND"


async def test_every_change_of_access_is_on_record(graphql: Graph, account: str) -> None:
    _, token = await holder(graphql, account)
    grant = await graphql.change(GRANT, input={"actorId": account, "role": "READER"})
    await graphql.change(REVOKE_ROLE, id=grant["grants"][0]["id"])
    await graphql.change(REVOKE_TOKEN, id=token["tokens"][0]["id"])
    events = (await graphql("{ auditEvents { nodes { action kind objectName } } }"))["auditEvents"]["nodes"]
    assert [(event["action"], event["kind"]) for event in reversed(events)] == [
        ("CREATE", "SERVICE_ACCOUNT"),
        ("CREATE", "TOKEN"),
        ("CREATE", "ROLE_GRANT"),
        ("DELETE", "ROLE_GRANT"),
        ("DELETE", "TOKEN"),
    ]


async def test_a_refusal_by_role_is_on_record(graphql: Graph, caller_with: Callers) -> None:
    reader = graphql.by(await caller_with("READER", "a"))
    await reader.refused(MODEL, namespace="a")
    events = (await graphql("{ auditEvents(first: 1) { nodes { action actorName after } } }"))["auditEvents"]["nodes"]
    assert events == [{"action": "DENIED", "actorName": reader.caller.name, "after": {"mutation": "createModel"}}]


async def test_others_tokens_and_roles_elsewhere_stay_hidden(
    graphql: Graph, caller_with: Callers, account: str
) -> None:
    await holder(graphql, account)
    await graphql.change(GRANT, input={"actorId": account, "role": "READER", "namespaceId": await place(graphql, "b")})
    reader = graphql.by(await caller_with("READER", "a"))
    seen = (await reader("{ serviceAccounts { nodes { name tokens { id } grants { id } } } }"))["serviceAccounts"]
    assert seen["nodes"] == [{"name": "trainer", "tokens": [], "grants": []}]


def test_a_caller_never_prints_the_token() -> None:
    from uuid import UUID

    caller = Caller(UUID(int=1), UUID(int=2), "x", "USER", {}, token="mbx_secret")
    assert "secret" not in repr(caller)
