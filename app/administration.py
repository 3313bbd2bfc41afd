"""What an operator does from the command line: migrate, and make, list and revoke tokens."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

import orjson

from app import database
from app.gateway import new_request_id
from app.setting_files import SettingsError
from db import migrate as migrations
from db.access import Role
from db.engine import Database
from db.verbs import tokens

if TYPE_CHECKING:
    from app.settings import Settings
    from db.verbs.tokens import Known

UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_TIME: Final = re.compile(r"([1-9][0-9]{0,4})([hdw])")
Result = TypeVar("Result")


@dataclass(frozen=True)
class TokenWish:
    """A token as the command line asks for it."""

    name: str
    role: str
    namespaces: tuple[str, ...]
    expires: str
    is_program: bool
    description: str | None


def migrate(settings: Settings) -> str:
    """Bring the database to the newest schema; says to which."""
    with database.borrowed(settings) as place:
        asyncio.run(database.prepare(place))
        return f"The database at {place.shown} has schema {migrations.known_revisions()[-1]}."


def create_token(settings: Settings, wish: TokenWish) -> str:
    """Make a token; it is returned here and never shown again."""
    asked = tokens.Wish(
        name=wish.name,
        kind="SERVICE_ACCOUNT" if wish.is_program else "USER",
        role=_role(wish.role),
        namespaces=wish.namespaces,
        expires_at=_expiry(wish.expires),
        description=wish.description,
    )
    return _on_database(settings, lambda connections: tokens.create(connections, asked, new_request_id()))


def revoke_token(settings: Settings, token: str) -> str:
    """Revoke a token; says which."""
    prefix = _on_database(settings, lambda connections: tokens.revoke(connections, token, new_request_id()))
    return f"{prefix} is revoked."


def list_tokens(settings: Settings, *, as_json: bool) -> str:
    """All tokens, by what is kept of them."""
    found = _on_database(settings, tokens.known)
    if as_json:
        return orjson.dumps([asdict(token) | {"state": token.state} for token in found], option=_READABLE).decode()
    return _table([_HEAD, *map(_row, found)]) if found else "No token is stored."


_READABLE: Final = orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z
_HEAD: Final = ("PREFIX", "STATE", "HOLDER", "ROLE", "WHERE", "EXPIRES", "DESCRIPTION")


def _row(token: Known) -> Sequence[str]:
    holder = f"{token.name} (program)" if token.kind == "SERVICE_ACCOUNT" else token.name
    expires = token.expires_at.strftime("%Y-%m-%d %H:%M UTC") if token.expires_at else "never"
    where = ", ".join(token.namespaces) if token.namespaces else "everywhere"
    return (token.prefix, token.state, holder, token.role, where, expires, token.description or "")


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _on_database(settings: Settings, work: Callable[[Database], Awaitable[Result]]) -> Result:
    """Do something on the migrated database."""
    with database.borrowed(settings) as place:
        return asyncio.run(_prepared(place, work))


async def _prepared(place: database.Place, work: Callable[[Database], Awaitable[Result]]) -> Result:
    role = await database.prepare(place)
    connections = await Database.connect(place.dsn, size=1, role=role)
    try:
        return await work(connections)
    finally:
        await connections.close()


def _role(text: str) -> Role:
    try:
        return Role[text.upper()]
    except KeyError:
        raise SettingsError(f"{text} is no role. Choose one of {', '.join(role.name for role in Role)}.") from None


def _expiry(text: str) -> datetime | None:
    if text.lower() == "never":
        return None
    written = _TIME.fullmatch(text.lower())
    if not written:
        raise SettingsError(f"--expires {text} is no time. Write 12h, 90d or 4w, or never.")
    return datetime.now(UTC) + int(written[1]) * UNITS[written[2]]
