"""What a run says on the terminal: a line when it begins, one while it is under way, and how it went at the end."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from modelbox.shown import BARS, PLAIN_BARS, bars, cut, number, padded, safe

if TYPE_CHECKING:
    from modelbox.run import Run

NAME_SECONDS: Final = 1.0
"""How long the beginning waits for the server's word on how the run is called."""

EVERY_SECONDS: Final = 1.0
LATEST_KEYS: Final = 3
SUMMARY_KEYS: Final = 8
SUMMARY_WIDTH: Final = 32
NAME_WIDTH: Final = 28
DIM: Final = "\x1b[2m"
PLAIN: Final = "\x1b[0m"
ERASE: Final = "\x1b[K"


class Terminal:
    """Standard error, as it was when the run began. Whatever is wrong with it, the training goes on."""

    latest: ClassVar[Terminal | None] = None
    """Of several runs of a process, the one that has the line."""

    def __init__(self, run: Run) -> None:
        Terminal.latest = self
        self._run = run
        self._stream = sys.stderr
        self._process = os.getpid()
        self._is_terminal = _is_terminal(self._stream)
        self._is_coloured = self._is_terminal and not os.environ.get("NO_COLOR")
        self._name = safe(run.id[:12])
        self._is_drawn = False
        self._looked = time.monotonic()
        self._points = 0

    # --- The beginning ---

    def greet(self) -> None:
        """One line: how it is called, and where it is seen."""
        run = self._run
        if run.settings.mode == "offline":
            line = f"run {self._name}, kept in {run.settings.folder} until `modelbox sync`"
        else:
            found = run.sending.wait_for_experiment(NAME_SECONDS)
            name = found.get("name")
            self._name = safe(name or self._name)
            called = self._name if name else f"{self._name} (not heard of the server yet)"
            line = f"run {called} in {run.settings.namespace}, at {run.settings.server}"
        self._print(line)

    # --- Under way ---

    def tick(self) -> None:
        """Draw the status anew, if a second is over."""
        now = time.monotonic()
        if not self._is_terminal or now - self._looked < EVERY_SECONDS:
            return
        try:
            self._look(now)
        except (OSError, ValueError):
            self._is_terminal = False  # It was closed.

    def _look(self, now: float) -> None:
        speed = (self._run.shown.points - self._points) / (now - self._looked)
        self._looked, self._points = now, self._run.shown.points
        if self._points and self._may_draw():
            self._draw(self._status(speed))

    def _may_draw(self) -> bool:
        """Not over another's bars, not from the background, and not when the terminal is held: we would be, too."""
        if Terminal.latest is not self or os.getpid() != self._process or _others_draw():
            return False
        file = self._stream.fileno()
        poll = select.poll()
        poll.register(file, select.POLLOUT)
        return _is_in_front(file) and bool(poll.poll(0))

    def _status(self, speed: float) -> str:
        parts = [self._name, f"{speed:,.0f} points/s"]
        if self._run.settings.mode == "online":
            parts.append(f"{self._waiting():,} waiting")
        latest = self._run.shown.chosen(LATEST_KEYS)
        parts += [f"{safe(key)} {number(series.last)}" for key, series in latest if not key.startswith("system/")]
        return " · ".join(parts)

    def _waiting(self) -> int:
        sent: int = self._run.sending.status().get("sentPoints", 0)
        return max(0, self._run.shown.points - sent)

    def _draw(self, line: str) -> None:
        """The cursor is left at the line's begin: what is printed next is printed over it."""
        columns = os.get_terminal_size(self._stream.fileno()).columns
        text = cut(self._encodable(line), columns - 1)
        before, after = (DIM, PLAIN) if self._is_coloured else ("", "")
        os.write(self._stream.fileno(), f"\r{before}{text}{after}{ERASE}\r".encode(self._stream.encoding, "replace"))
        self._is_drawn = True

    def clear(self) -> None:
        """Remove the status, for something that is to stay."""
        if self._is_drawn and os.getpid() == self._process:
            self._is_drawn = False
            with contextlib.suppress(OSError, ValueError):
                os.write(self._stream.fileno(), f"\r{ERASE}".encode())

    # --- The end ---

    def over(self, outcome: str, *, is_sent: bool) -> None:
        """How it went: a small picture of each of the first series, and what is left to be sent."""
        if os.getpid() != self._process:
            return
        self.clear()
        for key, series in self._run.shown.chosen(SUMMARY_KEYS):
            picture = bars(series.values, SUMMARY_WIDTH, BARS if self._can_write(BARS) else PLAIN_BARS)
            self._print(f"  {padded(safe(key), NAME_WIDTH)} {picture:{SUMMARY_WIDTH}} {number(series.last)}")
        rest = len(self._run.shown.series) - SUMMARY_KEYS
        if rest > 0:
            self._print(f"  and {rest} more series")
        self._print(f"run {self._name} is {outcome}, {self._run.shown.points:,} points{self._left(is_sent=is_sent)}")

    def _left(self, *, is_sent: bool) -> str:
        if self._run.settings.mode != "online":
            return f", kept in {safe(str(self._run.settings.folder))} until `modelbox sync`"
        return ", all sent" if is_sent else f", {self._waiting():,} of them not sent yet"

    # --- How it is written ---

    def _print(self, line: str) -> None:
        text = self._encodable(safe(line))
        before, after = (DIM, PLAIN) if self._is_coloured else ("", "")
        with contextlib.suppress(OSError, ValueError):
            print(f"{before}modelbox:{after} {text}", file=self._stream, flush=True)

    def _encodable(self, text: str) -> str:
        if self._can_write(text):
            return text
        code = self._stream.encoding or "utf-8"
        return text.replace("…", "~").replace("·", "|").encode(code, "backslashreplace").decode(code)

    def _can_write(self, text: str) -> bool:
        try:
            text.encode(self._stream.encoding or "utf-8")
        except (UnicodeError, LookupError):
            return False
        return True


def _others_draw() -> bool:
    """Whether bars are shown by those that trainings use for it, if they are there at all."""
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    console = getattr(sys.modules.get("rich"), "_console", None)
    marks = (getattr(tqdm, "_instances", ()), getattr(console, "_live_stack", ()))
    return any(map(len, marks)) or getattr(console, "_live", None) is not None


def _is_in_front(file: int) -> bool:
    """Whether the shell waits for us."""
    try:
        return os.tcgetpgrp(file) == os.getpgrp()
    except OSError:
        return True  # It is a terminal, but no shell's.


def _is_terminal(stream: Any) -> bool:
    """One that can erase a line."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return bool(stream.isatty()) and stream.fileno() >= 0 and os.environ.get("TERM", "dumb") != "dumb"
    return False
