"""A proxy between S3 and its clients that does to chosen calls what networks and overloaded servers do.

It knows no S3: it passes requests on as they are, `Host` and signature too, one at a time on each connection, and
counts them. A plan says of each call, by its number, what goes wrong with it. What is random comes from a seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import random
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import urlsplit


class Fault(enum.Enum):
    """What can go wrong with a call. All but the last five happen before S3 hears of it."""

    INTERNAL_ERROR = enum.auto()
    UNAVAILABLE = enum.auto()
    SLOW_DOWN = enum.auto()
    EXPIRED = enum.auto()
    DENIED = enum.auto()
    HANG = enum.auto()
    RESET = enum.auto()
    LOST_ANSWER = enum.auto()
    """S3 does it, and the connection is reset before anything of the answer arrives."""

    TRUNCATED = enum.auto()
    """Half of the body, then the connection ends as if nothing were missing."""

    RESET_AT_99 = enum.auto()
    """All but a hundredth of the body, then a reset."""

    WRONG_ETAG = enum.auto()
    HANG_IN_BODY = enum.auto()


Plan: TypeAlias = Callable[["Call"], Fault | None]

ANSWERS: Final = {
    Fault.INTERNAL_ERROR: (500, "InternalError"),
    Fault.UNAVAILABLE: (503, "ServiceUnavailable"),
    Fault.SLOW_DOWN: (503, "SlowDown"),
    Fault.EXPIRED: (403, "ExpiredToken"),
    Fault.DENIED: (403, "AccessDenied"),
}
ETAG: Final = re.compile(rb'(?i)(etag(?:: ?|>)(?:"|&quot;|&#34;))([0-9a-f]{8})')
LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
CONNECTION: Final = re.compile(rb"(?i)\r\n(connection|expect|keep-alive):[^\r]*")
HEAD_END: Final = b"\r\n\r\n"
LIMIT: Final = 1 << 16


@dataclass(frozen=True)
class Call:
    """A request that came: the first has number 1."""

    number: int
    method: str
    target: str

    @property
    def name(self) -> str:
        """What it asks, without keys and signatures: `PUT partNumber uploadId`."""
        words = [each.partition("=")[0] for each in urlsplit(self.target).query.split("&")]
        return " ".join([self.method, *(word for word in words if word and not word.startswith("X-Amz-"))])


def nothing(call: Call) -> None:
    """The plan by which all goes well."""
    del call


def only(number: int, fault: Fault) -> Plan:
    """One call fails."""
    return lambda call: fault if call.number == number else None


def every(fault: Fault, name: str = "") -> Plan:
    """Every call fails whose name begins so."""
    return lambda call: fault if call.name.startswith(name) else None


def seeded(seed: int, *, share: float = 0.3, faults: tuple[Fault, ...] = tuple(Fault)) -> Plan:
    """So many of the calls fail, each in a way of its own."""
    dice = random.Random(seed)
    return lambda _call: dice.choice(faults) if dice.random() < share else None


@dataclass
class FaultProxy:
    """Listens on `endpoint` while it is open. The plan can be changed at any time."""

    upstream: tuple[str, int]
    plan: Plan = nothing
    calls: list[Call] = field(default_factory=list)
    faults: list[tuple[Call, Fault]] = field(default_factory=list)
    endpoint: str = ""
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    def begin(self, plan: Plan) -> None:
        """Follow another plan, and count from one again."""
        self.plan = plan
        self.calls.clear()
        self.faults.clear()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection: one request, and its answer or what becomes of it."""
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._answer(reader, writer)
        writer.close()
        self._connections.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(HEAD_END)
        if b"100-continue" in head:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = LENGTH.search(head)
        body = await reader.readexactly(int(length[1])) if length else b""
        method, target, _ = head.split(b" ", 2)
        call = Call(len(self.calls) + 1, method.decode(), target.decode())
        self.calls.append(call)
        fault = self.plan(call)
        if fault is None:
            writer.write(await self._forwarded(head, body))
            await writer.drain()
            return
        self.faults.append((call, fault))
        await self._fail(fault, head, body, reader, writer)

    async def _fail(
        self, fault: Fault, head: bytes, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if fault in ANSWERS:
            writer.write(_refusal(head, *ANSWERS[fault]))
        elif fault is Fault.HANG:
            await reader.read(1)  # Until the client gives up.
        elif fault is Fault.RESET:
            _reset(writer)
        else:
            await self._spoil(fault, await self._forwarded(head, body), reader, writer)

    async def _spoil(
        self, fault: Fault, answer: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """What happens on the way back. An answer without a body is lost altogether, if its body was to be."""
        head, _, body = answer.partition(HEAD_END)
        start = len(head) + len(HEAD_END)
        if fault is Fault.WRONG_ETAG:
            writer.write(ETAG.sub(rb"\g<1>00000000", answer))
            await writer.drain()
        elif fault is Fault.LOST_ANSWER or not body:
            _reset(writer)
        else:
            part = len(body) * 99 // 100 if fault is Fault.RESET_AT_99 else len(body) // 2
            writer.write(answer[: start + part])
            await writer.drain()
            if fault is Fault.RESET_AT_99:
                _reset(writer)
            elif fault is Fault.HANG_IN_BODY:
                await reader.read(1)

    async def _forwarded(self, head: bytes, body: bytes) -> bytes:
        """The whole answer of S3, which closes its connection then, as we do ours."""
        reader, writer = await asyncio.open_connection(*self.upstream, limit=LIMIT)
        try:
            writer.write(_closing(head) + body)
            answer = await reader.readuntil(HEAD_END)
            length = LENGTH.search(answer)
            if head.startswith(b"HEAD "):
                return _closing(answer)
            return _closing(answer) + await (reader.readexactly(int(length[1])) if length else reader.read())
        finally:
            writer.close()

    async def aclose(self) -> None:
        """End what still hangs."""
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


def _closing(head: bytes) -> bytes:
    """A head that says that its connection is closed after it."""
    return CONNECTION.sub(b"", head).removesuffix(b"\r\n") + b"Connection: close\r\n\r\n"


def _refusal(head: bytes, status: int, code: str) -> bytes:
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>So it goes.</Message></Error>'
    sent = "" if head.startswith(b"HEAD ") else body
    lines = f"HTTP/1.1 {status} Fault\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
    return f"{lines}Connection: close\r\n\r\n{sent}".encode()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the peer sees a reset: with what was sent still on its way, if need be."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextlib.asynccontextmanager
async def between(upstream: tuple[str, int]) -> AsyncIterator[FaultProxy]:
    """A proxy before an address."""
    proxy = FaultProxy(upstream)
    server = await asyncio.start_server(proxy.answer, "127.0.0.1", 0, limit=LIMIT)
    host, port = server.sockets[0].getsockname()
    proxy.endpoint = f"http://{host}:{port}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.aclose()
        await server.wait_closed()
