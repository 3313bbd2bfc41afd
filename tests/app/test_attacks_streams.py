"""Attacks on subscriptions over the wire: forged cursors, tricks with headers, readers that do not read."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app import main
from app.settings import Settings
from db.engine import Database
from tests.app.events import EVENTS
from tests.app.peer import connected, subscribe
from tests.app.serving import serving

FOLLOW = {
    "changes": "subscription ($after: Cursor) { changes(after: $after) { cursor } }",
    "events": 'subscription ($after: Cursor) { events(namespace: "default", after: $after) { cursor } }',
    "metricBatches": "subscription ($after: Cursor) { metricBatches(objectIds: [ID], after: $after) { cursor } }",
    "experimentUpdates": "subscription ($after: Cursor) { experimentUpdates(after: $after) { cursor } }",
}
BEGIN = "mutation { createExperiment(input: {}) { experiment { id feedCursor } } }"
ENDS = "query ($ids: [ID!]!) { feedCursor(objectIds: $ids) }"


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def decoded(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


@pytest.fixture
async def host(kept_database: Database) -> AsyncIterator[str]:
    async with serving(main.create_app(Settings(), kept_database)) as host:
        yield host


@pytest.fixture
async def client(host: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{host}", trust_env=False) as client:
        yield client


@pytest.fixture
async def run(client: httpx.AsyncClient) -> dict[str, str]:
    """An experiment, and where its streams stand."""
    made = (await client.post("/graphql", json={"query": BEGIN})).json()["data"]["createExperiment"]["experiment"]
    ends = await client.post("/graphql", json={"query": ENDS, "variables": {"ids": [made["id"]]}})
    return {"id": made["id"], "registry": made["feedCursor"], "metrics": ends.json()["data"]["feedCursor"]}


async def first_event(client: httpx.AsyncClient, query: str, after: str | None, **headers: str) -> tuple[int, Any]:
    """The status, and the first result or refusal."""
    body = {"query": query, "variables": {"after": after}}
    async with client.stream("POST", "/graphql", json=body, headers={"Accept": EVENTS, **headers}) as answer:
        if answer.headers["content-type"].startswith(EVENTS):
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    return answer.status_code, json.loads(line.removeprefix("data: "))
        text = await answer.aread()
        assert len(text) < 4_096
        return answer.status_code, json.loads(text)


def forged(true: str) -> list[str]:
    """What is no cursor, or one that never was."""
    kind, epoch, rest = decoded(true)[0], decoded(true)[1], decoded(true)[2:]
    numbers: list[Any] = [-1, 2**53, 2**63, 2**64, 10**300, 1.5, True, None, "1", [1], {"a": 1}]
    found = [encoded([kind, number, *rest]) for number in numbers]
    if kind == "f":
        found += [encoded([kind, epoch, [[stream, number] for stream, _ in rest[0]]]) for number in numbers]
        found += [encoded([kind, epoch, []]), encoded([kind, epoch, {}]), encoded([kind, epoch, [["x", 1]]])]
    found += [encoded([kind, epoch, [["0" * 32, 1]] * 9_000]), encoded([]), encoded({}), encoded("x"), encoded([kind])]
    deep = "[" * 900 + "]" * 900
    return [*found, base64.urlsafe_b64encode(deep.encode()).decode(), "A" * 10_000, "=", "????", "x"]


@pytest.mark.parametrize("name", FOLLOW)
async def test_no_forged_cursor_is_followed(client: httpx.AsyncClient, run: dict[str, str], name: str) -> None:
    """In the argument and in the header alike: a typed refusal, and nothing in between."""
    query = FOLLOW[name].replace("[ID]", f'["{run["id"]}"]')
    if name == "experimentUpdates":
        _, result = await first_event(client, query, None)
        true = result["data"][name]["cursor"]
    else:
        true = run["metrics" if name == "metricBatches" else "registry"]
    for cursor in forged(true):
        for after, headers in ((cursor, {}), (None, {"Last-Event-ID": cursor})):
            status, refusal = await first_event(client, query, after, **headers)
            codes = [error["extensions"]["code"] for error in refusal.get("errors", ())]
            assert (status, codes) in [(400, ["BAD_USER_INPUT"]), (400, ["CURSOR_EXPIRED"])], (cursor[:80], refusal)
    assert "data" in (await first_event(client, query, true))[1]


async def test_no_cursor_of_another_stream_is_followed(client: httpx.AsyncClient, run: dict[str, str]) -> None:
    for name, text in FOLLOW.items():
        query = text.replace("[ID]", f'["{run["id"]}"]')
        for cursor in [run["registry"] if name == "metricBatches" else run["metrics"]]:
            status, refusal = await first_event(client, query, cursor)
            assert (status, refusal["errors"][0]["extensions"]["code"]) == (400, "BAD_USER_INPUT"), name


@pytest.mark.parametrize("value", ["x\u0085y", "a, b", '"quoted"', "é" * 100, "%0A%0Did: 1", "A" * 30_000])
async def test_nothing_of_a_header_comes_back_in_a_stream(client: httpx.AsyncClient, value: str) -> None:
    given: Any = {"Last-Event-ID": value.encode("latin-1")}
    status, refusal = await first_event(client, FOLLOW["changes"], None, **given)

    assert status == 400
    assert refusal["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert value[:20] not in json.dumps(refusal, ensure_ascii=False)


async def test_a_page_of_another_origin_follows_nothing(client: httpx.AsyncClient) -> None:
    """`EventSource` sends a GET with the Origin of its page, and needs no leave to send it."""
    for origin in ("https://evil.example", "null", "http://localhost.evil.example"):
        answer = await client.get(
            "/graphql",
            params={"query": "subscription { changes { cursor } }"},
            headers={"Accept": EVENTS, "Origin": origin},
        )
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
        assert EVENTS not in answer.headers["content-type"]


async def test_fifty_operations_with_a_thousand_refusals_leave_the_socket_usable(host: str) -> None:
    """Refused operations free their ids and their places at once."""
    async with connected(host) as peer:
        for number in range(120):
            query = "subscription ($after: Cursor) { changes(after: $after) { cursor } }"
            await peer.send(subscribe(query, str(number % 50), variables={"after": encoded(["f", number, []])}))
            (refusal,) = await peer.receive_all(str(number % 50))
            assert refusal["payload"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        (result, _) = await peer.run("{ __typename }", "last")
        assert result["payload"]["data"] == {"__typename": "Query"}
