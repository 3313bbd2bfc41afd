"""Metadata that is added to, key by key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from db.errors import Invalid
from db.transaction import Result, Transaction
from db.verbs import entity
from db.verbs.entity import Found, Path
from db.verbs.values import checked

MAX_BYTES: Final = 1_048_576
MAX_REMOVED: Final = 1_000
REMOVE: Path = ("input", "remove")


async def log(
    tx: Transaction,
    *,
    object_id: str,
    metadata: dict[str, Any] | None = None,
    remove: Sequence[str] | None = None,
    if_revision: int | None = None,
) -> Result:
    """Set and remove keys of the first level of an object's metadata; the others stay."""
    new = checked({"metadata": {} if metadata is None else metadata})["metadata"]
    gone = _removed(remove or (), new)
    found = await entity.load_owner(tx, object_id, ("input", "objectId"))
    entity.check_revision(found, if_revision)
    old = found.row["metadata"]
    merged = {key: value for key, value in {**old, **new}.items() if key not in gone}
    before, after = changed_keys(old, merged)
    if before or after:
        require_small(merged, ("input", "metadata"))
        table: Any = found.source.table
        revision = found.row["revision"] + 1
        await tx.update(table, found.id, metadata=merged, updated_at=tx.now, revision=revision)
        _note(tx, found, before, after)
    return {"object": found.id, "objectPrefix": found.source.prefix}


def _removed(keys: Sequence[str], new: Mapping[str, Any]) -> set[str]:
    if len(keys) > MAX_REMOVED:
        raise Invalid(f"`input.remove` has {len(keys)} keys; a call takes {MAX_REMOVED}. Split them.", path=REMOVE)
    for place, key in enumerate(keys):
        if key in new:
            where = (*REMOVE, str(place))
            raise Invalid(f"The key {key[:200]!r} is both set and removed. Leave one of the two out.", path=where)
    return set(keys)


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys that were added, changed or removed: as they were, and as they are."""
    different = [key for key in {**old, **new} if _written(old, key) != _written(new, key)]
    before, after = ({key: side[key] for key in different if key in side} for side in (old, new))
    return before, after


def _written(values: Mapping[str, Any], key: str) -> bytes | None:
    """A value as bytes, so that `1`, `1.0` and `true` differ, and null from what is not there."""
    return orjson.dumps(values[key], option=orjson.OPT_SORT_KEYS) if key in values else None


def require_small(metadata: Mapping[str, Any], where: Path) -> None:
    """Raises Invalid when metadata that were put together are too much to keep."""
    size = len(orjson.dumps(metadata))
    if size > MAX_BYTES:
        raise Invalid(
            f"The metadata would be {size} bytes long; at most {MAX_BYTES} are kept. Remove keys, or track large values"
            " as files of an artifact.",
            path=where,
        )


def _note(tx: Transaction, found: Found, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    name = entity.named(found.row)
    change = {"before": {"metadata": before}, "after": {"metadata": after}}
    entity.note(tx, "UPDATE", found.source, found.home, found.id, name=name, **change)
