"""GraphQL over HTTP beyond the public audits: statuses, negotiation, bodies, refusals, faults of ours."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import httpx
import pytest
from starlette.applications import Starlette

from app import media_types
from app.gateway import Finished, Gateway, TransportLimits
from app.graphql_http import graphql_routes
from db.access import Caller
from db.engine import Database
from graphql_schema.errors import RequestError
from tests.app.tokens import revoke

TYPENAME = "{ __typename }"
MODERN = {"Accept": media_types.GRAPHQL}
JSON = {"Content-Type": "application/json"}


def client_of(gateway: Gateway) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=Starlette(routes=graphql_routes(gateway)))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=MODERN)


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(gateway) as client:
        yield client


def code_of(response: httpx.Response) -> str:
    """The code of a refusal, after what every refusal must fulfil."""
    answer = response.json()
    assert set(answer) == {"errors"}
    assert len(response.content) < 4096
    assert "traceback" not in response.text.lower()
    return str(answer["errors"][0]["extensions"]["code"])


def message_of(response: httpx.Response) -> str:
    return str(response.json()["errors"][0]["message"])


async def test_query_by_post_and_by_get(client: httpx.AsyncClient) -> None:
    posted = await client.post("/graphql", json={"query": TYPENAME})
    got = await client.get("/graphql", params={"query": TYPENAME})

    assert posted.status_code == got.status_code == 200
    assert posted.content == got.content
    assert posted.content.startswith(b'{"data":{"__typename":"Query"}')
    assert posted.headers["content-type"] == "application/graphql-response+json; charset=utf-8"
    assert posted.headers["cache-control"] == "no-store"
    assert posted.headers["x-content-type-options"] == "nosniff"


async def test_get_takes_variables_and_an_empty_operation_name(client: httpx.AsyncClient) -> None:
    query = "query Named($name: String!) { __type(name: $name) { name } }"
    parameters = {"query": query, "variables": '{"name": "Query"}', "extensions": "{}", "operationName": ""}

    response = await client.get("/graphql", params=parameters)

    assert response.json()["data"] == {"__type": {"name": "Query"}}


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, media_types.JSON),
        ("", media_types.JSON),
        ("*/*", media_types.JSON),
        ("application/*", media_types.JSON),
        ("text/html, application/xhtml+xml, */*;q=0.8", media_types.JSON),
        ("application/json", media_types.JSON),
        ("application/json; charset=UTF-8", media_types.JSON),
        ("APPLICATION/GraphQL-Response+JSON", media_types.GRAPHQL),
        ("application/graphql-response+json; charset=utf-8, application/json; charset=utf-8", media_types.GRAPHQL),
        ("application/json, application/graphql-response+json", media_types.GRAPHQL),
        ("application/json;q=0.9, application/graphql-response+json;q=0.8", media_types.JSON),
        ("application/json;q=0.3, application/graphql-response+json;q=0.8", media_types.GRAPHQL),
        ("application/graphql-response+json;q=0.5, */*;q=0.1", media_types.GRAPHQL),
        ("application/json;q=0, */*", media_types.GRAPHQL),
        ("application/graphql-response+json;q=0, */*", media_types.JSON),
        ("application/json;q=nonsense", None),
        ("application/json;q=0", None),
        ("application/json;charset=latin-1", None),
        ("text/event-stream", None),
        ("image/png, text/html;q=0.5", None),
        ("*/*;q=0", None),
    ],
)
def test_negotiation(accept: str | None, expected: str | None) -> None:
    assert media_types.negotiate(accept) == expected


async def test_nothing_acceptable(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json={"query": TYPENAME}, headers={"Accept": "text/html"})

    assert response.status_code == 406
    assert code_of(response) == "NOT_ACCEPTABLE"
    assert response.headers["content-type"] == "application/json; charset=utf-8"


async def test_legacy_clients_get_refused_documents_as_200(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json={"query": "{ nope }"}, headers={"Accept": media_types.JSON})

    assert response.status_code == 200
    assert code_of(response) == "GRAPHQL_VALIDATION_FAILED"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
async def test_other_methods(client: httpx.AsyncClient, method: str) -> None:
    response = await client.request(method, "/graphql", content=b"{}")

    assert response.status_code == 405
    assert response.headers["allow"] == "GET, POST"
    assert code_of(response) == "METHOD_NOT_ALLOWED"


async def test_head_is_no_method_of_ours(client: httpx.AsyncClient) -> None:
    response = await client.head("/graphql", params={"query": TYPENAME})

    assert response.status_code == 405
    assert response.headers["allow"] == "GET, POST"


@pytest.mark.parametrize("accept", [media_types.GRAPHQL, media_types.JSON])
async def test_mutation_by_get(client: httpx.AsyncClient, accept: str) -> None:
    parameters = {"query": "mutation Made { __typename }"}

    response = await client.get("/graphql", params=parameters, headers={"Accept": accept})

    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert code_of(response) == "METHOD_NOT_ALLOWED"


async def test_subscription_is_sent_to_the_socket(client: httpx.AsyncClient) -> None:
    sent = {"query": "subscription Followed { changes { cursor } }"}

    for response in (await client.post("/graphql", json=sent), await client.get("/graphql", params=sent)):
        assert response.status_code == 406
        assert code_of(response) == "NOT_ACCEPTABLE"
        assert "graphql-transport-ws" in message_of(response)


@pytest.mark.parametrize(
    ("name", "word"), [(None, "operationName"), ("C", "'C'"), ("", "operationName")], ids=["none", "C", "empty"]
)
async def test_which_of_several_operations(client: httpx.AsyncClient, name: str | None, word: str) -> None:
    sent = {"query": "query A { __typename } query B { b: __typename }", "operationName": name}

    response = await client.post("/graphql", json=sent)

    assert response.status_code == 400
    assert code_of(response) == "OPERATION_RESOLUTION_FAILURE"
    assert word in message_of(response)


async def test_one_of_several_operations(client: httpx.AsyncClient) -> None:
    sent = {"query": "query A { __typename } query B { b: __typename }", "operationName": "B"}

    assert (await client.post("/graphql", json=sent)).json()["data"] == {"b": "Query"}


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "application/jsonp",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
    ],
)
async def test_wrong_content_types(client: httpx.AsyncClient, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}

    response = await client.post("/graphql", content=b'{"query": "{ __typename }"}', headers=headers)

    assert response.status_code == 415
    assert code_of(response) == "UNSUPPORTED_MEDIA_TYPE"
    assert response.headers["accept-post"] == "application/json"


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "utf8"])
async def test_utf8_under_its_names(client: httpx.AsyncClient, charset: str) -> None:
    headers = {"Content-Type": f"application/json; charset={charset}"}

    response = await client.post("/graphql", content=b'{"query": "{ __typename }"}', headers=headers)

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "empty"),
        (b"{", "not JSON"),
        (b'{"query": "{ __typename }"} {}', "not JSON"),
        (b"\xff\xfe", "body"),
        (b'{"query": "\xff"}', "UTF-8"),
        (b'{"query": "\xed\xa0\x80"}', "UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"query": "{ __typename }", "variables": {"a": NaN}}', "not JSON"),
        (b'{"query": "{ __typename }", "variables": {"\\u0061": Infinity}}', "not JSON"),
        (b"[" * 100_000, "nests"),
        (b'{"query": "{ __typename }", "variables": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001, "nests"),
        (b"null", "object"),
        (b"7", "object"),
        (b'"{ __typename }"', "object"),
        (b"[]", "atch"),
        (b'[{"query": "{ __typename }"}]', "atch"),
        (b"{}", "`query`"),
        (b'{"query": null}', "`query`"),
        (b'{"query": 1}', "`query`"),
        (b'{"query": ["{ __typename }"]}', "`query`"),
        (b'{"query": "{ __typename }", "query": "{ nope }"}', "`query`"),
        (b'{"query": "{ __typename }", "variables": {}, "variables": {}}', "`variables`"),
        (b'{"query": "{ __typename }", "variables": []}', "`variables`"),
        (b'{"query": "{ __typename }", "variables": "{}"}', "`variables`"),
        (b'{"query": "{ __typename }", "operationName": {}}', "`operationName`"),
        (b'{"query": "{ __typename }", "operationName": "\\ud800"}', "`operationName`"),
        (b'{"query": "{ __typename }", "extensions": [1]}', "`extensions`"),
    ],
)
@pytest.mark.parametrize("accept", [media_types.GRAPHQL, media_types.JSON])
async def test_bodies_that_are_no_request(client: httpx.AsyncClient, body: bytes, word: str, accept: str) -> None:
    response = await client.post("/graphql", content=body, headers=JSON | {"Accept": accept})

    assert response.status_code == 400
    assert code_of(response) == "BAD_REQUEST"
    assert word in message_of(response)


async def test_parameter_names_inside_values_are_no_repetition(client: httpx.AsyncClient) -> None:
    sent = {"query": TYPENAME, "variables": {"query": "query", "variables": ["variables"]}}

    assert (await client.post("/graphql", json=sent)).status_code == 200


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("query=%7B__typename%7D&query=%7B__typename%7D", "`query`"),
        ("query=%7B__typename%7D&variables=%7B", "`variables`"),
        ("query=%7B__typename%7D&variables=", "`variables`"),
        ("query=%7B__typename%7D&variables=%5B%5D", "`variables`"),
        ("query=%7B__typename%7D&extensions=3", "`extensions`"),
        ("query=%FF", "percent-encoded"),
        ("&".join(f"a{n}=1" for n in range(200)), "100 parameters"),
        ("", "`query`"),
    ],
)
async def test_urls_that_are_no_request(client: httpx.AsyncClient, query: str, word: str) -> None:
    response = await client.get(f"/graphql?{query}")

    assert response.status_code == 400
    assert code_of(response) == "BAD_REQUEST"
    assert word in message_of(response)


@pytest.mark.parametrize("accept", [media_types.GRAPHQL, media_types.JSON])
async def test_text_that_cannot_be_stored_is_named(client: httpx.AsyncClient, accept: str) -> None:
    query = "query Named($name: String!) { __type(name: $name) { name } }"
    for escape in (r"\u0000", r"\ud800", r"\udc00 end"):
        body = json.dumps({"query": query, "variables": {"name": "@"}}).replace("@", escape)

        response = await client.post("/graphql", content=body.encode(), headers=JSON | {"Accept": accept})

        assert response.status_code == (400 if accept == media_types.GRAPHQL else 200)
        assert code_of(response) == "BAD_USER_INPUT"
        assert "`$name`" in message_of(response)


async def test_surrogates_in_the_document(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", content=rb'{"query": "{ a(b: \"\ud800\") }"}', headers=JSON)

    assert response.status_code == 400
    assert code_of(response) == "GRAPHQL_PARSE_FAILED"


async def test_large_integers_are_not_rounded_on_the_way_in(client: httpx.AsyncClient) -> None:
    query = "query Paged($first: Int) { namespaces(first: $first) { nodes { id } } }"

    response = await client.post("/graphql", json={"query": query, "variables": {"first": 18_446_744_073_709_551_617}})

    assert code_of(response) == "BAD_USER_INPUT"
    assert "18446744073709551617" in message_of(response)


def _padded(size: int) -> bytes:
    body = json.dumps({"query": TYPENAME, "variables": {"padding": ""}}).encode()
    return body.replace(b'""', b'"' + b"x" * (size - len(body)) + b'"')


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, 1)


COMPRESSORS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": zlib.compress,
    "GZip": _gzip,
}


@pytest.mark.parametrize("encoding", COMPRESSORS)
async def test_compressed_bodies(client: httpx.AsyncClient, encoding: str) -> None:
    headers = JSON | {"Content-Encoding": encoding}

    response = await client.post("/graphql", content=COMPRESSORS[encoding](_padded(100_000)), headers=headers)

    assert response.status_code == 200


@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate"])
async def test_body_limit_is_inclusive_and_counts_after_decompression(gateway: Gateway, encoding: str) -> None:
    limited = dataclasses.replace(gateway, limits=TransportLimits(body_bytes=10_000))
    compress = COMPRESSORS.get(encoding, bytes)
    headers = JSON | {"Content-Encoding": encoding}

    async with client_of(limited) as client:
        fits = await client.post("/graphql", content=compress(_padded(10_000)), headers=headers)
        exceeds = await client.post("/graphql", content=compress(_padded(10_001)), headers=headers)

    assert fits.status_code == 200
    assert exceeds.status_code == 413
    assert code_of(exceeds) == "PAYLOAD_TOO_LARGE"
    assert exceeds.json()["errors"][0]["extensions"]["maximum"] == 10_000


async def test_body_without_declared_length_is_cut_at_the_limit(gateway: Gateway) -> None:
    limited = dataclasses.replace(gateway, limits=TransportLimits(body_bytes=10_000))
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1_000
            yield b" " * 1_000

    async with client_of(limited) as client:
        response = await client.post("/graphql", content=endless(), headers=JSON)

    assert response.status_code == 413
    assert sent <= 12_000


def _broken_bodies() -> Iterator[tuple[str, bytes]]:
    good = _gzip(_padded(5_000))
    yield "gzip", b"no gzip at all"
    yield "gzip", good[:-9]
    yield "gzip", good[:20] + b"\x00" * 20 + good[40:]
    yield "gzip", good + good
    yield "gzip", b""
    yield "deflate", good
    yield "deflate", zlib.compress(_padded(500)) + b"more"


@pytest.mark.parametrize(("encoding", "body"), list(_broken_bodies()))
async def test_broken_compression(client: httpx.AsyncClient, encoding: str, body: bytes) -> None:
    response = await client.post("/graphql", content=body, headers=JSON | {"Content-Encoding": encoding})

    assert response.status_code == 400
    assert code_of(response) == "BAD_REQUEST"


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "x"])
async def test_other_encodings(client: httpx.AsyncClient, encoding: str) -> None:
    response = await client.post("/graphql", content=b"{}", headers=JSON | {"Content-Encoding": encoding})

    assert response.status_code == 415
    assert code_of(response) == "UNSUPPORTED_MEDIA_TYPE"
    assert response.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    "value", ["Bearer mbx_unknown_token", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "mbx_unknown_token", "Bearer ü"]
)
async def test_refused_tokens(client: httpx.AsyncClient, value: str) -> None:
    headers = {b"Authorization": value.encode()}

    response = await client.post("/graphql", json={"query": TYPENAME}, headers=headers)

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="modelbox", error="invalid_token"'
    assert code_of(response) == "UNAUTHENTICATED"
    assert "mbx_unknown" not in response.text


async def test_token_is_needed_where_nobody_is_local(gateway: Gateway) -> None:
    async def nobody(_token: str | None) -> Caller:
        raise RequestError("UNAUTHENTICATED", "Sign in.")

    async with client_of(dataclasses.replace(gateway, authenticate=nobody)) as client:
        response = await client.post("/graphql", content=b"no JSON", headers=JSON)

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="modelbox"'


async def test_token_signs_in_until_it_is_revoked(
    client: httpx.AsyncClient, kept_database: Database, token: str
) -> None:
    headers = {"Authorization": f"bearer  {token}"}

    accepted = await client.post("/graphql", json={"query": TYPENAME}, headers=headers)
    await revoke(kept_database, token)
    refused = await client.post("/graphql", json={"query": TYPENAME}, headers=headers)

    assert accepted.status_code == 200
    assert refused.status_code == 401


async def test_several_authorization_headers(client: httpx.AsyncClient) -> None:
    headers = [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]

    response = await client.post("/graphql", json={"query": TYPENAME}, headers=headers)

    assert response.status_code == 401


@pytest.mark.parametrize("code", ["RATE_LIMITED", "SERVICE_UNAVAILABLE"])
async def test_callers_are_told_when_to_come_back(gateway: Gateway, code: str) -> None:
    async def busy(_token: str | None) -> Caller:
        raise RequestError(code, "Later.", extensions={"retryAfter": 7})

    async with client_of(dataclasses.replace(gateway, authenticate=busy)) as client:
        response = await client.post("/graphql", json={"query": TYPENAME})

    assert response.status_code == {"RATE_LIMITED": 429, "SERVICE_UNAVAILABLE": 503}[code]
    assert response.headers["retry-after"] == "7"


async def test_database_away(gateway: Gateway) -> None:
    away = Database("postgresql://localhost:1/none", size=1, statement_timeout=1, role=None)
    query = "{ namespaces { nodes { id } } }"

    async with client_of(dataclasses.replace(gateway, database=away)) as client:
        response = await client.post("/graphql", json={"query": query})

    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert code_of(response) == "SERVICE_UNAVAILABLE"


async def test_our_own_faults_are_masked(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    async def faulty(_token: str | None) -> Caller:
        raise ZeroDivisionError("a secret of the server")

    async with client_of(dataclasses.replace(gateway, authenticate=faulty)) as client:
        response = await client.post("/graphql", json={"query": TYPENAME})

    assert response.status_code == 500
    assert code_of(response) == "INTERNAL_SERVER_ERROR"
    assert "secret" not in response.text
    request_id = response.json()["errors"][0]["extensions"]["requestId"]
    logged = "".join(capsys.readouterr())
    assert request_id in logged
    assert "a secret of the server" in logged


async def test_time_limit(gateway: Gateway, kept_database: Database) -> None:
    limited = dataclasses.replace(gateway, limits=TransportLimits(execution_seconds=0.2))
    query = "{ namespaces { nodes { id } } }"

    async with kept_database.transaction() as lock, client_of(limited) as client:
        await lock.execute("LOCK TABLE namespace IN ACCESS EXCLUSIVE MODE")
        response = await client.post("/graphql", json={"query": query})

    assert response.status_code == 400
    assert code_of(response) == "LIMIT_EXCEEDED"
    assert response.json()["errors"][0]["extensions"]["limit"] == "seconds"


async def test_every_operation_is_reported_once(gateway: Gateway) -> None:
    seen: list[Finished] = []

    async with client_of(dataclasses.replace(gateway, observe=seen.append)) as client:
        await client.post("/graphql", json={"query": "query Named { __typename }"})
        await client.post("/graphql", json={"query": "{"})
        await client.get(
            "/graphql", params={"query": "query Other($a: Int!) { namespaces(first: $a) { nodes { id } } }"}
        )
        await client.put("/graphql")

    assert [(one.kind, one.name, one.code) for one in seen] == [
        ("query", "Named", None),
        (None, None, "GRAPHQL_PARSE_FAILED"),
        ("query", "Other", "BAD_USER_INPUT"),
        (None, None, "METHOD_NOT_ALLOWED"),
    ]
    assert {one.transport for one in seen} == {"http"}


async def test_many_at_once(client: httpx.AsyncClient) -> None:
    sent = [client.post("/graphql", json={"query": f"{{ a{n}: __typename }}"}) for n in range(50)]

    answers = await asyncio.gather(*sent)

    assert [answer.json()["data"] for answer in answers] == [{f"a{n}": "Query"} for n in range(50)]
