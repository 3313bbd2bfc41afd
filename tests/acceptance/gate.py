"""A gate before a server: one chosen request is held when half of its body is through, for as long as its client lives.

So a test can kill a client in the middle of a transfer for certain, and not only with luck.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Final, TypeAlias
from urllib.parse import urlsplit

Chosen: TypeAlias = Callable[[bytes], bool]
"""Says of a whole request whether it is the one to hold. It is asked of each once, in the order of their coming."""

PATIENCE: Final = 300.0
HEAD_END: Final = b"\r\n\r\n"
CLOSE: Final = b"\r\nConnection: close" + HEAD_END
LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


def never(request: bytes) -> bool:
    """Hold none."""
    del request
    return False


def nth(number: int, words: bytes) -> Chosen:
    """Hold the n-th request, from 1, that has these words in it."""
    seen = count(1)
    return lambda request: words in request and next(seen) == number


def from_nth(number: int, words: bytes) -> Chosen:
    """Hold the n-th request, from 1, that has these words in it, and all that follow."""
    seen = count(1)
    return lambda request: words in request and next(seen) >= number


@dataclass
class Gate:
    """Listens on `address` while it is open; each connection is for one request, and the server tells clients so."""

    upstream: tuple[str, int]
    chosen: Chosen = never
    address: str = ""
    _held: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    async def holds(self) -> bytes:
        """The head of the chosen request, as soon as the server has half of it."""
        async with asyncio.timeout(PATIENCE):
            return await self._held.get()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection, until either side ends it."""
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        upstream_reader, upstream = await asyncio.open_connection(*self.upstream)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._pass(reader, writer, upstream_reader, upstream)
        for each in (upstream, writer):
            each.close()
        self._connections.discard(task)

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream_reader: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
    ) -> None:
        head = await reader.readuntil(HEAD_END)
        length = LENGTH.search(head)
        body = await reader.readexactly(int(length[1])) if length else b""
        if self.chosen(head + body):
            upstream.write(head + body[: len(body) // 2])
            await upstream.drain()
            self._held.put_nowait(head)
            await reader.read()  # Until the client is dead.
            return
        upstream.write(head.removesuffix(HEAD_END) + CLOSE + body)
        await upstream.drain()
        while piece := await upstream_reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()

    async def aclose(self) -> None:
        """End what still hangs."""
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


@contextlib.asynccontextmanager
async def before(address: str, chosen: Chosen = never) -> AsyncIterator[Gate]:
    """A gate before a server's address."""
    place = urlsplit(address)
    gate = Gate((str(place.hostname), int(place.port or 80)), chosen)
    listening = await asyncio.start_server(gate.answer, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    gate.address = f"http://{host}:{port}"
    try:
        yield gate
    finally:
        listening.close()
        await gate.aclose()
        await listening.wait_closed()
