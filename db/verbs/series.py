"""Series of metrics that are renamed or deleted: those of the key on the run's line and on every leg that was left.

Nobody else may rewrite the object's points meanwhile, for a resumption makes more series of the same keys. The object
itself is not locked: who logs to a series may end a stall of its experiment, and locks the series first.
"""

from __future__ import annotations

from typing import Any, Final

from db.errors import NameTaken, NotFound
from db.metrics import rewriting
from db.metrics.series_key import check_key
from db.transaction import Result, Transaction
from db.verbs import entity
from db.verbs.entity import Found, Path

OBJECT: Final[Path] = ("input", "objectId")
KEY: Final[Path] = ("input", "key")
NEW_KEY: Final[Path] = ("input", "newKey")

NAMED: Final = "SELECT key FROM series WHERE tenant_id = $1 AND owner_id = $2 AND key = ANY($3)"
"""Which of these keys are series of an object."""

RENAME: Final = "UPDATE series SET key = $4 WHERE tenant_id = $1 AND owner_id = $2 AND key = $3"
"""Storage names a series by its id, so this is all."""

LOCK: Final = "SELECT FROM series WHERE tenant_id = $1 AND owner_id = $2 AND key = $3 FOR UPDATE"
"""Wait for who logs to the series just now: a statement sees what was committed when it began, and no later points."""

DELETE: Final = """
    WITH gone AS (
        DELETE FROM series WHERE tenant_id = $1 AND owner_id = $2 AND key = $3 RETURNING id, count, kind
    ), segments AS (
        DELETE FROM metric_segment WHERE tenant_id = $1 AND owner_id = $2 AND series_id IN (SELECT id FROM gone)
    ), points AS (
        DELETE FROM opaque_point WHERE tenant_id = $1 AND owner_id = $2 AND series_id IN (SELECT id FROM gone)
    )
    SELECT sum(count)::bigint AS count, min(kind) AS kind FROM gone
"""
"""Delete a series with its stored points. Those in the tail name a series that is no more, and are passed over."""


async def rename(tx: Transaction, *, object_id: str, key: str, new_key: str) -> Result:
    """Give a series another key."""
    check_key(new_key, lambda: NEW_KEY)
    owner = await entity.load_owner(tx, object_id, OBJECT, lock=False)
    await rewriting.alone(tx.connection, owner.id)
    known = {row["key"] for row in await tx.fetch(NAMED, owner.id, [key, new_key])}
    if key not in known:
        raise _missing(owner, key)
    if key != new_key:
        if new_key in known:
            raise _taken(new_key)
        # One that somebody else makes meanwhile, the runner finds: it runs this again.
        await tx.execute(RENAME, owner.id, key, new_key)
        _note(tx, owner, before={"series": key}, after={"series": new_key})
    return {**_told(owner), "keys": [new_key]}


async def delete(tx: Transaction, *, object_id: str, key: str) -> Result:
    """Delete a series and its points."""
    owner = await entity.load_owner(tx, object_id, OBJECT, lock=False)
    await rewriting.alone(tx.connection, owner.id)
    await tx.execute(LOCK, owner.id, key)
    gone = await tx.fetchrow(DELETE, owner.id, key)
    if gone is None or gone["count"] is None:
        raise _missing(owner, key)
    before = {"series": key, "kind": gone["kind"], "count": gone["count"]}
    _note(tx, owner, before=before, after={"series": None})
    return {**_told(owner), "pointCount": gone["count"]}


def _note(tx: Transaction, owner: Found, **change: Any) -> None:
    entity.note(tx, "UPDATE", owner.source, owner.home, owner.id, name=owner.name, **change)


def _told(owner: Found) -> Result:
    return {"object": owner.id, "objectPrefix": owner.source.prefix}


def _missing(owner: Found, key: str) -> NotFound:
    return NotFound(f"{owner.name!r} has no series of the key {key[:100]!r}.", path=KEY)


def _taken(key: str) -> NameTaken:
    message = f"There is a series of the key {key!r} already. Choose another, or delete or rename that."
    return NameTaken(message, path=NEW_KEY)
