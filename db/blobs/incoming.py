"""Parts on their way into a store that is not direct: what is expected, and that it came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from db.access import Caller, Role
from db.blobs.sending import numbers_in, session_of
from db.blobs.store import Part, Session
from db.engine import Database
from db.errors import Conflict, Denied, Invalid, NotFound
from db.identifiers import format_id, parse_id
from db.verbs.uploads import KEPT

EXPECTED = """
    SELECT f.*, u.status, n.lineage FROM upload u
    JOIN namespace n ON n.tenant_id = $1 AND n.id = u.namespace_id AND n.visible
    LEFT JOIN upload_file f ON f.tenant_id = $1 AND f.upload_id = u.id AND f.number = $3
    WHERE u.tenant_id = $1 AND u.id = $2
"""
"""An upload and one of its files, whoever sees it."""

RECEIVED = """
    WITH heard_of AS (
        UPDATE upload SET expires_at = $5::timestamptz
        WHERE tenant_id = $1 AND id = $2 AND expires_at < $5::timestamptz - interval '1 hour'
    )
    UPDATE upload_file f SET received = received + int8multirange(int8range($4::bigint, $4::bigint + 1))
    FROM upload u, set_config('synchronous_commit', 'off', true)
    WHERE f.tenant_id = $1 AND f.upload_id = $2 AND f.number = $3 AND u.tenant_id = $1 AND u.id = $2
        AND u.status = 'OPEN'
    RETURNING true
"""
"""Note a part, if the upload is still open; and that something was heard of it, so that it is not given up.

The note need not outlive a loss of power, for until the file is closed its bytes might not, either: the part would be
asked for again. So nobody waits until the disk has it.
"""


@dataclass(frozen=True)
class Expected:
    """A part that may be sent, and whether it is there already."""

    upload_id: UUID
    file_number: int
    session: Session
    part: Part
    is_received: bool


async def expected(database: Database, caller: Caller, upload: str, file: int, part: int) -> Expected:
    """The part of these numbers, for who may send it.

    Raises:
        NotFound: there is no such upload, file or part in the caller's sight.
        Denied: the caller may see it, but not write there.
        Conflict: the upload is over.
    """
    try:
        id_ = parse_id(upload, ("upl",))
    except Invalid as error:
        raise NotFound from error
    async with database.connection() as connection:
        row = await connection.fetchrow(EXPECTED, caller.tenant_id, id_, file)
    role = caller.role_on(row["lineage"]) if row else None
    if row is None or role is None:
        raise NotFound
    if role < Role.WRITER:
        raise Denied("To upload needs the role WRITER on the artifact's namespace. Ask one of its admins.")
    if row["status"] != "OPEN":
        raise Conflict(f"The upload is {row['status']}, and takes no more parts.")
    return _expected(row, caller.tenant_id, id_, part)


def _expected(row: Mapping[str, Any], tenant_id: UUID, upload: UUID, number: int) -> Expected:
    if row["number"] is None:
        raise NotFound
    session = session_of(tenant_id, row)
    if not 0 <= number < len(session.parts):
        raise NotFound
    is_received = row["is_stored"] or number in set(numbers_in(row["received"]))
    return Expected(upload, row["number"], session, session.parts[number], is_received)


async def note(database: Database, expected: Expected) -> None:
    """Remember that a part is there, and is right.

    Raises:
        Conflict: the upload ended meanwhile.
    """
    tenant_id, part = expected.session.key.tenant_id, expected.part.number
    async with database.connection() as connection:
        row = (tenant_id, expected.upload_id, expected.file_number, part)
        if not await connection.fetchval(RECEIVED, *row, datetime.now(UTC) + KEPT):
            raise Conflict(f"The upload {format_id('upl', expected.upload_id)} ended while the part was sent.")
