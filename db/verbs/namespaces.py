"""Namespaces: made when first named, moved with all below them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from db.access import Role, local_caller
from db.engine import Database
from db.errors import Conflict, Denied, Invalid, NotFound
from db.identifiers import new_id, parse_id
from db.names import check_name, check_path
from db.read.source import NAMESPACE
from db.transaction import Again, Call, Result, Transaction, run
from db.verbs import entity
from db.verbs.entity import ID, PATCH, Found, Home, Path
from db.verbs.values import checked

DEFAULT = "default"
MAX_PATH_BYTES = 2_000
"""An entry of an index holds 2 704 bytes, and names may be long."""

HAS_NAMESPACES = "SELECT EXISTS (SELECT FROM namespace WHERE tenant_id = $1)"

NEAREST = """
    SELECT id, path, root_id, lineage FROM namespace
    WHERE tenant_id = $1 AND path = ANY($2) AND visible ORDER BY cardinality(lineage) DESC LIMIT 1
"""
"""The deepest existing namespace on the way to a path."""

HOLD = """
    SELECT path, deleted_at FROM namespace
    WHERE tenant_id = $1 AND id = ANY($2) ORDER BY cardinality(lineage) FOR SHARE
"""
"""The namespaces from a root to one below it, kept from being moved or deleted until the commit."""

MOVE_BELOW = """
    UPDATE namespace SET path = $3 || substr(path, length($4) + 1), updated_at = $5
    WHERE tenant_id = $1 AND $2 = ANY(lineage) AND id <> $2
"""
"""Rewrite the paths of all below a namespace, deleted ones too."""

LONGEST_BELOW = "SELECT max(octet_length(path)) FROM namespace WHERE tenant_id = $1 AND $2 = ANY(lineage)"

SHOW_BELOW = """
    UPDATE namespace n SET visible = NOT EXISTS (
        SELECT 1 FROM namespace a WHERE a.tenant_id = $1 AND a.id = ANY(n.lineage) AND a.deleted_at IS NOT NULL
    ) WHERE n.tenant_id = $1 AND $2 = ANY(n.lineage)
"""
"""Work out anew what of a subtree is in sight."""


def _home(row: asyncpg.Record) -> Home:
    return Home(row["id"], row["path"], row["root_id"], row["lineage"])


def _checked(path: str, where: Path) -> str:
    path = check_path(path, ".".join(where), path=where)
    _require_short(len(path.encode()), where)
    return path


def _require_short(size: int, where: Path) -> None:
    if size > MAX_PATH_BYTES:
        raise Invalid(
            f"The path would have {size} bytes; at most {MAX_PATH_BYTES} are allowed. Shorten it.", path=where
        )


async def ensure(tx: Transaction, path: str, where: Path = ("input", "namespace"), role: Role | None = None) -> Home:
    """The namespace of a path, made with all above it when it is first named.

    Raises:
        Denied: the caller lacks the role there; or, for what is to be made, on what exists above it.
        Invalid: the path breaks the rules of names.
    """
    path = _checked(path, where)
    parts = path.split("/")
    prefixes = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    nearest = await tx.fetchrow(NEAREST, prefixes)
    home = _home(nearest) if nearest else None
    _require(tx, home, path, where, role or tx.role)
    missing = prefixes[home.path.count("/") + 1 if home else 0 :]
    if home and missing:
        await _hold(tx, home)
    for made in missing:
        home = await _make(tx, home, made)
    return home  # type: ignore[return-value]


async def _hold(tx: Transaction, home: Home) -> None:
    """Keep a namespace where it is while something is made below it.

    Else a move or a deletion at the same time would miss what it does not see yet.
    """
    held = await tx.fetch(HOLD, list(home.lineage))
    if any(row["deleted_at"] for row in held) or held[-1]["path"] != home.path:
        raise Again


def _require(tx: Transaction, home: Home | None, path: str, where: Path, role: Role) -> None:
    """What is missing and what is not the caller's look the same."""
    if tx.caller.role_on(home.lineage if home else ()) is None:
        raise NotFound(
            f"There is no namespace {path!r} that you may see, and only an admin of the tenant can make a new root."
            " Name one that you may write to.",
            path=where,
        )
    if home is None:
        _require_naming(tx, (), where, object_id=tx.tenant_id, stream_id=tx.tenant_id)
    else:
        entity.require(tx, home, role, where, object_id=home.id)


def _require_naming(tx: Transaction, above: Sequence[UUID], where: Path, **about: UUID) -> None:
    """Raises Denied unless the caller may name a child of what is above: a writer there; for a root, an admin."""
    held = tx.caller.role_on(above)
    if held is None or held < (Role.WRITER if above else Role.ADMIN):
        needed = "the role WRITER on the namespace above it" if above else "the role ADMIN on the whole tenant"
        raise Denied(f"Naming a {'namespace' if above else 'root'} needs {needed}.", path=where, **about)


async def _make(tx: Transaction, parent: Home | None, path: str, **values: Any) -> Home:
    id_ = new_id()
    home = Home(id_, path, parent.root_id if parent else id_, [*(parent.lineage if parent else ()), id_])
    await entity.add(
        tx,
        NAMESPACE,
        home,
        id_=id_,
        parent_id=parent.id if parent else None,
        root_id=home.root_id,
        name=path.rpartition("/")[2],
        path=path,
        lineage=list(home.lineage),
        visible=True,
        **values,
    )
    return home


