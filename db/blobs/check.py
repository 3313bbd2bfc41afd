"""What is stored against what is known of it: bytes that are missing, that are wrong, or that nobody knows.

Rows and keys are read side by side in one order, so neither is ever held whole. What seems wrong is looked at once
more by itself before it is told: others upload and remove meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from db.blobs import verified
from db.blobs.store import BlobStore, Key, Missing, Parts, Stored
from db.engine import Database
from db.errors import NotFound
from db.identifiers import format_id
from db.read.source import PREFIXES

PAGE: Final = 1_000
AT_ONCE: Final = 4
"""Blobs that are read at the same time."""

NOTED: Final = 500
"""Blobs that are right, after which that is noted."""

HOLDERS: Final = 10

TENANTS: Final = "SELECT id FROM tenant WHERE $1::text IS NULL OR name = $1 OR id::text = $1 ORDER BY id"

ROWS: Final = """
    SELECT id, digest, size, damaged_at IS NOT NULL AS is_damaged FROM blob
    WHERE tenant_id = $1 AND doomed_at IS NULL AND digest > $2 ORDER BY digest LIMIT $3
"""
"""Blobs in the order of their keys: digits and the letters a to f come in one order whatever the collation."""

ROW: Final = """
    SELECT size, part_size, part_digests FROM blob WHERE tenant_id = $1 AND id = $2 AND doomed_at IS NULL
"""

KNOWN: Final = """
    SELECT EXISTS (SELECT FROM blob WHERE tenant_id = $1 AND id = $2)
        OR EXISTS (SELECT FROM upload_file WHERE tenant_id = $1 AND blob_id = $2)
"""
"""Whether bytes are a blob, be it a doomed one, or of an upload."""

HELD_BY: Final = """
    SELECT n.path AS namespace, o.kind, o.id, o.name AS owner, a.id AS artifact_id, a.name AS artifact, f.path
    FROM file f JOIN artifact a ON a.tenant_id = $1 AND a.id = f.artifact_id
    JOIN object o ON o.tenant_id = $1 AND o.id = a.object_id
    JOIN namespace n ON n.tenant_id = $1 AND n.id = a.namespace_id
    WHERE f.tenant_id = $1 AND f.blob_id = $2 ORDER BY f.id LIMIT $3
"""
"""The files that consist of a blob."""

DAMAGED: Final = "UPDATE blob SET damaged_at = coalesce(damaged_at, $3) WHERE tenant_id = $1 AND id = $2"
RIGHT: Final = "UPDATE blob SET verified_at = $3, damaged_at = NULL WHERE tenant_id = $1 AND id = ANY($2)"

UNFINISHED: Final = """
    SELECT count(*) AS count, coalesce(sum(total_size), 0)::bigint AS size FROM upload
    WHERE tenant_id = ANY($1) AND status IN ('OPEN', 'VERIFYING')
"""


@dataclass(frozen=True)
class Holder:
    """A file that consists of a blob, and where it is."""

    namespace: str
    owner_id: str
    owner: str
    artifact_id: str
    artifact: str
    path: str


@dataclass(frozen=True)
class Finding:
    """Something that is wrong. `size` is what there should be, `found` what there is."""

    kind: Literal["missing", "corrupt", "orphaned"]
    key: Key
    size: int = 0
    found: int = 0
    parts: tuple[int, ...] = ()
    holders: tuple[Holder, ...] = ()
    is_repaired: bool = False


@dataclass
class Tally:
    """How much was looked at, and what came of it."""

    blobs: int = 0
    bytes: int = 0
    bytes_read: int = 0
    missing: int = 0
    corrupt: int = 0
    orphaned: int = 0
    orphaned_bytes: int = 0
    repaired: int = 0
    young: int = 0
    """Bytes that nobody knows, but so new that somebody may just be about to."""

    unfinished: int = 0
    unfinished_bytes: int = 0

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong now."""
        return not self.missing and not self.corrupt and self.orphaned == self.repaired


@dataclass(frozen=True)
class Row:
    """A blob as the database knows it."""

    key: Key
    size: int
    is_damaged: bool


Pair = tuple[Row | None, Stored | None]


