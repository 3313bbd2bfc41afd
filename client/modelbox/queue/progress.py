"""How far the sender has come, kept so that a loss of power cannot make it forget what it was about to do."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

NAME: Final = "progress.json"


@dataclass
class Place:
    """A border between two frames: a file's number, and an offset in it."""

    file: int = 1
    offset: int = 0


@dataclass
class Plan:
    """A call of points that may be under way: which frames it holds, and its number.

    Written before it is sent and made again from it, it is the same call whenever it is sent: the server knows it by
    its number. `series` counts the series when the call was refused and each goes by itself.
    """

    sequence: int
    until: Place
    series: int | None = None


@dataclass
class Progress:
    """Where both lanes are, and what was learned."""

    points: Place = field(default_factory=Place)
    """Before which all that goes quickly is sent: points, events, metadata."""

    files: Place = field(default_factory=Place)
    """Before which all is sent that waits for files: artifacts, checkpoints, versions."""

    sequence: int = 0
    """Of the next call of points."""

    plan: Plan | None = None
    experiment: str | None = None
    is_finished: bool = False
    learned: dict[str, str] = field(default_factory=dict)
    """Ids of what was made, by the frame that made it."""


def load(folder: Path) -> Progress:
    """What was kept; the beginning if nothing was."""
    try:
        found: dict[str, Any] = json.loads((folder / NAME).read_text())
    except FileNotFoundError:
        return Progress()
    plan = found.pop("plan")
    points, files = Place(**found.pop("points")), Place(**found.pop("files"))
    progress = Progress(points, files, **found)
    if plan is not None:
        progress.plan = Plan(plan["sequence"], Place(**plan["until"]), plan["series"])
    return progress


def keep(folder: Path, progress: Progress) -> None:
    """Have the disk keep it, whole or not at all."""
    replace(folder / NAME, json.dumps(asdict(progress)), durable=True)


def replace(path: Path, text: str, *, durable: bool) -> None:
    """Give a file other content, whole or not at all."""
    draft = path.with_name(f"{path.name}.new")
    with draft.open("w") as file:
        file.write(text)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    draft.replace(path)
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the disk keep which files are in a folder. Not every file system can be asked to."""
    with contextlib.suppress(OSError):
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
