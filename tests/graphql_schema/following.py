"""Subscriptions as their followers meet them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from graphql_schema.broadcast import Live
from graphql_schema.errors import RequestErrors
from graphql_schema.executor import Context, subscribe
from graphql_schema.schema import documents
from tests.graph import Graph


async def frames(
    graph: Graph, query: str, live: Live | None = None, /, **variables: Any
) -> AsyncGenerator[dict[str, Any], None]:
    """The frames of a document's only subscription."""
    context = Context(graph.database, graph.caller, "test-request", live)
    async with aclosing(subscribe(documents.prepare(query), variables, context)) as stream:
        async for frame in stream:
            result = orjson.loads(frame.json)
            assert "errors" not in result, result
            (batch,) = result["data"].values()
            assert batch.get("cursor", frame.cursor) == frame.cursor
            yield batch


async def rows(
    graph: Graph, query: str, count: int, live: Live | None = None, /, **variables: Any
) -> list[dict[str, Any]]:
    """The first `count` rows of all frames, each with its frame's cursor."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(20), aclosing(frames(graph, query, live, **variables)) as stream:
        async for frame in stream:
            (listed,) = (value for value in frame.values() if isinstance(value, list))
            found += [{**row, "cursor": frame["cursor"]} for row in listed]
            if len(found) >= count:
                break
    return found


async def refused(graph: Graph, query: str, /, **variables: Any) -> dict[str, Any]:
    """The only error by which a subscription ends, or does not begin."""
    with pytest.raises(RequestErrors) as refusal:
        await rows(graph, query, 1, **variables)
    (error,) = refusal.value.errors
    return error.formatted()
