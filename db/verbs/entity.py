"""What all entities have in common when they are written: found, added, revised, removed, brought back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from db import tables
from db.access import Role
from db.errors import Conflict, Denied, Invalid, NameTaken, NotFound, RevisionConflict
from db.identifiers import format_id, new_id, parse_id
from db.metrics.stream import stream_of
from db.read.source import ENTITIES, Source, readable_namespace
from db.read.sql import Bind, Compiled, Statement
from db.transaction import Transaction
from db.verbs.values import spelled

Path = tuple[str, ...]
ID: Path = ("input", "id")
PATCH: Path = ("input", "patch")

UNAUDITED = {
    "tenant_id",
    "id",
    "namespace_id",
    "created_at",
    "created_by",
    "updated_at",
    "deleted_at",
    "revision",
    "root_id",
    "lineage",
    "visible",
}
LINKS = {
    "model_id": "mod",
    "version_id": "ver",
    "experiment_id": "exp",
    "checkpoint_id": "ckp",
    "dataset_id": "dst",
    "namespace_id": "nsp",
}


@dataclass(frozen=True)
class Home:
    """A namespace, as far as writing in it needs it: where it is, and whose stream records it."""

    id: UUID
    path: str
    root_id: UUID
    lineage: Sequence[UUID]


@dataclass(frozen=True)
class Found:
    """A row that the caller may see, locked until the transaction ends, and where it lives."""

    source: Source
    row: asyncpg.Record
    home: Home

    @property
    def id(self) -> UUID:
        """Its id."""
        return self.row["id"]  # type: ignore[no-any-return]

    @property
    def name(self) -> str:
        """What people call it, for the record."""
        return self.named({})

    def named(self, changes: Mapping[str, Any]) -> str:
        """The same, once columns are changed."""
        return str(named({**dict(self.row), **changes}) or format_id(self.source.prefix, self.id))


def named(row: Mapping[str, Any]) -> str | None:
    """The name of a row: a version's string, a dataset use's role."""
    for column in ("path", "name", "version", "role"):
        if row.get(column) is not None:
            return str(row[column])
    return None


def home_of(row: Mapping[str, Any]) -> Home:
    """The namespace in a row that was read with `HOME`."""
    return Home(row["home_id"], row["home_path"], row["home_root"], row["home_lineage"])


WANTED = Bind(lambda env: env["$id"], "uuid")
HOME = "h.id AS home_id, h.path AS home_path, h.root_id AS home_root, h.lineage AS home_lineage"


@cache
def finding(source: Source, *, restricted: bool, deleted: bool, lock: bool) -> Compiled:
    """The statement that finds a row in the caller's sight (or a deleted one in a namespace in sight)."""
    statement = Statement(restricted)
    id_ = statement.bind(WANTED)
    sight = source.visible(statement, "e")
    if deleted:
        sight = f"e.deleted_at IS NOT NULL AND {readable_namespace(statement, 'h')}"
    table = f'"{source.table.__tablename__}"'
    text = (
        f"SELECT e.*, {HOME} FROM {table} e JOIN namespace h ON h.tenant_id = {statement.tenant}"
        f" AND h.id = e.namespace_id WHERE e.tenant_id = {statement.tenant} AND e.id = {id_} AND {sight}"
        f"{' FOR NO KEY UPDATE OF e' if lock else ''}"
    )
    return Compiled(text, tuple(statement.binds))


async def load(
    tx: Transaction,
    source: Source,
    text: str,
    path: Path = ID,
    *,
    role: Role | None = None,
    deleted: bool = False,
    lock: bool = True,
) -> Found:
    """The object of an id, locked unless `lock` is false, when the caller may do this to it.

    `role` is what is needed, by default what the mutation declares; a reader never locks.

    Raises:
        NotFound: there is none in the caller's sight.
        Denied: the caller may see it, but not change it.
        Invalid: the id is malformed or of another type.
    """
    id_ = parse_id(text, (source.prefix,), path)
    needed = tx.role if role is None else role
    restricted = tx.caller.scope is not None
    compiled = finding(source, restricted=restricted, deleted=deleted, lock=lock and needed > Role.READER)
    env = {"$tenant": tx.tenant_id, "$scope": tx.caller.scope, "$actor": tx.caller.actor_id, "$id": id_}
    row = await tx.connection.fetchrow(compiled.text, *compiled.arguments(env))
    if row is None:
        kind = source.kind.lower().replace("_", " ")
        raise NotFound(f"There is no {'deleted ' if deleted else ''}{kind} {text}, or you may not see it.", path=path)
    home = home_of(row)
    found = Found(source, row, home)
    require(tx, home, needed, path, kind=source.kind, object_id=id_)
    return found


