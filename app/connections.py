"""Connections as uvicorn serves them, but for peers that do not read: those are let go of.

Nothing is measured while a peer keeps up: the clock runs only while its transport is paused. So a result
costs no timer, however many thousand peers get it.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any, Final, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

from app.socket_body import SOCKET_BODY, SocketBody, long_body
from app.ws_messages import TRY_AGAIN_LATER

FINAL_TEXT: Final = 0x81
"""The first byte of a frame that is a whole text message (RFC 6455, 5.2)."""

SHORT: Final = 126
MEDIUM: Final = 65_536
"""From so many bytes on the length is written in two bytes more, or in eight."""

MEDIUM_HEAD: Final = struct.Struct("!BBH").pack
LONG_HEAD: Final = struct.Struct("!BBQ").pack

CLOSE_SECONDS: Final = 5.0
"""How long a peer is given to read what is left, and to close, before it is cut off."""

STOP: Final = "modelbox.stop"
"""Where in `scope["state"]` a response without end leaves what is to be called when the server stops."""


WRITE: Final = "modelbox.write"
"""An extension in a socket's scope: `SocketConnection.write`."""


class Config(uvicorn.Config):
    """uvicorn's, and how long a peer may keep all that was written to it waiting."""

    stall_seconds = 20.0


class Clock:
    """Runs while a transport is paused."""

    def __init__(self, seconds: float, ring: Callable[[], None]) -> None:
        self._seconds, self._ring = seconds, ring
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Ring after a while."""
        self._handle = asyncio.get_running_loop().call_later(self._seconds, self._ring)

    def stop(self) -> None:
        """Do not."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class HttpConnection(HttpToolsProtocol):
    """A peer that takes nothing for too long loses its connection; one that is slow does not."""

    def __init__(self, config: Config, *arguments: Any, **more: Any) -> None:
        super().__init__(config, *arguments, **more)
        self._clock = Clock(config.stall_seconds, self._look)
        self._left = 0

    def on_headers_complete(self) -> None:
        """Called by the parser when the head of a request was read."""
        super().on_headers_complete()
        if (size := long_body(self.scope)) is not None:
            extensions = cast("dict[str, Any]", self.scope.setdefault("extensions", {}))
            extensions[SOCKET_BODY] = SocketBody(self, self.cycle, size)

    def begin_anew(self) -> None:
        """Expect a new request: a body was read past the parser, to its end."""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # As uvicorn has it.

    def pause_writing(self) -> None:
        """Called by the transport when its buffer is full."""
        super().pause_writing()
        self._left = self.transport.get_write_buffer_size()
        self._clock.start()

    def resume_writing(self) -> None:
        """Called by the transport when its buffer is nearly empty."""
        super().resume_writing()
        self._clock.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the transport at the end."""
        self._clock.stop()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Called when the server stops: who waits for the end of a stream would wait for ever."""
        super().shutdown()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            stop = cycle.scope["state"].get(STOP)
            if stop is not None:
                stop()

    def _look(self) -> None:
        left = self.transport.get_write_buffer_size()
        if left < self._left:
            self._left = left
            self._clock.start()
        else:
            self.transport.abort()


class SocketConnection(WebSocketsSansIOProtocol):
    """A peer that lets its buffers be full for too long is told 1013, and so is the application."""

    def __init__(self, config: Config, *arguments: Any, **more: Any) -> None:
        super().__init__(config, *arguments, **more)
        self.close_timeout = CLOSE_SECONDS
        self._stall = Clock(config.stall_seconds, self._stalled)
        self._end = Clock(CLOSE_SECONDS, self._cut)

    def handle_connect(self, event: Request) -> None:
        """Called when a handshake has arrived."""
        super().handle_connect(event)
        if not self.close_sent and not self.config.ws_per_message_deflate:
            extensions = cast("dict[str, Any]", self.scope["extensions"])
            extensions[WRITE] = self.write

    def write(self, *parts: bytes) -> bool:
        """Send a message at once if the peer keeps up; otherwise do nothing, and leave it to `send`, which waits.

        That one is written for every message and every state of a connection, and takes three times as long
        for a result that goes to thousands.
        """
        if not self.writable.is_set() or self.close_sent or self.conn.state is not State.OPEN:
            return False
        self.transport.write(b"".join((_head(sum(map(len, parts))), *parts)))
        return True

    def pause_writing(self) -> None:
        """Called by the transport when its buffer is full."""
        super().pause_writing()
        self._stall.start()

    def resume_writing(self) -> None:
        """Called by the transport when its buffer is nearly empty."""
        super().resume_writing()
        self._stall.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the transport at the end."""
        self._stall.stop()
        self._end.stop()
        super().connection_lost(exc)

    async def run_asgi(self) -> None:
        """Run the application. What it leaves unread is no reason to keep the connection."""
        await super().run_asgi()
        if self in self.connections:
            self._end.start()

    def _stalled(self) -> None:
        """Close past what the peer has not read, for it may still do so."""
        if self.close_sent or self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": TRY_AGAIN_LATER})
        self.conn.send_close(TRY_AGAIN_LATER, "The peer does not read.")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.disconnected = True

    def _cut(self) -> None:
        self.transport.abort()


def _head(size: int) -> bytes:
    """What stands before a text of so many bytes."""
    if size < SHORT:
        return bytes((FINAL_TEXT, size))
    if size < MEDIUM:
        return MEDIUM_HEAD(FINAL_TEXT, SHORT, size)
    return LONG_HEAD(FINAL_TEXT, SHORT + 1, size)
