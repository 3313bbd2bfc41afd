"""What a training is told when something is wrong: once a cause, with a code and a page, and nothing is raised."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from modelbox.errors import ModelBoxError
from modelbox.shown import safe

MOST: Final = 20
"""Causes of one code that are told, such as keys that are none."""


class Warnings:
    """Writes each cause once to stderr."""

    def __init__(self, *, is_quiet: bool = False) -> None:
        self._seen: dict[tuple[str, str], object] = {}
        self._counts: Counter[str] = Counter()
        self._is_quiet = is_quiet
        self.before: Callable[[], None] = lambda: None
        """Called before something is written, to make room for it."""

    def tell(self, code: str, message: str, *, about: str = "") -> None:
        """Say it, unless it was said of the same thing before."""
        mark = object()  # Without a lock: a signal's handler, or a forked child, would wait for it for ever.
        if self._counts[code] > MOST or self._seen.setdefault((code, about), mark) is not mark:
            return
        self._counts[code] += 1
        if self._counts[code] > MOST:
            message = "There are more of these, which are not told."
        if not self._is_quiet and sys.stderr is not None:
            with contextlib.suppress(Exception):  # Nobody may be there any more to hear it.
                self._write(code, message)

    def _write(self, code: str, message: str) -> None:
        self.before()
        error = ModelBoxError(code, message)
        # The server's words, and names of folders, are others' texts.
        print(safe(f"modelbox: {message} [{code}: {error.page}]"), file=sys.stderr, flush=True)  # noqa: T201 - its work

    @property
    def codes(self) -> list[str]:
        """What was said, by code."""
        return sorted({code for code, _ in list(self._seen)})


def of_disk(error: OSError, folder: Path) -> tuple[str, str]:
    """Code and message of what went wrong with a file: one of the training's, or the queue's in that folder."""
    is_name = isinstance(error, PermissionError | FileNotFoundError)
    if is_name and not str(error.filename or folder).startswith(str(folder)):
        return "NO_SUCH_FILE", f"{error.filename} cannot be read ({error.strerror})."
    return "QUEUE_FULL", f"The queue at {folder} cannot be written ({error.strerror or error}). Make room."
