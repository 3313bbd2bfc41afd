"""Requests made to hurt: refused early, alike on POST, GET, socket and as events, in few bytes and one log line.

The second half is what scanners of GraphQL servers look for.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app import main, media_types
from app.settings import Settings
from db.engine import Database
from tests.app.peer import Peer, connected, subscribe
from tests.app.serving import serving

MODERN = {"Accept": media_types.GRAPHQL}
CPU_SECONDS = 1.0
"""Far more than the 20 ms that a refusal should take, for machines that are busy."""

LONGEST_URL = 60_000
SYNTAX = "GRAPHQL_PARSE_FAILED"
VALIDATION = "GRAPHQL_VALIDATION_FAILED"


def _inside(selections: str, *fragments: str) -> str:
    """A document that selects in a namespace, where only the limits under attack are near."""
    return " ".join([f"{{ namespaces {{ nodes {{ {selections} }} }} }}", *fragments])


def _doubling() -> str:
    fragments = [f"fragment f{n} on Namespace {{ ...f{n + 1} ...f{n + 1} }}" for n in range(60)]
    return _inside("...f0", *fragments, "fragment f60 on Namespace { id }")


def _overlapping() -> str:
    """Fields of one name in many fragments, each to be compared with each."""
    fragments = [f"fragment f{n} on Namespace {{ parent {{ id path }} }}" for n in range(90)]
    return _inside(" ".join(f"...f{n}" for n in range(90)), *fragments)


ATTACKS: Mapping[str, tuple[str, str]] = {
    "fragments that double": ("fields", _doubling()),
    "fragments in a circle": (VALIDATION, "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }"),
    "a fragment in itself": (VALIDATION, _inside("...a", "fragment a on Namespace { parent { ...a } }")),
    "overlapping fragments": ("comparisons", _overlapping()),
    "many fragments": ("fragments", _inside("id", *(f"fragment f{n} on Namespace {{ id }}" for n in range(150)))),
    "aliases": ("aliases", _inside(" ".join(f"a{n}: id" for n in range(200)))),
    "one field many times": ("fields", _inside("id " * 600)),
    "root fields": ("root_fields", "{ " + "namespaces { totalCount } " * 25 + "}"),
    "costly root fields": (
        "root_fields",
        "{ " + " ".join(f"a{n}: namespaces {{ totalCount }}" for n in range(21)) + "}",
    ),
    "directives": ("directives", _inside("id " + "@include(if: true) " * 60)),
    "unknown directives": ("directives", _inside("id " + "@aa " * 600)),
    "depth": ("depth", _inside("parent { " * 30 + "id" + " }" * 30)),
    "more depth": ("nesting", _inside("parent { " * 500 + "id" + " }" * 500)),
    "brackets": ("tokens", "{" * 3_000),
    "lists in lists": ("nesting", "{ nodes(ids: " + "[" * 1_000 + "]" * 900 + ") { id } }"),
    "objects in objects": ("nesting", "{ namespace(by: " + "{a:" * 500 + " }"),
    "list of many": ("tokens", "{ nodes(ids: [" + '"x",' * 10_000 + "]) { id } }"),
    "comments": ("tokens", "#\n" * 5_000 + "{ __typename }"),
    "an endless string": (SYNTAX, '{ namespace(by: { path: """' + "x" * 40_000),
    "a long name": (VALIDATION, "{ " + "x" * 50_000 + " }"),
    "commas": (SYNTAX, "," * 50_000),
    "variables": ("tokens", "query (" + " ".join(f"$v{n}: Int" for n in range(1_500)) + ") { __typename }"),
    "operations": ("operations", " ".join(f"query q{n} {{ __typename }}" for n in range(100))),
    "introspection in a circle": (
        VALIDATION,
        "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }",
    ),
    "introspection many times": (
        "introspections",
        "{ " + " ".join(f"a{n}: __schema {{ types {{ name }} }}" for n in range(20)) + " }",
    ),
    "more nodes than allowed": (
        "LIMIT_EXCEEDED",
        _inside("children(first: 100) { nodes { " * 3 + "id" + " } }" * 3),
    ),
    "a longer document than allowed": ("query_bytes", "{ __typename }" + " " * 65_536),
    "NUL": ("BAD_USER_INPUT", '{ namespace(by: { path: "\\u0000" }) { id } }'),
    "bare NUL": (SYNTAX, "{ __typename \0 }"),
    "emoji": (SYNTAX, "🏃" * 5_000),
}


