"""A client that asks for a stream and then reads nothing of it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from typing import Any

PATIENCE = 30.0


class Unread:
    """Its socket, whose buffers are as small as the kernel allows."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def events(cls, host: str, query: str, variables: Mapping[str, Any]) -> Unread:
        """Ask for events."""
        address, _, port = host.partition(":")
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        small.connect((address, int(port)))
        reader, writer = await asyncio.open_connection(sock=small, limit=1_024)
        body = json.dumps({"query": query, "variables": variables})
        lines = [
            "POST /graphql HTTP/1.1",
            f"Host: {host}",
            "Accept: text/event-stream",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        writer.write("\r\n".join([*lines, "", body]).encode())
        await reader.readuntil(b"200 OK")
        return cls(reader, writer)

    def close(self) -> None:
        """Leave."""
        self._writer.close()

    async def is_cut_off(self) -> bool:
        """Whether the stream ends before its end, once all is read that is there."""
        rest = b""
        try:
            async with asyncio.timeout(PATIENCE):
                while piece := await self._reader.read(65_536):
                    rest = piece
        except ConnectionError:
            return True
        finally:
            self._writer.close()
        return not rest.endswith(b"0\r\n\r\n")
