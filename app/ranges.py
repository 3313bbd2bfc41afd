"""Which bytes of a file a request wants (RFC 9110, section 14), and whether it has them already (section 13)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

_RANGE: Final = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)
_TAG: Final = re.compile(r'(?:W/)?"[^"]*"')


class Unsatisfiable(Exception):
    """The range begins behind the end."""


class Span(NamedTuple):
    """Bytes from `start` up to `stop`, which is not among them."""

    start: int
    stop: int


def wanted(headers: Mapping[str, str], size: int, etag: str, modified: datetime) -> Span | None:
    """The bytes that a request asks for; None for all of them.

    A range that is malformed, one of several, or of another state of the file is no range: all is sent then, as the
    protocol allows.

    Raises:
        Unsatisfiable: nothing of the file is in the range.
    """
    found = _RANGE.fullmatch(headers.get("range", "").strip())
    if found is None or not _is_of_this(headers.get("if-range"), etag, modified):
        return None
    first, last = found.groups()
    if not first and not last:
        return None
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < start:
            return None
    if start >= size or start >= stop:
        raise Unsatisfiable
    return Span(start, stop)


def _is_of_this(if_range: str | None, etag: str, modified: datetime) -> bool:
    """Whether `If-Range` names the file as it is; a strong tag, or the exact second."""
    if if_range is None:
        return True
    if if_range.lstrip().startswith(('"', "W/")):
        return if_range.strip() == etag
    try:
        return parsedate_to_datetime(if_range) == modified.replace(microsecond=0)
    except (ValueError, OverflowError):
        return False


def is_known(headers: Mapping[str, str], etag: str, modified: datetime) -> bool:
    """Whether the caller has the file as it is: then only that is said."""
    tags = headers.get("if-none-match")
    if tags is not None:
        return tags.strip() == "*" or etag in [tag.removeprefix("W/") for tag in _TAG.findall(tags)]
    since = headers.get("if-modified-since")
    if since is None:
        return False
    try:
        return modified.replace(microsecond=0) <= parsedate_to_datetime(since).astimezone(UTC)
    except (ValueError, OverflowError):
        return False
