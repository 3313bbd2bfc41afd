"""A client of graphql-transport-ws that may break every rule."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection
from websockets.typing import Subprotocol

PROTOCOL = "graphql-transport-ws"
PATIENCE = 30.0
INIT: Mapping[str, Any] = {"type": "connection_init"}


class Peer:
    """One connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, *messages: Mapping[str, Any] | str | bytes) -> None:
        """Send messages; text and bytes go out as they are."""
        for message in messages:
            await self.connection.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        """The next message; pings of the server are answered and passed over."""
        async with asyncio.timeout(PATIENCE):
            while True:
                message: dict[str, Any] = json.loads(await self.connection.recv())
                if message != {"type": "ping"}:
                    return message
                await self.send({"type": "pong"})

    async def receive_all(self, operation_id: str) -> list[dict[str, Any]]:
        """The messages of one operation to its end, while there is no other."""
        messages = [await self.receive()]
        while messages[-1]["type"] == "next":
            messages.append(await self.receive())
        assert {message["id"] for message in messages} == {operation_id}
        return messages

    async def run(self, query: str, operation_id: str = "1", **parameters: Any) -> list[dict[str, Any]]:
        """Run an operation to its end."""
        await self.send(subscribe(query, operation_id, **parameters))
        return await self.receive_all(operation_id)

    async def closed(self) -> tuple[int | None, str | None]:
        """The code and the reason of the end, whatever else comes before it."""
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    await self.connection.recv()
        return self.connection.close_code, self.connection.close_reason


def subscribe(query: str, operation_id: str = "1", **parameters: Any) -> dict[str, Any]:
    """The message that begins an operation."""
    return {"id": operation_id, "type": "subscribe", "payload": {"query": query, **parameters}}


@contextlib.asynccontextmanager
async def connected(
    host: str,
    *,
    init: Mapping[str, Any] | None = INIT,
    protocol: str | None = PROTOCOL,
    headers: Mapping[str, str] | None = None,
    reads_little: bool = False,
) -> AsyncIterator[Peer]:
    """A connection to `/graphql`, initialised unless `init` is None.

    Who reads little has small buffers, so that the server soon feels what is not read.
    """
    protocols = [Subprotocol(protocol)] if protocol else None
    async with websockets.connect(
        f"ws://{host}/graphql",
        subprotocols=protocols,
        additional_headers=headers,
        sock=_small_socket(host) if reads_little else None,
        max_queue=1 if reads_little else 16,
        max_size=None,
        proxy=None,
        close_timeout=1,
    ) as connection:
        peer = Peer(connection)
        if init is not None:
            await peer.send(init)
            assert await peer.receive() == {"type": "connection_ack"}
        yield peer


def _small_socket(host: str) -> socket.socket:
    address, _, port = host.partition(":")
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.connect((address, int(port)))
    return small
