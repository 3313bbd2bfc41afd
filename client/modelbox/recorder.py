"""Points between `log` and the disk: at most a fifth of a second in memory.

`log` only puts a row at the end of a list. A thread takes the list ten times a second, and appends one frame.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from modelbox.points import Row, Text, encoded
from modelbox.queue.spool import NoSpool, Spool
from modelbox.warnings import Warnings

EVERY_SECONDS: Final = 0.1
"""A row waits for the thread, and then for the disk: together less than the 0.2 s that are promised."""

MOST_POINTS: Final = 5_000
MOST_CELLS: Final = 50_000
MOST_KEYS: Final = 500
"""Of a frame: half of what the server takes in one call, so that two small ones always fit."""

MOST_KEPT: Final = 1_000_000
"""Rows that wait in memory for a disk that is full; older ones are given up."""


class Recorder:
    """The points of one process of a run."""

    def __init__(
        self, spool: Spool, warnings: Warnings, tick: Callable[[], None], see: Callable[[Sequence[Row], int], None]
    ) -> None:
        self.rows: deque[Row] = deque()
        """Where `log` puts them; a deque, for its two ends can be used by two threads at once."""

        self.texts: deque[Text] = deque()
        self.lost = 0
        """Rows that were given up."""

        self._spool = spool
        self._warnings = warnings
        self._tick = tick
        self._see = see
        self._lock = threading.RLock()  # A signal's handler may come in the middle.
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="modelbox-recorder", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            self.flush()
            self._tick()

    def flush(self) -> bool:
        """Append what was logged; whether the disk took it."""
        with self._lock:
            rows = [self.rows.popleft() for _ in range(len(self.rows))]
            texts = [self.texts.popleft() for _ in range(len(self.texts))]
            left_rows: list[Row] = []
            left_texts: list[Text] = []
            for chunk, some in _chunks(rows, texts):
                if not self._append(chunk, some):
                    left_rows += chunk
                    left_texts += some
            self._keep(left_rows, left_texts)
        return not self.rows and not self.texts

    def _append(self, rows: list[Row], texts: list[Text]) -> bool:
        """Append a frame; whether it is done with. This thread must not end: nobody would write any more."""
        try:
            self._spool.append(*encoded(rows, texts))
        except OSError as error:
            self._tell(error)
            return False
        except Exception as error:  # noqa: BLE001 - they would fail again
            self.lost += sum(len(row) for _, _, row in rows) + len(texts)
            self._warnings.tell("CLIENT_FAULT", f"Points were not logged: {type(error).__name__}.")
        with contextlib.suppress(Exception):  # Whatever cannot be shown is kept all the same.
            self._see(rows, len(texts))
        return True

    def forget(self) -> None:
        """In a child after a fork: the rows, the lock and the file are the parent's."""
        self.rows, self.texts, self._lock = deque(), deque(), threading.RLock()
        self._spool = NoSpool()

    def _tell(self, error: OSError) -> None:
        message = f"The queue at {self._spool.folder} cannot be written ({error.strerror})."
        self._warnings.tell("QUEUE_FULL", f"{message} Points wait in memory; make room.")

    def _keep(self, rows: list[Row], texts: list[Text]) -> None:
        """Put them back before what was logged since, as far as there is room."""
        self.rows.extendleft(reversed(rows))
        self.texts.extendleft(reversed(texts))
        while len(self.rows) + len(self.texts) > MOST_KEPT:
            (self.rows or self.texts).popleft()
            self.lost += 1

    def close(self) -> None:
        """Append the rest, and stop."""
        self._over.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(5)
        self.flush()


def _chunks(rows: list[Row], texts: list[Text]) -> Iterator[tuple[list[Row], list[Text]]]:
    """Rows in groups that fit into a frame, and that the server takes in one call."""
    chunk: list[Row] = []
    keys: set[str] = set()
    points = 0
    for row in _narrow(rows):
        more = keys | row[2].keys() if not row[2].keys() <= keys else keys
        if chunk and (
            points + len(row[2]) > MOST_POINTS or len(more) > MOST_KEYS or (len(chunk) + 1) * len(more) > MOST_CELLS
        ):
            yield chunk, []
            chunk, points, more = [], 0, set(row[2])
        chunk.append(row)
        points += len(row[2])
        keys = set(more) if more is not keys else keys
    if chunk:
        yield chunk, []
    yield from _text_chunks(texts)


def _narrow(rows: list[Row]) -> Iterator[Row]:
    """Rows of more series than the server takes in one call as several of the same step and time."""
    for step, time, row in rows:
        if len(row) <= MOST_KEYS:
            yield step, time, row
        else:
            items = iter(row.items())
            while part := dict(islice(items, MOST_KEYS)):
                yield step, time, part


def _text_chunks(texts: list[Text]) -> Iterator[tuple[list[Row], list[Text]]]:
    """A few at a time, and not more than a megabyte of them, but for a single longer one."""
    some: list[Text] = []
    size = 0
    for text in texts:
        if some and (size + len(text[3]) > 1 << 20 or len(some) == 200):
            yield [], some
            some, size = [], 0
        some.append(text)
        size += len(text[3])
    if some:
        yield [], some
