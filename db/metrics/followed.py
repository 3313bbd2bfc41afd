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


@dataclass(frozen=True, slots=True)
class State:
    """Whether all objects are there, none deleted; and whether all are experiments that ended, read to their end."""

    all_there: bool
    is_over: bool


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