def require(tx: Transaction, home: Home, role: Role, path: Path, *, kind: str = "NAMESPACE", object_id: UUID) -> None:
    """Raises Denied unless the caller holds the role in a namespace that it may see."""
    held = tx.caller.role_on(home.lineage)
    if held is None or held < role:
        raise Denied(
            f"This needs the role {role.name} on the namespace {home.path!r}; you are {held.name if held else 'nobody'}"
            " there. Ask one of its admins.",
            path=path,
            kind=kind,
            object_id=object_id,
            namespace_id=home.id,
            stream_id=home.root_id,
        )


async def linked(tx: Transaction, source: Source, text: str | None, path: Path) -> UUID | None:
    """The id of an object to link to, which the caller need only see; None for none.

    Raises:
        NotFound, Invalid: as `load`.
    """
    return None if text is None else (await load(tx, source, text, path, role=Role.READER)).id


async def load_owner(tx: Transaction, text: str, path: Path, *, role: Role | None = None, lock: bool = True) -> Found:
    """An object of any type by its id: the owner of metrics, artifacts, events, metadata.

    Raises:
        NotFound, Denied, Invalid: as `load`.
    """
    prefixes = {source.prefix: source for source in ENTITIES}
    parse_id(text, tuple(prefixes), path)
    return await load(tx, prefixes[text.partition("_")[0]], text, path, role=role, lock=lock)


async def add(
    tx: Transaction,
    source: Source,
    home: Home,
    containers: Iterable[UUID] = (),
    *,
    id_: UUID | None = None,
    told: Any = None,
    **values: Any,
) -> UUID:
    """A new entity with its narrow row and its audit record; `values` are columns, already checked.

    `told` is what the record says in other words than the columns: a mapping.
    """
    id_ = id_ or new_id()
    values = {name: value for name, value in values.items() if value is not None}
    known = {"id": id_, "namespace_id": home.id}
    await tx.insert(
        tables.Object,
        **known,
        kind=source.kind,
        container_ids=list(containers),
        name=named(values) or format_id(source.prefix, id_),
    )
    stamps = {"created_at": tx.now, "created_by": tx.caller.actor_id, "updated_at": tx.now}
    await tx.insert(source.table, **known, **stamps, **values)  # type: ignore[arg-type]
    note(tx, "CREATE", source, home, id_, name=named(values), after={**shown(values, source), **(told or {})})
    return id_


def note(
    tx: Transaction, action: str, source: Source, home: Home, id_: UUID, *, name: str | None, **change: Any
) -> None:
    """The audit record of a change to an entity."""
    label = name or format_id(source.prefix, id_)
    tx.audit(action, source.kind, id_, name=label, stream_id=home.root_id, namespace_id=home.id, **change)


def shown(values: Mapping[str, Any], source: Source) -> dict[str, Any]:
    """Columns as an audit record keeps them: JSON, named as in the schema."""
    return {spelled(name): _json(name, value, source) for name, value in values.items() if name not in UNAUDITED}


def _json(name: str, value: Any, source: Source) -> Any:
    if isinstance(value, UUID):
        return format_id(LINKS.get(name, source.prefix if name == "parent_id" else "obj"), value)
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def _differs(new: Any, old: Any) -> bool:
    """Whether a value is another one. In JSON `1`, `1.0` and `true` differ, which Python takes as equal."""
    if isinstance(new, dict | list):
        return orjson.dumps(new, option=orjson.OPT_SORT_KEYS) != orjson.dumps(old, option=orjson.OPT_SORT_KEYS)
    return bool(new != old)


async def revise(tx: Transaction, found: Found, changes: Mapping[str, Any], if_revision: int | None = None) -> bool:
    """Change columns, already checked; says whether anything was different.

    Raises:
        RevisionConflict: `if_revision` is not the object's revision.
        Invalid: a column that must have a value would lose it.
    """
    check_revision(found, if_revision)
    table = found.source.table.__table__.columns  # type: ignore[union-attr]
    different = {name: value for name, value in changes.items() if _differs(value, found.row[name])}
    for name, value in different.items():
        if value is None and not table[name].nullable:
            where = (*PATCH, spelled(name))
            raise Invalid(f"`{'.'.join(where)}` must not be null. Leave it out to keep what is there.", path=where)
    if not different:
        return False
    await _stamp(tx, found, **different)
    if found.named(different) != found.name:
        await tx.update(tables.Object, found.id, name=found.named(different))
    before = shown({name: found.row[name] for name in different}, found.source)
    note(
        tx,
        "UPDATE",
        found.source,
        found.home,
        found.id,
        name=found.name,
        before=before,
        after=shown(different, found.source),
    )
    return True


