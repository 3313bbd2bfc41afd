"""A client that fetches files with as little work as can be: raw sockets, one buffer a connection, straight to disk."""

from __future__ import annotations

import functools
import os
import queue
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks.artifacts_client import HOST, MIB, answer_of, connected, keeps, length_of, together

_PLACE: Final = re.compile(rb"\r\nlocation: *(\S+)", re.IGNORECASE)
OK: Final = (b"200", b"206")
REDIRECTED: Final = b"307"


@dataclass(frozen=True)
class Resource:
    """Where a file is read."""

    address: tuple[str, int]
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, url: str) -> Resource:
        """That of an absolute URL, which holds all that is needed."""
        parts = urlsplit(url)
        host, port = parts.hostname or HOST, parts.port or 80
        return cls((host, port), f"{parts.path}?{parts.query}", {"Host": f"{host}:{port}"})

    def request(self, stretch: range | None = None) -> bytes:
        """A request for all of it, or for a stretch."""
        headers = {"Host": f"{self.address[0]}:{self.address[1]}", **self.headers}
        if stretch is not None:
            headers["Range"] = f"bytes={stretch.start}-{stretch.stop - 1}"
        lines = [f"GET {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode()


def redirected(resource: Resource) -> Resource:
    """Where a server sends its client, which is S3."""
    with connected(resource.address) as connection:
        connection.sendall(resource.request())
        head, _ = answer_of(connection)
    place = _PLACE.search(head)
    if _status(head) != REDIRECTED or place is None:
        raise RuntimeError(f"No redirect: {head[:2000]!r}")
    return Resource.of(place[1].decode())


def fetch(resource: Resource, target: Path) -> None:
    """All of it, by one request, into a file."""
    file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        with connected(resource.address) as connection:
            _receive(connection, resource.request(), file, 0)
    finally:
        os.close(file)


def fetch_ranges(resource: Resource, target: Path, size: int, stretch: int, connections: int) -> None:
    """The same in stretches, over so many connections."""
    waiting: queue.SimpleQueue[range] = queue.SimpleQueue()
    for start in range(0, size, stretch):
        waiting.put(range(start, min(size, start + stretch)))
    file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        together(functools.partial(_fetch_from, resource, waiting, file), connections)
    finally:
        os.close(file)


def _fetch_from(resource: Resource, waiting: queue.SimpleQueue[range], file: int) -> None:
    connection = connected(resource.address)
    try:
        while True:
            try:
                stretch = waiting.get_nowait()
            except queue.Empty:
                return
            if not _receive(connection, resource.request(stretch), file, stretch.start):
                connection.close()
                connection = connected(resource.address)
    finally:
        connection.close()


def _receive(connection: socket.socket, request: bytes, file: int, offset: int) -> bool:
    """One answer's body, to its place in the file; whether the connection can be used again."""
    connection.sendall(request)
    head, begun = answer_of(connection)
    if _status(head) not in OK:
        raise RuntimeError(f"Not a file: {head[:2000]!r}")
    end = offset + length_of(head)
    offset += os.pwrite(file, begun, offset)
    piece = memoryview(bytearray(MIB))
    while offset < end:
        count = connection.recv_into(piece[: end - offset], 0, socket.MSG_WAITALL)
        if not count:
            raise RuntimeError(f"A body broke off, {end - offset} bytes before its end.")
        offset += os.pwrite(file, piece[:count], offset)
    return keeps(head)


def _status(head: bytes) -> bytes:
    return head[9:12]


def same(first: Path, second: Path) -> bool:
    """Whether two files are of the same bytes."""
    with first.open("rb") as one, second.open("rb") as other:
        pieces: Sequence[bytes] = (b"", b"")
        while pieces[0] == pieces[1]:
            pieces = one.read(MIB), other.read(MIB)
            if not pieces[0] and not pieces[1]:
                return True
    return False
