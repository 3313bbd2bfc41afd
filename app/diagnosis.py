"""What `doctor` looks at: each thing that would keep a server from working, and the way out."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import orjson

from app import addresses, database, listening
from app.database import DatabaseUnreachable
from app.listening import AddressRefused
from db import access, migrate
from db.embedded import EmbeddedError
from db.embedded_folder import binaries_for, version_of
from db.engine import Database
from db.errors import Unavailable
from db.migrate import MigrationRefused

if TYPE_CHECKING:
    from app.database import Place
    from app.settings import Settings

LITTLE_SPACE: Final = 1 << 30
Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and what to do about it."""

    level: Level
    what: str
    remedy: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Look at everything that can be looked at without changing anything."""
    findings = [_python(), *_programs(settings), _folder("data folder", settings.data_dir)]
    findings += _database(settings)
    return [*findings, _port(settings), _folder("blob folder", settings.blob_folder)]


def exit_code(findings: Sequence[Finding]) -> int:
    """1 if something fails, else 0."""
    return int(any(finding.level == "fail" for finding in findings))


def as_text(findings: Sequence[Finding]) -> str:
    """A line for each finding, and one below it for what to do."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.level:<5}{finding.what}")
        lines += [f"     -> {finding.remedy}"] if finding.remedy else []
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """The findings as a JSON list."""
    return orjson.dumps([asdict(finding) for finding in findings], option=orjson.OPT_INDENT_2).decode()


def _python() -> Finding:
    return Finding("ok", f"Python {platform.python_version()}")


def _programs(settings: Settings) -> Iterator[Finding]:
    if settings.database_url:
        return
    version = _version(settings)
    try:
        programs = binaries_for(version, settings.pg_bin)
    except EmbeddedError as error:
        yield Finding("fail", "programs of the embedded PostgreSQL", str(error))
    else:
        yield Finding("ok", f"programs of the embedded PostgreSQL in {programs}")


def _version(settings: Settings) -> int | None:
    try:
        return version_of(settings.data_dir / "postgres")
    except (EmbeddedError, OSError):
        return None


def _folder(name: str, folder: Path) -> Finding:
    """A folder that is, or can be made."""
    nearest = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        remedy = f"Let this user write to {nearest}, or choose another folder: see docs/settings.md."
        return Finding("fail", f"{name} {folder} cannot be written", remedy)
    free = shutil.disk_usage(nearest).free
    if free < LITTLE_SPACE:
        return Finding("warn", f"{name} {folder}: {free >> 20} MiB of disk are free", "Make room on that disk.")
    return Finding("ok", f"{name} {folder}" if folder.exists() else f"{name} {folder} will be made")


def _database(settings: Settings) -> list[Finding]:
    if not settings.database_url and _version(settings) is None:
        return [Finding("ok", "the embedded PostgreSQL will be made by the first `modelbox-server serve`")]
    try:
        with database.borrowed(settings) as place, database.explained(place):
            return asyncio.run(_all(_stored(settings, place)))
    except (EmbeddedError, DatabaseUnreachable, Unavailable, OSError) as error:
        cause = error.__cause__ or error
        remedy = "Check that PostgreSQL runs, and MODELBOX_DATABASE_URL." if settings.database_url else str(error)
        return [
            Finding("fail", f"database: {str(cause).splitlines()[0] if str(cause) else type(cause).__name__}", remedy)
        ]


async def _all(findings: AsyncIterator[Finding]) -> list[Finding]:
    return [finding async for finding in findings]


async def _stored(settings: Settings, place: Place) -> AsyncIterator[Finding]:
    connections = await Database.connect(place.dsn, size=1)
    try:
        async with connections.connection() as connection:
            version = connection.get_server_version()
            yield Finding("ok", f"database {place.shown}: PostgreSQL {version.major}.{version.minor} answers")
            try:
                is_current = await migrate.is_current(connection)
            except MigrationRefused as error:
                yield Finding("fail", "schema of the database", str(error))
                return
        if not is_current:
            yield Finding("warn", "the schema is behind", "Run `modelbox-server migrate`, or just `serve`.")
            return
        yield Finding("ok", f"schema {migrate.known_revisions()[-1]}")
        yield _role(await migrate.server_role(place.dsn))
        yield _tokens(settings, stored=await access.has_tokens(connections))
    finally:
        await connections.close()


def _role(role: str | None) -> Finding:
    if role:
        return Finding("ok", f"the server works as the role {role}, which cannot rewrite the audit trail")
    return Finding(
        "warn",
        "the server works as the owner of its tables, who could rewrite the audit trail",
        "Let its user take on a role of its own: see docs/settings.md, The server's role.",
    )


def _tokens(settings: Settings, *, stored: bool) -> Finding:
    why = "every request needs a token" if settings.auth == "required" else settings.exposed
    if stored:
        return Finding("ok", "tokens are stored; requests need one")
    if why is None:
        return Finding("ok", "no token is stored; the user of this machine is admin")
    return Finding("fail", f"no token is stored, and {why}", "Run `modelbox-server token create NAME --role ADMIN`.")


def _port(settings: Settings) -> Finding:
    try:
        listening.release(listening.take(settings.host, settings.port))
    except AddressRefused as error:
        if _is_modelbox(settings):
            return Finding("ok", f"port {settings.port} is served by ModelBox")
        return Finding("fail", f"port {settings.port} of {settings.host}", str(error))
    return Finding("ok", f"port {settings.port} of {settings.host} is free")


def _is_modelbox(settings: Settings) -> bool:
    host = settings.host if addresses.is_loopback(settings.host) else "127.0.0.1"
    shown = f"[{host}]" if ":" in host else host
    try:
        with urllib.request.urlopen(f"http://{shown}:{settings.port}/healthz", timeout=2) as answer:
            return bool(orjson.loads(answer.read(1_000)) == {"status": "ok"})
    except (OSError, ValueError):
        return False
