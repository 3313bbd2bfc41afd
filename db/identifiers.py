"""Identifiers: UUIDv7 inside, `prefix_` and 32 hex digits outside."""

from __future__ import annotations

import os
import re
import threading
import time
from typing import Final
from uuid import UUID

from db.errors import Invalid

DIGITS: Final = re.compile(r"[0-9a-f]{32}")

_DIGITS = re.compile(r"[0-9a-f]{32}")
_lock = threading.Lock()
_last = 0


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562, section 5.7, method 3) that sorts after every earlier one of this process.

    The 60 bits behind the milliseconds hold the sub-millisecond clock, so ids made in one
    transaction keep their order: lists ordered by id are lists ordered by creation.
    """
    global _last  # noqa: PLW0603 - one clock for the process is the point
    with _lock:
        _last = max(time.time_ns() >> 8, _last + 1)
        ticks = _last
    nanoseconds = ticks << 8
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = (rest << 12) // 1_000_000
    tail = ((rest >> 8) & 0xFFF) << 50 | int.from_bytes(os.urandom(7), "big") & ((1 << 50) - 1)
    value = (milliseconds << 80) | (0x7 << 76) | (fraction << 64) | (0b10 << 62) | tail
    return UUID(int=value)


def format_id(prefix: str, value: UUID) -> str:
    """`exp_` + 32 hex digits."""
    return f"{prefix}_{value.hex}"


def parse_id(text: str, prefixes: tuple[str, ...], path: tuple[str, ...] = ()) -> UUID:
    """The UUID inside an id whose prefix is one of `prefixes`.

    Raises:
        Invalid: it is malformed, or names another type of object.
    """
    prefix, _, digits = text.partition("_")
    if prefix not in prefixes:
        raise Invalid(f"Expected an id of the form {_wanted(prefixes)}, got {text[:40]!r}.", path=path)
    if _DIGITS.fullmatch(digits) is None:
        raise Invalid(f"{text[:60]!r} is not a whole id: {_wanted(prefixes)} has 32 hex digits.", path=path)
    return UUID(int=int(digits, 16))


def _wanted(prefixes: tuple[str, ...]) -> str:
    return " or ".join(f"{prefix}_…" for prefix in prefixes)
