"""Requests as bytes, for those that no client would send."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

import httpx

PATIENCE: Final = 30.0


@dataclass(frozen=True)
class Answer:
    """A status, headers in lower case, and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of a refusal."""
        code: str = httpx.Response(self.status, content=self.body).json()["errors"][0]["extensions"]["code"]
        return code


@dataclass
class Wire:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send bytes; that the other side no longer reads is no fault."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def answer(self, *, has_body: bool = True) -> Answer:
        """The next answer, after what only says that it will come.

        Raises:
            EOFError: the connection ended.
        """
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").strip().split("\r\n")
            status = int(first.split()[1])
            if status == 100:
                return await self.answer(has_body=has_body)
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            size = int(headers.get("content-length", 0)) if has_body and status not in (204, 304) else 0
            return Answer(status, headers, await self.reader.readexactly(size))

    async def is_over(self) -> bool:
        """Whether nothing comes any more, for the other side closed."""
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read() == b""
        return True


@contextlib.asynccontextmanager
async def connected(endpoint: str) -> AsyncIterator[Wire]:
    """A connection to where an URL leads."""
    url = httpx.URL(endpoint)
    wire = Wire(*await asyncio.open_connection(url.host, url.port))
    try:
        yield wire
    finally:
        wire.writer.close()


def head_of(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    """The begin of a request, with the empty line behind it."""
    lines = [f"{method} /{path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
