"""The bus by NATS, for servers on several machines or behind a pooler of connections."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import nats
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from db.feed.bus import Heard, read

SUBJECT: Final = "modelbox.feed"
RECONNECT_WAIT: Final = 1  # seconds between two attempts to connect
CONNECT_PATIENCE: Final = 5  # seconds that one may take

LOST: Final = (OSError, Error, TimeoutError)

log = structlog.get_logger(__name__)


class NatsBus:
    """Hints as messages of a NATS server; its address may hold a password."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Client | None = None

    @property
    def is_open(self) -> bool:
        """Whether hints come and go."""
        return self._client is not None and self._client.is_connected

    async def send(self, text: str) -> None:
        """Publish; while there is no connection, others have to look by themselves."""
        if self._client is not None and self.is_open:
            with contextlib.suppress(*LOST):
                await self._client.publish(SUBJECT, text.encode())
                await self._client.flush(CONNECT_PATIENCE)

    async def hear(self, heard: Heard) -> None:
        """Subscribe; the client connects again by itself, but for the first time."""
        while True:
            closed = asyncio.Event()
            try:
                client = await self._connected(heard, closed)
                try:
                    await self._subscribe(client, heard)
                    await closed.wait()
                finally:
                    self._client = None
                    with contextlib.suppress(*LOST):
                        await client.close()
            except LOST as error:
                log.warning("NATS does not answer; connecting again", reason=type(error).__name__)
                await asyncio.sleep(RECONNECT_WAIT)

    async def _connected(self, heard: Heard, closed: asyncio.Event) -> Client:
        async def connected_again() -> None:
            heard(None)

        async def ended() -> None:
            closed.set()

        async def failed(error: Exception) -> None:
            log.info("hints of other processes may be missed", reason=type(error).__name__)

        return await nats.connect(
            self._url,
            name="modelbox",
            no_echo=True,
            connect_timeout=CONNECT_PATIENCE,
            reconnect_time_wait=RECONNECT_WAIT,
            max_reconnect_attempts=-1,
            reconnected_cb=connected_again,
            closed_cb=ended,
            error_cb=failed,
        )

    async def _subscribe(self, client: Client, heard: Heard) -> None:
        async def received(message: Msg) -> None:
            heard(read(message.data.decode("ascii", "replace")))

        await client.subscribe(SUBJECT, cb=received)
        await client.flush(CONNECT_PATIENCE)
        self._client = client
        heard(None)
