"""Subscribers that cost little: sockets that count what they get, in processes of their own.

On two cores whatever they burn is taken from the servers, so they know no more of WebSocket than they must: they
take unfragmented frames, tell results from pings, and look at nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.sharedctypes import RawValue
from typing import Any, Final, cast

import orjson
import uvloop

PATIENCE: Final = 60.0
AT_ONCE: Final = 50
"""Connections that one process opens at the same time."""

HANDSHAKE: Final = (
    b"GET /graphql HTTP/1.1\r\n"
    b"Host: 127.0.0.1\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def masked(payload: bytes, opcode: int = TEXT) -> bytes:
    """A client's frame: masked, as the protocol wants it, with a mask that changes nothing."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


@dataclass(frozen=True)
class Audience:
    """What the sockets of one process do."""

    port: int
    sockets: int
    subscribe: dict[str, Any] | None
    """The payload of `subscribe`; None to stay idle after `connection_ack`."""


class Listener(asyncio.Protocol):
    """One socket."""

    def __init__(self, audience: Audience, counter: Any, sizes: Any) -> None:
        self._audience, self._counter, self._sizes = audience, counter, sizes
        self._rest = b""
        self._upgraded = False
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(HANDSHAKE)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(exc or ConnectionError("closed"))

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self._upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            self._begin(head)
        at = 0
        while (end_of := _end(data, at)) and end_of[1] <= len(data):
            self._frame(data[at] & 15, data[end_of[0] : end_of[1]])
            at = end_of[1]
        self._rest = data[at:]

    def _begin(self, head: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(head.decode("latin-1"))
        self._upgraded = True
        self._transport.write(masked(b'{"type":"connection_init"}'))

    def _frame(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._transport.write(masked(payload, PONG))
        elif opcode == CLOSE:
            print("closed:", payload[:200])
        elif b'"next"' in payload[:60]:
            self._counter.value += 1
            self._sizes.value += len(payload)
            self._is_ready()
        else:
            self._answer(orjson.loads(payload))

    def _answer(self, message: dict[str, Any]) -> None:
        if message["type"] == "ping":
            self._transport.write(masked(b'{"type":"pong"}'))
        elif message["type"] == "connection_ack" and self._audience.subscribe:
            begin = {"id": "1", "type": "subscribe", "payload": self._audience.subscribe}
            self._transport.write(masked(orjson.dumps(begin)))
        elif message["type"] == "connection_ack":
            self._is_ready()
        else:
            raise ConnectionError(str(message))

    def _is_ready(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)


def _end(data: bytes, at: int) -> tuple[int, int] | None:
    """Where a frame's payload begins and ends; None when not even that is known."""
    if len(data) < at + 2:
        return None
    size = data[at + 1]
    if size < 126:
        return at + 2, at + 2 + size
    wide = 2 if size == 126 else 8
    if len(data) < at + 2 + wide:
        return None
    begin = at + 2 + wide
    return begin, begin + int.from_bytes(data[at + 2 : begin], "big")


async def _listen(audience: Audience, counter: Any, sizes: Any, news: Any) -> None:
    loop = asyncio.get_running_loop()
    gate = asyncio.Semaphore(AT_ONCE)

    async def connect() -> Listener:
        async with gate:
            listener = Listener(audience, counter, sizes)
            await loop.create_connection(lambda: listener, "127.0.0.1", audience.port)
            async with asyncio.timeout(PATIENCE):
                await listener.ready
            return listener

    listeners = await asyncio.gather(*(connect() for _ in range(audience.sockets)))
    news.send(len(listeners))
    await asyncio.Event().wait()


def _live(audience: Audience, counter: Any, sizes: Any, news: Any) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_listen(audience, counter, sizes, news))


class Listeners:
    """Processes of subscribers, all ready."""

    def __init__(self, audiences: Sequence[Audience]) -> None:
        context: SpawnContext = multiprocessing.get_context("spawn")
        self._counters = [RawValue(ctypes.c_uint64) for _ in audiences]
        self._sizes = [RawValue(ctypes.c_uint64) for _ in audiences]
        self._processes: list[SpawnProcess] = []
        waiting = []
        for audience, counter, sizes in zip(audiences, self._counters, self._sizes, strict=True):
            news, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_live, args=(audience, counter, sizes, theirs), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            waiting.append(news)
        try:
            for news in waiting:
                news.recv()
        except EOFError:
            self.end()
            raise RuntimeError("A process of subscribers failed; see above.") from None

    @property
    def deliveries(self) -> int:
        """Results that arrived so far."""
        return sum(counter.value for counter in self._counters)

    @property
    def bytes(self) -> int:
        """Their size together."""
        return sum(size.value for size in self._sizes)

    def await_deliveries(self, count: int) -> None:
        """Until so many have arrived."""
        limit = time.monotonic() + PATIENCE
        while self.deliveries < count:
            if time.monotonic() > limit:
                raise RuntimeError(f"{self.deliveries} of {count} results arrived")
            time.sleep(0.0005)

    def end(self) -> None:
        """Close all sockets."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join(10)


@contextlib.contextmanager
def listening(port: int, sockets: int, subscribe: dict[str, Any] | None, processes: int = 2) -> Iterator[Listeners]:
    """So many sockets, shared among processes."""
    shares = [sockets // processes + (number < sockets % processes) for number in range(processes)]
    listeners = Listeners([Audience(port, share, subscribe) for share in shares if share])
    try:
        yield listeners
    finally:
        listeners.end()
