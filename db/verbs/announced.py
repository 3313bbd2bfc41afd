"""Files as their sender announces them, before the first byte is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from db.blobs.store import Parts
from db.errors import Invalid
from db.verbs import files
from db.verbs.entity import Path
from db.verbs.files import MAX_FILES

FILES: Path = ("input", "files")
MEBIBYTE: Final = 1 << 20
PART: Final = 8 * MEBIBYTE
LEAST_PART: Final = 5 * MEBIBYTE
"""What S3 takes, but for a file's last part."""

MOST_PART: Final = 64 * MEBIBYTE
MOST_PARTS: Final = 10_000
EMPTY: Final = "sha256:" + hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Announced:
    """A file as its sender announces it; its digest is `sha256:` and 64 hex digits."""

    path: str
    digest: str
    media_type: str | None
    parts: Parts


def read(given: Sequence[Mapping[str, Any]]) -> list[Announced]:
    """The files of an input.

    Raises:
        Invalid: a value is not acceptable; the error names its place.
    """
    if not 0 < len(given) <= MAX_FILES:
        raise Invalid(f"`input.files` has {len(given)} files; an upload has 1 to {MAX_FILES}. Split them.", path=FILES)
    found: dict[str, Announced] = {}
    for number, each in enumerate(given):
        where = (*FILES, str(number))
        path, file = files.described(each, where)
        if path in found:
            raise Invalid(f"`{'.'.join(where)}.path` {path!r} stands there twice.", path=(*where, "path"))
        found[path] = Announced(path, each["digest"], file.media_type, _parts(each, file.size or 0, where))
    return list(found.values())


def _parts(given: Mapping[str, Any], size: int, where: Path) -> Parts:
    """The parts of a file.

    Raises:
        Invalid: they are too many, too small or large, or their digests are not one for each.
    """
    part_size = given.get("part_size") or PART
    if not LEAST_PART <= part_size <= MOST_PART:
        text = f"`{'.'.join(where)}.partSize` must be {LEAST_PART} to {MOST_PART} bytes."
        raise Invalid(text, path=(*where, "partSize"))
    count = len(Parts(size, part_size, b""))
    if count > MOST_PARTS:
        least = -(-size // MOST_PARTS)
        text = f"`{'.'.join(where)}` has {count} parts; at most {MOST_PARTS} are sent."
        raise Invalid(f"{text} Give a `partSize` of {least} or more.", path=(*where, "partSize"))
    return Parts(size, part_size, b"".join(_part_digests(given, count, where)))


def _part_digests(given: Mapping[str, Any], count: int, where: Path) -> list[bytes]:
    whole, digests = given["digest"], given.get("part_digests") or []
    if count == 0 and whole != EMPTY:
        raise Invalid(f"`{'.'.join(where)}.digest` is not that of no bytes, {EMPTY}.", path=(*where, "digest"))
    if count == 1:
        if digests not in ([], [whole]):
            raise Invalid("The digest of a file's only part is the file's own.", path=(*where, "partDigests"))
        digests = [whole]
    if len(digests) != count:
        text = f"`{'.'.join(where)}.partDigests` has {len(digests)} digests for {count} parts. Give one for each."
        raise Invalid(text, path=(*where, "partDigests"))
    return [bytes.fromhex(digest.removeprefix("sha256:")) for digest in digests]


def spec(announced: Sequence[Announced], shard: int | None) -> bytes:
    """What is being uploaded, as a digest: equal for equal files, whatever their order."""
    told = sorted((a.path, a.digest, a.media_type, a.parts.part_size, a.parts.digests.hex()) for a in announced)
    return hashlib.sha256(orjson.dumps([shard, told])).digest()
