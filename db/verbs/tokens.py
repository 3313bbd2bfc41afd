"""Tokens as an operator handles them, who is at the server's machine and has signed in nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from db import tables
from db.access import GRANTS, Role, local_caller, prefix_of
from db.engine import Database
from db.errors import Conflict, NotFound
from db.identifiers import format_id, new_id
from db.names import check_name
from db.read.source import NAMESPACE, TOKEN
from db.transaction import Call, Result, Transaction, Verb, run
from db.verbs import access

ACTOR_BY_NAME = "SELECT id, disabled_at FROM actor WHERE tenant_id = $1 AND kind = $2 AND name = $3"
PLACE_BY_PATH = "SELECT id, lineage FROM namespace WHERE tenant_id = $1 AND path = $2 AND visible"
TOKEN_BY_PREFIX = "SELECT id FROM token WHERE tenant_id = $1 AND prefix = $2"  # noqa: S105 - a statement
TOKENS = """
    SELECT t.prefix, a.name, a.kind, t.role, t.description, t.created_at, t.expires_at, t.revoked_at,
        (SELECT array_agg(n.path ORDER BY n.path) FROM namespace n
            WHERE n.tenant_id = t.tenant_id AND n.id = ANY(t.namespaces::uuid[])) AS namespaces
    FROM token t JOIN actor a ON a.tenant_id = t.tenant_id AND a.id = t.actor_id
    WHERE t.tenant_id = $1 ORDER BY t.created_at, t.prefix
"""
"""All tokens of a tenant, the oldest first."""


@dataclass(frozen=True)
class Wish:
    """A token to be made: whose, how far it reaches, and until when. Without namespaces: everywhere."""

    name: str
    kind: str
    role: Role
    namespaces: tuple[str, ...] = ()
    expires_at: datetime | None = None
    description: str | None = None


@dataclass(frozen=True)
class Known:
    """What is kept of a token."""

    prefix: str
    name: str
    kind: str
    role: str
    namespaces: Sequence[str] | None
    description: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    @property
    def state(self) -> str:
        """Whether it is good for anything."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at and self.expires_at <= datetime.now(UTC) else "valid"


async def create(database: Database, wish: Wish, request_id: str) -> str:
    """Make a token; its holder is made, and given the role, if need be. All of it happens, or nothing."""
    return await _done(database, "createToken", issue, request_id, "secret", wish=wish)


async def revoke(database: Database, token: str, request_id: str) -> str:
    """Revoke the token of that prefix (or the token itself); its prefix."""
    return await _done(database, "revokeToken", withdraw, request_id, "prefix", prefix=prefix_of(token.strip()))


async def known(database: Database) -> list[Known]:
    """The tokens of the tenant `default`."""
    caller = await local_caller(database)
    async with database.connection() as connection:
        return [Known(**dict(row)) for row in await connection.fetch(TOKENS, caller.tenant_id)]


async def issue(tx: Transaction, *, wish: Wish) -> Result:
    """The verb behind `create`."""
    actor = await _holder(tx, wish)
    places = [await _place(tx, path) for path in wish.namespaces]
    actor_id = format_id(access.ACTOR_PREFIXES[wish.kind], actor)
    everywhere: list[tuple[str | None, Sequence[UUID]]] = [(None, ())]
    for place, lineage in places or everywhere:
        if await _role_held(tx, actor, lineage) < wish.role:
            await access.grant_role(tx, actor_id=actor_id, role=wish.role.name, namespace_id=place)
    return await access.create_token(
        tx,
        actor_id=actor_id,
        description=wish.description,
        role=wish.role.name,
        namespace_ids=[place for place, _ in places] or None,
        expires_at=wish.expires_at,
    )


async def withdraw(tx: Transaction, *, prefix: str) -> Result:
    """The verb behind `revoke`."""
    id_ = await tx.fetchval(TOKEN_BY_PREFIX, prefix) if "\0" not in prefix else None
    if id_ is None:
        raise NotFound(f"There is no token {prefix[:40]}. `modelbox-server token list` shows them.")
    await access.revoke_token(tx, id=format_id(TOKEN.prefix, id_))
    return {"prefix": prefix}


async def _done(database: Database, name: str, verb: Verb, request_id: str, key: str, **arguments: Any) -> str:
    caller = await local_caller(database)
    call = Call(name, verb, arguments, Role.ADMIN)
    return await run(database, caller, request_id, call, partial(_answer, key))


def _answer(key: str, result: Result) -> tuple[str, Sequence[Any]]:
    return "SELECT $1::text", [result[key]]


async def _holder(tx: Transaction, wish: Wish) -> UUID:
    name = check_name(wish.name, "name")
    if wish.kind == "SERVICE_ACCOUNT":
        await access.create_service_account(tx, name=name)
    found = await tx.fetchrow(ACTOR_BY_NAME, wish.kind, name)
    if found is None:
        return await _new_user(tx, name)
    if found["disabled_at"] is not None:
        raise Conflict(f"{name} is disabled, so a token would be good for nothing. Enable the account first.")
    id_: UUID = found["id"]
    return id_


async def _new_user(tx: Transaction, name: str) -> UUID:
    id_ = new_id()
    await tx.insert(tables.Actor, id=id_, kind="USER", name=name, created_at=tx.now)
    tx.audit("CREATE", "USER", id_, name=name, stream_id=tx.tenant_id, after={"name": name})
    return id_


async def _place(tx: Transaction, path: str) -> tuple[str, Sequence[UUID]]:
    row = await tx.fetchrow(PLACE_BY_PATH, path)
    if row is None:
        raise NotFound(f"There is no namespace {path!r}. Create it first, or make the token without it.")
    return format_id(NAMESPACE.prefix, row["id"]), row["lineage"]


async def _role_held(tx: Transaction, actor: UUID, lineage: Sequence[UUID]) -> int:
    """The highest role of an actor there, 0 for none: a token must not take away what its holder has."""
    grants = await tx.fetch(GRANTS, actor)
    return max((Role[row["role"]] for row in grants if row["namespace_id"] in (None, *lineage)), default=0)
