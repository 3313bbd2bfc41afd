"""How a column of a table reads as JSON text."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Boolean, Column, DateTime, Float, Integer, LargeBinary, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import SQLModel

from db.read.sql import Expression, Pieces, identifier
from db.tables import EventDuration

AnyTable = type[SQLModel] | type[EventDuration]
"""A table, or what a subquery computes in the place of one."""

INSTANT_FORMAT = """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""


def text_json(value: str) -> str:
    """A string, escaped as JSON demands."""
    return f"to_json({value})::text"


def number_json(value: str) -> str:
    """An integer."""
    return f"{value}::text"


def double_json(value: str) -> str:
    """A double, or `null`: NaN and infinities come as strings, and −0.0 keeps its sign.

    PostgreSQL prints −0.0 as `-0`, which JSON readers take for the integer 0. The common case is asked first.
    """
    zero = f"CASE {value}::text WHEN '-0' THEN '-0.0' ELSE '0' END"
    return (
        f"CASE WHEN {value} <> 0 AND {value} < 'Infinity' AND {value} > '-Infinity' THEN {value}::text"
        f""" WHEN {value} IS NULL THEN 'null' WHEN {value} = 0 THEN {zero} ELSE '"'||{value}||'"' END"""
    )


def instant_text(value: str) -> str:
    """RFC 3339 in UTC, always with six digits of fraction (sessions run in UTC)."""
    return f"to_char({value},{INSTANT_FORMAT})"


def instant_json(value: str) -> str:
    """The same as a string."""
    return f"""'"'||{instant_text(value)}||'"'"""


def boolean_json(value: str) -> str:
    """`true` or `false`."""
    return f"CASE WHEN {value} THEN 'true' ELSE 'false' END"


def binary_json(value: str) -> str:
    """Bytes in base64, without the line breaks that PostgreSQL adds."""
    return f"""'"'||translate(encode({value},'base64'),E'\\n','')||'"'"""


def renderer(column: Column[object]) -> Callable[[str], str]:
    """The JSON form for a column's SQL type."""
    forms: tuple[tuple[type, Callable[[str], str]], ...] = (
        (JSONB, number_json),
        (ARRAY, text_json),
        (DateTime, instant_json),
        (Boolean, boolean_json),
        (Float, double_json),
        (Integer, number_json),
        (LargeBinary, binary_json),
    )
    for kind, form in forms:
        if isinstance(column.type, kind):
            return form
    return text_json


def table_column(table: AnyTable, name: str) -> Column[object]:
    """The column of that name in the database."""
    column: Column[object] = table.__table__.columns[name]  # type: ignore[union-attr]
    return column


def reference(alias: str, name: str) -> str:
    """`t1."name"`."""
    return f"{alias}.{identifier(name)}"


def as_double(table: AnyTable, name: str, alias: str) -> str:
    """A numeric column as a double: what filters compare it as, and cursors hold of it."""
    value = reference(alias, name)
    return f"{value}::float8" if isinstance(table_column(table, name).type, Integer) else value


def is_enumeration(column: Column[object]) -> bool:
    """Its table knows every word that it may hold."""
    known = f"ck_{column.table.name}_{column.name}_known"
    return any(constraint.name == known for constraint in column.table.constraints)


def plain_text(column: Column[object], value: str, prefix: str | None) -> tuple[str, str] | None:
    """What a string begins with, and the rest of it as SQL, where none of that needs escaping."""
    if prefix is not None and isinstance(column.type, Uuid):
        return f"{prefix}_", f"encode(uuid_send({value}),'hex')"
    if isinstance(column.type, DateTime):
        return "", instant_text(value)
    return ("", value) if is_enumeration(column) else None


def column_pieces(table: AnyTable, name: str, alias: str, prefix: str | None = None) -> Pieces:
    """One column as JSON; `prefix` makes an id of a UUID."""
    column, value = table_column(table, name), reference(alias, name)
    plain = plain_text(column, value, prefix)
    if plain is None:
        sql = renderer(column)(value)
        handles_null = isinstance(column.type, Float) or not column.nullable
        return [Expression(sql if handles_null else f"CASE WHEN {value} IS NULL THEN 'null' ELSE {sql} END")]
    begin, rest = plain
    if column.nullable:
        return [Expression(f"""coalesce('"{begin}'||{rest}||'"','null')""")]
    return [f'"{begin}', Expression(rest), '"']
