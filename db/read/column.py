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
    """A double: NaN and infinities come as strings, and −0.0 keeps its sign.

    PostgreSQL prints −0.0 as `-0`, which JSON readers take for the integer 0.
    """
    zero = f"CASE {value}::text WHEN '-0' THEN '-0.0' ELSE '0' END"
    return f"CASE WHEN {value} = 0 THEN {zero} ELSE to_json({value})::text END"


def instant_json(value: str) -> str:
    """RFC 3339 in UTC, always with six digits of fraction (sessions run in UTC)."""
    return f"""'"'||to_char({value},{INSTANT_FORMAT})||'"'"""


def boolean_json(value: str) -> str:
    """`true` or `false`."""
    return f"CASE WHEN {value} THEN 'true' ELSE 'false' END"


def binary_json(value: str) -> str:
    """Bytes in base64, without the line breaks that PostgreSQL adds."""
    return f"""'"'||translate(encode({value},'base64'),E'\\n','')||'"'"""


def id_json(value: str, prefix: str) -> str:
    """`"exp_…"`."""
    return f"""'"{prefix}_'||encode(uuid_send({value}),'hex')||'"'"""


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


def or_null(value: str, sql: str, *, nullable: bool) -> Expression:
    """The JSON text, or `null` where the value is NULL."""
    return Expression(f"CASE WHEN {value} IS NULL THEN 'null' ELSE {sql} END" if nullable else f"({sql})")


def column_pieces(table: AnyTable, name: str, alias: str, prefix: str | None = None) -> Pieces:
    """One column as JSON; `prefix` makes an id of a UUID."""
    column = table_column(table, name)
    value = reference(alias, name)
    is_id = prefix is not None and isinstance(column.type, Uuid)
    sql = id_json(value, prefix) if is_id and prefix else renderer(column)(value)
    return [or_null(value, sql, nullable=bool(column.nullable))]
