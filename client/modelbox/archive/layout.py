"""Where things are in an archive's folder, and whether they are what they were."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from modelbox.errors import ModelBoxError

MANIFEST: Final = "manifest.json"
RUN: Final = "run.json"
EVENTS: Final = "events.jsonl"
POINTS: Final = "points.jsonl"
PARQUET: Final = "points.parquet"
VERSION: Final = 1


def run_folder(folder: Path, id_: str) -> Path:
    """Of one run."""
    return folder / "runs" / id_


def blob(folder: Path, digest: str) -> Path:
    """Of the bytes with a digest, which is 64 hex digits behind `sha256:`.

    Raises:
        ModelBoxError: `DAMAGED_ARCHIVE`; it is none, as in an archive that somebody wrote by hand.
    """
    name = digest.removeprefix("sha256:")
    if len(name) != 64 or set(name) - set("0123456789abcdef"):
        raise ModelBoxError("DAMAGED_ARCHIVE", f"{digest[:80]!r} is no digest.")
    return folder / "blobs" / name


def write_lines(path: Path, rows: Iterable[Any]) -> None:
    """One JSON value a line."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")


def read_lines(path: Path) -> Iterator[Any]:
    """The same, read; nothing when there is no such file."""
    if path.exists():
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)


def seal(folder: Path, runs: list[str]) -> None:
    """Write the manifest: with it, an archive is whole."""
    files = {path.relative_to(folder).as_posix(): _digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    files.pop(MANIFEST, None)
    about = {"format": "modelbox-archive", "version": VERSION, "runs": runs, "files": files}
    (folder / MANIFEST).write_text(json.dumps(about, indent=1) + "\n")


def opened(folder: Path) -> list[str]:
    """The ids of the runs in an archive whose every byte is as it was written.

    Raises:
        ModelBoxError: `DAMAGED_ARCHIVE`, which names the first file that is not.
    """
    try:
        about = json.loads((folder / MANIFEST).read_text())
        runs, files = list(about["runs"]), dict(about["files"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ModelBoxError("DAMAGED_ARCHIVE", f"{folder} has no {MANIFEST}, so it is no whole archive.") from error
    if about.get("version") != VERSION:
        raise ModelBoxError("DAMAGED_ARCHIVE", f"{folder} is of version {about.get('version')}; this reads {VERSION}.")
    for name, digest in files.items():
        path = folder / name
        if ".." in Path(name).parts or path.is_symlink() or not path.is_file() or _digest(path) != digest:
            raise ModelBoxError("DAMAGED_ARCHIVE", f"{path} is not as it was written. Export it anew.")
    return runs


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
