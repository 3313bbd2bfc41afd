"""A proxy that loses answers, sends requests twice, and sends old ones once more; and that can be cut off whole."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
HEAD_END: Final = b"\r\n\r\n"
KEPT: Final = 20


@dataclass
class MeanProxy:
    """`rate` is how often something goes wrong with a request; `upstream` may change when the server moves."""

    upstream: tuple[str, int]
    rate: float = 0.0
    is_cut: bool = False
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    counts: dict[str, int] = field(default_factory=dict)
    port: int = 0
    _old: list[bytes] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client, request by request."""
        try:
            await self._requests(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await _message(reader)
            fault = self._fault()
            if self.is_cut:
                return
            if fault == "replayed" and self._old:
                await self._upstream(self.chance.choice(self._old))
            if fault == "doubled":
                await self._upstream(request)
            answer = await self._upstream(request)
            if b"logMetrics" in request:
                self._old = [*self._old[-KEPT:], request]
            if fault == "lost":
                return
            writer.write(answer)
            await writer.drain()

    def _fault(self) -> str | None:
        if self.chance.random() >= self.rate:
            return None
        fault = self.chance.choice(["lost", "doubled", "replayed"])
        self.counts[fault] = self.counts.get(fault, 0) + 1
        return fault

    async def _upstream(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*self.upstream)
        try:
            writer.write(request)
            return await _message(reader)
        finally:
            writer.close()


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(HEAD_END)
    found = LENGTH.search(head)
    return head + (await reader.readexactly(int(found[1])) if found else b"")


@contextlib.contextmanager
def running(upstream: tuple[str, int]) -> Iterator[MeanProxy]:
    """A proxy in a thread of its own."""
    proxy, loop, ready = MeanProxy(upstream), asyncio.new_event_loop(), threading.Event()

    async def serve() -> None:
        server = await asyncio.start_server(proxy.answer, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        ready.set()
        try:
            await asyncio.Event().wait()
        finally:
            server.close()

    def work() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    task = loop.create_task(serve())
    thread = threading.Thread(target=work)
    thread.start()
    ready.wait()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        others = asyncio.all_tasks(loop)
        for other in others:
            other.cancel()
        loop.run_until_complete(asyncio.gather(*others, asyncio.sleep(0.05), return_exceptions=True))
        loop.close()
