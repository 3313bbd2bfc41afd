"""Rows into a database, and all of them back into Python."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.dialects.postgresql import JSONB

from db.tables.row import metadata
from tests.differential.seed import Row


def columns_of(table: str) -> dict[str, bool]:
    """The columns of a table, and which of them hold JSON."""
    return {column.name: isinstance(column.type, JSONB) for column in metadata.tables[table].columns}


async def fill(connection: asyncpg.Connection[Any], rows: Mapping[str, Sequence[Row]]) -> None:
    """Insert the rows as they are, past every rule but the database's own."""
    for table, found in rows.items():
        names = list(found[0])
        known = columns_of(table)
        marks = ", ".join(f"${n}{'::text::jsonb' if known[name] else ''}" for n, name in enumerate(names, 1))
        quoted = ", ".join(f'"{name}"' for name in names)
        values = [[as_text(row[name]) if known[name] else row[name] for name in names] for row in found]
        await connection.executemany(f'INSERT INTO "{table}" ({quoted}) VALUES ({marks})', values)


def as_text(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


class Spelled(float):
    """A number of a JSON column, with the digits that the database shows."""

    text: str

    def __new__(cls, text: str) -> Spelled:
        self = super().__new__(cls, text)
        self.text = text
        return self


class SpelledInt(int):
    """The same of a whole number."""

    text: str

    def __new__(cls, text: str) -> SpelledInt:
        self = super().__new__(cls, text)
        self.text = text
        return self


class Store:
    """Every row of one tenant, by table, and the points of each series by its id."""

    def __init__(self, rows: Mapping[str, Sequence[Row]], points: Mapping[int, Sequence[Row]]) -> None:
        self.rows = rows
        self.points = points
        self.by_id = {(table, row["id"]): row for table, found in rows.items() for row in found if "id" in row}

    @classmethod
    async def load(
        cls, connection: asyncpg.Connection[Any], tenant: UUID, points: Mapping[int, Sequence[Row]]
    ) -> Store:
        """All tables of the schema, whole. Points are stored in forms of their own: they are as they were made."""
        found: dict[str, list[Row]] = {}
        for table in metadata.tables:
            known = columns_of(table)
            names = ", ".join(f'"{name}"{"::text" if known[name] else ""}' for name in known)
            rows = await connection.fetch(f'SELECT {names} FROM "{table}"')
            found[table] = [
                {name: as_json(value) if known[name] else value for name, value in row.items()}
                for row in rows
                if row.get("tenant_id", tenant) == tenant
            ]
        found["tenant"] = [row for row in found["tenant"] if row["id"] == tenant]
        return cls(found, points)

    def get(self, table: str, id_: UUID | None) -> Row | None:
        """The row of that id."""
        return self.by_id.get((table, id_))

    def where(self, table: str, **values: Any) -> Iterator[Row]:
        """The rows that hold these values."""
        for row in self.rows[table]:
            if all(row[name] == value for name, value in values.items()):
                yield row


def as_json(text: Any) -> Any:
    """JSON as the database spells it."""
    return None if text is None else json.loads(text, parse_float=Spelled, parse_int=SpelledInt)
