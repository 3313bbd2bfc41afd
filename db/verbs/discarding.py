"""The end of an upload without its files: its caller gives it up, or the server does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from db import tables
from db.errors import Conflict
from db.read.source import ARTIFACT
from db.transaction import Result, Transaction
from db.verbs import entity, uploads

OVER: Final[Mapping[str, Any]] = {"status": "DISCARDED", "verifying_since": None}
"""From then on `verifying_since` is when its bytes were removed; see `db.blobs.clearing`."""

PENDING = "SELECT name FROM artifact WHERE tenant_id = $1 AND id = $2 AND status = 'PENDING' FOR UPDATE"
USED = "SELECT EXISTS (SELECT FROM file WHERE tenant_id = $1 AND artifact_id = $2)"
OTHERS = """
    SELECT EXISTS (SELECT FROM upload WHERE tenant_id = $1 AND artifact_id = $2 AND status IN ('OPEN', 'VERIFYING'))
"""
LET_GO = "UPDATE upload SET artifact_id = NULL WHERE tenant_id = $1 AND artifact_id = $2"
REMOVE_ARTIFACT = "DELETE FROM artifact WHERE tenant_id = $1 AND id = $2"


async def abort(tx: Transaction, *, id: str) -> Result:
    """Give an upload up."""
    found = await uploads.load(tx, id)
    if found.row["status"] == "READY":
        raise Conflict("The upload is complete. Delete its artifact, if that should not be there.", path=entity.ID)
    await discard(tx, found, failure=None)
    return {"upload": found.id, "deletedId": id}


async def discard(tx: Transaction, found: uploads.Opened, *, failure: str | None) -> None:
    """End an upload without its files; an artifact that was waiting only for them goes with it.

    Its bytes are removed after the commit, by `db.blobs.clearing`, or by the job that looks for such uploads.
    """
    artifact_id = found.row["artifact_id"]
    await tx.update(tables.Upload, found.id, **OVER, failure=failure, finished_at=tx.now)
    row = await tx.fetchrow(PENDING, artifact_id)
    if row is None or await tx.fetchval(OTHERS, artifact_id):
        return
    if await tx.fetchval(USED, artifact_id):
        await tx.update(tables.Artifact, artifact_id, status="READY")
        return
    await tx.execute(LET_GO, artifact_id)
    await tx.execute(REMOVE_ARTIFACT, artifact_id)
    entity.note(tx, "DELETE", ARTIFACT, found.home, artifact_id, name=row["name"], before={"name": row["name"]})


BY_ID = f"""
    SELECT u.*, {entity.HOME} FROM upload u JOIN namespace h ON h.tenant_id = $1 AND h.id = u.namespace_id
    WHERE u.tenant_id = $1 AND u.id = $2 AND u.status IN ('OPEN', 'VERIFYING') FOR NO KEY UPDATE OF u
"""
"""An upload that is under way, whoever sees it."""


async def discard_by_id(tx: Transaction, upload: UUID, *, failure: str | None) -> bool:
    """End an upload that is under way, in the server's own name; whether there was one."""
    row = await tx.fetchrow(BY_ID, upload)
    if row is None:
        return False
    await discard(tx, uploads.Opened(row, entity.home_of(row)), failure=failure)
    return True
