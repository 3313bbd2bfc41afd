"""What a training is told when something is wrong: once a cause, with a code and a page, and nothing is raised."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from modelbox.errors import ModelBoxError
from modelbox.shown import safe


class Warnings:
    """Writes each cause once to stderr."""

    def __init__(self, *, is_quiet: bool = False) -> None:
        self._seen: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._is_quiet = is_quiet
        self.before: Callable[[], None] = lambda: None
        """Called before something is written, to make room for it."""

    def tell(self, code: str, message: str, *, about: str = "") -> None:
        """Say it, unless it was said of the same thing before."""
        with self._lock:
            if (code, about) in self._seen:
                return
            self._seen.add((code, about))
        if not self._is_quiet:
            self.before()
            error = ModelBoxError(code, message)
            # The server's words, and names of folders, are others' texts.
            print(safe(f"modelbox: {message} [{code}: {error.page}]"), file=sys.stderr, flush=True)  # noqa: T201 - its work

    @property
    def codes(self) -> list[str]:
        """What was said, by code."""
        return sorted({code for code, _ in self._seen})
