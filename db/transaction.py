"""One mutation, one transaction: the verb, its answer, its audit record and its numbers in the feed.

The order is begin, verb, answer, audit and heads, commit. Heads come last, because their rows are
locked until the commit: so numbers are dense and their order is the order of commits.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from msgspec import Struct
from msgspec.structs import asdict
from sqlmodel import SQLModel

from db import tables
from db.access import Caller, Role, access_stream
from db.engine import Database
from db.errors import Conflict, Denied, Invalid, NameTaken
from db.identifiers import new_id
from db.metrics.stream import lock_order
from db.text import check_text

Result = dict[str, Any]
"""What a verb did, as JSON values and ids: kept for callers who lost the answer."""

Answer = Callable[[Result], str | tuple[str, Sequence[Any]]]
"""The answer to a result as JSON; or the statement that reads it, and its arguments."""

Finish = Callable[["asyncpg.Connection[Any]", str], Awaitable[str]]
"""Completes the answer's JSON, in the same transaction."""

ATTEMPTS = 6
DENIED_INTERVAL = 1.0  # seconds between two records of refusals of one actor


class Again(Exception):
    """Somebody else was faster: run the verb once more, and it will see what they wrote."""


Verb = Callable[..., Awaitable[Result]]
"""What a mutation does: takes the transaction and the input's fields by name. It checks, writes, and says what was
done; when it raises DomainError, nothing is written."""


@dataclass(frozen=True)
class Call:
    """A verb to run: under which name, with what, for whom it is meant, and under which key."""

    name: str
    verb: Verb
    arguments: Mapping[str, Any]
    role: Role
    key: str | None = None
    lane: Lane | None = None
    digest: Digest | None = None
    address: str | None = None
    """From where it was asked for, as far as that is known."""


Digest = Callable[[Mapping[str, Any]], bytes]
"""Of a verb's arguments, bytes that are equal for equal input, where the arguments themselves may not be.

It raises DomainError where the verb would.
"""

Lane = Callable[[Database, Caller, str, Call, Answer, "Finish | None"], Awaitable[str]]
"""Runs calls of one kind together, many in one transaction; calls without a key, for a key is claimed alone."""


TAKE_NUMBERS = """
    INSERT INTO stream_head AS head (tenant_id, stream_id, seq, epoch, min_seq)
    VALUES ($1, $2, $3, (SELECT epoch FROM installation LIMIT 1), 0)
    ON CONFLICT (tenant_id, stream_id) DO UPDATE SET seq = head.seq + $3
    RETURNING seq
"""
"""The last of so many new numbers of a stream; its head stays locked until the commit."""

REMEMBERED = """
    SELECT verb, input_digest, result FROM idempotency_record
    WHERE tenant_id = $1 AND actor_id = $2 AND key = $3
"""
"""What was done under an idempotency key."""

CLAIM = """
    INSERT INTO idempotency_record (tenant_id, actor_id, key, verb, input_digest, result, created_at)
    VALUES ($1, $2, $3, $4, $5, 'null', $6) ON CONFLICT DO NOTHING RETURNING true
"""
"""Take an idempotency key; a second caller waits here until the first has committed."""

KEEP_RESULT = "UPDATE idempotency_record SET result = $4 WHERE tenant_id = $1 AND actor_id = $2 AND key = $3"


@cache
def insertion(table: type[SQLModel], names: tuple[str, ...]) -> str:
    """`INSERT` of these columns into a table."""
    known = table.__table__.columns  # type: ignore[attr-defined]
    columns = ", ".join(f'"{known[name].name}"' for name in names)
    marks = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    return f'INSERT INTO "{table.__tablename__}" ({columns}) VALUES ({marks})'


@cache
def revision(table: type[SQLModel], names: tuple[str, ...]) -> str:
    """`UPDATE` of these columns of the row with an id."""
    known = table.__table__.columns  # type: ignore[attr-defined]
    changes = ", ".join(f'"{known[name].name}" = ${number}' for number, name in enumerate(names, 3))
    return f'UPDATE "{table.__tablename__}" SET {changes} WHERE tenant_id = $1 AND id = $2'


@dataclass(frozen=True)
class Record:
    """A row of a stream's log that waits for its number; `amended` is the id of one that is there already."""

    table: type[SQLModel]
    values: Mapping[str, Any]
    amended: UUID | None = None


