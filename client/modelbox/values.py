"""What `log` is given, as rows of plain numbers and texts."""

from __future__ import annotations

import math
import operator
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

from modelbox.errors import ModelBoxError

LONGEST_KEY: Final = 1_000
"""Bytes of UTF-8."""

LONGEST_TEXT: Final = 1 << 20
STEPS: Final = 1 << 53


def check_key(key: Any) -> str:
    """The key of a series.

    Raises:
        ModelBoxError: `BAD_KEY`; it is no text, or longer than 1 000 bytes, or has control characters.
    """
    if not isinstance(key, str):
        raise ModelBoxError("BAD_KEY", f"A key is a text, such as 'train/loss'; this is {type(key).__name__}.")
    shown = key if len(key) < 40 else f"{key[:40]}…"
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise ModelBoxError("BAD_KEY", f"The key {shown!a} is no valid text.") from None
    if not 0 < size <= LONGEST_KEY:
        raise ModelBoxError("BAD_KEY", f"A key has 1 to {LONGEST_KEY} bytes; {shown!r} has {size}.")
    if key != key.strip() or any(not c.isprintable() and c != " " for c in key):
        raise ModelBoxError("BAD_KEY", f"The key {shown!r} has control characters, or blanks at its ends.")
    return key


def check_step(step: Any) -> int | None:
    """A step as a whole number.

    Raises:
        ModelBoxError: `BAD_STEP`; it is none, or beyond 2**53.
    """
    if step is None:
        return None
    try:
        found = operator.index(step)
    except TypeError:
        whole = _whole(step)
        if whole is None:
            raise ModelBoxError(
                "BAD_STEP", f"A step is a whole number; {str(step)[:40]!r} is {type(step).__name__}. Logged without it."
            ) from None
        found = whole
    if abs(found) >= STEPS:
        raise ModelBoxError("BAD_STEP", "A step lies between -2**53 and 2**53. Logged without it.")
    return found


def _whole(step: Any) -> int | None:
    """A tensor's or a float's number, if it is whole."""
    if isinstance(step, str | bytes):
        return None
    try:
        number = float(step)
    except (TypeError, ValueError, OverflowError):
        return None
    return int(number) if math.isfinite(number) and number == int(number) else None


def flat(data: Mapping[Any, Any], prefix: str = "") -> dict[Any, Any]:
    """Nested mappings as one, their keys joined by `/`."""
    found: dict[Any, Any] = {}
    for key, value in data.items():
        name = f"{prefix}{key}" if prefix else key
        if isinstance(value, Mapping):
            found |= flat(value, f"{name}/")
        else:
            found[name] = value
    return found


def number(key: str, value: Any) -> float | str | bytes:
    """A value as a number, a text or bytes: also one element of numpy, torch or jax.

    Raises:
        ModelBoxError: `BAD_METRIC`; it is none of these.
    """
    if isinstance(value, str | bytes):
        return _short(key, value)
    if isinstance(value, bytearray | memoryview):
        return _short(key, bytes(value))
    try:
        return float(value.item() if hasattr(value, "item") else value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except Exception as error:
        raise ModelBoxError(
            "BAD_METRIC", f"{key!r} is {type(value).__name__}, and no number: give one element, a text, or bytes."
        ) from error


def _short(key: str, text: str | bytes) -> str | bytes:
    """A text that the server takes, by its bytes."""
    if len(text) > LONGEST_TEXT or (isinstance(text, str) and len(text.encode(errors="replace")) > LONGEST_TEXT):
        raise ModelBoxError("BAD_METRIC", f"The text of {key!r} is longer than {LONGEST_TEXT:,} bytes; log a file.")
    return text


def as_text(value: str | bytes) -> tuple[str, bool]:
    """A text as JSON holds it, and whether it stands for bytes."""
    if isinstance(value, bytes):
        return b64encode(value).decode(), True
    return value.encode(errors="replace").decode().replace("\0", ""), False
