"""The rules for the keys of series."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Final

from db.errors import Invalid
from db.text import check_text

MAX_KEY_BYTES: Final = 1_000
SHOWN: Final = 100
_SEPARATORS: Final = ("Cc", "Zl", "Zp")


def check_key(key: str, path: Callable[[], tuple[str, ...]]) -> str:
    """The key of a series as it stands: compared exactly, not normalised, `/` allowed.

    `path` is asked where the key stands only when it is refused.

    Raises:
        Invalid: it is empty, too long, has blanks at an end, or holds control characters.
    """
    # Nearly every key is a few ASCII words; the rest is looked at character by character.
    if key.isascii() and key.isprintable() and 0 < len(key) <= MAX_KEY_BYTES and key[0] != " " != key[-1]:
        return key
    # A megabyte of key is not sent back.
    where = tuple(part[:SHOWN] for part in path())
    what = ".".join(where)
    check_text(key, what=what, max_length=MAX_KEY_BYTES, path=where)
    size = len(key.encode())
    if size > MAX_KEY_BYTES:
        raise Invalid(f"`{what}` is {size} bytes long; at most {MAX_KEY_BYTES} are allowed. Shorten it.", path=where)
    if not key or key != key.strip():
        raise Invalid(
            f"`{what}` is empty, or begins or ends with a blank. Give a key such as `train/loss`.", path=where
        )
    for character in key:
        if unicodedata.category(character) in _SEPARATORS:
            code = f"U+{ord(character):04X}"
            raise Invalid(f"`{what}` contains the control character {code}. Remove it.", path=where)
    return key
