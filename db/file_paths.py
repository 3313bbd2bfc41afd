"""The rules for the paths of files inside an artifact, which others will join to folders of their own."""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import unquote

from db.errors import Invalid
from db.text import check_text

MAX_PATH_BYTES: Final = 1_024

_PLAIN: Final = re.compile(r"(?:[\w-][\w .-]*/)*[\w-][\w .-]*", re.ASCII)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_OVERLONG: Final = re.compile(r"%c0%(?:80|2e|2f|5c|ae|af)|%c1%9c|%e0%80%(?:80|ae|af)", re.IGNORECASE)
_SEPARATORS: Final = ("Cc", "Zl", "Zp")


def check_file_path(value: str, path: tuple[str, ...]) -> str:
    """The path as it stands, when it stays below whatever folder it is joined to.

    1 to 1 024 bytes; relative; folders separated by `/`. No part is empty or consists of dots and
    blanks; no backslash, no control character, nothing that looks like a drive or a URI; and none
    of these when percent escapes are decoded, however often.

    Raises:
        Invalid: it breaks a rule; the message says which. `path` is the argument's.
    """
    what = ".".join(path)
    check_text(value, what=what, max_length=MAX_PATH_BYTES, path=path)
    if _PLAIN.fullmatch(value):
        return value
    size = len(value.encode())
    if size > MAX_PATH_BYTES:
        raise Invalid(f"`{what}` is {size} bytes long; at most {MAX_PATH_BYTES} are allowed.", path=path)
    fault = _fault(value) or _fault_decoded(value)
    if fault:
        raise Invalid(f"`{what}` {fault}. Give a path such as `weights/model.bin`.", path=path)
    return value


def _fault_decoded(value: str) -> str | None:
    """What would be wrong with it for a program that decodes percent escapes."""
    if _OVERLONG.search(value):
        return "hides a character in an overlong escape"
    decoded = unquote(value)
    while decoded != value:
        fault = _fault(decoded)
        if fault:
            return f"{fault}, once its percent escapes are decoded"
        value, decoded = decoded, unquote(decoded)
    return None


def _fault(value: str) -> str | None:
    if any(unicodedata.category(character) in _SEPARATORS for character in value):
        return "contains a control character"
    if "\\" in value:
        return "contains a backslash, where `/` separates folders"
    if _SCHEME.match(value):
        return "begins like a drive or a URI; a file's place belongs into `uri`"
    if value.startswith("/"):
        return "is not relative"
    for part in value.split("/"):
        if not part.strip(" ."):
            return f"has the part {part!r}, which a file system may take for another folder"
    return None
