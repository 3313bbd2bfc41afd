"""Writers that cost little: many kept connections, one thread, a process of its own.

Each connection is a writer that sends one call after the other, every call with points of its own. The calls of a
turn are encoded before its clock starts, as many as the last turn took and a half more; a writer that has sent them
all encodes the next ones while it goes. When the time is over no call begins any more, and the turn ends with the last
answer: its calls and its length are counted to there.
"""

from __future__ import annotations

import gc
import json
import resource
import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain, islice
from typing import Final

from benchmarks.load import END, LENGTH
from benchmarks.points import FORMATS, Shape, walk

SEND_BUFFER: Final = 1 << 18
"""Bytes: a whole call fits, so that no writer waits in the middle of one."""
PATIENCE: Final = 60.0


@dataclass(frozen=True)
class Task:
    """What to write: to whom, in which form, and from which call number on for each writer."""

    port: int
    path: str
    form: str
    token: str | None
    runs: list[str]
    firsts: list[int]
    keys: int
    rows: int
    seconds: float
    prepared: int
    rate: float | None = None
    """Calls a second, of all writers together; as fast as they are answered when absent."""
    limit: int | None = None
    """How many calls each writer makes at most."""


@dataclass(frozen=True)
class Written:
    """What came of it. Times are in seconds; `made` counts the calls of each writer."""

    made: list[int]
    seconds: float
    latencies: list[float]
    cpu: float

    @property
    def throughput(self) -> float:
        """Calls per second."""
        return sum(self.made) / self.seconds


class Writer:
    """One kept connection, with at most one call under way."""

    def __init__(self, task: Task, number: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", task.port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self.calls = _requests(task, number)
        self.calls = chain(list(islice(self.calls, task.prepared)), self.calls)
        self.made, self.began, self.answer = 0, 0.0, b""
        self.mark = b'"userErrors":[]' if task.form in ("columns", "objects") else b""

    def send(self) -> None:
        """Begin the next call."""
        request = next(self.calls)
        self.made += 1
        self.answer = b""
        self.began = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Take what has arrived; true when the answer is whole."""
        self.answer += self.socket.recv(1 << 16)
        end, found = self.answer.find(END), LENGTH.search(self.answer)
        if end < 0 and self.answer:
            return False
        if not found or len(self.answer) < end + len(END) + int(found[1]):
            return self._refused() if not found else False
        return True if self.answer.startswith(b"HTTP/1.1 200 ") and self.mark in self.answer else self._refused()

    def _refused(self) -> bool:
        raise ConnectionError(f"This call was not done: {self.answer[:500]!r}")


def _requests(task: Task, number: int) -> Iterator[bytes]:
    """The calls of one writer, ready to send."""
    run, first, encode = task.runs[number], task.firsts[number], FORMATS[task.form]
    authorization = [f"Authorization: Bearer {task.token}"] if task.token else []
    host = f"Host: 127.0.0.1:{task.port}"
    head = [f"POST {task.path} HTTP/1.1", host, "Content-Type: application/json", *authorization]
    for call, table in enumerate(walk(Shape(task.keys, task.rows), number, first), first):
        body = encode(run, f"writer-{number}", call, table)
        yield "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


def write(task: Task) -> Written:
    """Do it, and wait for the last answers."""
    writers = [Writer(task, number) for number in range(len(task.runs))]
    gc.disable()  # It would look through all prepared calls.
    with selectors.DefaultSelector() as selector:
        for writer in writers:
            selector.register(writer.socket, selectors.EVENT_READ, writer)
        turn = _Turn(task, writers, selector)
        turn.run()
    return Written([writer.made for writer in writers], turn.seconds, turn.latencies, turn.cpu)


class _Turn:
    """Keeps the writers busy until the time is over or all have made their calls."""

    def __init__(self, task: Task, writers: list[Writer], selector: selectors.BaseSelector) -> None:
        self.task, self.selector = task, selector
        self.idle, self.busy, self.sent = deque(writers), 0, 0
        self.latencies: list[float] = []
        self.seconds = self.cpu = 0.0

    def run(self) -> None:
        before, began = _cpu(), time.perf_counter()
        while (elapsed := time.perf_counter() - began) < self.task.seconds and (self.idle or self.busy):
            while self.idle and self._is_due(elapsed):
                self.idle.popleft().send()
                self.busy += 1
                self.sent += 1
            self._receive()
        while self.busy:
            self._receive()
        self.seconds, self.cpu = time.perf_counter() - began, _cpu() - before

    def _is_due(self, elapsed: float) -> bool:
        return self.task.rate is None or self.sent < elapsed * self.task.rate

    def _receive(self) -> None:
        for key, _ in self.selector.select(0.001 if self.task.rate else 0.05):
            writer = key.data
            if writer.receive():
                self.latencies.append(time.perf_counter() - writer.began)
                self.busy -= 1
                if writer.made != self.task.limit:
                    self.idle.append(writer)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def begin(task: Task) -> subprocess.Popen[str]:
    """`write` in a process of its own; `result` waits for it."""
    command = [sys.executable, "-m", "benchmarks.writers"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdin
    process.stdin.write(json.dumps(asdict(task)))
    process.stdin.close()
    process.stdin = None
    return process


def result(process: subprocess.Popen[str]) -> Written:
    """What it wrote."""
    out, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(errors)
    return Written(**json.loads(out))


def write_apart(task: Task) -> Written:
    """`write` in a process of its own."""
    return result(begin(task))


if __name__ == "__main__":
    json.dump(asdict(write(Task(**json.load(sys.stdin)))), sys.stdout)
