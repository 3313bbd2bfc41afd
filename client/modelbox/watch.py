"""What goes on beside a run in its process: it is measured, its environment found out, and its status shown."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from modelbox import ranks
from modelbox.capture.probing import Probing
from modelbox.capture.system import System
from modelbox.terminal import Terminal

if TYPE_CHECKING:
    from modelbox.run import Run
    from modelbox.warnings import Warnings

END_SECONDS: Final = 5.0


def watch(run: Run, *, is_quiet: bool) -> None:
    """Begin with all that is set."""
    if run.is_silent:
        return
    beside = Beside(run.warnings)
    if ranks.rank() == 0:
        probing = Probing(run)
        beside.add(probing.tick, probing.end)
    if run.settings.capture_system:
        system = System(run, ranks.rank())
        beside.add(system.tick, system.end)
    if not is_quiet and sys.stderr is not None:
        terminal = Terminal(run)
        terminal.greet()
        beside.add(terminal.tick, terminal.clear)
        run.warnings.before = terminal.clear
        run.over = lambda outcome, is_sent: terminal.over(outcome, is_sent=is_sent)
    run.tick, run.ending = beside.tick, beside.end


class Beside:
    """Parts that get their turn one after the other. One that fails is told of once, and out."""

    def __init__(self, warnings: Warnings) -> None:
        self._warnings = warnings
        self._ticks: list[Callable[[], None]] = []
        self._ends: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def add(self, tick: Callable[[], None], end: Callable[[], None]) -> None:
        """Have one more."""
        self._ticks.append(tick)
        self._ends.append(end)

    def tick(self) -> None:
        """Give each its turn, unless it is over."""
        if self._lock.acquire(blocking=False):
            try:
                self._turn()
            finally:
                self._lock.release()

    def _turn(self) -> None:
        for part in tuple(self._ticks):
            try:
                part()
            except Exception as error:  # noqa: BLE001 - a training does not end because of its diary
                self._ticks.remove(part)
                message = f"What is measured beside the run failed, and is left out: {type(error).__name__}: {error}."
                self._warnings.tell("CLIENT_FAULT", message)

    def end(self) -> None:
        """Each ends what it has begun; from then on there are no turns. Never gives the lock back."""
        if self._lock.acquire(timeout=END_SECONDS):
            with ExitStack() as stack:
                for part in self._ends:
                    stack.callback(part)