@dataclass
class Transaction:
    """What a verb works with: an open transaction, who asks, and what will be recorded."""

    connection: asyncpg.Connection[Any]
    caller: Caller
    role: Role
    request_id: str
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    address: str | None = None
    moved: set[UUID] = field(default_factory=set)
    """The streams that numbers were taken from: who follows them is told after the commit."""
    _records: dict[UUID, list[Record]] = field(default_factory=lambda: defaultdict(list), repr=False)

    @property
    def tenant_id(self) -> UUID:
        """The tenant that every statement names."""
        return self.caller.tenant_id

    async def fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """All rows; `$1` is the tenant."""
        return list(await self.connection.fetch(statement, self.tenant_id, *arguments))

    async def fetchrow(self, statement: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row; `$1` is the tenant."""
        return await self.connection.fetchrow(statement, self.tenant_id, *arguments)

    async def fetchval(self, statement: str, *arguments: Any) -> Any:
        """The first row's first column; `$1` is the tenant."""
        return await self.connection.fetchval(statement, self.tenant_id, *arguments)

    async def execute(self, statement: str, *arguments: Any) -> None:
        """Run a statement; `$1` is the tenant."""
        await self.connection.execute(statement, self.tenant_id, *arguments)

    async def insert(self, table: type[SQLModel], **values: Any) -> None:
        """Add a row of the caller's tenant; names are the table's columns."""
        values = {"tenant_id": self.tenant_id, **values}
        await self.connection.execute(insertion(table, tuple(values)), *values.values())

    async def insert_many(self, table: type[SQLModel], rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows that name the same columns."""
        if rows:
            names = ("tenant_id", *rows[0])
            values = [(self.tenant_id, *row.values()) for row in rows]
            await self.connection.executemany(insertion(table, names), values)

    async def update(self, table: type[SQLModel], id_: UUID, **values: Any) -> None:
        """Change columns of one row."""
        statement = revision(table, tuple(values))
        await self.connection.execute(statement, self.tenant_id, id_, *values.values())

    def record(self, stream_id: UUID, table: type[SQLModel], **values: Any) -> None:
        """Append a row to a stream's log at the end of the transaction, when its number is known."""
        self._records[stream_id].append(Record(table, values))

    def amend(self, stream_id: UUID, table: type[SQLModel], id_: UUID, **values: Any) -> None:
        """Change a row of a stream's log, and give it a new number there: followers see it again, as it is now."""
        self._records[stream_id].append(Record(table, values, id_))

    def touch(self, stream_id: UUID) -> None:
        """Take a number in a stream without a row for it: whoever follows it looks up."""
        self._records.setdefault(stream_id, [])

    def access_changes(self) -> None:
        """Say that somebody may do more, or less, from now on; whoever shows them something has to look again."""
        self.touch(access_stream(self.tenant_id))

    def audit(
        self,
        action: str,
        kind: str,
        object_id: UUID,
        *,
        name: str,
        stream_id: UUID,
        namespace_id: UUID | None = None,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        byte_count: int | None = None,
    ) -> None:
        """Record what is being done, in the stream of a root namespace (or the tenant's own)."""
        self.record(
            stream_id,
            tables.AuditEvent,
            id=new_id(),
            at=self.now,
            action=action,
            kind=kind,
            object_id=object_id,
            object_name=name,
            namespace_id=namespace_id,
            actor_id=self.caller.actor_id,
            actor_name=self.caller.name,
            request_id=self.request_id,
            before=before,
            after=after,
            address=self.address,
            byte_count=byte_count,
        )

    def absorb(self, other: Transaction) -> None:
        """Settle what another one on the same connection recorded, too: all streams in one order."""
        records, other._records = other._records, defaultdict(list)
        for stream_id, rows in records.items():
            self._records[stream_id] += rows

    async def settle(self) -> None:
        """Give every recorded row its number and write it. Streams in one order, so that none deadlock.

        The runner does it last. A verb whose answer shows such rows does it as its own last act.
        """
        records, self._records = self._records, defaultdict(list)
        for stream_id in sorted(records, key=lock_order):
            await self._write(stream_id, records[stream_id])
        self.moved.update(records)

    async def _write(self, stream_id: UUID, records: Sequence[Record]) -> None:
        last = await self.fetchval(TAKE_NUMBERS, stream_id, max(1, len(records)))
        alike: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        amended: dict[Any, list[tuple[Any, ...]]] = defaultdict(list)
        for seq, record in enumerate(records, last - len(records) + 1):
            values = {"seq": seq, **record.values}
            if record.amended is not None:
                row = (self.tenant_id, record.amended, *values.values())
                amended[revision(record.table, tuple(values))].append(row)
            else:
                alike[record.table, tuple(values)].append({"stream_id": stream_id, **values})
        for (table, _), same in alike.items():
            await self.insert_many(table, same)
        for statement, rows in amended.items():
            await self.connection.executemany(statement, rows)


async def run(
    database: Database, caller: Caller, request_id: str, call: Call, answer: Answer, *, finish: Finish | None = None
) -> str:
    """Do it, and return the answer's JSON.

    Raises:
        DomainError: the verb refused, and nothing was written.
    """
    for attempt in range(ATTEMPTS):
        try:
            together = call.lane if call.key is None else None
            text = await (together or _once)(database, caller, request_id, call, answer, finish)
        except (Again, asyncpg.UniqueViolationError) as error:
            if attempt == ATTEMPTS - 1:
                raise NameTaken from error
        except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError) as error:
            if attempt == ATTEMPTS - 1:
                raise Conflict("The same rows were changed too often at once. Try again.") from error
            await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - jitter, not a secret
        except Denied as refusal:
            await _record_denied(database, caller, request_id, call, refusal)
            raise
        else:
            return text
    raise AssertionError("unreachable")


async def _once(  # noqa: PLR0917 - a `Lane`
    database: Database, caller: Caller, request_id: str, call: Call, answer: Answer, finish: Finish | None
) -> str:
    async with database.transaction() as connection:
        tx = Transaction(connection, caller, call.role, request_id, address=call.address)
        result = await _result(tx, call)
        text = await answered(connection, result, answer, finish)
        await tx.settle()
    database.committed(caller.tenant_id, tx.moved)
    return text


async def answered(connection: asyncpg.Connection[Any], result: Result, answer: Answer, finish: Finish | None) -> str:
    """The answer's JSON: read in the transaction that made the result."""
    found = answer(result)
    if isinstance(found, str):
        return found
    statement, arguments = found
    text: str = await connection.fetchval(statement, *arguments)
    return await finish(connection, text) if finish else text


async def _result(tx: Transaction, call: Call) -> Result:
    if call.key is None:
        return await call.verb(tx, **call.arguments)
    if not check_text(call.key, what="input.idempotencyKey", max_length=255):
        raise Invalid("`input.idempotencyKey` is empty. Give 1 to 255 characters.", path=("input", "idempotencyKey"))
    digest = hashlib.sha256(call.digest(call.arguments) if call.digest else _canonical(call)).digest()
    who = (tx.caller.actor_id, call.key)
    if await tx.fetchval(CLAIM, *who, call.name, digest, tx.now):
        result = await call.verb(tx, **call.arguments)
        # The driver's own UUIDs, which the encoder does not know, go in as text.
        await tx.execute(KEEP_RESULT, *who, orjson.loads(orjson.dumps(result, default=str)))
        return result
    kept = await tx.fetchrow(REMEMBERED, *who)
    if kept is None:
        raise Again
    if kept["verb"] != call.name or kept["input_digest"] != digest:
        raise Conflict(
            "This idempotency key was used with other input. Use a new key for each intent.",
            path=("input", "idempotencyKey"),
        )
    return dict(kept["result"])


def _canonical(call: Call) -> bytes:
    """The input as bytes: equal for equal input, whatever the order of its keys."""
    return repr((call.name, _sorted(call.arguments))).encode("utf-8", "surrogatepass")


def _sorted(value: Any) -> Any:
    if isinstance(value, Struct):
        value = asdict(value)
    if isinstance(value, Mapping):
        return sorted((key, _sorted(item)) for key, item in value.items())
    return [_sorted(item) for item in value] if isinstance(value, list) else value


_denied_at: dict[UUID, float] = {}


async def _record_denied(database: Database, caller: Caller, request_id: str, call: Call, refusal: Denied) -> None:
    """Leave a record of a refusal, at most one a second for each actor."""
    now = time.monotonic()
    if now - _denied_at.get(caller.actor_id, -DENIED_INTERVAL) < DENIED_INTERVAL:
        return
    _denied_at[caller.actor_id] = now
    with contextlib.suppress(asyncpg.PostgresError):
        async with database.transaction() as connection:
            tx = Transaction(connection, caller, call.role, request_id, address=call.address)
            about = refusal.details
            tx.audit(
                "DENIED",
                about.get("kind", "NAMESPACE"),
                about.get("object_id", caller.tenant_id),
                name=call.name,
                stream_id=about.get("stream_id", caller.tenant_id),
                namespace_id=about.get("namespace_id"),
                after={"mutation": call.name},
            )
            await tx.settle()
        database.committed(caller.tenant_id, tx.moved)
