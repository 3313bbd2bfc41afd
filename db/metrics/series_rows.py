"""The rows of `series`: made, and their figures added to, in one statement."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Final, NamedTuple
from uuid import UUID

import orjson

from db.metrics.figures import Figures
from db.metrics.lot import Lot
from db.transaction import Transaction

TYPES: Final[Mapping[str, str]] = {
    "count": "bigint", "non_finite_count": "bigint",
    "first_step": "bigint", "last_step": "bigint",
    "first_at": "bigint", "last_at": "bigint",
    "first": "float8", "last": "float8",
    "min": "float8", "min_step": "bigint", "max": "float8", "max_step": "bigint", "mean": "float8",
}  # fmt: skip
"""The figures and the types in which they are sent, in the order of `Figures`; times as microseconds since 1970."""

NAMES: Final = tuple(field.name for field in fields(Figures))
_LISTED: Final = ", ".join(f'"{name}"' for name in NAMES)


def _moment(name: str) -> str:
    """A time of so many microseconds: by days, for an interval counts seconds as a double does."""
    day = 86_400_000_000
    rest = f"({name} % {day}) * interval '1 microsecond'"
    return f"timestamptz 'epoch' + make_interval(days => ({name} / {day})::int) + {rest}"


_BEFORE: Final = "(known.count - known.non_finite_count)::float8"
_ADDED: Final = "(new.count - new.non_finite_count)::float8"
_CHANGE: Final = f"(new.mean - known.mean) * {_ADDED}"

MERGED: Final[Mapping[str, str]] = {
    "count": "known.count + new.count",
    "non_finite_count": "known.non_finite_count + new.non_finite_count",
    "first_step": "least(known.first_step, new.first_step)",
    "last_step": "greatest(known.last_step, new.last_step)",
    "first_at": "least(known.first_at, new.first_at)",
    "last_at": "greatest(known.last_at, new.last_at)",
    # A point with a step takes the place of those without one.
    "first": "CASE WHEN new.first_step < known.first_step OR new.first_step IS NOT NULL AND known.first_step IS NULL"
    " THEN new.first ELSE known.first END",
    "last": "CASE WHEN new.last_step >= known.last_step OR known.last_step IS NULL THEN new.last ELSE known.last END",
    "min": "CASE WHEN new.min < known.min OR known.min IS NULL THEN new.min ELSE known.min END",
    "min_step": "CASE WHEN new.min < known.min OR known.min IS NULL THEN new.min_step ELSE known.min_step END",
    "max": "CASE WHEN new.max > known.max OR known.max IS NULL THEN new.max ELSE known.max END",
    "max_step": "CASE WHEN new.max > known.max OR known.max IS NULL THEN new.max_step ELSE known.max_step END",
    # Weighted, for a sum may be beyond a double. PostgreSQL refuses a result that is too large or too small for one,
    # so both are looked for: the former is calculated exactly, the latter changes nothing.
    "mean": "CASE WHEN new.mean IS NULL OR known.mean IS NULL THEN coalesce(known.mean, new.mean)"
    " WHEN greatest(abs(known.mean), abs(new.mean)) > 1e290 THEN"
    f" ((known.mean::text::numeric * {_BEFORE}::numeric + new.mean::text::numeric * {_ADDED}::numeric)"
    f" / ({_BEFORE} + {_ADDED})::numeric)::float8"
    f" WHEN abs({_CHANGE}) < ({_BEFORE} + {_ADDED}) * 5e-324::float8 THEN known.mean"
    f" ELSE known.mean + {_CHANGE} / ({_BEFORE} + {_ADDED}) END",
}
"""How the figures of more points join those that are kept."""

_SENT: Final = _LISTED.replace('"first_at"', _moment("first_at")).replace('"last_at"', _moment("last_at"))

ADD: Final = f"""
    INSERT INTO series AS known
        (tenant_id, owner_id, key, leg, namespace_id, kind, {_LISTED}, updated_at, id)
    SELECT $1, owner_id, key, 0, namespace_id, kind, {_SENT}, $2, id
    FROM unnest($3::uuid[], $4::text[], $5::uuid[], $6::text[], $7::bigint[],
        {", ".join(f"${number}::text::{TYPES[name]}[]" for number, name in enumerate(NAMES, 8))})
        AS new(owner_id, key, namespace_id, kind, id, {_LISTED})
    ON CONFLICT (tenant_id, owner_id, key, leg) DO UPDATE SET
        {", ".join(f'"{name}" = {merged.replace("new.", "excluded.")}' for name, merged in MERGED.items())},
        updated_at = greatest(known.updated_at, excluded.updated_at)
    RETURNING owner_id, key, kind, id, count
"""
"""Rows in one order for every call, the order of the arrays, so that no two calls wait for each other in a circle."""


class Kept(NamedTuple):
    """A series as it is now."""

    kind: str
    id: int
    total: int


async def add(tx: Transaction, lot: Lot, homes: Sequence[UUID]) -> list[Kept]:
    """Add the figures of points to their series, made where they are missing; how these are now."""
    new, names = lot.figures(), lot.names
    order = sorted(range(len(names)), key=names.__getitem__)
    columns = (_array([getattr(new, name)[number] for number in order]) for name in NAMES)
    rows = await tx.fetch(
        ADD,
        tx.now,
        [names[number][0] for number in order],
        [names[number][1] for number in order],
        [homes[number] for number in order],
        [lot.kinds[number] for number in order],
        [random.getrandbits(63) for _ in order],
        *columns,
    )
    found = {(row["owner_id"], row["key"]): Kept(row["kind"], row["id"], row["count"]) for row in rows}
    return [found[name] for name in names]


def _array(numbers: Sequence[float | None]) -> str:
    """Numbers as PostgreSQL's text of an array; the driver would take ten times as long to send them one by one."""
    text = orjson.dumps(numbers).decode()
    if text.count("null") != numbers.count(None):  # NaN and infinities, which JSON has no words for
        text = ",".join("NULL" if number is None else repr(number) for number in numbers)
    return "{" + text.strip("[]") + "}"
