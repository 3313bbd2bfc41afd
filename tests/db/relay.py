"""Stands between the driver and PostgreSQL, and cuts the way where a test wants it cut."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from enum import Enum
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

SOCKET = ".s.PGSQL.5432"


class Cut(Enum):
    """What still comes through."""

    NOTHING = b""
    HALF = b"half of the message"
    SHUTDOWN = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
    CRASH = b"SWARNING\0VWARNING\0C57P02\0Mterminating connection because of a crash\0\0"


class Relay:
    """Passes on what both sides say; `after` messages of PostgreSQL's, all that are connected are cut off."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self._peers: set[asyncio.StreamWriter] = set()
        self._cut = Cut.NOTHING
        self._left: int | None = None

    def arm(self, after: int, cut: Cut) -> None:
        """Cut once, before the message after so many."""
        self._left, self._cut = after, cut

    def disarmed(self) -> bool:
        """Cut no more; whether the cut was still to come."""
        left, self._left = self._left, None
        return left is not None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        from_server, to_server = await asyncio.open_unix_connection(str(self._server / SOCKET))
        self._peers |= {writer, to_server}
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_copy(reader, to_server))
                tasks.create_task(self._answer(from_server, writer))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for each in (writer, to_server):
                self._peers.discard(each)
                each.transport.abort()

    async def _answer(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while True:
            head = await server.readexactly(5)
            message = head + await server.readexactly(int.from_bytes(head[1:]) - 4)
            if self._left == 0:
                await self._cut_all(client, message)
            elif self._left is not None:
                self._left -= 1
            client.write(message)

    async def _cut_all(self, client: asyncio.StreamWriter, message: bytes) -> None:
        self._left = None
        if self._cut is Cut.HALF:
            client.write(message[: len(message) // 2])
        elif self._cut is not Cut.NOTHING:
            kind = b"N" if self._cut is Cut.CRASH else b"E"
            client.write(kind + (len(self._cut.value) + 4).to_bytes(4) + self._cut.value)
        with contextlib.suppress(OSError):
            await client.drain()
        await asyncio.sleep(0)
        for peer in self._peers:
            peer.transport.abort()
        raise ConnectionResetError


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while text := await reader.read(65_536):
        writer.write(text)
    raise ConnectionResetError


@contextlib.asynccontextmanager
async def relayed(dsn: str) -> AsyncIterator[tuple[Relay, str]]:
    """A relay to a PostgreSQL on a socket, and the address of a database behind it."""
    (server,) = parse_qs(urlsplit(dsn).query)["host"]
    with tempfile.TemporaryDirectory(prefix="relay-") as folder:
        relay = Relay(Path(server))
        listening = await asyncio.start_unix_server(relay.serve, str(Path(folder) / SOCKET))
        async with listening:
            yield relay, dsn.replace(server, folder)
            listening.close()
