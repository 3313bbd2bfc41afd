"""Who acts, and where with which role. Tokens are checked here; reads bind `scope`."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from uuid import UUID, uuid5

from db.engine import Connection, Database
from db.errors import DomainError


class Role(IntEnum):
    """Rights on a namespace and all below it. Each holds those before it."""

    READER = 1
    WRITER = 2
    MAINTAINER = 3
    ADMIN = 4


class Unauthenticated(DomainError):
    """The token is not valid: unknown, expired or revoked. Sign in again with a new one."""

    code = "UNAUTHENTICATED"


@dataclass(frozen=True)
class Caller:
    """Somebody in one tenant, with roles by namespace; the role of None holds in the whole tenant."""

    tenant_id: UUID
    actor_id: UUID
    name: str
    kind: str
    grants: Mapping[UUID | None, Role]
    token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None

    @property
    def scope(self) -> list[UUID] | None:
        """The namespaces at and below which the caller may read; None for the whole tenant."""
        return None if None in self.grants else [namespace for namespace in self.grants if namespace]

    def role_on(self, lineage: Sequence[UUID]) -> Role | None:
        """The highest role on a namespace, given the ids from its root to itself."""
        held = [self.grants[place] for place in (None, *lineage) if place in self.grants]
        return max(held, default=None)


def access_stream(tenant_id: UUID) -> UUID:
    """A stream of the tenant without records: its number changes whenever what somebody may do does."""
    return uuid5(tenant_id, "access")


TOKEN_SIGN = "mbx"  # noqa: S105 - what every token begins with
GRANTS = """
    SELECT g.namespace_id, g.role, n.lineage FROM role_grant g
    LEFT JOIN namespace n ON n.tenant_id = g.tenant_id AND n.id = g.namespace_id
    WHERE g.tenant_id = $1 AND g.actor_id = $2
"""
"""The roles of an actor, with the ids above each namespace."""

HOLDER = """
    SELECT t.digest, t.tenant_id, t.actor_id, t.role, t.expires_at, t.namespaces, a.name, a.kind
    FROM token t JOIN actor a ON a.tenant_id = t.tenant_id AND a.id = t.actor_id
    WHERE t.prefix = $1 AND t.revoked_at IS NULL AND a.disabled_at IS NULL
"""
"""A token that is not revoked, of an actor that may act."""

LOCAL = """
    SELECT a.tenant_id, a.id, a.name, a.kind FROM actor a JOIN tenant t ON t.id = a.tenant_id
    WHERE t.name = 'default' AND a.kind = 'USER' AND a.name = 'local'
"""
"""The user of a laptop."""


async def roles_of(connection: Connection, tenant_id: UUID, actor_id: UUID) -> dict[UUID | None, Role]:
    """The roles that an actor has, whatever its tokens are good for."""
    rows = await connection.fetch(GRANTS, tenant_id, actor_id)
    return {row["namespace_id"]: Role[row["role"]] for row in rows}


def digest_of(token: str) -> bytes:
    """SHA-256: tokens are random and long, so a slow hash would protect nothing more."""
    return hashlib.sha256(token.encode()).digest()


def prefix_of(token: str) -> str:
    """The public part of a token, by which it is found and named: `mbx_` and twelve characters."""
    sign, _, rest = token.partition("_")
    return f"{sign}_{rest.partition('_')[0]}"


async def authenticate(database: Database, token: str) -> Caller:
    """Who holds the token.

    Raises:
        Unauthenticated: it is unknown, expired or revoked; which of these, nobody is told.
    """
    prefix = prefix_of(token)[:40]
    async with database.connection() as connection:
        row = await connection.fetchrow(HOLDER, prefix) if "\0" not in prefix else None
        # Compared even when there is none, so that knowing takes as long as not knowing.
        matches = hmac.compare_digest(digest_of(token), row["digest"] if row else bytes(32))
        if row is None or not matches or _is_over(row["expires_at"]):
            raise Unauthenticated
        grants = await connection.fetch(GRANTS, row["tenant_id"], row["actor_id"])
        places = [UUID(place) for place in row["namespaces"] or ()]
        known = "SELECT id, lineage FROM namespace WHERE tenant_id = $1 AND id = ANY($2::uuid[])"
        bounds = await connection.fetch(known, row["tenant_id"], places) if places else []
    held = {grant["namespace_id"]: (Role[grant["role"]], grant["lineage"] or []) for grant in grants}
    if row["namespaces"] is not None:
        held = narrowed(held, {bound["id"]: bound["lineage"] for bound in bounds})
    cap = Role[row["role"]]
    return Caller(
        row["tenant_id"],
        row["actor_id"],
        row["name"],
        row["kind"],
        {place: min(cap, role) for place, (role, _) in held.items()},
        token,
        row["expires_at"],
    )


Held = Mapping[UUID | None, tuple[Role, Sequence[UUID]]]


def narrowed(held: Held, bounds: Mapping[UUID, Sequence[UUID]]) -> dict[UUID | None, tuple[Role, Sequence[UUID]]]:
    """What remains of roles inside the namespaces that a token is bound to."""
    result: dict[UUID | None, tuple[Role, Sequence[UUID]]] = {}
    for place, lineage in bounds.items():
        above = [role for given, (role, _) in held.items() if given is None or given in lineage]
        if above:
            result[place] = (max(above), lineage)
    for given, (role, lineage) in held.items():
        if given is not None and given not in result and any(place in lineage for place in bounds):
            result[given] = (role, lineage)
    return result


def _is_over(expires_at: datetime | None) -> bool:
    return expires_at is not None and expires_at <= datetime.now(UTC)


async def local_caller(database: Database) -> Caller:
    """The user of a laptop, who is admin of the tenant `default`."""
    async with database.connection() as connection:
        row = await connection.fetchrow(LOCAL)
    if row is None:
        raise Unauthenticated("This database has no local user. Run `modelbox-server migrate`.")
    return Caller(row["tenant_id"], row["id"], row["name"], row["kind"], {None: Role.ADMIN})


async def is_valid(database: Database, caller: Caller) -> bool:
    """Whether the caller's token still stands; the local user's place needs none."""
    if caller.token is None:
        return True
    try:
        await authenticate(database, caller.token)
    except Unauthenticated:
        return False
    return True


ANY_HOLDER = "SELECT EXISTS (SELECT FROM token WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()))"


async def has_tokens(database: Database) -> bool:
    """Whether somebody could sign in: a token is stored that is neither revoked nor expired."""
    async with database.connection() as connection:
        return bool(await connection.fetchval(ANY_HOLDER))
