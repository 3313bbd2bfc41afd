"""What an operator does about the store of files: compare it with what is known of it, and sweep it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson

from app import blobs, database
from db.blobs.check import Check, Finding, Tally
from db.blobs.usage import shown
from db.engine import Database
from db.jobs import abandoned
from db.jobs import sweep as sweeping

if TYPE_CHECKING:
    from app.settings import Settings

LISTED: Final = 10_000
"""The most findings that one JSON answer has; the counts tell of all."""

PATIENCE: Final = 600.0
"""Seconds for a statement: nobody waits for these, and they look at everything."""

EVERY: Final = 0.5
"""Seconds between two words of how far it is."""

Result = TypeVar("Result")
Tell = Callable[[str], None]


@dataclass(frozen=True)
class CheckWish:
    """A look at the store as the command line asks for it."""

    is_quick: bool
    repairs: bool
    tenant: str | None


def check(settings: Settings, wish: CheckWish, *, tell: Tell, progress: Tell | None, as_json: bool) -> bool:
    """Look through the store; whether nothing is wrong. Findings are told as they come, but for JSON.

    Raises:
        NotFound: there is no such tenant.
        StoreUnavailable: the store does not answer.
    """

    async def work(connections: Database) -> bool:
        assert connections.blobs is not None  # noqa: S101 - `_on_store` opened it
        look = Check(
            connections,
            connections.blobs,
            datetime.now(UTC),
            timedelta(hours=settings.blob_grace_hours),
            is_quick=wish.is_quick,
            repairs=wish.repairs,
            tenant=wish.tenant,
        )
        found: list[Finding] = []
        take = (lambda finding: found.append(finding) if len(found) < LISTED else None) if as_json else _teller(tell)
        async with _progressing(look.tally, progress):
            tally = await look.run(take)
        tell(_checked_json(tally, found) if as_json else _checked_text(tally))
        return tally.is_right

    return _on_store(settings, work)


def _teller(tell: Tell) -> Callable[[Finding], None]:
    return lambda finding: tell(_finding_text(finding))


@contextlib.asynccontextmanager
async def _progressing(tally: Tally, progress: Tell | None) -> AsyncIterator[None]:
    if progress is None:
        yield
        return

    async def go_on() -> None:
        while True:
            progress(f"{tally.blobs} blobs, {shown(tally.bytes_read)} read")
            await asyncio.sleep(EVERY)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()
        progress("")


def _finding_text(found: Finding) -> str:
    """A line for what is wrong, and one for each file that it is wrong with."""
    told = {
        "missing": f"{shown(found.found)} of {shown(found.size)}",
        "corrupt": f"{shown(found.size)}, wrong in parts {_ranges(found.parts)}",
        "orphaned": shown(found.found) + (", removed" if found.is_repaired else ""),
    }[found.kind]
    lines = [f"{found.kind:<9}{found.key.path}: {told}"]
    lines += [
        f"         {each.namespace}: {each.owner_id} {each.owner!r}, {each.artifact_id} {each.artifact!r}, {each.path}"
        for each in found.holders
    ]
    return "\n".join(lines)


def _ranges(numbers: tuple[int, ...]) -> str:
    """`0, 3-5`."""
    runs = [[n for _, n in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _checked_text(tally: Tally) -> str:
    looked = (
        f"{tally.blobs} blobs of {shown(tally.bytes)}, {shown(tally.bytes_read)} read:"
        f" {tally.missing} missing, {tally.corrupt} corrupt,"
        f" {tally.orphaned} orphaned ({shown(tally.orphaned_bytes)}, {tally.repaired} removed)"
    )
    waiting = (
        f"{tally.unfinished} unfinished uploads of {shown(tally.unfinished_bytes)};"
        f" {tally.young} keys that nobody knows are too new to judge"
    )
    return f"{looked}\n{waiting}"


def _checked_json(tally: Tally, found: list[Finding]) -> str:
    told = [asdict(each) | {"key": each.key.path} for each in found]
    return _json({**asdict(tally), "is_right": tally.is_right, "findings": told})


def sweep(settings: Settings, grace_hours: float | None, *, is_dry: bool, as_json: bool) -> str:
    """Remove what nobody needs, or tell what that is.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    grace = timedelta(hours=settings.blob_grace_hours if grace_hours is None else grace_hours)

    async def work(connections: Database) -> list[dict[str, Any]]:
        now = datetime.now(UTC)
        return [
            await _swept(connections, tenant, name, now, grace, is_dry=is_dry)
            for tenant, name in await sweeping.tenants(connections)
        ]

    rows = _on_store(settings, work)
    return _json({"is_dry_run": is_dry, "tenants": rows}) if as_json else _swept_text(rows, is_dry=is_dry)


async def _swept(
    connections: Database, tenant: Any, name: str, now: datetime, grace: timedelta, *, is_dry: bool
) -> dict[str, Any]:
    uploads, upload_bytes = await abandoned.count(connections, tenant, now)
    due, waiting = await sweeping.unused(connections, tenant, now, grace=grace)
    if not is_dry:
        await abandoned.do(connections, tenant.hex, now)
        due = await sweeping.do(connections, tenant.hex, now, grace=grace)
    return {
        "tenant": name,
        "blobs": due.count,
        "bytes": due.size,
        "waiting_blobs": waiting.count,
        "waiting_bytes": waiting.size,
        "abandoned_uploads": uploads,
        "abandoned_bytes": upload_bytes,
    }


def _swept_text(rows: list[dict[str, Any]], *, is_dry: bool) -> str:
    verb = "would be removed" if is_dry else "removed"
    return "\n".join(
        f"{row['tenant']}: {row['blobs']} blobs of {shown(row['bytes'])} {verb}; {row['waiting_blobs']} of"
        f" {shown(row['waiting_bytes'])} wait; {row['abandoned_uploads']} abandoned uploads of"
        f" {shown(row['abandoned_bytes'])} {verb}"
        for row in rows
    )


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z).decode()


def _on_store(settings: Settings, work: Callable[[Database], Awaitable[Result]]) -> Result:
    """Do something on the migrated database and the store of files."""
    with database.borrowed(settings) as place:
        return asyncio.run(_prepared(settings, place, work))


async def _prepared(settings: Settings, place: database.Place, work: Callable[[Database], Awaitable[Result]]) -> Result:
    role = await database.prepare(place)
    connections = await Database.connect(place.dsn, size=6, statement_timeout=PATIENCE, role=role)
    try:
        async with blobs.available(settings, connections):
            return await work(connections)
    finally:
        await connections.close()
