"""Cursors of pages: the keys of a row, opaque to callers, bound to the order that they came from."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any, Final

import orjson

LONGEST_SHAPE: Final = 64


class BadCursor(ValueError):
    """The cursor is not one of this list."""


def signature_of(*parts: Any) -> str:
    """Eight hex digits that tell one list and order from another."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:8]


def decode(cursor: str) -> list[Any]:
    """The JSON array inside a cursor.

    Raises:
        BadCursor: it was not made by this server.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        keys = orjson.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
    except (binascii.Error, UnicodeEncodeError, ValueError) as error:
        raise BadCursor("this is not a cursor; use one that a page of this list returned.") from error
    if not isinstance(keys, list) or not keys:
        raise BadCursor("this is not a cursor; use one that a page of this list returned.")
    return keys


def keys_of(cursor: str, signature: str, count: int) -> list[Any]:
    """The key values of a cursor of the list with this signature.

    Raises:
        BadCursor: it comes from another list or another order.
    """
    found, *keys = decode(cursor)
    if found != signature or len(keys) != count:
        raise BadCursor("this cursor is from another list or another `orderBy`; start again without it.")
    return keys


def shape_of_cursor(cursor: str | None) -> Any:
    """Which keys are null: the part of a cursor that decides the SQL. Shapes are kept, so one of many keys is short."""
    if cursor is None:
        return None
    try:
        keys = decode(cursor)
    except BadCursor:
        return ()
    nulls = bytes(key is None for key in keys)
    return nulls if len(nulls) <= LONGEST_SHAPE else hashlib.sha256(nulls).digest()


def encode(keys: Sequence[Any]) -> str:
    """A cursor made here and not in SQL."""
    return base64.urlsafe_b64encode(orjson.dumps(list(keys))).decode().rstrip("=")
