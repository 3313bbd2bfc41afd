"""The writing end: a folder of one process, appended to by one thread at a time."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path
from typing import Any, Final

from modelbox.queue import frames
from modelbox.queue.progress import replace, sync_folder

FULL_FILE: Final = 64 << 20
"""A file that has so many bytes is closed, and the next one begun, so that what was sent can be removed."""

ABOUT: Final = "about.json"
FILES: Final = "files"
SUFFIX: Final = ".frames"


def remove(folder: Path) -> None:
    """Remove a writer's folder: all of it was sent."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # Other writers of the run are not through.
        folder.parent.rmdir()


class Spool:
    """Appends frames. What `append` has returned is in the file: a killed process does not lose it.

    `durable` frames are on the disk, too: a machine that loses its power does not.
    """

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        folder.mkdir(mode=0o700, parents=True)
        self.folder = folder
        self._lock = threading.RLock()  # A signal's handler may come in the middle.
        self._number = 0
        self._size = 0
        self._files = self._copies = 0
        self._file = -1
        try:
            (folder / FILES).mkdir(mode=0o700)
            replace(folder / ABOUT, json.dumps(about, indent=1) + "\n", durable=True)
            self._begin_file()
            sync_folder(folder.parent)
        except OSError:
            remove(folder)  # Half a queue could be sent by nobody.
            raise

    def append(self, head: dict[str, Any], body: bytes = b"", *, durable: bool = False) -> int:
        """Append a frame; its number.

        Raises:
            OSError: the disk took nothing of it, or what it took was taken back.
            ValueError: it is too long.
        """
        with self._lock:
            number, self._number = self._number, self._number + 1
            content = frames.packed(number, head, body)
            if self._size and self._size + len(content) > FULL_FILE:
                self._begin_file()
            self._write(content)
            if durable:
                os.fsync(self._file)
            return number

    @property
    def place(self) -> tuple[int, int]:
        """Behind which nothing is yet: a file's number, and an offset in it."""
        with self._lock:
            return self._files, self._size

    def _write(self, content: bytes) -> None:
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(content)

    def _begin_file(self) -> None:
        path = self.folder / f"{self._files + 1:08}{SUFFIX}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if self._file >= 0:
            os.fsync(self._file)
            os.close(self._file)
        self._file, self._size = file, 0
        self._files += 1
        sync_folder(self.folder)

    def new_file(self) -> Path:
        """A place for a copy of a file that is to be sent: in this folder, used by nobody yet."""
        with self._lock:
            self._copies += 1
            return self.folder / FILES / f"{self._copies:06}"

    def close(self) -> None:
        """Have the disk keep everything."""
        with self._lock:
            if self._file >= 0:
                os.fsync(self._file)
                os.close(self._file)
                self._file = -1


class NoSpool(Spool):
    """Keeps nothing: of a run that is switched off."""

    def __init__(self) -> None:
        self.folder = Path(os.devnull)

    @property
    def place(self) -> tuple[int, int]:
        """There is nothing."""
        return 0, 0

    def append(self, head: dict[str, Any], body: bytes = b"", *, durable: bool = False) -> int:
        """Forget it."""
        del head, body, durable
        return 0

    def close(self) -> None:
        """Nothing is open."""
