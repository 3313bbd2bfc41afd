"""Readers of subscriptions that lose their connection at random, and go on from their last cursor at any server."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.typing import Subprotocol

from tests.acceptance.nodes import Node

AWAY: Final = (OSError, httpx.HTTPError, websockets.WebSocketException, json.JSONDecodeError, TimeoutError)
"""What a client meets while servers are killed."""

EXPECTED: Final = {"SERVICE_UNAVAILABLE"}
"""What a server may say while its database is killed."""

Frame = dict[str, Any]


@dataclass
class Reader:
    """One who follows."""

    nodes: Sequence[Node]
    dice: random.Random
    query: str
    variables: dict[str, Any]
    by_events: bool = False
    after: str | None = None
    connected_at: float = field(default=float("inf"), init=False)
    connects: int = field(default=0, init=False)

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """Frames without end, one after the other."""
        while True:
            address = self.dice.choice(self.nodes).address
            leave = time.monotonic() + self.dice.uniform(0.5, 6)
            transport = self._events(address) if self.by_events else self._messages(address)
            self.connects += 1
            self.connected_at = float("inf")
            try:
                async with aclosing(transport) as frames:
                    while True:
                        async with asyncio.timeout(leave - time.monotonic()):
                            frame = await anext(frames)
                        self.connected_at = min(self.connected_at, time.monotonic())
                        yield frame
                        self.after = frame["cursor"]
            except (*AWAY, StopAsyncIteration):
                await asyncio.sleep(0.05)

    async def _messages(self, address: str) -> AsyncGenerator[Frame, None]:
        """The frames of a socket."""
        protocol = Subprotocol("graphql-transport-ws")
        async with websockets.connect(
            f"ws://{address}/graphql",
            subprotocols=[protocol],
            max_size=None,
            open_timeout=5,
            close_timeout=1,
            proxy=None,
        ) as peer:
            await peer.send(json.dumps({"type": "connection_init"}))
            async for frame in self._operation(peer):
                yield frame

    async def _operation(self, peer: ClientConnection) -> AsyncGenerator[Frame, None]:
        payload = {"query": self.query, "variables": {**self.variables, "after": self.after}}
        while True:
            message = json.loads(await peer.recv())
            match message["type"]:
                case "connection_ack":
                    await peer.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
                case "ping":
                    await peer.send(json.dumps({"type": "pong"}))
                case "next":
                    yield _feed(message["payload"])
                case "error":
                    _expect_outage(message["payload"])
                    return
                case _:
                    return

    async def _events(self, address: str) -> AsyncGenerator[Frame, None]:
        """The frames of a response of events; it goes on as a browser does, or by the variable."""
        headers = {"Accept": "text/event-stream"}
        variables = {**self.variables, "after": self.after}
        if self.after is not None and self.dice.random() < 0.5:
            headers["Last-Event-ID"] = self.after
            del variables["after"]
        body = {"query": self.query, "variables": variables}
        async with (
            httpx.AsyncClient(timeout=30, trust_env=False) as client,
            client.stream("POST", f"http://{address}/graphql", json=body, headers=headers) as answer,
        ):
            if answer.status_code != 200:
                _expect_outage(json.loads(await answer.aread())["errors"])
                return
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    yield _feed(json.loads(line.removeprefix("data: ")))


def _feed(result: dict[str, Any]) -> Frame:
    if not result.get("data"):
        _expect_outage(result["errors"])
        raise TimeoutError
    assert "errors" not in result, result
    frame: Frame = result["data"]["feed"]
    return frame


def _expect_outage(errors: Sequence[dict[str, Any]]) -> None:
    assert {error["extensions"]["code"] for error in errors} <= EXPECTED, errors
