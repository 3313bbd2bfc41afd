"""Metrics: points of any number of series of an object, and the figures of those."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from db.metrics.batch import Batch, batches
from db.metrics.figures import NAMES, Figures
from db.read.source import EXPERIMENT
from db.transaction import Result, Transaction
from db.verbs import entity, experiments
from db.verbs.entity import Found

COLUMNS = ("tenant_id", "owner_id", "key", "leg", "position", "step", "wall_time", "number", "string", "binary")
LEG = 0

LOCK = f"""
    INSERT INTO series AS known (tenant_id, owner_id, key, leg, namespace_id, kind, count, updated_at)
    SELECT $1, $2, new.key, {LEG}, $3, new.kind, 0, $6
    FROM unnest($4::text[], $5::text[]) AS new(key, kind) ORDER BY new.key
    ON CONFLICT (tenant_id, owner_id, key, leg) DO UPDATE SET updated_at = greatest(known.updated_at, $6)
    RETURNING key, kind, {", ".join(f'"{name}"' for name in NAMES)}
"""
"""The series of these keys, made where they are missing, locked in the order of their keys: no two calls deadlock."""

TYPES: Mapping[str, str] = {
    "count": "bigint", "non_finite_count": "bigint",
    "first_at": "timestamptz", "last_at": "timestamptz",
    "first": "float8", "last": "float8", "min": "float8", "max": "float8", "sum": "float8", "mean": "float8",
    "first_step": "bigint", "last_step": "bigint", "min_step": "bigint", "max_step": "bigint",
}  # fmt: skip

KEEP = f"""
    UPDATE series AS known SET {", ".join(f'"{name}" = new."{name}"' for name in NAMES)}
    FROM unnest($3::text[], {", ".join(f"${n}::{TYPES[name]}[]" for n, name in enumerate(NAMES, 4))})
        AS new(key, {", ".join(f'"{name}"' for name in NAMES)})
    WHERE known.tenant_id = $1 AND known.owner_id = $2 AND known.leg = {LEG} AND known.key = new.key
"""
"""The new figures of series that are locked."""


async def log(tx: Transaction, *, object_id: str, points: Sequence[Mapping[str, Any]]) -> Result:
    """Append points to the series of an object."""
    new = batches(points)
    # Not locked: writers of different series need not wait for each other.
    owner = await entity.load_owner(tx, object_id, ("input", "objectId"), lock=False)
    if new:
        known = await _locked(tx, owner, new)
        await tx.connection.copy_records_to_table("point", records=_rows(tx, owner, new, known), columns=COLUMNS)
        await _keep(tx, owner, {batch.key: known[batch.key].after(batch.points) for batch in new})
    if owner.source is EXPERIMENT:
        await experiments.sign_of_life(tx, owner.id)
    return {
        "object": owner.id,
        "objectPrefix": owner.source.prefix,
        "keys": [batch.key for batch in new],
        "pointCount": len(points),
    }


async def _locked(tx: Transaction, owner: Found, new: Sequence[Batch]) -> dict[str, Figures]:
    """The figures of each series so far."""
    keys, kinds = [batch.key for batch in new], [batch.kind for batch in new]
    rows = {row["key"]: row for row in await tx.fetch(LOCK, owner.id, owner.home.id, keys, kinds, tx.now)}
    for batch in new:
        batch.require_kind(rows[batch.key]["kind"], batch.given, batch.place)
    return {key: Figures(*(row[name] for name in NAMES)) for key, row in rows.items()}


def _rows(
    tx: Transaction, owner: Found, new: Sequence[Batch], known: Mapping[str, Figures]
) -> Iterator[tuple[Any, ...]]:
    """The points as rows; positions go on from the count of each series."""
    for batch in new:
        for position, point in enumerate(batch.points, known[batch.key].count):
            values = (point.step, point.wall_time, point.number, point.string, point.binary)
            yield (tx.tenant_id, owner.id, batch.key, LEG, position, *values)


async def _keep(tx: Transaction, owner: Found, figures: Mapping[str, Figures]) -> None:
    columns = ([getattr(each, name) for each in figures.values()] for name in NAMES)
    await tx.execute(KEEP, owner.id, list(figures), *columns)
