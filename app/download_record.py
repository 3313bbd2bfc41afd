"""Who read what: kept for a moment, then written into the audit trail, many downloads in one transaction.

Nobody who reads waits for it. What is kept when the process is killed is lost: at most a second's worth.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog

from db.access import Caller, Role
from db.blobs.files import Owner
from db.engine import Database
from db.errors import Unavailable
from db.transaction import Transaction

log = structlog.get_logger("modelbox.downloads")

SECONDS: Final = 0.5
"""Between two times of writing; each is late by at most as much again."""

MOST: Final = 100_000
"""Downloads that wait to be written. More of them can only mean that the database is away."""


@dataclass
class Download:
    """One download, or several requests for parts of the same thing."""

    caller: Caller
    owner: Owner
    request_id: str
    address: str | None
    about: dict[str, Any]
    byte_count: int = 0
    requests: int = 1


@dataclass
class DownloadRecord:
    """The downloads of a process that are not in the audit trail yet."""

    database: Database
    _waiting: dict[tuple[Any, ...], Download] = field(default_factory=dict)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def note(self, download: Download) -> None:
        """Take note of one. Ranges of one file, by one caller from one place, are one download."""
        about = tuple(sorted((name, str(value)) for name, value in download.about.items()))
        caller = download.caller
        name = (caller.tenant_id, caller.actor_id, download.owner.artifact_id, download.address, about)
        known = self._waiting.get(name)
        if known is not None:
            known.byte_count += download.byte_count
            known.requests += 1
        elif len(self._waiting) < MOST:
            self._waiting[name] = download
        else:
            log.error("a download is not recorded, for too many wait", request_id=download.request_id)

    async def write(self, now: datetime) -> int:
        """Write what waits; how many it were. What cannot be written now waits on."""
        async with self._writing:
            waiting, self._waiting = self._waiting, {}
            by_tenant: dict[UUID, list[Download]] = defaultdict(list)
            for download in waiting.values():
                by_tenant[download.caller.tenant_id].append(download)
            for tenant, downloads in by_tenant.items():
                try:
                    await self._write(tenant, downloads, now)
                except Unavailable:
                    for download in downloads:
                        self.note(download)
            return len(waiting)

    async def _write(self, tenant: UUID, downloads: list[Download], now: datetime) -> None:
        async with self.database.transaction() as connection:
            first, *others = [self._recorded(connection, download, now) for download in downloads]
            for other in others:
                first.absorb(other)
            await first.settle()
        self.database.committed(tenant, first.moved)

    @staticmethod
    def _recorded(connection: Any, download: Download, now: datetime) -> Transaction:
        owner = download.owner
        tx = Transaction(connection, download.caller, Role.READER, download.request_id, now, download.address)
        requests = {"requests": download.requests} if download.requests > 1 else {}
        tx.audit(
            "DOWNLOAD",
            owner.kind,
            owner.object_id,
            name=owner.object_name,
            stream_id=owner.root_id,
            namespace_id=owner.namespace_id,
            after={"artifactId": owner.artifact, "artifactName": owner.artifact_name, **download.about, **requests},
            byte_count=download.byte_count,
        )
        return tx
