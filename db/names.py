"""The rules for names and namespace paths."""

from __future__ import annotations

import unicodedata
from typing import Final

from db.errors import Invalid
from db.text import check_text

MAX_NAME: Final = 255
MAX_LEVELS: Final = 20
_RESERVED: Final = ("/", ":", "@")


def check_name(value: str, what: str, *, path: tuple[str, ...] | None = None) -> str:
    """The name in Unicode's NFC, in which it is stored and compared exactly.

    1 to 255 characters, none of them a control character, `/`, `:` or `@`, no blank at either end,
    and not `.` or `..`.
    `what` is the argument as the caller wrote it, such as `input.name`.

    Raises:
        Invalid: the name breaks a rule; the message says which, and what to do.
    """
    where = tuple(what.split(".")) if path is None else path
    # Length first: normalising 1 MiB only to refuse it is work for nothing. NFC never needs more
    # than three times the characters, nor shrinks below a third, so the second check is the rule.
    check_text(value, what=what, max_length=MAX_NAME * 3, path=where)
    name = unicodedata.normalize("NFC", value)
    check_text(name, what=what, max_length=MAX_NAME, path=where)
    fault = _fault_in_name(name)
    if fault is not None:
        raise Invalid(f"`{what}` {fault}", path=where)
    return name


def check_path(value: str, what: str = "namespace", *, path: tuple[str, ...] | None = None) -> str:
    """A namespace's path such as `vision/cifar`, each part of it a name, at most 20 levels.

    Raises:
        Invalid: a part breaks the rules of names, or there are too many.
    """
    where = tuple(what.split(".")) if path is None else path
    segments = value.split("/", MAX_LEVELS)
    if len(segments) > MAX_LEVELS:
        raise Invalid(f"`{what}` has more than {MAX_LEVELS} levels. Use a flatter path.", path=where)
    if "" in segments:
        raise Invalid(
            f"`{what}` has an empty part. Write a path as `team/project`, without a slash at"
            " either end or two in a row.",
            path=where,
        )
    return "/".join(check_name(segment, what, path=where) for segment in segments)


def _fault_in_name(name: str) -> str | None:
    if not name:
        return f"is empty. Give it 1 to {MAX_NAME} characters."
    if name in (".", ".."):
        # A browser or a download would walk such a name instead of keeping it.
        return "consists of dots, which mean a directory. Choose a word."
    if name != name.strip():
        return "begins or ends with a blank. Remove the blanks."
    for character in name:
        if character in _RESERVED:
            return f"contains {character!r}, which is reserved. Use '-', '_' or '.' instead."
        if unicodedata.category(character) in ("Cc", "Zl", "Zp"):
            return f"contains the control character U+{ord(character):04X}. Remove it."
    return None