def is_expected(name: str, error: Mapping[str, Any]) -> None:
    """The refusal names the limit that was passed, or says what else is wrong."""
    found = error["extensions"]
    assert ATTACKS[name][0] in (found["code"], found.get("limit"))


@pytest.fixture(scope="session")
async def host(kept_database: Database) -> AsyncIterator[str]:
    async with serving(main.create_app(Settings(), kept_database)) as host:
        yield host


@pytest.fixture
async def client(host: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{host}", headers=MODERN) as client:
        yield client


def is_refusal(response: httpx.Response) -> None:
    assert response.status_code == 400
    assert set(response.json()) == {"errors"}
    assert len(response.content) < 4_096


def logged(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines written since the last look, but for those of the test's own client."""
    written = "".join(capsys.readouterr()).splitlines()
    return [line for line in written if line.strip() and "HTTP Request:" not in line]


@pytest.mark.parametrize("name", ATTACKS)
async def test_attack_by_post(client: httpx.AsyncClient, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    logged(capsys)
    began = time.process_time()

    response = await client.post("/graphql", json={"query": ATTACKS[name][1]})

    assert time.process_time() - began < CPU_SECONDS
    is_refusal(response)
    is_expected(name, response.json()["errors"][0])
    assert len(logged(capsys)) == 1


@pytest.mark.parametrize("name", [name for name, (_, query) in ATTACKS.items() if len(quote(query)) < LONGEST_URL])
async def test_attack_by_get(client: httpx.AsyncClient, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    logged(capsys)

    response = await client.get(f"/graphql?query={quote(ATTACKS[name][1])}")

    is_refusal(response)
    assert len(logged(capsys)) == 1


@pytest.mark.parametrize("name", ATTACKS)
async def test_attack_by_events(client: httpx.AsyncClient, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    logged(capsys)
    began = time.process_time()

    response = await client.post("/graphql", json={"query": ATTACKS[name][1]}, headers={"Accept": media_types.EVENTS})

    assert time.process_time() - began < CPU_SECONDS
    is_refusal(response)
    is_expected(name, response.json()["errors"][0])
    assert len(logged(capsys)) == 1


@pytest.mark.parametrize("name", ATTACKS)
async def test_attack_by_socket(host: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with connected(host) as peer:
        logged(capsys)
        (refusal,) = await peer.run(ATTACKS[name][1])
        lines = logged(capsys)
        await lives(peer)

    assert refusal["type"] == "error"
    is_expected(name, refusal["payload"][0])
    assert len(json.dumps(refusal)) < 4_096
    assert len(lines) == 1


async def lives(peer: Peer) -> None:
    assert (await peer.run("{ __typename }", "still"))[0]["payload"]["data"] == {"__typename": "Query"}


FLOODS: Mapping[str, Callable[[], Any]] = {
    "a list of many": lambda: ["x"] * 100_000,
    "an object of many": lambda: {f"k{n}": n for n in range(100_000)},
    "a long string": lambda: "x" * 1_000_000,
    "a deep list": lambda: json.loads("[" * 500 + "]" * 500),
    "a huge number": lambda: 10**4_000,
}


@pytest.mark.parametrize("name", FLOODS)
async def test_floods_in_variables(client: httpx.AsyncClient, host: str, name: str) -> None:
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    variables = {"ids": FLOODS[name]()}

    is_refusal(await client.post("/graphql", json={"query": query, "variables": variables}))
    async with connected(host) as peer:
        await peer.send(subscribe(query, variables=variables))
        (refusal,) = await peer.receive_all("1")
        assert refusal["payload"][0]["extensions"]["code"] in ("BAD_USER_INPUT", "LIMIT_EXCEEDED")
        assert len(json.dumps(refusal)) < 4_096


async def test_compressed_bomb(client: httpx.AsyncClient) -> None:
    bomb = gzip.compress(b'{"query": "' + b" " * 100_000_000, 9)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    began = time.process_time()

    response = await client.post("/graphql", content=bomb, headers=headers)

    assert response.status_code == 413
    assert time.process_time() - began < CPU_SECONDS


async def test_strangers_cost_nothing_and_learn_nothing(kept_database: Database) -> None:
    app = main.create_app(Settings(auth="required"), kept_database)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        answers = [
            await client.post("/graphql", json={"query": query})
            for query in ("{ __typename }", "{ nop }", "{", "{ __schema { types { name } } }", ATTACKS["aliases"][1])
        ]

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1


# --- What scanners look for ---


async def test_no_batches(client: httpx.AsyncClient) -> None:
    batch = [{"query": "{ __typename }"}] * 10

    is_refusal(await client.post("/graphql", json=batch))


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain", "application/graphql"]
)
async def test_no_form_reaches_us(client: httpx.AsyncClient, content_type: str) -> None:
    headers = {"Content-Type": content_type}

    for body in (b"query=%7B__typename%7D", b'{"query": "{ __typename }"}', b"{ __typename }"):
        assert (await client.post("/graphql", content=body, headers=headers)).status_code == 415


async def test_no_mutation_by_get(client: httpx.AsyncClient) -> None:
    query = 'mutation { createNamespace(input: { path: "by-get" }) { created } }'

    response = await client.get("/graphql", params={"query": query})
    found = await client.post("/graphql", json={"query": '{ namespace(by: { path: "by-get" }) { id } }'})

    assert response.status_code == 405
    assert found.json()["data"] == {"namespace": None}


async def test_no_mutation_hides_behind_a_query(client: httpx.AsyncClient) -> None:
    query = 'query Q { __typename } mutation M { createNamespace(input: { path: "hidden" }) { created } }'

    response = await client.get("/graphql", params={"query": query, "operationName": "M"})

    assert response.status_code == 405


@pytest.mark.parametrize("header", ["X-Apollo-Tracing", "X-Debug", "X-GraphQL-Trace"])
async def test_no_tracing(client: httpx.AsyncClient, header: str) -> None:
    response = await client.post("/graphql", json={"query": "{ __typename }"}, headers={header: "1"})

    assert response.json().get("extensions", {}).keys() <= {"cost"}


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "DEBUG"])
async def test_no_debugging_methods(client: httpx.AsyncClient, method: str) -> None:
    response = await client.request(method, "/graphql", headers={"X-Canary": "canary-7c1"})

    assert response.status_code in (400, 405)
    assert "canary-7c1" not in response.text


async def test_no_other_addresses(client: httpx.AsyncClient) -> None:
    for path in ("graphiql", "playground", "altair", "voyager", "console", "v1/graphql", "api/graphql", "graphql.php"):
        assert (await client.get(f"/{path}")).status_code == 404


async def test_no_page_where_programs_ask(client: httpx.AsyncClient) -> None:
    response = await client.get("/graphql", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})

    assert response.status_code == 400
    assert response.headers["content-type"].startswith("application/json")


async def test_suggestions_tell_no_more_than_introspection(client: httpx.AsyncClient) -> None:
    known = await client.post("/graphql", json={"query": "{ __schema { queryType { fields { name } } } }"})
    names = {field["name"] for field in known.json()["data"]["__schema"]["queryType"]["fields"]}

    message = (await client.post("/graphql", json={"query": "{ namespac }"})).json()["errors"][0]["message"]

    suggested = {word.strip("'?,. ") for word in message.partition("Did you mean")[2].replace(" or ", " ").split()}
    assert suggested <= names


@pytest.mark.parametrize(
    "body",
    [
        b'{"query": "{ __typename',
        b'{"query": {"$ne": ""}}',
        b'{"query": "\\u0000"}',
        b"\x00" * 100,
        b'{"query": "<script>"}',
    ],
)
async def test_no_inside_is_shown(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("/graphql", content=body, headers={"Content-Type": "application/json"})

    is_refusal(response)
    for word in ("Traceback", "site-packages", ".py", "asyncpg", "SELECT", "strawberry"):
        assert word not in response.text
    assert "server" not in response.headers or "python" not in response.headers["server"].lower()


async def test_nothing_is_rendered(client: httpx.AsyncClient) -> None:
    response = await client.get("/graphql", params={"query": "{ <script>alert(1)</script> }"})

    assert response.headers["content-type"].startswith("application/graphql-response+json")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "<script" not in response.text


def test_limits_are_those_that_are_promised() -> None:
    transport, document = main.transport_limits(Settings()), main.document_limits(Settings())

    assert (transport.body_bytes, transport.first_frame_bytes, transport.frame_bytes) == (2**23, 2**16, 2**23)
    assert (transport.execution_seconds, transport.init_seconds, transport.ping_seconds) == (10, 5, 20)
    assert (transport.operations, transport.messages_per_second, transport.socket_seconds) == (50, 100, 86_400)
    assert (document.query_bytes, document.tokens, document.depth, document.aliases) == (2**16, 2_000, 20, 30)
    assert (document.root_fields, document.directives) == (20, 50)