@dataclass
class Check:
    """One look through everything, or through one tenant's. `is_quick` reads no bytes but of what is known as damaged.

    `grace`: how old bytes must be that nobody knows. `repairs` removes these; nothing else can be repaired from here.
    """

    database: Database
    store: BlobStore
    now: datetime
    grace: timedelta
    is_quick: bool = False
    repairs: bool = False
    tenant: str | None = None
    tally: Tally = field(default_factory=Tally)
    _right: list[Key] = field(default_factory=list)

    async def run(self, tell: Callable[[Finding], None]) -> Tally:
        """Look through it, and tell of each thing that is wrong as it is found.

        Raises:
            NotFound: there is no such tenant.
            StoreUnavailable: the store does not answer.
        """
        tenants = await self._tenants()
        if self.tenant is not None and not tenants:
            raise NotFound(f"There is no tenant {self.tenant!r}.")
        waiting: asyncio.Queue[Pair | None] = asyncio.Queue(maxsize=AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(self._work(waiting, tell))
                async for pair in _merged(self._rows(tenants), self._keys(tenants)):
                    if not self._is_settled(pair):
                        await waiting.put(pair)
                for _ in range(AT_ONCE):
                    await waiting.put(None)
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        await self._note_right()
        await self._count_unfinished(tenants)
        return self.tally

    async def _tenants(self) -> list[UUID]:
        async with self.database.connection() as connection:
            return [row["id"] for row in await connection.fetch(TENANTS, self.tenant)]

    async def _rows(self, tenants: list[UUID]) -> AsyncIterator[Row]:
        for tenant in tenants:
            last = ""
            while True:
                async with self.database.connection() as connection:
                    rows = await connection.fetch(ROWS, tenant, last, PAGE)
                for row in rows:
                    last = row["digest"]
                    yield Row(Key(tenant, last.removeprefix("sha256:"), row["id"]), row["size"], row["is_damaged"])
                if len(rows) < PAGE:
                    break

    async def _keys(self, tenants: list[UUID]) -> AsyncIterator[Stored]:
        """What lies in the store. Asked about everything, bytes of tenants that there are not are nobody's."""
        async for stored in self.store.keys():
            if self.tenant is None or stored.key.tenant_id in tenants:
                yield stored

    def _is_settled(self, pair: Pair) -> bool:
        """Count a blob; whether nothing more is to be done about it."""
        row, stored = pair
        if row:
            self.tally.blobs += 1
            self.tally.bytes += row.size
        if row is None or stored is None or row.size != stored.size:
            return False
        return self.is_quick and not row.is_damaged

    async def _work(self, waiting: asyncio.Queue[Pair | None], tell: Callable[[Finding], None]) -> None:
        while pair := await waiting.get():
            row, stored = pair
            found = await self._of_row(row) if row else await self._of_key(stored) if stored else None
            if found:
                self._count(found)
                tell(found)

    def _count(self, found: Finding) -> None:
        setattr(self.tally, found.kind, getattr(self.tally, found.kind) + 1)
        if found.kind == "orphaned":
            self.tally.orphaned_bytes += found.found
            self.tally.repaired += found.is_repaired

    # --- What is known ---

    async def _of_row(self, row: Row) -> Finding | None:
        key = row.key
        stored = await self.store.stat(key)
        async with self.database.connection() as connection:
            known = await connection.fetchrow(ROW, key.tenant_id, key.id)
        if known is None:  # Swept meanwhile.
            return None
        found = Finding("missing", key, row.size, stored.size if stored else 0)
        if stored is not None and stored.size == row.size:
            if self.is_quick and not row.is_damaged:
                return None
            parts = Parts(known["size"], known["part_size"], known["part_digests"])
            wrong = await self._wrong_parts(key, parts)
            if not wrong:
                await self._is_right(key)
                return None
            found = replace(found, kind="corrupt", parts=wrong)
        async with self.database.connection() as connection:
            await connection.execute(DAMAGED, key.tenant_id, key.id, self.now)
        return replace(found, holders=await self._holders(key))

    async def _wrong_parts(self, key: Key, parts: Parts) -> tuple[int, ...]:
        """The numbers of the parts whose bytes are not those that were stored."""
        wrong = []
        for part in parts:
            try:
                async for piece in verified.read(self.store, key, parts, part.offset, part.offset + part.size):
                    self.tally.bytes_read += len(piece)
            except (verified.Damaged, Missing):
                wrong.append(part.number)
        return tuple(wrong)

    async def _is_right(self, key: Key) -> None:
        self._right.append(key)
        if len(self._right) >= NOTED:
            await self._note_right()

    async def _note_right(self) -> None:
        keys, self._right = self._right, []
        by_tenant: dict[UUID, list[UUID]] = {}
        for key in keys:
            by_tenant.setdefault(key.tenant_id, []).append(key.id)
        async with self.database.connection() as connection:
            for tenant, ids in by_tenant.items():
                await connection.execute(RIGHT, tenant, ids, self.now)

    async def _holders(self, key: Key) -> tuple[Holder, ...]:
        async with self.database.connection() as connection:
            rows = await connection.fetch(HELD_BY, key.tenant_id, key.id, HOLDERS)
        return tuple(map(_holder, rows))

    # --- What is not ---

    async def _of_key(self, stored: Stored) -> Finding | None:
        key = stored.key
        async with self.database.connection() as connection:
            if await connection.fetchval(KNOWN, key.tenant_id, key.id):
                return None
        if stored.modified_at > self.now - self.grace:
            self.tally.young += 1
            return None
        if self.repairs:
            await self.store.remove(key)
        return Finding("orphaned", key, found=stored.size, is_repaired=self.repairs)

    async def _count_unfinished(self, tenants: list[UUID]) -> None:
        async with self.database.connection() as connection:
            row = await connection.fetchrow(UNFINISHED, tenants)
        self.tally.unfinished, self.tally.unfinished_bytes = row["count"], row["size"]


def _holder(row: Any) -> Holder:
    owner, artifact = format_id(PREFIXES[row["kind"]], row["id"]), format_id("art", row["artifact_id"])
    return Holder(row["namespace"], owner, row["owner"], artifact, row["artifact"], row["path"])


async def _merged(rows: AsyncIterator[Row], keys: AsyncIterator[Stored]) -> AsyncIterator[Pair]:
    """Both side by side. Were one of them out of order, some would be looked at alone, and nothing found wrong."""
    row, stored = await anext(rows, None), await anext(keys, None)
    while row or stored:
        if stored is None or (row and row.key.path < stored.key.path):
            yield row, None
            row = await anext(rows, None)
        elif row is None or stored.key.path < row.key.path:
            yield None, stored
            stored = await anext(keys, None)
        else:
            yield row, stored
            row, stored = await anext(rows, None), await anext(keys, None)
