"""What ModelBox's fan-out is measured against, each served by uvicorn as ModelBox is.

`raw` sends ready bytes to every socket and does nothing else. `strawberry` is the library's own ASGI application
with a subscription over a batch of ten points.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import AsyncGenerator
from typing import Any, Final

import strawberry
import uvloop
from starlette.types import Receive, Scope, Send
from strawberry.asgi import GraphQL

from app import listening, server
from app.settings import Settings

POINTS: Final = 10


@strawberry.type
class Point:
    key: str
    step: int
    value: float


@strawberry.type
class Batch:
    cursor: str
    catching_up: bool
    points: list[Point]


class Edition:
    """A batch that is not there yet."""

    def __init__(self) -> None:
        self.is_out = asyncio.Event()
        self.batch = Batch(cursor="cursor", catching_up=False, points=[])


class Topic:
    """Everyone who waits gets the next batch."""

    def __init__(self) -> None:
        self._next = Edition()
        self._number = 0

    def publish(self) -> None:
        """Another batch."""
        self._number += 1
        points = [Point(key=f"train/loss-{n}", step=self._number, value=self._number / 7 + n) for n in range(POINTS)]
        done, self._next = self._next, Edition()
        done.batch = Batch(cursor=f"cursor-{self._number:020}", catching_up=False, points=points)
        done.is_out.set()

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """An empty one at once, then each as it comes."""
        waiting = self._next
        yield Batch(cursor="cursor", catching_up=False, points=[])
        while True:
            await waiting.is_out.wait()
            batch, waiting = waiting.batch, self._next
            yield batch


class Raw:
    """Ready bytes for everyone."""

    def __init__(self) -> None:
        self._sends: set[Send] = set()
        points = ",".join(f'{{"key":"train/loss-{n}","step":1000,"value":{1000 / 7 + n}}}' for n in range(POINTS))
        data = f'{{"batches":{{"cursor":"cursor-{0:020}","catchingUp":false,"points":[{points}]}}}}'
        self._message = {
            "type": "websocket.send",
            "text": f'{{"id":"1","type":"next","payload":{{"data":{data}}}}}',
        }

    async def publish(self) -> None:
        """Send to everyone."""
        for send in self._sends:
            await send(self._message)

    async def socket(self, receive: Receive, send: Send) -> None:
        """Take part until the client leaves."""
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "graphql-transport-ws"})
        await receive()
        await send({"type": "websocket.send", "text": '{"type":"connection_ack"}'})
        await receive()
        await send(self._message)
        self._sends.add(send)
        try:
            while (await receive())["type"] != "websocket.disconnect":
                pass
        finally:
            self._sends.discard(send)


class Application:
    """Sockets of one of the two; a POST publishes a batch."""

    def __init__(self, kind: str) -> None:
        self._raw = Raw()
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await self._publish()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"{}"})
        elif self._kind == "raw":
            await self._raw.socket(receive, send)
        else:
            await self._graphql(scope, receive, send)

    async def _publish(self) -> None:
        if self._kind == "raw":
            await self._raw.publish()
        else:
            self._topic.publish()

    def begin(self) -> None:
        """Make what needs a loop."""
        topic = self._topic = Topic()

        @strawberry.type
        class Query:
            hello: str = "hello"

        @strawberry.type
        class Subscription:
            @strawberry.subscription
            async def batches(self) -> AsyncGenerator[Batch, None]:
                async for batch in topic.batches():
                    yield batch

        self._graphql = GraphQL[Any, Any](strawberry.Schema(Query, subscription=Subscription))


async def _live(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _serve(kind: str, port: int) -> None:
    application = Application(kind)
    application.begin()
    uvicorn = server.uvicorn.Server(server.configured(application, Settings()))
    sockets = listening.take("127.0.0.1", port)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGTERM, uvicorn.handle_exit)
    await uvicorn.serve(sockets)


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], int(sys.argv[2])))