def check_revision(found: Found, if_revision: int | None) -> None:
    """Raises RevisionConflict when the object changed since the caller read it."""
    current = found.row["revision"]
    if if_revision is not None and if_revision != current:
        raise RevisionConflict(
            f"The object is at revision {current}, not {if_revision}. Read it again, then repeat your change.",
            path=("input", "ifRevision"),
            current_revision=current,
        )


async def _stamp(tx: Transaction, found: Found, **values: Any) -> None:
    table: Any = found.source.table
    await tx.update(table, found.id, **values, updated_at=tx.now, revision=found.row["revision"] + 1)


async def remove(tx: Transaction, found: Found, if_revision: int | None = None, **also: Any) -> None:
    """Stamp an entity as deleted; what it contains disappears with it. `also` is told by the record."""
    check_revision(found, if_revision)
    await _stamp(tx, found, deleted_at=tx.now)
    await tx.update(tables.Object, found.id, deleted_at=tx.now)
    before = shown({"name": found.name, **also}, found.source)
    note(tx, "DELETE", found.source, found.home, found.id, name=found.name, before=before)
    tx.touch(stream_of(found.id))  # Whoever follows its metrics is told.


async def bring_back(tx: Transaction, found: Found, **changes: Any) -> None:
    """Undo a deletion; `changes` are columns that must differ now, such as a new name."""
    await _stamp(tx, found, deleted_at=None, **changes)
    name = found.named(changes)
    await tx.update(tables.Object, found.id, deleted_at=None, purged_at=None, name=name)
    note(
        tx,
        "RESTORE",
        found.source,
        found.home,
        found.id,
        name=name,
        after=shown({"name": name, **changes}, found.source),
    )


async def require_alive(tx: Transaction, container: Source, id_: UUID) -> None:
    """Raises Conflict when what contains an object is deleted: brought back, it would stay out of sight."""
    statement = f'SELECT deleted_at FROM "{container.table.__tablename__}" WHERE tenant_id = $1 AND id = $2'
    if await tx.fetchval(statement, id_):
        text = format_id(container.prefix, id_)
        kind = container.kind.lower().replace("_", " ")
        raise Conflict(f"The {kind} {text}, which contains it, is deleted, too. Restore that first.", path=ID)


OWNER_DELETED = """
    SELECT EXISTS (
        SELECT FROM object owner JOIN object above ON above.tenant_id = $1 AND above.deleted_at IS NOT NULL
            AND (above.id = owner.id OR above.id = ANY(owner.container_ids))
        WHERE owner.tenant_id = $1 AND owner.id = $2
    )
"""
"""Whether an object, or what contains it, is deleted."""


async def require_owner_alive(tx: Transaction, id_: UUID) -> None:
    """Raises Conflict when the object of any type that something belongs to is deleted, or what contains that."""
    if await tx.fetchval(OWNER_DELETED, id_):
        raise Conflict("The object that it belongs to is deleted, too. Restore that first.", path=ID)


async def refuse_taken(tx: Transaction, source: Source, where: Path, *, but: UUID | None = None, **values: Any) -> None:
    """Raises NameTaken when another live row holds these values."""
    names = list(values)
    terms = " AND ".join(f'e."{name}" IS NOT DISTINCT FROM ${number}' for number, name in enumerate(names, 3))
    alive = "e.visible" if source.kind == "NAMESPACE" else "e.deleted_at IS NULL"
    taken = await tx.fetchrow(
        f'SELECT e.id, h.lineage FROM "{source.table.__tablename__}" e JOIN namespace h ON h.tenant_id = $1'
        f" AND h.id = e.namespace_id WHERE e.tenant_id = $1 AND e.id IS DISTINCT FROM $2 AND {terms} AND {alive}",
        but,
        *values.values(),
    )
    if taken is not None:
        is_seen = tx.caller.role_on(taken["lineage"]) is not None
        holder = f" by {format_id(source.prefix, taken['id'])}" if is_seen else ""
        remedy = "Choose another, or delete or rename that." if is_seen else "Choose another."
        raise NameTaken(f"{values[names[-1]]!r} is taken{holder}. {remedy}", path=where)
