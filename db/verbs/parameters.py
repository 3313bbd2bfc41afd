"""Hyperparameters as rows, one for each leaf, so that filters and orders find them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from db import tables
from db.errors import Invalid
from db.transaction import Transaction

MAX_LEAVES: Final = 1_000
MAX_LEVELS: Final = 20
MAX_PATH_BYTES: Final = 1_000
MAX_TEXT_BYTES: Final = 1_000
"""An entry of an index holds 2 704 bytes; a path and a text must fit into it together."""

Path = tuple[str, ...]
FORGET = "DELETE FROM parameter WHERE tenant_id = $1 AND experiment_id = $2"


def leaves(hyperparameters: Mapping[str, Any], where: Path) -> list[dict[str, Any]]:
    """The leaves as rows. Keys, and positions in lists, make the path; booleans are `true` and `false`.

    Nulls make no row, nor do strings of more than 1 000 bytes, which nobody looks for.

    Raises:
        Invalid: there are too many, or they lie too deep.
    """
    found: list[dict[str, Any]] = []
    waiting: list[tuple[Path, Any]] = [((), hyperparameters)]
    while waiting:
        path, value = waiting.pop()
        if len(path) > MAX_LEVELS or sum(len(key.encode()) for key in path) > MAX_PATH_BYTES:
            raise _refusal(f"nests over {MAX_LEVELS} levels or {MAX_PATH_BYTES} bytes of keys deep", where)
        inner = _inside(value)
        if inner is not None:
            waiting.extend(((*path, key), item) for key, item in inner.items())
        elif value is not None:
            found.append(_leaf(path, value))
        if len(found) + len(waiting) > MAX_LEAVES:
            raise _refusal(f"has more than {MAX_LEAVES} values", where)
    return [row for row in found if row["number"] is not None or row["text"] is not None]


def _inside(value: Any) -> Mapping[str, Any] | None:
    if isinstance(value, list):
        return {str(index): item for index, item in enumerate(value)}
    return value if isinstance(value, Mapping) else None


def _leaf(path: Path, value: Any) -> dict[str, Any]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"path": list(path), "number": float(value), "text": None}
    text = value if isinstance(value, str) else str(value).lower()
    return {"path": list(path), "number": None, "text": text if len(text.encode()) <= MAX_TEXT_BYTES else None}


def _refusal(fault: str, where: Path) -> Invalid:
    return Invalid(f"`{'.'.join(where)}` {fault}. Keep the rest in `metadata`.", path=where)


async def write(tx: Transaction, experiment_id: UUID, rows: list[dict[str, Any]]) -> None:
    """The rows of an experiment that has none."""
    await tx.insert_many(tables.Parameter, [{"experiment_id": experiment_id, **row} for row in rows])


async def rewrite(tx: Transaction, experiment_id: UUID, rows: list[dict[str, Any]]) -> None:
    """The rows of an experiment, in place of those that it has."""
    await tx.execute(FORGET, experiment_id)
    await write(tx, experiment_id, rows)
