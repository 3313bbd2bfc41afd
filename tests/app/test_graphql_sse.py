"""GraphQL over Server-Sent Events: results as events, resuming, refusals as statuses, and every end of a stream."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from app.gateway import Finished, Gateway, TransportLimits
from app.graphql_http import graphql_routes
from db.engine import Database
from tests.app.events import EVENTS, Event, Events, following
from tests.app.serving import serving
from tests.app.tokens import revoke
from tests.app.unread import Unread

FOLLOW = """
    subscription Follow($namespace: String!, $after: Cursor) {
      changes(namespace: $namespace, after: $after) { cursor catchingUp changes { sequence } }
    }
"""
MAKE = "mutation Make($path: String!) { createNamespace(input: { path: $path }) { created } }"
LARGE = """
    mutation Large($namespace: String!, $name: String!, $description: String!) {
      createModel(input: { namespace: $namespace, name: $name, description: $description }) { created }
    }
"""
WIDE = f"""
    subscription Wide($namespace: String!) {{
      changes(namespace: $namespace) {{ changes {{ {" ".join(f"a{n}: after" for n in range(20))} }} }}
    }}
"""
NUMBERS = itertools.count()


def serve(gateway: Gateway, limits: TransportLimits | None = None, **settings: Any) -> AbstractAsyncContextManager[str]:
    limited = dataclasses.replace(gateway, limits=limits or TransportLimits())
    return serving(Starlette(routes=graphql_routes(limited)), **settings)


@pytest.fixture(scope="session")
async def host(gateway: Gateway) -> AsyncIterator[str]:
    async with serve(gateway) as host:
        yield host


@pytest.fixture
async def namespace(host: str) -> str:
    """A new root namespace."""
    name = f"streamed-{next(NUMBERS)}"
    await make(host, name)
    return name


async def ask(host: str, query: str, *, headers: Mapping[str, str] | None = None, **variables: Any) -> httpx.Response:
    """An ordinary request."""
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        body = {"query": query, "variables": variables}
        return await client.post(f"http://{host}/graphql", json=body, headers=headers)


async def make(host: str, path: str) -> None:
    answer = await ask(host, MAKE, path=path)
    assert answer.json()["data"] == {"createNamespace": {"created": True}}


async def seen(events: Events, count: int) -> list[int]:
    """The sequence numbers of the next changes, at least so many."""
    numbers: list[int] = []
    while len(numbers) < count:
        event = await events.next()
        assert event.id == event.data["data"]["changes"]["cursor"]
        numbers += [change["sequence"] for change in event.data["data"]["changes"]["changes"]]
    return numbers


def code_of(event: Event) -> str:
    """The code of an event that tells of an error."""
    assert event.name == "next"
    assert set(event.data) == {"errors"}
    return str(event.data["errors"][0]["extensions"]["code"])


# --- Results ---


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_query(host: str, method: str) -> None:
    async with following(host, "{ __typename }", method=method) as events:
        assert events.response.status_code == 200
        assert events.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert events.response.headers["cache-control"] == "no-store"
        assert events.response.headers["x-accel-buffering"] == "no"
        result, end = await events.rest()

    assert (result.name, result.data["data"], result.id) == ("next", {"__typename": "Query"}, None)
    assert end == Event("complete")


async def test_mutation(host: str) -> None:
    variables = {"path": f"streamed-{next(NUMBERS)}"}
    async with following(host, MAKE, variables=variables) as events:
        result, end = await events.rest()

    assert result.data["data"] == {"createNamespace": {"created": True}}
    assert end == Event("complete")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_changes_arrive_in_order_and_once(host: str, namespace: str, method: str) -> None:
    async with following(host, FOLLOW, variables={"namespace": namespace}, method=method) as events:
        await events.next()
        for n in range(10):
            await make(host, f"{namespace}/n{n}")
        numbers = await seen(events, 10)

    assert numbers == list(range(numbers[0], numbers[0] + 10))


async def test_who_takes_json_too_gets_it_where_there_is_one_result(host: str) -> None:
    answer = await ask(host, "{ __typename }", headers={"Accept": f"application/json, {EVENTS}"})

    assert answer.json()["data"] == {"__typename": "Query"}


async def test_who_takes_json_too_gets_events_of_a_subscription(host: str, namespace: str) -> None:
    headers = {"Accept": f"application/graphql-response+json, application/json, {EVENTS}"}
    async with following(host, FOLLOW, variables={"namespace": namespace}, headers=headers) as events:
        assert (await events.next()).name == "next"


# --- Resuming ---


async def test_last_event_id_goes_on_without_a_gap(host: str, namespace: str) -> None:
    variables = {"namespace": namespace}
    async with following(host, FOLLOW, variables=variables) as events:
        begin = (await events.next()).id
        await make(host, f"{namespace}/seen")
        last = await events.next()
    for n in range(5):
        await make(host, f"{namespace}/missed{n}")

    # The first cursor stands in `after` still, as in the URL of a browser that reconnects.
    again = {**variables, "after": begin}
    async with following(host, FOLLOW, variables=again, headers={"Last-Event-ID": str(last.id)}) as events:
        numbers = await seen(events, 5)

    (before,) = last.data["data"]["changes"]["changes"]
    assert numbers == list(range(before["sequence"] + 1, before["sequence"] + 6))


async def test_last_event_id_of_an_operation_that_does_not_name_after(host: str, namespace: str) -> None:
    query = f'subscription {{ changes(namespace: "{namespace}") {{ cursor changes {{ sequence }} }} }}'
    async with following(host, query) as events:
        begin = await events.next()
    await make(host, f"{namespace}/missed")

    async with following(host, query, headers={"Last-Event-ID": str(begin.id)}) as events:
        assert len(await seen(events, 1)) == 1


async def test_empty_last_event_id_is_none(host: str, namespace: str) -> None:
    async with following(host, FOLLOW, variables={"namespace": namespace}, headers={"Last-Event-ID": ""}) as events:
        assert (await events.next()).name == "next"


# --- Refusals before the first event ---


@pytest.mark.parametrize(
    ("query", "variables", "headers", "refusal"),
    [
        ("{", {}, {}, (400, "GRAPHQL_PARSE_FAILED")),
        ("{ nope }", {}, {}, (400, "GRAPHQL_VALIDATION_FAILED")),
        ("subscription { changes { nope } }", {}, {}, (400, "GRAPHQL_VALIDATION_FAILED")),
        (FOLLOW, {"namespace": "absent"}, {}, (400, "NOT_FOUND")),
        (FOLLOW, {"namespace": None}, {}, (400, "BAD_USER_INPUT")),
        (FOLLOW, {"namespace": "absent", "after": "x"}, {}, (400, None)),
        (FOLLOW, {"namespace": "absent"}, {"Authorization": "Bearer mbx_wrong"}, (401, "UNAUTHENTICATED")),
        (FOLLOW, {"namespace": "absent"}, {"Accept": "text/html"}, (406, "NOT_ACCEPTABLE")),
        (FOLLOW, {"namespace": "absent"}, {"Accept": "*/*"}, (406, "NOT_ACCEPTABLE")),
        (FOLLOW, {"namespace": "absent"}, {"Accept": "text/*"}, (406, "NOT_ACCEPTABLE")),
        (FOLLOW, {"namespace": "absent"}, {"Accept": f"{EVENTS};q=0"}, (406, "NOT_ACCEPTABLE")),
        (FOLLOW, {"namespace": "absent"}, {"Accept": f"{EVENTS}; charset=latin-1"}, (406, "NOT_ACCEPTABLE")),
        ("{ __typename }", {}, {"Last-Event-ID": "x"}, (400, "BAD_REQUEST")),
        ("{ " + "a: __typename " * 31 + "}", {}, {}, (400, "LIMIT_EXCEEDED")),
    ],
)
async def test_refused(
    host: str, query: str, variables: dict[str, Any], headers: dict[str, str], refusal: tuple[int, str | None]
) -> None:
    status, code = refusal
    async with following(host, query, variables=variables, headers=headers) as events:
        answer = events.response
        body = json.loads(await answer.aread())

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/")
    assert set(body) == {"errors"}
    assert code in (None, body["errors"][0]["extensions"]["code"])


@pytest.mark.parametrize("cursor", ["x", "a" * 5_000, "W10="])
async def test_last_event_id_that_is_no_cursor(host: str, namespace: str, cursor: str) -> None:
    headers = {"Last-Event-ID": cursor}
    async with following(host, FOLLOW, variables={"namespace": namespace}, headers=headers) as events:
        assert events.response.status_code == 400


async def test_mutation_by_get(host: str) -> None:
    async with following(host, MAKE, variables={"path": "never"}, method="GET") as events:
        assert events.response.status_code == 405


async def test_subscription_that_does_not_accept_events(host: str, namespace: str) -> None:
    answer = await ask(host, FOLLOW, namespace=namespace)

    assert answer.status_code == 406
    assert EVENTS in answer.json()["errors"][0]["message"]


async def test_database_away(gateway: Gateway) -> None:
    away = dataclasses.replace(
        gateway, database=Database("postgresql://localhost:1/none", size=1, statement_timeout=1, role=None)
    )
    async with serve(away) as host, following(host, FOLLOW, variables={"namespace": "a"}) as events:
        assert events.response.status_code == 503
        assert events.response.headers["retry-after"]


@pytest.mark.parametrize(
    "accept", [f"{EVENTS}," * 700, "text/event-stream;" * 500, "text/event-stream;q=x", "," * 9_000]
)
async def test_odd_accept_headers(host: str, accept: str) -> None:
    began = time.process_time()
    async with following(host, "{ __typename }", headers={"Accept": accept}) as events:
        assert events.response.status_code in (200, 406)
    assert time.process_time() - began < 1


async def test_many_streams_at_once_are_all_let_go(gateway: Gateway, namespace: str) -> None:
    changes: list[int] = []
    watched = dataclasses.replace(gateway, count_subscriptions=changes.append)
    async with serving(Starlette(routes=graphql_routes(watched))) as host:
        crowd = [await Unread.events(host, FOLLOW, {"namespace": namespace}) for _ in range(200)]
        assert (await ask(host, "{ __typename }")).status_code == 200
        assert changes == [1] * 200
        for each in crowd:
            each.close()
        async with asyncio.timeout(30):
            while sum(changes):  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.01)

    assert changes.count(-1) == 200


# --- The end of a stream ---


async def test_silence_is_broken_by_comments(gateway: Gateway, namespace: str) -> None:
    async with (
        serve(gateway, TransportLimits(keep_alive_seconds=0.2)) as host,
        following(host, FOLLOW, variables={"namespace": namespace}) as events,
    ):
        await events.next()
        began = time.monotonic()
        for _ in range(3):
            await events.comment()

    assert time.monotonic() - began < 5


async def test_revoked_token_ends_the_stream(
    gateway: Gateway, kept_database: Database, namespace: str, token: str
) -> None:
    async with (
        serve(gateway, TransportLimits(recheck_seconds=0.2)) as host,
        following(
            host, FOLLOW, variables={"namespace": namespace}, headers={"Authorization": f"Bearer {token}"}
        ) as events,
    ):
        await events.next()
        await revoke(kept_database, token)
        began = time.monotonic()
        *_, error, end = await events.rest()

    assert code_of(error) == "UNAUTHENTICATED"
    assert end == Event("complete")
    assert time.monotonic() - began < 3


async def test_stream_that_is_too_old_ends_without_complete(gateway: Gateway, namespace: str) -> None:
    async with (
        serve(gateway, TransportLimits(socket_seconds=0.3)) as host,
        following(host, FOLLOW, variables={"namespace": namespace}) as events,
    ):
        assert [event.name for event in await events.rest()] == ["next"]


async def test_server_that_stops_ends_streams_at_once_and_without_complete(gateway: Gateway, namespace: str) -> None:
    async with AsyncExitStack() as stack:
        async with serve(gateway) as host:
            stream = following(host, FOLLOW, variables={"namespace": namespace})
            events = await stack.enter_async_context(stream)
            await events.next()
            began = time.monotonic()

        assert time.monotonic() - began < 2
        assert await events.rest() == []


async def test_error_of_a_later_frame_is_an_event(gateway: Gateway, namespace: str) -> None:
    query = "subscription { changes(namespace: $namespace) { cursor } }".replace("$namespace", f'"{namespace}"')
    async with serve(gateway) as host, following(host, query) as events:
        await events.next()
        async with gateway.database.transaction() as connection:
            await connection.execute("UPDATE stream_head SET epoch = epoch + 1")
        try:
            error, end = await events.rest()
        finally:
            async with gateway.database.transaction() as connection:
                await connection.execute("UPDATE stream_head SET epoch = epoch - 1")

    assert code_of(error) == "CURSOR_EXPIRED"
    assert end == Event("complete")


async def test_streams_are_counted_and_reported_once(gateway: Gateway, namespace: str) -> None:
    changes: list[int] = []
    finished: list[Finished] = []
    watched = dataclasses.replace(gateway, count_subscriptions=changes.append, observe=finished.append)
    async with serving(Starlette(routes=graphql_routes(watched))) as host:
        async with following(host, FOLLOW, variables={"namespace": namespace}) as events:
            await events.next()
            assert changes == [1]
        async with following(host, "{ __typename }") as events:
            await events.rest()
        async with asyncio.timeout(30):
            while len(finished) < 2:  # noqa: ASYNC110 - the end of an operation is only seen
                await asyncio.sleep(0.01)

    assert changes == [1, -1]
    assert sorted((one.transport, one.kind, one.name, one.code) for one in finished) == [
        ("sse", "query", None, None),
        ("sse", "subscription", "Follow", None),
    ]


async def test_reader_that_stalls_is_dropped_and_holds_up_nobody(gateway: Gateway, namespace: str) -> None:
    changes: list[int] = []
    watched = dataclasses.replace(gateway, count_subscriptions=changes.append)
    async with serving(Starlette(routes=graphql_routes(watched)), stall_seconds=0.5) as host:
        stalled = await Unread.events(host, WIDE, {"namespace": namespace})
        async with following(host, FOLLOW, variables={"namespace": namespace}) as events:
            await events.next()
            made = 0
            async with asyncio.timeout(60):
                while changes.count(-1) == 0:
                    answer = await ask(host, LARGE, namespace=namespace, name=f"m{made}", description="x" * 4_000)
                    assert answer.json()["data"] == {"createModel": {"created": True}}
                    made += 1
            numbers = await seen(events, made)
        assert await stalled.is_cut_off()

    assert numbers == list(range(numbers[0], numbers[0] + made))
