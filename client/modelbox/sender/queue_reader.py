"""Frames of one folder from a place on, through all its files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelbox.queue import frames
from modelbox.queue.frames import Frame, Gap
from modelbox.queue.progress import Place
from modelbox.queue.spool import SUFFIX


@dataclass(frozen=True)
class Found:
    """A frame, and the place behind it."""

    frame: Frame
    after: Place


class QueueReader:
    """Reads a queue's files. Bytes at the end that are no whole frame may still become one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.damaged = 0
        """Bytes that lay between frames and were none."""

    def read(self, place: Place) -> Iterator[Found]:
        """All whole frames from a place on, as far as there are any now."""
        number, offset = place.file, place.offset
        while (path := self._path(number)).exists():
            is_last = not self._path(number + 1).exists()
            with path.open("rb") as file:
                for found in frames.read(file, offset):
                    if isinstance(found, Gap):
                        if not (found.is_tail and is_last):
                            self.damaged += found.end - found.start
                        continue
                    yield Found(found, Place(number, found.end))
            number, offset = number + 1, 0

    def remove_before(self, place: Place) -> None:
        """Remove files of which everything was sent."""
        for path in self._folder.glob(f"*{SUFFIX}"):
            if int(path.stem) < place.file:
                path.unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08}{SUFFIX}"
