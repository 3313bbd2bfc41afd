"""The floor of files: a bare process that takes the same bodies over the same sockets, or sends them, and little else.

Each connection has a thread with blocking calls. A body is received, hashed with SHA-256 and written; a file is read,
hashed part by part and sent. It knows neither callers nor digests to compare with, and nothing that it took is durable.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHUNK: Final = 1 << 20
HEAD: Final = 1 << 16
_LENGTH: Final = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_RANGE: Final = re.compile(rb"range: bytes=(\d+)-(\d+)", re.IGNORECASE)
_LINE: Final = re.compile(rb"(PUT|GET) /([\w.-]+)(?:\?(\d+))? ")


@dataclass(frozen=True)
class _Peer:
    """A connection. A file's name is its path; a body's place in it stands after a question mark."""

    connection: socket.socket
    folder: Path
    part_size: int
    piece: memoryview

    def serve(self) -> None:
        """Answer one request after the other, until the peer hangs up."""
        with self.connection:
            waiting = b""
            while b"\r\n\r\n" not in waiting:
                received = self.connection.recv(HEAD)
                if not received:
                    return
                waiting += received
                if b"\r\n\r\n" in waiting:
                    self._answer(*waiting.split(b"\r\n\r\n", 1))
                    waiting = b""

    def _answer(self, head: bytes, begun: bytes) -> None:
        line = _LINE.match(head)
        assert line
        file = self.folder / line[2].decode()
        if line[1] == b"PUT":
            length = _LENGTH.search(head)
            self._take(file, int(line[3]), int(length[1]) if length else 0, begun)
        else:
            found = _RANGE.search(head)
            start, stop = (int(found[1]), int(found[2]) + 1) if found else (0, file.stat().st_size)
            self._give(file, start, stop)

    def _take(self, file: Path, offset: int, size: int, begun: bytes) -> None:
        opened = os.open(file, os.O_WRONLY | os.O_CREAT)
        digest, end = hashlib.sha256(begun), offset + size
        offset += os.pwrite(opened, begun, offset)
        while offset < end:
            count = self.connection.recv_into(self.piece[: end - offset], 0, socket.MSG_WAITALL)
            if not count:
                break
            digest.update(self.piece[:count])
            offset += os.pwrite(opened, self.piece[:count], offset)
        digest.digest()
        os.close(opened)
        self.connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    def _give(self, file: Path, start: int, stop: int) -> None:
        opened = os.open(file, os.O_RDONLY)
        self.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (stop - start), socket.MSG_MORE)
        digest = hashlib.sha256()
        while start < stop:
            count = os.preadv(opened, [self.piece[: stop - start]], start)
            digest.update(self.piece[:count])
            self.connection.sendall(self.piece[:count])
            start += count
            if start % self.part_size == 0:
                digest.digest()
                digest = hashlib.sha256()
        digest.digest()
        os.close(opened)


def main() -> None:
    """Serve a folder at a port: `python -m benchmarks.artifacts_floor 8001 folder 8388608`."""
    port, folder, part_size = sys.argv[1:]
    with socket.create_server(("127.0.0.1", int(port))) as listening:
        while True:
            connection, _ = listening.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = _Peer(connection, Path(folder), int(part_size), memoryview(bytearray(CHUNK)))
            threading.Thread(target=peer.serve, daemon=True).start()


if __name__ == "__main__":
    main()