async def create(tx: Transaction, *, path: str, **values: Any) -> Result:
    """Make a namespace, or get the one of that path unchanged.

    Raises:
        Denied: the caller lacks the role; to set how long points are kept, that of a maintainer.
    """
    where = ("input", "path")
    path = _checked(path, where)
    values = checked(values)
    known = await tx.fetchrow(NEAREST, [path])
    if known:
        _require(tx, _home(known), path, where, tx.role)
        return {"namespace": known["id"], "created": False}
    parent_path = path.rpartition("/")[0]
    parent = await ensure(tx, parent_path, where) if parent_path else None
    if parent:
        await _hold(tx, parent)
    else:
        _require(tx, None, path, where, tx.role)
    if parent and values.get("raw_metric_days") is not None:
        entity.require(tx, parent, Role.MAINTAINER, ("input", "rawMetricDays"), object_id=parent.id)
    home = await _make(tx, parent, path, **values)
    return {"namespace": home.id, "created": True}


async def make_default(database: Database) -> None:
    """Make the namespace `default` if it was never made; one that was renamed stays so."""
    caller = await local_caller(database)
    async with database.connection() as connection:
        if await connection.fetchval(HAS_NAMESPACES, caller.tenant_id):
            return
    call = Call("createNamespace", create, {"path": DEFAULT}, Role.ADMIN)
    await run(database, caller, "installation", call, lambda _: ("SELECT ''", []))


async def update(tx: Transaction, *, id: str, patch: dict[str, Any], if_revision: int | None = None) -> Result:
    """Change a namespace; a new name moves all that is below it."""
    found = await entity.load(tx, NAMESPACE, id)
    changes = checked(patch, "input.patch")
    name = changes.get("name")
    if name is not None and name != found.row["name"]:
        entity.check_revision(found, if_revision)
        changes["path"] = await _rename(tx, found, name, (*PATCH, "name"))
    await entity.revise(tx, found, changes, if_revision)
    return {"namespace": found.id}


async def _rename(tx: Transaction, found: Found, name: str, where: Path) -> str:
    """Move all below a namespace to where it goes, and return that."""
    home, old = found.home, found.row["path"]
    if old == DEFAULT:
        raise Invalid("The namespace `default` cannot be renamed: it is where objects go without one.", path=where)
    about = {"object_id": found.id, "namespace_id": home.id, "stream_id": home.root_id}
    _require_naming(tx, home.lineage[:-1], where, **about)
    parent = old.rpartition("/")[0]
    new = f"{parent}/{name}" if parent else name
    longest = await tx.fetchval(LONGEST_BELOW, found.id)
    _require_short(longest + len(new.encode()) - len(old.encode()), where)
    await entity.refuse_taken(tx, NAMESPACE, where, but=found.id, path=new)
    await tx.execute(MOVE_BELOW, found.id, new, old, tx.now)
    return new


async def set_storage_quota(tx: Transaction, *, namespace_id: str, **values: int | None) -> Result:
    """Say how many bytes a namespace and all below it may keep.

    Raises:
        Invalid: the number is below 0, or none was given; null is given to have none.
    """
    where = ("input", "bytes")
    quota = values.get("bytes", -1)
    if quota is not None and quota < 0:
        raise Invalid("`input.bytes` must be 0 or more; or null, for no quota.", path=where)
    found = await entity.load(tx, NAMESPACE, namespace_id, ("input", "namespaceId"))
    await entity.revise(tx, found, {"storage_quota": quota})
    return {"namespace": found.id}


async def delete(tx: Transaction, *, id: str, if_revision: int | None = None) -> Result:
    """Delete a namespace; all that is in it or below it goes out of sight."""
    found = await entity.load(tx, NAMESPACE, id)
    if found.row["path"] == DEFAULT:
        raise Invalid("The namespace `default` cannot be deleted: it is where objects go without one.", path=ID)
    await entity.remove(tx, found, if_revision)
    await tx.execute(SHOW_BELOW, found.id)
    return {"deletedId": id}


DELETED = f"""
    SELECT e.*, {entity.HOME} FROM namespace e JOIN namespace h ON h.tenant_id = $1 AND h.id = e.id
    WHERE e.tenant_id = $1 AND e.id = $2 AND e.deleted_at IS NOT NULL FOR NO KEY UPDATE OF e
"""
"""A deleted namespace by its id."""


async def restore(tx: Transaction, *, id: str, new_name: str | None = None) -> Result:
    """Bring a deleted namespace back, under a new name if its own is taken."""
    found = await _deleted(tx, id)
    await _require_above(tx, found)
    where = ("input", "newName")
    changes: dict[str, Any] = {}
    if new_name is not None:
        name = check_name(new_name, ".".join(where))
        changes = {"name": name, "path": await _rename(tx, found, name, where)}
    await entity.refuse_taken(tx, NAMESPACE, where, path=changes.get("path", found.row["path"]))
    await entity.bring_back(tx, found, **changes)
    await tx.execute(SHOW_BELOW, found.id)
    return {"namespace": found.id}


async def _require_above(tx: Transaction, found: Found) -> None:
    """Raises Conflict when a namespace above is deleted: what is brought back below it would stay out of sight."""
    above = await tx.fetch(HOLD, list(found.home.lineage[:-1]))
    for row in above:
        if row["deleted_at"]:
            raise Conflict(f"The namespace {row['path']!r} above it is deleted, too. Restore that first.", path=ID)


async def _deleted(tx: Transaction, text: str) -> Found:
    id_: UUID = parse_id(text, (NAMESPACE.prefix,), ID)
    row = await tx.fetchrow(DELETED, id_)
    if row is None or tx.caller.role_on(row["lineage"]) is None:
        raise NotFound(f"There is no deleted namespace {text}, or you may not see it.", path=ID)
    found = Found(NAMESPACE, row, _home(row))
    entity.require(tx, found.home, tx.role, ID, object_id=id_)
    return found
