"""Service accounts, tokens, and roles."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from db import tables
from db.access import TOKEN_SIGN, Role, digest_of
from db.errors import Conflict, Denied, Invalid, NotFound
from db.identifiers import format_id, new_id, parse_id
from db.read.source import NAMESPACE, ROLE_GRANT, SERVICE_ACCOUNT, TOKEN, USER
from db.transaction import Result, Transaction
from db.verbs import entity
from db.verbs.entity import ID, Path
from db.verbs.values import checked

ACTOR_PREFIXES = {"USER": USER.prefix, "SERVICE_ACCOUNT": SERVICE_ACCOUNT.prefix}

ACCOUNT_BY_NAME = "SELECT id FROM actor WHERE tenant_id = $1 AND kind = 'SERVICE_ACCOUNT' AND name = $2"
ACTOR_BY_ID = "SELECT id, kind, name, disabled_at FROM actor WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE"
HELD_BY_ID = "SELECT prefix, id, actor_id, revoked_at FROM token WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE"
GRANT_BY_ID = """
    SELECT g.id, g.actor_id, g.role, g.namespace_id, a.name, n.path, n.root_id, n.lineage FROM role_grant g
    JOIN actor a ON a.tenant_id = $1 AND a.id = g.actor_id
    LEFT JOIN namespace n ON n.tenant_id = $1 AND n.id = g.namespace_id
    WHERE g.tenant_id = $1 AND g.id = $2 FOR UPDATE OF g
"""
GRANT_OF = """
    SELECT id, role FROM role_grant
    WHERE tenant_id = $1 AND actor_id = $2 AND namespace_id IS NOT DISTINCT FROM $3 FOR UPDATE
"""
LINE_UP = "SELECT pg_advisory_xact_lock(hashtextextended('admins of ' || $1::uuid, 0))"
"""Let one transaction of a tenant at a time take an admin away: two at once could take the last two."""

ADMINS_LEFT = """
    SELECT EXISTS (
        SELECT FROM role_grant g JOIN actor a ON a.tenant_id = $1 AND a.id = g.actor_id
        WHERE g.tenant_id = $1 AND g.namespace_id IS NULL AND g.role = 'ADMIN' AND a.id <> $2
            AND a.disabled_at IS NULL
    )
