"""A client of Server-Sent Events that shows all that comes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

PATIENCE = 30.0
EVENTS = "text/event-stream"


@dataclass(frozen=True)
class Event:
    """One event; a comment has the name `comment`."""

    name: str
    data: Any = None
    id: str | None = None


class Events:
    """One stream."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._events = self._parsed()

    async def next(self) -> Event:
        """The next event; comments are passed over."""
        async with asyncio.timeout(PATIENCE):
            async for event in self._events:
                if event.name != "comment":
                    return event
        raise AssertionError("the stream ended")

    async def rest(self) -> list[Event]:
        """All to the end of the stream."""
        async with asyncio.timeout(PATIENCE):
            return [event async for event in self._events if event.name != "comment"]

    async def comment(self) -> None:
        """Wait for a comment, which must come before any event."""
        async with asyncio.timeout(PATIENCE):
            assert (await anext(self._events)).name == "comment"

    async def _parsed(self) -> AsyncIterator[Event]:
        fields: dict[str, str] = {}
        async for line in self.response.aiter_lines():
            if line:
                name, _, value = line.partition(":")
                assert name not in fields
                fields[name] = value.removeprefix(" ")
            elif fields:
                yield _event(fields)
                fields = {}


def _event(fields: Mapping[str, str]) -> Event:
    if set(fields) == {""}:
        return Event("comment")
    data = fields["data"]
    return Event(fields["event"], json.loads(data) if data else None, fields.get("id"))


@contextlib.asynccontextmanager
async def following(
    host: str,
    query: str,
    *,
    variables: Mapping[str, Any] | None = None,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[Events]:
    """A request for events, as soon as the head of its answer is there."""
    given: dict[str, Any] = {"query": query, "variables": variables or {}}
    sent: dict[str, Any] = {"json": given}
    if method == "GET":
        sent = {"params": {"query": query, "variables": json.dumps(variables or {})}}
    async with (
        httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client,
        client.stream(
            method, f"http://{host}/graphql", headers={"Accept": EVENTS, **(headers or {})}, **sent
        ) as answer,
    ):
        yield Events(answer)
