"""What memory a process takes, looked at every twentieth of a second."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

import psutil

EVERY: Final = 0.05


@dataclass(frozen=True)
class Seen:
    """Resident bytes of a server's processes."""

    before: int
    peak: int
    after: int

    @property
    def growth(self) -> int:
        """By how much it was more at its peak."""
        return self.peak - self.before


class Watch:
    """Looks at a process and its children while it is open."""

    def __init__(self, process: psutil.Process) -> None:
        self._family = [process, *process.children(recursive=True)]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._before = self._peak = self._after = 0

    def __enter__(self) -> Watch:
        self._before = self._peak = self._resident()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._after = self._resident()

    def _look(self) -> None:
        while not self._over.wait(EVERY):
            self._peak = max(self._peak, self._resident())

    def _resident(self) -> int:
        return sum(int(process.memory_info().rss) for process in self._family)

    @property
    def seen(self) -> Seen:
        """What was seen."""
        return Seen(self._before, max(self._peak, self._after), self._after)
