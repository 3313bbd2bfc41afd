"""Files on their way to the server and back, part by part, each known by its digest.

Both directions can be killed at any moment and begun again: the server knows which parts it has, and a download goes
on behind the bytes that are there.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from shutil import copyfile
from typing import Any, Final, TypeAlias

from modelbox.connection import Connection
from modelbox.errors import ModelBoxError, Refused, Unreachable

PART_SIZE: Final = 8 << 20
MOST_PARTS: Final = 10_000
LANES: Final = 4
TRIES: Final = 3
"""Times that a part is sent before the upload waits for a better hour."""

PIECE: Final = 1 << 20
PAUSE: Final = 0.2

_PARTS: Final = """
upload { id status failure } parts { path offset size url headers { name value } } userErrors { code message }"""
BEGIN: Final = f"mutation ($input: BeginUploadInput!) {{ beginUpload(input: $input) {{ {_PARTS} }} }}"
RESUME: Final = f"mutation ($input: ResumeUploadInput!) {{ resumeUpload(input: $input) {{ {_PARTS} }} }}"
COMPLETE: Final = """
mutation ($input: CompleteUploadInput!) { completeUpload(input: $input) {
  upload { status failure } artifact { id } userErrors { code message } } }"""

Told: TypeAlias = Callable[[int], None]
"""Is told of so many bytes more that are done."""


@dataclass(frozen=True)
class Local:
    """A file on this machine, and what it is called in the artifact."""

    path: str
    file: Path


@dataclass(frozen=True)
class Announced:
    """A file whose bytes were looked through."""

    file: Path
    size: int
    part_size: int
    digest: str
    part_digests: list[str]

    def as_input(self, path: str) -> dict[str, Any]:
        """As `beginUpload` takes it."""
        about = {"path": path, "size": self.size, "digest": self.digest, "partDigests": self.part_digests}
        return about | {"partSize": self.part_size}


def files_below(place: Path) -> list[Local]:
    """A file; or all files in a folder, by their paths in it. Links to elsewhere are not followed.

    Raises:
        ModelBoxError: `NO_SUCH_FILE`, if there is none.
    """
    if place.is_file():
        return [Local(place.name, place)]
    found = [
        Local((Path(folder) / name).relative_to(place).as_posix(), Path(folder) / name)
        for folder, _, names in os.walk(place)
        for name in names
        if (Path(folder) / name).is_file() and not (Path(folder) / name).is_symlink()
    ]
    if not found:
        raise ModelBoxError("NO_SUCH_FILE", f"There is no file at {place}.")
    return sorted(found, key=lambda local: local.path)


def copied(source: Path, place: Callable[[], Path]) -> list[tuple[str, str, int]]:
    """Copies of a file, or of all in a folder: each its path there, the name of the place that it got, and its size.

    Raises:
        OSError: they could not be made; then none is left to fill the disk.
        ModelBoxError: `NO_SUCH_FILE`, if there is none.
    """
    found: list[tuple[str, Path]] = []
    try:
        for local in files_below(source):
            found.append((local.path, place()))
            copyfile(local.file, found[-1][1])
    except BaseException:
        for _, copy in found:
            copy.unlink(missing_ok=True)
        raise
    return [(path, copy.name, copy.stat().st_size) for path, copy in found]


def announced(file: Path) -> Announced:
    """A file's digests; it is read once.

    Raises:
        ModelBoxError: `NO_SUCH_FILE`, if it cannot be read.
    """
    try:
        with file.open("rb") as opened:
            return _digested(file, opened)
    except OSError as error:
        raise ModelBoxError("NO_SUCH_FILE", f"{file} cannot be read: {error.strerror}.") from error


def _digested(file: Path, opened: BufferedReader) -> Announced:
    part_size = PART_SIZE
    while os.fstat(opened.fileno()).st_size > part_size * MOST_PARTS:
        part_size *= 2
    whole, size = hashlib.sha256(), 0
    parts: list[str] = []
    while True:
        part, count = hashlib.sha256(), 0
        while count < part_size and (piece := opened.read(min(PIECE, part_size - count))):
            whole.update(piece)
            part.update(piece)
            count += len(piece)
        if not count:
            return Announced(file, size, part_size, f"sha256:{whole.hexdigest()}", parts)
        parts.append(f"sha256:{part.hexdigest()}")
        size += count


def upload(
    server: Connection, object_id: str, name: str, files: Iterable[Local], *, told: Told | None = None, **also: Any
) -> str:
    """Store files as one artifact of an object; its id. Begun again after a crash, it goes on where it was.

    Raises:
        Refused, Unreachable: as the server says.
        ModelBoxError: `NO_SUCH_FILE`, if one is gone or changed meanwhile.
    """
    known = {local.path: announced(local.file) for local in files}
    wanted = {"objectId": object_id, "name": name, "files": [each.as_input(path) for path, each in known.items()]}
    answer = server.change(BEGIN, wanted | also)
    id_ = answer["upload"]["id"]
    with ThreadPoolExecutor(LANES, thread_name_prefix="modelbox-upload") as lanes:
        while answer["parts"]:
            for size in lanes.map(lambda part: _send(server, known, part), answer["parts"]):
                if told is not None:
                    told(size)
            answer = server.change(RESUME, {"id": id_})
    return _completed(server, id_)


def _send(server: Connection, known: Mapping[str, Announced], part: Mapping[str, Any]) -> int:
    headers = {each["name"]: each["value"] for each in part["headers"]}
    local, size = known[part["path"]], int(part["size"])
    for attempt in range(TRIES):
        content = _part(local.file, int(part["offset"]), size)
        try:
            server.put(part["url"], content, size, headers)
        except Unreachable:
            if attempt == TRIES - 1:
                raise
            time.sleep(PAUSE * 4**attempt)
        else:
            break
    return size


def _part(file: Path, offset: int, size: int) -> bytes:
    """Bytes of a file. Raises ModelBoxError, if they are gone: less than what is announced is waited for in vain."""
    try:
        with file.open("rb") as opened:
            opened.seek(offset)
            content = opened.read(size)
    except OSError as error:
        raise ModelBoxError("NO_SUCH_FILE", f"{file} cannot be read any more: {error.strerror}.") from error
    if len(content) != size:
        raise ModelBoxError("NO_SUCH_FILE", f"{file} became shorter while it was sent. Send it again.")
    return content


def _completed(server: Connection, id_: str) -> str:
    while (done := server.change(COMPLETE, {"id": id_}))["artifact"] is None or done["upload"]["status"] != "READY":
        if done["upload"]["status"] not in ("OPEN", "VERIFYING"):
            raise Refused("UPLOAD_FAILED", done["upload"]["failure"] or "The upload was given up.")
        time.sleep(PAUSE)
    artifact: str = done["artifact"]["id"]
    return artifact


def download(server: Connection, file: Mapping[str, Any], target: Path, *, told: Told | None = None) -> Path:
    """Fetch a file (its `downloadUrl`, `size` and `digest`) to a place, where it appears only when it is right.

    Raises:
        Refused, Unreachable: as the server says.
        ModelBoxError: `DIGEST_MISMATCH`, if other bytes came than the digest names.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target.parent):
        is_there = target.is_file() and target.stat().st_size == file["size"]
        if not is_there or announced(target).digest != file["digest"]:
            _download(server, file, target, told)
    return target


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Ranks of a job, and threads, may want the same files at once: who comes second finds them."""
    opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # Not every file system has locks.
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _download(server: Connection, file: Mapping[str, Any], target: Path, told: Told | None) -> None:
    draft = target.with_name(f"{target.name[:50]}.{file['digest'][-16:]}.part")
    for attempt in range(TRIES):
        try:
            _fetch(server, file, draft, told)
            break
        except Unreachable:
            if attempt == TRIES - 1:
                raise
            time.sleep(PAUSE * 4**attempt)
    if announced(draft).digest != file["digest"]:
        draft.unlink()
        raise ModelBoxError("DIGEST_MISMATCH", f"{target.name} came with other bytes than its digest says.")
    draft.replace(target)


def _fetch(server: Connection, file: Mapping[str, Any], draft: Path, told: Told | None) -> None:
    with draft.open("ab") as opened:
        start = opened.tell()
        if start > file["size"]:
            opened.truncate(start := 0)
        if start == file["size"]:
            return
        for piece in server.get(file["downloadUrl"], start):
            opened.write(piece)
            if opened.tell() > file["size"]:  # It may be without an end.
                break
            if told is not None:
                told(len(piece))
        if opened.tell() < file["size"]:
            raise Unreachable("The file ended before it was whole.")


def inside(folder: Path, path: str) -> Path:
    """The place of an artifact's file below a folder; the server's word alone does not lead out of it.

    Raises:
        ModelBoxError: `UNSAFE_PATH`.
    """
    parts = path.split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part or ":" in part for part in parts):
        raise ModelBoxError("UNSAFE_PATH", f"The artifact has a file {path!r}, which leads out of its folder.")
    return folder.joinpath(*parts)
