"""What an operator does from the command line: migrate, and make, list and revoke tokens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app import database
from db import migrate as migrations

if TYPE_CHECKING:
    from app.settings import Settings


def migrate(settings: Settings) -> str:
    """Bring the database to the newest schema; says to which."""
    with database.borrowed(settings) as place:
        asyncio.run(database.prepare(place))
        return f"The database at {place.shown} has schema {migrations.known_revisions()[-1]}."
