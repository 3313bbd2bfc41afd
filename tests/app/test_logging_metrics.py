"""Points over the real wire, by both transports: stored bit by bit, or refused in words."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

import httpx
import pytest
from starlette.applications import Starlette

from app import media_types
from app.gateway import Gateway
from app.graphql_http import graphql_routes
from app.graphql_ws import socket_routes
from tests.app.peer import Peer, connected
from tests.app.serving import serving

CREATE = "mutation ($name: String!) { createModel(input: {name: $name}) { model { id } } }"
LOG = """
    mutation ($input: LogMetricsInput!) {
      logMetrics(input: $input) { pointCount replayed userErrors { code path } }
    }
"""
LOG_INLINE = """
    mutation {
      logMetrics(input: {%s, columns: {wallTimes: %s, values: {k: %s}}}) { pointCount userErrors { code path } }
    }
"""
READ = """
    query ($id: ID!) {
      node(id: $id) {
        ... on Entity { metrics { nodes { key points(first: 100) { nodes { step wallTime value string } } } } }
      }
    }
"""
TRANSPORTS = pytest.mark.parametrize("transport", ["http", "websocket"])
Transport = Literal["http", "websocket"]


@dataclass
class Wire:
    """Sends the text of a request and gives the whole answer."""

    client: httpx.AsyncClient
    peer: Peer
    transport: Transport
    count: int = 0

    async def send(self, body: str) -> dict[str, Any]:
        """The answer, in the form that HTTP has."""
        if self.transport == "http":
            response = await self.client.post("/graphql", content=body.encode("utf-8", "surrogatepass"))
            answer: dict[str, Any] = response.json()
            return answer
        self.count += 1
        await self.peer.send(f'{{"id": "{self.count}", "type": "subscribe", "payload": {body}}}')
        message = (await self.peer.receive_all(str(self.count)))[0]
        return {"errors": message["payload"]} if message["type"] == "error" else message["payload"]

    async def run(self, query: str, **variables: Any) -> dict[str, Any]:
        """The `data` of an operation."""
        answer = await self.send(json.dumps({"query": query, "variables": variables}))
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    async def log(self, text: str) -> dict[str, Any]:
        """The answer to points whose input is this JSON."""
        return await self.send(f'{{"query": {json.dumps(LOG)}, "variables": {{"input": {text}}}}}')

    async def a_model(self) -> str:
        """The id of a new one."""
        return str((await self.run(CREATE, name=uuid4().hex))["createModel"]["model"]["id"])

    async def points(self, id_: str) -> dict[str, list[dict[str, Any]]]:
        """All that is stored of an object, by key."""
        nodes = (await self.run(READ, id=id_))["node"]["metrics"]["nodes"]
        return {node["key"]: node["points"]["nodes"] for node in nodes}


@asynccontextmanager
async def wired(gateway: Gateway, transport: Transport) -> AsyncIterator[Wire]:
    """A served gateway and who speaks to it."""
    app = Starlette(routes=[*socket_routes(gateway), *graphql_routes(gateway)])
    headers = {"Accept": media_types.GRAPHQL, "Content-Type": "application/json"}
    async with (
        serving(app) as host,
        connected(host) as peer,
        httpx.AsyncClient(base_url=f"http://{host}", headers=headers) as client,
    ):
        yield Wire(client, peer, transport)


SPELLED = [
    "0.1", "1e-3", "-0.0", "5e-324", "1.7976931348623157e308", "12345678901234567890", "-1", "0", '"NaN"',
    '"Infinity"', '"-Infinity"', "2.2250738585072011e-308", "9007199254740993", "0.30000000000000004",
]  # fmt: skip


def bits(value: str | float) -> bytes:
    return struct.pack(">d", float(value))


@TRANSPORTS
async def test_both_forms_store_the_same_bits(gateway: Gateway, transport: Transport) -> None:
    async with wired(gateway, transport) as wire:
        columns, objects = await wire.a_model(), await wire.a_model()
        cells = ", ".join(SPELLED)
        steps = ",".join(map(str, range(len(SPELLED))))
        answer = await wire.log(
            f'{{"objectId": "{columns}", "columns": {{"steps": [{steps}], "values": {{"k": [{cells}]}}}}}}'
        )
        assert answer["data"]["logMetrics"] == {"pointCount": len(SPELLED), "replayed": False, "userErrors": []}
        points = ", ".join(f'{{"key": "k", "step": {n}, "value": {cell}}}' for n, cell in enumerate(SPELLED))
        await wire.log(f'{{"objectId": "{objects}", "points": [{points}]}}')
        for id_ in (columns, objects):
            stored = (await wire.points(id_))["k"]
            assert [point["step"] for point in stored] == list(range(len(SPELLED)))
            assert [bits(point["value"]) for point in stored] == [bits(cell.strip('"')) for cell in SPELLED]


@TRANSPORTS
async def test_text_and_times_come_back_as_sent(gateway: Gateway, transport: Transport) -> None:
    async with wired(gateway, transport) as wire:
        id_ = await wire.a_model()
        point = r'{"key": "caf\u00e9", "string": "\ud83d\ude00 \\u0000", "wallTime": "2026-03-01T13:00:00.5+01:00"}'
        await wire.log(f'{{"objectId": "{id_}", "points": [{point}]}}')
        (stored,) = (await wire.points(id_))["café"]
        assert (stored["string"], stored["wallTime"]) == ("😀 \\u0000", "2026-03-01T12:00:00.500000Z")


LONG = "k" * 2**20
POINT = '{"key": "k", "value": 1}'
BAD_INPUTS: list[tuple[str, str, str | list[str]]] = [
    (r'"points": [{"key": "k", "value": 1}, {"key": "a\u0000", "value": 1}]', "BAD_USER_INPUT", "points[1].key"),
    (r'"points": [{"key": "a\ud800", "value": 1}]', "BAD_USER_INPUT", "points[0].key"),
    (r'"columns": {"values": {"a\ud800": [1]}}', "BAD_USER_INPUT", "columns.values"),
    (r'"columns": {"strings": {"a": ["x", "\u0000"]}}', "BAD_USER_INPUT", "columns.strings.a[1]"),
    ('"points": [{"key": "k", "value": 1}, {"key": "k", "value": "1"}]', "BAD_USER_INPUT", "points[1].value"),
    ('"points": [{"key": "k", "step": 9007199254740992, "value": 1}]', "BAD_USER_INPUT", "points[0].step"),
    ('"points": [{"key": "k", "value": 1, "setp": 1}]', "BAD_USER_INPUT", "points[0]"),
    ('"points": [{"value": 1}]', "BAD_USER_INPUT", "points[0]"),
    ('"points": {"key": "k"}, "extra": 1', "BAD_USER_INPUT", ""),
    ('"columns": {"values": {"k": [1, "x"]}}', "INVALID", ["columns", "values", "k", "1"]),
    ('"columns": {"values": {"k": [1], "l": []}}', "INVALID", ["columns", "values", "l"]),
    ('"columns": {"steps": [1.0], "values": {"k": [1]}}', "INVALID", ["columns", "steps", "0"]),
    (f'"columns": {{"values": {{"{LONG}": [1]}}}}', "INVALID", ["columns", "values", "k" * 100]),
    ('"points": [{"key": "k"}]', "INVALID", ["points", "0", "value"]),
    (f'"points": [{",".join([POINT] * 10_001)}]', "INVALID", ["points"]),
    (f'"points": [{",".join([POINT] * 20_001)}]', "LIMIT_EXCEEDED", ""),
    ('"points": [], "writer": "w", "sequence": -1', "INVALID", ["sequence"]),
]


@TRANSPORTS
@pytest.mark.parametrize(("rest", "code", "place"), BAD_INPUTS, ids=range(len(BAD_INPUTS)))
async def test_bad_points_are_refused_in_words(
    gateway: Gateway, transport: Transport, rest: str, code: str, place: str | list[str]
) -> None:
    async with wired(gateway, transport) as wire:
        id_ = await wire.a_model()
        answer = await wire.log(f'{{"objectId": "{id_}", {rest}}}')
        assert len(json.dumps(answer)) < 4_096
        if code == "INVALID":
            (error,) = answer["data"]["logMetrics"]["userErrors"]
            assert (error["code"], error["path"]) == (code, ["input", *place])
        else:
            extensions = answer["errors"][0]["extensions"]
            assert extensions["code"] == code
            assert str(place) in extensions.get("argument", "")
        assert await wire.points(id_) == {}


@TRANSPORTS
async def test_good_calls_beside_bad_ones_are_done(gateway: Gateway, transport: Transport) -> None:
    async with wired(gateway, transport) as wire:
        id_ = await wire.a_model()
        for rest, _, _ in BAD_INPUTS[:8]:
            await wire.log(f'{{"objectId": "{id_}", {rest}}}')
            await wire.log(f'{{"objectId": "{id_}", "columns": {{"values": {{"good": [1, 2]}}}}}}')
        assert {key: len(points) for key, points in (await wire.points(id_)).items()} == {"good": 16}


@TRANSPORTS
async def test_a_retry_is_known_however_it_is_spelled(gateway: Gateway, transport: Transport) -> None:
    async with wired(gateway, transport) as wire:
        id_ = await wire.a_model()
        first = f'"objectId": "{id_}", "idempotencyKey": "{uuid4().hex}"'
        # The second is a list of one by the rules of GraphQL.
        spellings = [f"[{POINT}]", POINT, r'[{"value": 1.0, "k\u0065y": "\u006b"}]']
        answers = [await wire.log(f'{{{first}, "points": {points}}}') for points in spellings]
        assert [answer["data"]["logMetrics"]["pointCount"] for answer in answers] == [1, 1, 1]
        assert len((await wire.points(id_))["k"]) == 1


@TRANSPORTS
async def test_a_retry_is_known_by_its_points(gateway: Gateway, transport: Transport) -> None:
    async with wired(gateway, transport) as wire:
        id_ = await wire.a_model()
        first = f'"objectId": "{id_}", "idempotencyKey": "{uuid4().hex}"'
        times = [f"2026-01-01T00:00:{second:02}Z" for second in range(40)]
        objects = ", ".join(f'{{"key": "k", "wallTime": "{time}", "value": 1}}' for time in times)
        # An escape is what only the slower of the two decoders of variables reads.
        spellings = [objects, objects.replace('"k"', r'"\u006b"'), objects.replace('"value": 1', '"value": 1.0')]
        texts = [f'{{{first}, "points": [{spelled}]}}' for spelled in spellings]
        micros = [1_767_225_600_000_000 + 1_000_000 * second for second in range(40)]
        texts.append(f'{{{first}, "columns": {{"wallTimes": {micros}, "values": {{"k": {[1] * 40}}}}}}}')
        answers = [await wire.log(text) for text in texts]
        assert [answer["data"]["logMetrics"]["pointCount"] for answer in answers] == [40] * 4
        inline = LOG_INLINE % (
            first.replace('"objectId"', "objectId").replace('"idempotencyKey"', "idempotencyKey"),
            micros,
            [1] * 40,
        )
        assert (await wire.run(inline))["logMetrics"]["pointCount"] == 40
        other = await wire.log(texts[0].replace('"value": 1', '"value": 2', 1))
        assert other["data"]["logMetrics"]["userErrors"] == [{"code": "CONFLICT", "path": ["input", "idempotencyKey"]}]
        assert len((await wire.points(id_))["k"]) == 40


async def test_at_once_over_http(gateway: Gateway) -> None:
    async with wired(gateway, "http") as wire:
        ids = [await wire.a_model() for _ in range(8)]
        texts = [f'{{"objectId": "{id_}", "columns": {{"values": {{"k": [1, 2]}}}}}}' for id_ in ids]
        texts[3] = texts[3].replace("[1, 2]", '[1, "x"]')
        answers = await asyncio.gather(*(wire.log(text) for text in texts * 3))
        counts = [answer["data"]["logMetrics"]["pointCount"] for answer in answers]
        assert counts == [2, 2, 2, None, 2, 2, 2, 2] * 3
        assert [len((await wire.points(id_)).get("k", [])) for id_ in ids] == [6, 6, 6, 0, 6, 6, 6, 6]
