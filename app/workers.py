"""Several serving processes on one port: begun, watched, begun again, and ended by their parent."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

import structlog

from app.measures import MULTIPROCESS, forget_process
from db.embedded_launcher import tie_to_parent
from db.embedded_process import kernel_ties

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from app.settings import Settings

GLANCE_SECONDS: Final = 0.2
CALM_SECONDS: Final = 1.0
MERCY_SECONDS: Final = 10.0
"""How much longer than its own limits a worker may take to end before it is killed."""

log = structlog.get_logger("modelbox.workers")


@dataclass(frozen=True)
class Assignment:
    """What a serving process is told."""

    settings: Settings
    dsn: str
    role: str | None


class WorkerFailed(Exception):
    """A worker ended before it could serve; its log says why."""


class Worker:
    """One serving process."""

    def __init__(self, assignment: Assignment, sockets: Sequence[socket.socket]) -> None:
        context = get_context("spawn")  # A fork would copy the threads' locks without the threads.
        self._news, theirs = context.Pipe(duplex=False)
        self.process: SpawnProcess = context.Process(
            target=work, args=(os.getpid(), assignment, list(sockets), theirs), name="modelbox-worker"
        )
        with _without_interrupts():
            self.process.start()
        theirs.close()
        self.is_ready = False
        self.began = time.monotonic()

    def look(self) -> None:
        """Learn whether it serves by now."""
        if not self.is_ready and self._news.poll():
            with contextlib.suppress(EOFError):
                self.is_ready = bool(self._news.recv_bytes())

    def end(self, seconds: float) -> None:
        """Wait for its end, for a while, then kill it."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            log.warning("worker does not end; killing it", pid=self.process.pid)
            self.process.kill()
            self.process.join()


def work(parent: int, assignment: Assignment, sockets: Sequence[socket.socket], news: Connection) -> None:
    """A worker's life. It ends with its parent, however that ends."""
    _end_with(parent)
    from app import logs, server  # noqa: PLC0415 - nothing is worth loading before the tie holds

    logs.configure(assignment.settings)
    server.run(assignment, sockets, signals=[signal.SIGTERM], when_ready=lambda: news.send_bytes(b"ready"))


def supervise(
    assignment: Assignment,
    sockets: Sequence[socket.socket],
    *,
    folder: Path,
    when_ready: Callable[[], None],
    is_over: Callable[[], bool],
) -> None:
    """Keep the workers going until a signal comes, or `is_over`; `folder` is for what they count.

    Raises WorkerFailed when one cannot even begin.
    """
    os.environ[MULTIPROCESS] = str(folder)
    workers: list[Worker] = []
    with _stop_signals() as stop:
        try:
            workers += [Worker(assignment, sockets) for _ in range(assignment.settings.workers)]
            told = False
            while not stop.is_set() and not is_over():
                connection.wait([worker.process.sentinel for worker in workers], GLANCE_SECONDS)
                for worker in workers:
                    worker.look()
                if not told:
                    _expect_alive(workers)
                workers[:] = [_replaced(worker, assignment, sockets) for worker in workers]
                if not told and all(worker.is_ready for worker in workers):
                    told = True
                    when_ready()
        finally:
            _end_all(workers, assignment)


def _expect_alive(workers: Sequence[Worker]) -> None:
    """Raises WorkerFailed if one ended: at the start, another would end in the same way."""
    for worker in workers:
        if worker.process.exitcode is not None and not worker.is_ready:
            code = worker.process.exitcode
            raise WorkerFailed(f"A worker ended with code {code} before it could serve. Its last lines say why.")


def _replaced(worker: Worker, assignment: Assignment, sockets: Sequence[socket.socket]) -> Worker:
    """The worker, or another in its place if it has died; not more than one a second."""
    if worker.process.exitcode is None:
        return worker
    log.error("worker died; starting another", pid=worker.process.pid, exit_code=worker.process.exitcode)
    forget_process(worker.process.pid or 0)
    time.sleep(max(0.0, worker.began + CALM_SECONDS - time.monotonic()))
    return Worker(assignment, sockets)


def _end_all(workers: Sequence[Worker], assignment: Assignment) -> None:
    for worker in workers:
        worker.process.terminate()
    settings = assignment.settings
    limit = time.monotonic() + settings.drain_delay + settings.shutdown_timeout + MERCY_SECONDS
    for worker in workers:
        worker.end(max(0.0, limit - time.monotonic()))


@contextlib.contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    stop = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {each: signal.signal(each, ask) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Begin a process that takes no Ctrl-C: a terminal sends it to all, and the parent sees to order."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def _end_with(parent: int) -> None:
    if kernel_ties():
        tie_to_parent(parent, signal.SIGKILL)
        return
    watched = parent_process()
    if watched is not None:
        threading.Thread(target=_outlive_nobody, args=(watched.sentinel,), daemon=True).start()


def _outlive_nobody(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
