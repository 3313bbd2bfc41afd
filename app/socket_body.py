"""Long bodies, read from their sockets by whoever writes them to the disk.

On the usual way a body is copied four times before the application sees it: out of the socket, out of the parser, into
what has come so far, out of that. Here a thread reads it from the socket into memory of its own, 256 kB at a time, and
does all that is to be done with these bytes while they are in the processor's cache. The connection is taken from the
event loop between two requests' borders only: from the first bytes of a body to its last.
"""

from __future__ import annotations

import asyncio
import os
import select
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from db.errors import Invalid

if TYPE_CHECKING:
    from app.connections import HttpConnection

SOCKET_BODY: Final = "modelbox.body"
"""An extension in a request's scope: its `SocketBody`."""

LONG: Final = 1 << 18
"""Shorter bodies come as quickly on the usual way."""

PATIENCE_MS: Final = 5
"""How long a thread waits for a peer before it turns to another's body."""

STALL_SECONDS: Final = 60.0
"""How long a peer may send nothing."""

NONE: Final = -1
"""No file."""

SILENT: Final = f"Nothing of the part came for {STALL_SECONDS:.0f} s. Send it again."
ENDED: Final = "The connection ended before the part did."


class SocketBody:
    """What of a request's body has not come yet. Only its one reader may use it."""

    def __init__(self, connection: HttpConnection, cycle: RequestResponseCycle, size: int) -> None:
        self._connection = connection
        self._cycle = cycle
        self._file = NONE
        self._left = size

    @property
    def is_taken(self) -> bool:
        """Whether the bytes come from here now, and no longer from `receive`."""
        return self._file != NONE

    def take(self, count: int) -> None:
        """Read all from here that follows the first bytes, which came as a message: called before anything is awaited.

        Else more might be read meanwhile that would be neither here nor there.
        """
        self._connection.flow.pause_reading()
        self._file = os.dup(self._connection.transport.get_extra_info("socket").fileno())
        self._left -= count

    def read_into(self, memory: memoryview) -> int:
        """Fill memory with the next bytes; how many they were: 0 if none are there yet. For a thread.

        Raises:
            Invalid: the connection ended before the body did.
        """
        try:
            count = _read(self._file, memory[: self._left])
        except ConnectionError as error:
            raise Invalid(ENDED) from error
        if count == 0:
            raise Invalid(ENDED)
        self._left -= max(count, 0)
        return max(count, 0)

    async def wait(self) -> None:
        """Until there are bytes.

        Raises:
            Invalid: none came for a long while.
        """
        loop, there = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._file, there.set)
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await there.wait()
        except TimeoutError:
            raise Invalid(SILENT) from None
        finally:
            loop.remove_reader(self._file)

    async def drain(self, limit: int) -> None:
        """Read what is left, up to a limit, and forget it."""
        memory = memoryview(bytearray(LONG))
        while self._left and limit > 0:
            await self.wait()
            limit -= self.read_into(memory)

    def release(self) -> None:
        """Give the connection back; if the whole body was read, it can go on with its next request."""
        if self._file == NONE:
            return
        os.close(self._file)
        self._file = NONE
        if not self._left:
            self._connection.begin_anew()
            self._cycle.more_body = False
            self._cycle.message_event.set()


def _read(file: int, memory: memoryview) -> int:
    """How many bytes were read; 0 at the end, -1 if there are none now, nor a moment later."""
    try:
        return os.readv(file, [memory])
    except BlockingIOError:
        watch = select.poll()
        watch.register(file, select.POLLIN)
        watch.poll(PATIENCE_MS)
    try:
        return os.readv(file, [memory])
    except BlockingIOError:
        return -1


def long_body(scope: Any) -> int | None:
    """The size of a body that is best read from its socket: of a `PUT`, long, and of a length that is known."""
    if scope["method"] != "PUT" or scope["scheme"] != "http":
        return None
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    if len(lengths) != 1 or not lengths[0].isdigit() or len(lengths[0]) > len(str(1 << 62)):
        return None
    size = int(lengths[0])
    return size if size >= LONG else None
