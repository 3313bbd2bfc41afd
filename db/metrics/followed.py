"""What a follower of objects' metrics has to know of them beside the points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg

from db.read.source import ALIVE

STATE: Final = f"""
    SELECT bool_and(o.id IS NOT NULL AND n.visible AND {ALIVE}) AS all_there,
        bool_and(coalesce(e.status NOT IN ('RUNNING', 'STALLED'), false) AND coalesce(h.seq, 0) <= a.upto) AS is_over
    FROM unnest($2::uuid[], $3::uuid[], $4::bigint[]) AS a(owner_id, stream_id, upto)
    LEFT JOIN object o ON o.tenant_id = $1 AND o.id = a.owner_id
    LEFT JOIN namespace n ON n.tenant_id = $1 AND n.id = o.namespace_id
    LEFT JOIN experiment e ON e.tenant_id = $1 AND e.id = a.owner_id
    LEFT JOIN stream_head h ON h.tenant_id = $1 AND h.stream_id = a.stream_id
"""


RESUMED: Final = """
    SELECT a.n, l.number, l.from_step
    FROM unnest($2::uuid[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS a(owner_id, after, upto, n)
    JOIN leg l ON l.tenant_id = $1 AND l.experiment_id = a.owner_id AND l.seq > a.after AND l.seq <= a.upto
    ORDER BY a.n, l.number
"""
"""The resumptions of experiments between two numbers of their streams."""


@dataclass(frozen=True, slots=True)
class State:
    """Whether all objects are there, none deleted; and whether all are experiments that ended, read to their end."""

    all_there: bool
    is_over: bool


@dataclass(frozen=True, slots=True)
class Resumed:
    """A leg that began: of which of the objects, counted from 0, which one, and behind which step."""

    place: int
    number: int
    from_step: int


async def state(
    connection: asyncpg.Connection[Any],
    tenant_id: UUID,
    owners: Sequence[UUID],
    streams: Sequence[UUID],
    upto: Sequence[int],
) -> State:
    """The state of objects whose streams were read up to these numbers."""
    row = await connection.fetchrow(STATE, tenant_id, owners, streams, upto)
    return State(bool(row["all_there"]), bool(row["is_over"]))


async def resumed(
    connection: asyncpg.Connection[Any],
    tenant_id: UUID,
    owners: Sequence[UUID],
    after: Sequence[int],
    upto: Sequence[int],
) -> list[Resumed]:
    """The resumptions among what was read of their streams."""
    rows = await connection.fetch(RESUMED, tenant_id, owners, after, upto)
    return [Resumed(row["n"] - 1, row["number"], row["from_step"]) for row in rows]
