"""graphql-transport-ws: every close code, every malformed frame, limits, and operations of each kind."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import pytest
import websockets
from starlette.applications import Starlette

from app.gateway import Finished, Gateway, TransportLimits
from app.graphql_ws import socket_routes
from app.token_watch import TokenWatch
from db.access import Caller
from db.engine import Database
from db.errors import Unavailable
from graphql_schema.errors import RequestError
from tests.app.peer import INIT, PROTOCOL, Peer, connected, subscribe
from tests.app.serving import serving
from tests.app.tokens import revoke

TYPENAME = "{ __typename }"
SLOW = "{ namespaces { nodes { id } } }"
INTROSPECTION = "{ __schema { types { name description fields { name description args { name description } } } } }"

Serve = Callable[[TransportLimits], AbstractAsyncContextManager[str]]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Whatever a client sends, it is no error of the server's."""
    yield
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err


def serve(
    gateway: Gateway, limits: TransportLimits | None = None, *, stall_seconds: float = 20.0
) -> AbstractAsyncContextManager[str]:
    limited = dataclasses.replace(gateway, limits=limits or TransportLimits())
    return serving(Starlette(routes=socket_routes(limited)), stall_seconds=stall_seconds)


@pytest.fixture(scope="session")
async def host(gateway: Gateway) -> AsyncIterator[str]:
    async with serve(gateway) as host:
        yield host


@pytest.fixture
async def peer(host: str) -> AsyncIterator[Peer]:
    async with connected(host) as peer:
        yield peer


