"""A client that sends files with as little work as can be: raw sockets, and `sendfile` from the page cache."""

from __future__ import annotations

import hashlib
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.trackers import ModelBox

MIB: Final = 1 << 20
HOST: Final = "127.0.0.1"
PATIENCE: Final = 600.0

PARTS: Final = "parts { path offset size url headers { name value } }"
ERRORS: Final = "userErrors { code message }"
BEGIN: Final = f"""mutation ($input: BeginUploadInput!) {{
  beginUpload(input: $input) {{ upload {{ id }} {PARTS} {ERRORS} }}
}}"""
RESUME: Final = f"""mutation ($input: ResumeUploadInput!) {{
  resumeUpload(input: $input) {{ {PARTS} {ERRORS} }}
}}"""
COMPLETE: Final = f"""mutation ($input: CompleteUploadInput!) {{
  completeUpload(input: $input) {{ upload {{ status }} artifact {{ id }} {ERRORS} }}
}}"""


@dataclass(frozen=True)
class Source:
    """A file to send, with all digests computed."""

    file: Path
    size: int
    digest: str
    part_size: int
    part_digests: list[str]

    def announced(self, path: str) -> dict[str, Any]:
        """The file as `beginUpload` wants it."""
        about = {"path": path, "size": self.size, "digest": self.digest, "partSize": self.part_size}
        return {**about, "partDigests": self.part_digests}


def digested(file: Path, part_size: int) -> Source:
    """A file and its digests; read once, which leaves it in the page cache."""
    whole, parts, size = hashlib.sha256(), [], 0
    with file.open("rb") as opened:
        while piece := opened.read(part_size):
            whole.update(piece)
            parts.append(f"sha256:{hashlib.sha256(piece).hexdigest()}")
            size += len(piece)
    return Source(file, size, f"sha256:{whole.hexdigest()}", part_size, parts)


@dataclass(frozen=True)
class Sent:
    """How long an upload took."""

    begun: float
    """Seconds until the server had said where the parts go."""

    accepted: float
    """Seconds until it had answered the last part, from the start."""

    ready: float
    """Seconds until the artifact was READY, from the start."""

    artifact: str


@dataclass(frozen=True)
class Put:
    """A request whose body is a stretch of a file."""

    head: bytes
    file: Path
    offset: int
    size: int


def upload(box: ModelBox, owner: str, name: str, sources: Mapping[str, Source], connections: int) -> Sent:
    """Begin, send, complete."""
    started = time.perf_counter()
    files = [source.announced(path) for path, source in sources.items()]
    answer = _change(box, BEGIN, objectId=owner, name=name, files=files)
    begun, id_ = time.perf_counter() - started, answer["upload"]["id"]
    while answer["parts"]:
        send(box.server.port, [_put(box, part, sources) for part in answer["parts"]], connections)
        # More than the first thousand are told only when these are there.
        answer = _change(box, RESUME, id=id_) if len(answer["parts"]) >= 1000 else {"parts": ()}
    accepted = time.perf_counter() - started
    while (answer := _change(box, COMPLETE, id=id_))["upload"]["status"] == "VERIFYING":
        pass
    return Sent(begun, accepted, time.perf_counter() - started, answer["artifact"]["id"])


def _change(box: ModelBox, query: str, **given: Any) -> dict[str, Any]:
    (payload,) = box.ask(query, input=given).values()
    found: dict[str, Any] = payload
    return found


def _put(box: ModelBox, part: Mapping[str, Any], sources: Mapping[str, Source]) -> Put:
    lines = [f"PUT /{part['url']} HTTP/1.1", f"Host: {HOST}", f"Content-Length: {part['size']}"]
    lines += [f"Authorization: Bearer {box.token}", *(f"{each['name']}: {each['value']}" for each in part["headers"])]
    head = "\r\n".join([*lines, "", ""]).encode()
    return Put(head, sources[part["path"]].file, part["offset"], part["size"])


def send(port: int, puts: Sequence[Put], connections: int) -> None:
    """Send all of them over so many kept connections, one after the other on each."""
    waiting: queue.SimpleQueue[Put] = queue.SimpleQueue()
    for put in puts:
        waiting.put(put)
    failures: list[Exception] = []

    def work() -> None:
        try:
            _send_from(port, waiting)
        except Exception as error:  # noqa: BLE001 - raised below
            failures.append(error)

    together(work, connections)
    for failure in failures:
        raise failure


def together(work: Callable[[], None], count: int) -> None:
    """The same work in so many threads, until all are done."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _send_from(port: int, waiting: queue.SimpleQueue[Put]) -> None:
    with socket.create_connection((HOST, port), timeout=PATIENCE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(True)
        while True:
            try:
                put = waiting.get_nowait()
            except queue.Empty:
                return
            _send_one(connection, put)


def _send_one(connection: socket.socket, put: Put) -> None:
    connection.sendall(put.head, socket.MSG_MORE if put.size else 0)
    with put.file.open("rb") as opened:
        offset, end = put.offset, put.offset + put.size
        while offset < end:
            offset += os.sendfile(connection.fileno(), opened.fileno(), offset, end - offset)
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = connection.recv(65536)
        if not piece:
            break
        answer += piece
    if not answer.startswith((b"HTTP/1.1 204", b"HTTP/1.1 200")):
        raise RuntimeError(f"A part was refused: {answer[:2000]!r}")
