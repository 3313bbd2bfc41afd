"""A load generator that costs little: raw sockets, one thread, a process of its own.

On a machine with two cores whatever the generator burns is taken from the servers, from the fastest one most.
So it does no more than HTTP/1.1 demands: it sends one prepared request again and again over kept connections,
reads the length of the answer, and takes the bytes without looking at them. The answers are compared
before, and each must have the length of the first.
"""

from __future__ import annotations

import json
import re
import resource
import selectors
import socket
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
END = b"\r\n\r\n"


@dataclass(frozen=True)
class Load:
    """What a run of some seconds came to. Times are in seconds."""

    requests: int
    seconds: float
    latencies: list[float]
    cpu: float

    @property
    def throughput(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


class Client:
    """One kept connection, with at most one request under way."""

    def __init__(self, port: int, request: bytes, buffer: memoryview) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request, self.buffer = request, buffer
        self.missing, self.length, self.began = 0, 0, 0.0

    def send(self) -> None:
        """Begin a request."""
        self.began = time.perf_counter()
        self.missing = 0
        self.socket.sendall(self.request)

    def receive(self) -> bool:
        """Take what has arrived; true when the answer is whole."""
        size = self.socket.recv_into(self.buffer)
        if self.missing:
            self.missing -= size
            return self.missing == 0
        head = bytes(self.buffer[: min(size, 2000)])
        end, found = head.find(END), LENGTH.search(head)
        if end < 0 or not found or not head.startswith(b"HTTP/1.1 200 "):
            raise ConnectionError(f"This is no answer: {head[:500]!r}")
        length = int(found[1])
        if self.length not in (0, length):
            raise ConnectionError(f"An answer of {length} bytes after one of {self.length}.")
        self.length = length
        self.missing = end + len(END) + length - size
        return self.missing == 0


def drive(port: int, request: bytes, *, clients: int, seconds: float) -> Load:
    """Keep every client busy for so long; what is under way at the end does not count."""
    buffer = memoryview(bytearray(1 << 20))
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:
        for _ in range(clients):
            client = Client(port, request, buffer)
            selector.register(client.socket, selectors.EVENT_READ, client)
            client.send()
        began = time.perf_counter()
        before = resource.getrusage(resource.RUSAGE_SELF)
        while (now := time.perf_counter()) < began + seconds:
            for key, _ in selector.select(1):
                client = key.data
                if client.receive():
                    latencies.append(time.perf_counter() - client.began)
                    client.send()
        after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Load(len(latencies), now - began, latencies, cpu)


def drive_apart(port: int, request: bytes, *, clients: int, seconds: float) -> Load:
    """`drive` in a process of its own."""
    task = {"port": port, "request": b64encode(request).decode(), "clients": clients, "seconds": seconds}
    command = [sys.executable, "-m", "benchmarks.load"]
    done = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return Load(**json.loads(done.stdout))


def main() -> None:
    """Read a task from standard input, and write what came of it."""
    task = json.load(sys.stdin)
    task["request"] = b64decode(task["request"])
    json.dump(asdict(drive(**task)), sys.stdout)


if __name__ == "__main__":
    main()