"""
"""Whether somebody else is admin of the tenant."""


def require_tenant_admin(tx: Transaction, path: Path, kind: str) -> None:
    """Raises Denied unless the caller is admin of the whole tenant."""
    if tx.caller.role_on(()) != Role.ADMIN:
        raise Denied("This needs the role ADMIN on the whole tenant. Ask one of its admins.", path=path, kind=kind)


async def _require_admin_left(tx: Transaction, actor_id: UUID, path: Path) -> None:
    """Raises Conflict when nobody would be admin of the tenant but for this one."""
    await tx.execute(LINE_UP)
    if not await tx.fetchval(ADMINS_LEFT, actor_id):
        raise Conflict("This is the last admin of the tenant. Grant ADMIN to somebody else first.", path=path)


def _audit(tx: Transaction, action: str, kind: str, id_: UUID, name: str, **change: Any) -> None:
    """Tenants have a stream of their own for what belongs to no namespace."""
    tx.audit(action, kind, id_, name=name, stream_id=tx.tenant_id, **change)


async def create_service_account(tx: Transaction, *, name: str, description: str | None = None) -> Result:
    """Add an account for a program, or get the one of that name unchanged."""
    require_tenant_admin(tx, ("input",), "SERVICE_ACCOUNT")
    values = checked({"name": name, "description": description})
    known = await tx.fetchval(ACCOUNT_BY_NAME, values["name"])
    if known:
        return {"serviceAccount": known, "created": False}
    id_ = new_id()
    await tx.insert(tables.Actor, id=id_, kind="SERVICE_ACCOUNT", created_at=tx.now, **values)
    _audit(tx, "CREATE", "SERVICE_ACCOUNT", id_, values["name"], after=values)
    return {"serviceAccount": id_, "created": True}


async def _actor(tx: Transaction, text: str, path: Path) -> Any:
    id_ = parse_id(text, tuple(ACTOR_PREFIXES.values()), path)
    row = await tx.fetchrow(ACTOR_BY_ID, id_)
    if row is None or format_id(ACTOR_PREFIXES[row["kind"]], id_) != text:
        raise NotFound(f"There is no user or service account {text}.", path=path)
    return row


async def disable(tx: Transaction, *, id: str) -> Result:
    """Keep somebody from acting; their tokens stop within a second."""
    require_tenant_admin(tx, ID, "USER")
    row = await _actor(tx, id, ID)
    if row["id"] == tx.caller.actor_id:
        raise Conflict("You cannot disable yourself. Ask another admin.", path=ID)
    await _require_admin_left(tx, row["id"], ID)
    return await _set_disabled(tx, row, tx.now)


async def enable(tx: Transaction, *, id: str) -> Result:
    """Let somebody act again."""
    require_tenant_admin(tx, ID, "USER")
    return await _set_disabled(tx, await _actor(tx, id, ID), None)


async def _set_disabled(tx: Transaction, row: Any, moment: datetime | None) -> Result:
    if (row["disabled_at"] is None) != (moment is None):
        await tx.update(tables.Actor, row["id"], disabled_at=moment)
        tx.access_changes()
        before, after = {"isDisabled": moment is None}, {"isDisabled": moment is not None}
        _audit(tx, "UPDATE", row["kind"], row["id"], row["name"], before=before, after=after)
    return {"actor": row["id"], "actorPrefix": ACTOR_PREFIXES[row["kind"]]}


async def create_token(
    tx: Transaction,
    *,
    actor_id: str,
    description: str | None = None,
    role: str = "ADMIN",
    namespace_ids: list[str] | None = None,
    expires_at: datetime | None = None,
) -> Result:
    """Make a token. Its secret is in this answer and nowhere else."""
    require_tenant_admin(tx, ("input", "actorId"), "TOKEN")
    actor = await _actor(tx, actor_id, ("input", "actorId"))
    if expires_at is not None and expires_at <= tx.now:
        raise Invalid("`input.expiresAt` has passed already.", path=("input", "expiresAt"))
    places = None if namespace_ids is None else [await _place(tx, text, n) for n, text in enumerate(namespace_ids)]
    values = checked({"description": description})
    prefix = f"{TOKEN_SIGN}_{secrets.token_hex(6)}"
    token = f"{prefix}_{secrets.token_urlsafe(32)}"
    id_ = new_id()
    await tx.insert(
        tables.Token,
        prefix=prefix,
        id=id_,
        actor_id=actor["id"],
        digest=digest_of(token),
        role=role,
        namespaces=places,
        created_at=tx.now,
        expires_at=expires_at,
        **values,
    )
    after = {"actor": actor["name"], "role": role, "expiresAt": expires_at and expires_at.isoformat()}
    _audit(tx, "CREATE", "TOKEN", id_, prefix, after=after)
    return {"tokens": [id_], "tokenId": format_id(TOKEN.prefix, id_), "secret": token}


async def _place(tx: Transaction, text: str, number: int) -> str:
    found = await entity.load(tx, NAMESPACE, text, ("input", "namespaceIds", str(number)), role=Role.READER)
    return found.id.hex


async def revoke_token(tx: Transaction, *, id: str) -> Result:
    """End a token; what it opened closes within a second."""
    require_tenant_admin(tx, ID, "TOKEN")
    row = await tx.fetchrow(HELD_BY_ID, parse_id(id, (TOKEN.prefix,), ID))
    if row is None:
        raise NotFound(f"There is no token {id}.", path=ID)
    if row["revoked_at"] is None:
        await tx.execute("UPDATE token SET revoked_at = $3 WHERE tenant_id = $1 AND id = $2", row["id"], tx.now)
        tx.access_changes()
        _audit(tx, "DELETE", "TOKEN", row["id"], row["prefix"], before={"prefix": row["prefix"]})
    return {"revokedId": id}


async def grant_role(tx: Transaction, *, actor_id: str, role: str, namespace_id: str | None = None) -> Result:
    """Give a role on a namespace and all below it, or on the whole tenant; it replaces an earlier one there."""
    actor = await _actor(tx, actor_id, ("input", "actorId"))
    home = await _granted_home(tx, namespace_id)
    known = await tx.fetchrow(GRANT_OF, actor["id"], home.id if home else None)
    if known and known["role"] == role:
        return {"grants": [known["id"]]}
    id_ = known["id"] if known else new_id()
    if known and known["role"] == "ADMIN" and home is None:
        await _require_admin_left(tx, actor["id"], ("input", "role"))
    if known:
        await tx.update(tables.RoleGrant, id_, role=role)
    else:
        stamps = {"created_at": tx.now, "created_by": tx.caller.actor_id}
        place = home.id if home else None
        await tx.insert(tables.RoleGrant, id=id_, actor_id=actor["id"], namespace_id=place, role=role, **stamps)
    before = {"role": known["role"]} if known else None
    _audit_grant(tx, "UPDATE" if known else "CREATE", id_, actor["name"], home, before=before, after={"role": role})
    return {"grants": [id_]}


async def _granted_home(tx: Transaction, namespace_id: str | None) -> entity.Home | None:
    where = ("input", "namespaceId")
    if namespace_id is None:
        require_tenant_admin(tx, where, "ROLE_GRANT")
        return None
    return (await entity.load(tx, NAMESPACE, namespace_id, where)).home


def _audit_grant(tx: Transaction, action: str, id_: UUID, name: str, home: entity.Home | None, **change: Any) -> None:
    stream, place = (home.root_id, home.id) if home else (tx.tenant_id, None)
    tx.audit(action, "ROLE_GRANT", id_, name=name, stream_id=stream, namespace_id=place, **change)
    tx.access_changes()


def _is_hidden(tx: Transaction, grant: Mapping[str, Any]) -> bool:
    return grant["namespace_id"] is not None and tx.caller.role_on(grant["lineage"]) is None


async def revoke_role(tx: Transaction, *, id: str) -> Result:
    """Take a role away. The last admin of a tenant stays."""
    grant_id = parse_id(id, (ROLE_GRANT.prefix,), ID)
    row = await tx.fetchrow(GRANT_BY_ID, grant_id)
    if row is None or _is_hidden(tx, row):
        raise NotFound(f"There is no role grant {id}, or you may not see it.", path=ID)
    home = None
    if row["namespace_id"] is None:
        require_tenant_admin(tx, ID, "ROLE_GRANT")
        if row["role"] == "ADMIN":
            await _require_admin_left(tx, row["actor_id"], ID)
    else:
        # The namespace may be deleted: what comes back with it should not bring back a role.
        home = entity.Home(row["namespace_id"], row["path"], row["root_id"], row["lineage"])
        entity.require(tx, home, tx.role, ID, object_id=home.id)
    await tx.execute("DELETE FROM role_grant WHERE tenant_id = $1 AND id = $2", grant_id)
    _audit_grant(tx, "DELETE", grant_id, row["name"], home, before={"role": row["role"]})
    return {"revokedId": id}
