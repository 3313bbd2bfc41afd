"""A client that sends files with as little work as can be: raw sockets, and `sendfile` from the page cache."""

from __future__ import annotations

import functools
import hashlib
import os
import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from benchmarks.trackers import ModelBox

MIB: Final = 1 << 20
HOST: Final = "127.0.0.1"
PATIENCE: Final = 600.0
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

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

    address: tuple[str, int]
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
        send([_put(box, part, sources) for part in answer["parts"]], connections)
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
    """A part on its way to the server, or to where a whole address leads, which is S3 and gets no token."""
    url, headers = urlsplit(part["url"]), {each["name"]: each["value"] for each in part["headers"]}
    address, path = (HOST, box.server.port), f"/{part['url']}"
    if url.scheme:
        address, path = (url.hostname or HOST, url.port or 80), f"{url.path}?{url.query}"
    else:
        headers["Authorization"] = f"Bearer {box.token}"
    stretch = range(part["offset"], part["offset"] + part["size"])
    return put(address, path, sources[part["path"]].file, stretch, headers)


def put(
    address: tuple[str, int], path: str, file: Path, stretch: range, headers: Mapping[str, str] | None = None
) -> Put:
    """The request that sends a stretch of a file there."""
    length = {"Host": f"{address[0]}:{address[1]}", "Content-Length": str(len(stretch))}
    lines = [f"{name}: {value}" for name, value in {**length, **(headers or {})}.items()]
    head = "\r\n".join([f"PUT {path} HTTP/1.1", *lines, "", ""]).encode()
    return Put(address, head, file, stretch.start, len(stretch))


def send(puts: Sequence[Put], connections: int) -> None:
    """Send all of them over so many kept connections, one after the other on each."""
    waiting: queue.SimpleQueue[Put] = queue.SimpleQueue()
    for each in puts:
        waiting.put(each)
    together(functools.partial(_send_from, waiting), connections)


def together(work: Callable[[], None], count: int) -> None:
    """The same work in so many threads, until all are done. What one of them raises is raised."""
    failures: list[Exception] = []

    def guarded() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - raised below
            failures.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for failure in failures:
        raise failure


def connected(address: tuple[str, int]) -> socket.socket:
    """A connection whose calls block."""
    connection = socket.create_connection(address, timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setblocking(True)
    return connection


def _send_from(waiting: queue.SimpleQueue[Put]) -> None:
    connection: socket.socket | None = None
    try:
        while True:
            try:
                each = waiting.get_nowait()
            except queue.Empty:
                return
            connection = connection or connected(each.address)
            if not _send_one(connection, each):
                connection.close()
                connection = None
    finally:
        if connection is not None:
            connection.close()


def _send_one(connection: socket.socket, put: Put) -> bool:
    """Send it and wait for its answer; whether the connection can be used again."""
    connection.sendall(put.head, socket.MSG_MORE if put.size else 0)
    with put.file.open("rb") as opened:
        offset, end = put.offset, put.offset + put.size
        while offset < end:
            offset += os.sendfile(connection.fileno(), opened.fileno(), offset, end - offset)
    head, body = answer_of(connection)
    if head[9:12] not in (b"200", b"204"):
        raise RuntimeError(f"A part was refused: {head[:2000]!r} {body[:2000]!r}")
    # A body that is longer than what came with the head is of no interest here, and ends the connection.
    return keeps(head) and len(body) == length_of(head)


def answer_of(connection: socket.socket) -> tuple[bytes, bytes]:
    """The head of an answer, and what came with it of the body."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            break
        received += piece
    head, _, begun = received.partition(b"\r\n\r\n")
    return head, begun


def length_of(head: bytes) -> int:
    """How long the body is, by the head."""
    found = _LENGTH.search(head)
    return int(found[1]) if found else 0


def keeps(head: bytes) -> bool:
    """Whether an answer lets its connection go on."""
    return head.startswith(b"HTTP/1.1") and b"connection: close" not in head.lower()