def error_of(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The first error of an operation that only ended with `error`."""
    assert [message["type"] for message in messages] == ["error"]
    first: dict[str, Any] = messages[0]["payload"][0]
    return first


async def answers_still(peer: Peer) -> None:
    """The socket lives on."""
    assert (await peer.run(TYPENAME, "still"))[0]["payload"]["data"] == {"__typename": "Query"}


# --- Operations ---


async def test_query(peer: Peer) -> None:
    result, end = await peer.run(TYPENAME)

    assert result["type"] == "next"
    assert result["payload"]["data"] == {"__typename": "Query"}
    assert end == {"id": "1", "type": "complete"}


async def test_variables_and_operation_name(peer: Peer) -> None:
    query = "query A { __typename } query B($name: String!) { __type(name: $name) { name } }"

    result, _ = await peer.run(query, variables={"name": "Query"}, operationName="B", extensions={"any": 1})

    assert result["payload"]["data"] == {"__type": {"name": "Query"}}


@pytest.mark.parametrize("operation_id", ["1", "a b", '"quoted\\"', "ü🏃", "\u0000", "x" * 1000])
async def test_ids_come_back_as_they_were(peer: Peer, operation_id: str) -> None:
    assert len(await peer.run(TYPENAME, operation_id)) == 2


async def test_id_may_be_used_again_at_once(peer: Peer) -> None:
    for _ in range(20):
        await answers_still(peer)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": ""}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ nope }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query A { __typename } query B { __typename }"}, "OPERATION_RESOLUTION_FAILURE"),
        ({"query": "query A { __typename }", "operationName": "B"}, "OPERATION_RESOLUTION_FAILURE"),
        ({"query": "query($name: String!) { __type(name: $name) { name } }"}, "BAD_USER_INPUT"),
        (
            {"query": "query($n: String!) { __type(name: $n) { name } }", "variables": {"n": "\ud800"}},
            "BAD_USER_INPUT",
        ),
        ({"query": "{ " + "a: __typename " * 31 + "}"}, "LIMIT_EXCEEDED"),
        ({"query": "#" * 65_537}, "LIMIT_EXCEEDED"),
    ],
)
async def test_errors_of_a_document_end_only_its_operation(peer: Peer, payload: Mapping[str, Any], code: str) -> None:
    await peer.send({"id": "bad", "type": "subscribe", "payload": payload})
    messages = await peer.receive_all("bad")

    assert error_of(messages)["extensions"]["code"] == code
    await answers_still(peer)


async def test_operations_run_side_by_side(peer: Peer, kept_database: Database) -> None:
    async with kept_database.transaction() as lock:
        await lock.execute("LOCK TABLE namespace IN ACCESS EXCLUSIVE MODE")
        await peer.send(subscribe(SLOW, "slow"))
        await answers_still(peer)

    assert [message["type"] for message in await peer.receive_all("slow")] == ["next", "complete"]


async def test_client_completes_an_operation(peer: Peer, kept_database: Database) -> None:
    async with kept_database.transaction() as lock:
        await lock.execute("LOCK TABLE namespace IN ACCESS EXCLUSIVE MODE")
        await peer.send(subscribe(SLOW, "slow"))
        await answers_still(peer)
        await peer.send({"id": "slow", "type": "complete"}, subscribe(TYPENAME, "slow"))
        assert len(await peer.receive_all("slow")) == 2

    await answers_still(peer)


async def test_completing_what_is_over_is_no_fault(peer: Peer) -> None:
    await peer.send({"id": "never begun", "type": "complete"})

    await answers_still(peer)


async def test_time_limit_ends_only_the_operation(gateway: Gateway, kept_database: Database) -> None:
    async with (
        serve(gateway, TransportLimits(execution_seconds=0.2)) as host,
        connected(host) as peer,
        kept_database.transaction() as lock,
    ):
        await lock.execute("LOCK TABLE namespace IN ACCESS EXCLUSIVE MODE")
        assert error_of(await peer.run(SLOW))["extensions"]["limit"] == "seconds"
        await answers_still(peer)


async def test_database_away_ends_only_the_operation(gateway: Gateway) -> None:
    away = Database("postgresql://localhost:1/none", size=1, statement_timeout=1, role=None)
    async with serve(dataclasses.replace(gateway, database=away)) as host, connected(host) as peer:
        assert error_of(await peer.run(SLOW))["extensions"]["code"] == "SERVICE_UNAVAILABLE"
        await answers_still(peer)


async def test_every_operation_is_reported_once(gateway: Gateway) -> None:
    seen: list[Finished] = []
    sockets: list[int] = []
    watched = dataclasses.replace(gateway, observe=seen.append, count_sockets=sockets.append)
    async with serve(watched) as host, connected(host) as peer:
        await peer.run("query Named { __typename }")
        await peer.run("{ nope }")

    assert [(one.kind, one.name, one.code) for one in seen] == [
        ("query", "Named", None),
        (None, None, "GRAPHQL_VALIDATION_FAILED"),
    ]
    assert len({one.request_id for one in seen}) == 2
    assert sockets == [1, -1]


# --- Initialisation ---


@pytest.mark.parametrize("init", [INIT, {**INIT, "payload": None}, {**INIT, "payload": {}}, {**INIT, "more": 1}])
async def test_init_without_a_token(host: str, init: Mapping[str, Any]) -> None:
    async with connected(host, init=init) as peer:
        await answers_still(peer)


@pytest.mark.parametrize("form", ["Authorization", "authorization", "token", "header"])
async def test_init_with_a_token(host: str, token: str, form: str) -> None:
    payload = {form: token if form == "token" else f"Bearer {token}"} if form != "header" else None
    headers = {"Authorization": f"Bearer {token}"} if form == "header" else {}

    async with connected(host, init={**INIT, "payload": payload}, headers=headers) as peer:
        await answers_still(peer)


@pytest.mark.parametrize(
    ("payload", "header"),
    [
        ({"Authorization": "Bearer mbx_wrong_token"}, None),
        ({"Authorization": "mbx_wrong_token"}, None),
        ({"Authorization": 7}, None),
        ({"Authorization": None}, None),
        ({"token": "mbx_wrong_token"}, None),
        ({"token": ""}, None),
        ({"token": {}}, None),
        ({"token": "ü"}, None),
        (None, "Bearer mbx_wrong_token"),
        (None, "Basic dXNlcjpwYXNz"),
    ],
)
async def test_init_with_a_refused_token(host: str, payload: Any, header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    async with connected(host, init=None, headers=headers) as peer:
        await peer.send({**INIT, "payload": payload})

        code, reason = await peer.closed()

    assert code == 4403
    assert reason
    assert "mbx_wrong" not in reason


async def test_init_while_the_database_is_away(gateway: Gateway) -> None:
    async def away(_token: str | None) -> Caller:
        raise Unavailable

    async with (
        serve(dataclasses.replace(gateway, authenticate=away)) as host,
        connected(host, init=None) as peer,
    ):
        await peer.send(INIT)
        assert (await peer.closed())[0] == 1014


async def test_init_where_a_token_is_needed(gateway: Gateway) -> None:
    async def nobody(_token: str | None) -> Caller:
        raise RequestError("UNAUTHENTICATED", "Sign in. " + "ü" * 200)

    async with (
        serve(dataclasses.replace(gateway, authenticate=nobody)) as host,
        connected(host, init=None) as peer,
    ):
        await peer.send(INIT)
        assert (await peer.closed())[0] == 4403


async def test_init_too_late(gateway: Gateway) -> None:
    async with (
        serve(gateway, TransportLimits(init_seconds=0.2)) as host,
        connected(host, init=None) as peer,
    ):
        await peer.send({"type": "ping"})
        assert await peer.closed() == (4408, "Connection initialisation timeout")


async def test_second_init(peer: Peer) -> None:
    await peer.send(INIT)

    assert await peer.closed() == (4429, "Too many initialisation requests")


async def test_subscribe_before_init(host: str) -> None:
    async with connected(host, init=None) as peer:
        await peer.send(subscribe(TYPENAME))
        assert await peer.closed() == (4401, "Unauthorized")


async def test_id_in_use(peer: Peer, kept_database: Database) -> None:
    async with kept_database.transaction() as lock:
        await lock.execute("LOCK TABLE namespace IN ACCESS EXCLUSIVE MODE")
        await peer.send(subscribe(SLOW, "twice"), subscribe(TYPENAME, "twice"))
        assert await peer.closed() == (4409, "Subscriber for twice already exists")


@pytest.mark.parametrize("protocol", [None, "graphql-ws", "graphql-transport-ws2", "GRAPHQL-TRANSPORT-WS"])
@pytest.mark.filterwarnings("ignore::UserWarning")
async def test_other_subprotocols(host: str, protocol: str | None) -> None:
    async with connected(host, init=None, protocol=protocol) as peer:
        code, _ = await peer.closed()

    assert code == 4406


async def test_our_subprotocol_among_others(host: str) -> None:
    async with websockets.connect(
        f"ws://{host}/graphql",
        subprotocols=["graphql-ws", PROTOCOL],  # type: ignore[list-item]
        proxy=None,
    ) as connection:
        assert connection.subprotocol == PROTOCOL


# --- Malformed frames ---

MALFORMED: Mapping[str, str | bytes] = {
    "empty": "",
    "no JSON": "hello",
    "half of JSON": '{"type": "ping"',
    "two values": '{"type": "ping"} {"type": "ping"}',
    "NaN": '{"type": "ping", "payload": {"a": NaN}}',
    "nested": "[" * 30_000,
    "nested payload": '{"type": "ping", "payload": ' + '{"a":' * 10_000 + "1" + "}" * 10_001,
    "null": "null",
    "number": "42",
    "string": '"ping"',
    "array": '[{"type": "ping"}]',
    "no type": "{}",
    "type null": '{"type": null}',
    "type object": '{"type": {"type": "ping"}}',
    "type array": '{"type": ["ping"]}',
    "unknown type": '{"type": "start", "id": "1"}',
    "type of the server": '{"type": "connection_ack"}',
    "next from the client": '{"type": "next", "id": "1", "payload": {}}',
    "error from the client": '{"type": "error", "id": "1", "payload": []}',
    "type with a surrogate": '{"type": "\\ud800"}',
    "init with a list": '{"type": "connection_init", "payload": []}',
    "init with a string": '{"type": "connection_init", "payload": "token"}',
    "ping with a number": '{"type": "ping", "payload": 1}',
    "ping with a surrogate": '{"type": "ping", "payload": {"a": "\\ud800"}}',
    "pong with a string": '{"type": "pong", "payload": "x"}',
    "subscribe alone": '{"type": "subscribe"}',
    "subscribe without id": '{"type": "subscribe", "payload": {"query": "{ __typename }"}}',
    "subscribe with empty id": '{"type": "subscribe", "id": "", "payload": {"query": "{ __typename }"}}',
    "subscribe with a number as id": '{"type": "subscribe", "id": 1, "payload": {"query": "{ __typename }"}}',
    "subscribe with null as id": '{"type": "subscribe", "id": null, "payload": {"query": "{ __typename }"}}',
    "subscribe with a surrogate as id": '{"type": "subscribe", "id": "\\ud800", "payload": {"query": "{a}"}}',
    "subscribe with a long id": '{"type": "subscribe", "id": "' + "x" * 1001 + '", "payload": {"query": "{a}"}}',
    "subscribe without payload": '{"type": "subscribe", "id": "1"}',
    "subscribe with null": '{"type": "subscribe", "id": "1", "payload": null}',
    "subscribe with a string": '{"type": "subscribe", "id": "1", "payload": "{ __typename }"}',
    "subscribe with a batch": '{"type": "subscribe", "id": "1", "payload": [{"query": "{ __typename }"}]}',
    "subscribe without query": '{"type": "subscribe", "id": "1", "payload": {}}',
    "query is a number": '{"type": "subscribe", "id": "1", "payload": {"query": 1}}',
    "variables are a list": '{"type": "subscribe", "id": "1", "payload": {"query": "{a}", "variables": []}}',
    "variables are a string": '{"type": "subscribe", "id": "1", "payload": {"query": "{a}", "variables": "{}"}}',
    "name is a number": '{"type": "subscribe", "id": "1", "payload": {"query": "{a}", "operationName": 1}}',
    "extensions are true": '{"type": "subscribe", "id": "1", "payload": {"query": "{a}", "extensions": true}}',
    "complete alone": '{"type": "complete"}',
    "complete with a number as id": '{"type": "complete", "id": 1}',
    "binary": b'{"type": "ping"}',
    "binary rubbish": b"\x00\xff",
    "too large before init": '{"type": "ping", "payload": {"a": "' + "x" * 65_536 + '"}}',
    "too many bytes before init": '{"type": "ping", "payload": {"a": "' + "ü" * 32_768 + '"}}',
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_frames_before_init(host: str, name: str) -> None:
    async with connected(host, init=None) as peer:
        await peer.send(MALFORMED[name])
        code, reason = await peer.closed()

    assert code == 4400
    assert reason


@pytest.mark.parametrize("name", [name for name in MALFORMED if "before init" not in name])
async def test_malformed_frames_after_init(peer: Peer, name: str) -> None:
    await peer.send(MALFORMED[name])

    assert (await peer.closed())[0] == 4400


async def test_malformed_utf8(peer: Peer) -> None:
    peer.connection.transport.write(b"\x81\x82\x00\x00\x00\x00\xff\xfe")

    assert (await peer.closed())[0] in (1007, 4400)


async def test_frames_may_be_larger_after_init(gateway: Gateway) -> None:
    limits = TransportLimits(first_frame_bytes=200, frame_bytes=2_000)
    async with serve(gateway, limits) as host, connected(host) as peer:
        assert len(await peer.run(TYPENAME, variables={"padding": "x" * 1_500})) == 2
        await peer.send(subscribe(TYPENAME, variables={"padding": "x" * 2_000}))
        assert await peer.closed() == (4400, "The frame is larger than 2000 bytes.")


# --- Signs of life, limits, ends ---


@pytest.mark.parametrize("payload", [{}, {"payload": None}, {"payload": {"at": 1.5, "who": "ü"}}])
async def test_pings_are_answered(host: str, payload: Mapping[str, Any]) -> None:
    async with connected(host, init=None) as peer:
        await peer.send({"type": "ping", **payload}, {"type": "pong", **payload})
        answer = await peer.receive()

    expected = {"payload": payload["payload"]} if payload.get("payload") else {}
    assert answer == {"type": "pong", **expected}


async def test_server_pings_and_an_answer_keeps_the_socket(gateway: Gateway) -> None:
    async with serve(gateway, TransportLimits(ping_seconds=0.1)) as host, connected(host) as peer:
        for _ in range(5):
            assert json.loads(await peer.connection.recv()) == {"type": "ping"}
            await peer.send({"type": "pong"})
        await answers_still(peer)


async def test_peer_that_answers_no_ping(gateway: Gateway) -> None:
    async with serve(gateway, TransportLimits(ping_seconds=0.1)) as host, connected(host) as peer:
        assert await peer.closed() == (1001, "No message came since the last ping.")


async def test_socket_that_is_too_old(gateway: Gateway) -> None:
    async with serve(gateway, TransportLimits(socket_seconds=0.3)) as host, connected(host) as peer:
        code, reason = await peer.closed()

    assert code == 1001
    assert "again" in str(reason)


async def test_too_many_operations(gateway: Gateway, kept_database: Database) -> None:
    async with (
        serve(gateway, TransportLimits(operations=2)) as host,
        connected(host) as peer,
        kept_database.transaction() as lock,
    ):
        await lock.execute("LOCK TABLE namespace IN ACCESS EXCLUSIVE MODE")
        await peer.send(subscribe(SLOW, "a"), subscribe(SLOW, "b"))
        refused = error_of(await peer.run(SLOW, "c"))
        await peer.send({"id": "a", "type": "complete"})
        await answers_still(peer)

    assert refused["extensions"] == {"code": "LIMIT_EXCEEDED", "limit": "operations", "maximum": 2}


async def test_messages_are_paced(gateway: Gateway) -> None:
    async with serve(gateway, TransportLimits(messages_per_second=20)) as host, connected(host) as peer:
        began = time.monotonic()
        await peer.send(*[{"type": "ping", "payload": {"n": n}} for n in range(60)])
        answers = [await peer.receive() for _ in range(60)]
        seconds = time.monotonic() - began

    assert [answer["payload"]["n"] for answer in answers] == list(range(60))
    assert seconds > 1.5


async def test_peer_that_does_not_read(gateway: Gateway) -> None:
    limits = TransportLimits(operations=1_000, messages_per_second=10_000)
    async with serve(gateway, limits, stall_seconds=0.3) as host, connected(host, reads_little=True) as peer:
        for n in range(200):
            await peer.send(subscribe(INTROSPECTION, str(n)))
        await asyncio.sleep(1.5)

        assert (await peer.closed())[0] == 1013


async def test_revoked_token_closes_the_socket(gateway: Gateway, kept_database: Database, token: str) -> None:
    init = {**INIT, "payload": {"token": token}}
    async with serve(gateway, TransportLimits(recheck_seconds=0.05)) as host, connected(host, init=init) as peer:
        await answers_still(peer)
        await revoke(kept_database, token)

        assert await peer.closed() == (4403, "The token is no longer valid.")


async def test_sockets_of_one_token_are_checked_together(gateway: Gateway) -> None:
    looks = 0

    async def look(_caller: Caller) -> bool:
        nonlocal looks
        looks += 1
        if looks == 2:
            raise Unavailable
        return looks < 4

    caller = await gateway.authenticate(None)
    watch = TokenWatch(look, every=0.05)
    told: list[int] = []
    over = asyncio.Event()
    impatient = partial(told.append, -1)
    watch.begin(caller, impatient)
    for n in range(100):
        watch.begin(caller, partial(told.append, n))
    watch.begin(caller, over.set)
    watch.end(caller, impatient)

    async with asyncio.timeout(30):
        await over.wait()

    assert looks == 4
    assert sorted(told) == list(range(100))


async def test_server_that_stops(gateway: Gateway) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with serve(gateway) as host:
            peer = await stack.enter_async_context(connected(host))
        assert (await peer.closed())[0] == 1012


async def test_client_that_leaves_takes_its_operations_along(gateway: Gateway, kept_database: Database) -> None:
    seen: list[Finished] = []
    watched = dataclasses.replace(gateway, observe=seen.append)
    async with serve(watched) as host, kept_database.transaction() as lock:
        await lock.execute("LOCK TABLE namespace IN ACCESS EXCLUSIVE MODE")
        async with connected(host) as peer:
            await peer.send(subscribe(SLOW, "slow"))
            await answers_still(peer)
        async with asyncio.timeout(30):
            while len(seen) < 2:  # noqa: ASYNC110 - the end of an operation is only seen
                await asyncio.sleep(0.01)

    assert [one.kind for one in seen] == ["query", "query"]
