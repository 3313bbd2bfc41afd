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
        if not self._path(number).exists() and (first := self._first_from(number)) is not None:
            number, offset = first, 0
        is_last = False
        while not is_last and (path := self._path(number)).exists():
            # Seen before it is read: a file that is followed by another grows no more. One that got a follower while
            # it was read may have grown, so its follower is for the next time.
            is_last = not self._path(number + 1).exists()
            with path.open("rb", buffering=0) as file:  # What a full disk took back must not stay in a buffer.
                for found in frames.read(file, offset):
                    if isinstance(found, Gap):
                        if not (found.is_tail and is_last):
                            self.damaged += found.end - found.start
                        continue
                    yield Found(found, Place(number, found.end))
            number, offset = number + 1, 0

    def _first_from(self, number: int) -> int | None:
        """Of the files that are there, the first: one between may have been lost."""
        there = (int(path.stem) for path in self._folder.glob(f"*{SUFFIX}"))
        return min((each for each in there if each >= number), default=None)

    def has_before(self, place: Place) -> bool:
        """Whether there is anything for `remove_before` to do."""
        return any(int(path.stem) < place.file for path in self._folder.glob(f"*{SUFFIX}"))

    def remove_before(self, place: Place) -> None:
        """Remove files of which everything was sent."""
        for path in self._folder.glob(f"*{SUFFIX}"):
            if int(path.stem) < place.file:
                path.unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08}{SUFFIX}"
