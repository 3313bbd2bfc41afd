"""Which names and which pages may reach the server, by HTTP and by socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import websockets
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection
from websockets.typing import Origin, Subprotocol

from app.gateway import Gateway
from app.graphql_http import graphql_routes
from app.graphql_ws import socket_routes
from app.origin import canonical_origin, origin_middleware
from tests.app.peer import PROTOCOL
from tests.app.serving import serving

UI = "https://ui.example.com"
QUERY = {"query": "{ __typename }"}


def guarded(gateway: Gateway) -> Starlette:
    return Starlette(
        routes=[*graphql_routes(gateway), *socket_routes(gateway)],
        middleware=origin_middleware(hosts=["box.example.com", "*.lab.example.com"], cors_origins=[UI]),
    )


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=guarded(gateway))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
        yield client


@pytest.fixture(scope="session")
async def host(gateway: Gateway) -> AsyncIterator[str]:
    async with serving(guarded(gateway)) as host:
        yield host


OURS = [
    "localhost",
    "localhost:8000",
    "LocalHost:1",
    "localhost.",
    "ui.localhost:8000",
    "127.0.0.1:8000",
    "127.9.9.9",
    "[::1]:8000",
    "192.168.1.5:8000",
    "box.example.com",
    "BOX.example.com:443",
    "a.lab.example.com",
    "a.b.lab.example.com:8000",
]
FOREIGN = [
    "",
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1:8000.evil.example",
    "evil.example:80@localhost",
    "box.example.com@evil.example",
    "xbox.example.com",
    "lab.example.com",
    "evillab.example.com",
    "localhost:port",
    "localhost/..",
    "localhost#",
    "localhost, evil.example",
    "[::1",
    "0x7f000001",
    "2130706433",
]


@pytest.mark.parametrize("host_header", OURS)
async def test_names_of_ours(client: httpx.AsyncClient, host_header: str) -> None:
    response = await client.post("/graphql", json=QUERY, headers={"Host": host_header})

    assert response.status_code == 200


@pytest.mark.parametrize("host_header", FOREIGN)
async def test_foreign_names(client: httpx.AsyncClient, host_header: str) -> None:
    for path in ("/graphql", "/", "/healthz", "/absent"):
        response = await client.get(path, headers={"Host": host_header})

        assert response.status_code == 403
        assert response.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_two_hosts(client: httpx.AsyncClient) -> None:
    headers = [("Host", "localhost"), ("Host", "evil.example")]

    assert (await client.post("/graphql", json=QUERY, headers=headers)).status_code == 403


PAGES_OF_OURS = [
    ("localhost:8000", "http://localhost:8000"),
    ("127.0.0.1:8000", "http://127.0.0.1:8000"),
    ("[::1]:8000", "http://[::1]:8000"),
    ("box.example.com", "https://box.example.com"),
    ("box.example.com:443", "https://box.example.com"),
    ("box.example.com", "http://box.example.com"),
    ("localhost:8000", UI),
]
FOREIGN_PAGES = [
    "https://evil.example",
    "http://localhost:3000",
    "http://127.0.0.1:8000",
    "http://localhost",
    "http://localhost:8000.evil.example",
    "http://localhost:8000@evil.example",
    "http://evil.example#localhost:8000",
    "null",
    "",
    "file://",
    "chrome-extension://localhost:8000",
    "https://ui.example.com:8443",
    "http://ui.example.com",
    "https://ui.example.com.evil.example",
    "https://UI.example.com/",
    "https://ui.example.com, https://evil.example",
]


@pytest.mark.parametrize(("host_header", "origin"), PAGES_OF_OURS)
async def test_pages_of_ours(client: httpx.AsyncClient, host_header: str, origin: str) -> None:
    response = await client.post("/graphql", json=QUERY, headers={"Host": host_header, "Origin": origin})

    assert response.status_code == 200


@pytest.mark.parametrize("origin", FOREIGN_PAGES)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_foreign_pages(client: httpx.AsyncClient, origin: str, method: str) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}

    response = await client.request(method, "/graphql", params=QUERY, headers=headers)

    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers


async def test_forms_of_foreign_pages(client: httpx.AsyncClient) -> None:
    form = {"Content-Type": "text/plain", "Origin": "https://evil.example"}

    response = await client.post("/graphql", content=b'{"query": "{ __typename }"}', headers=form)

    assert response.status_code == 403


@pytest.mark.parametrize(
    ("site", "mode", "status"),
    [
        ("cross-site", "no-cors", 403),
        ("cross-site", "navigate", 200),
        ("same-origin", "cors", 200),
        ("none", "navigate", 200),
    ],
)
async def test_images_and_scripts_of_foreign_pages(
    client: httpx.AsyncClient, site: str, mode: str, status: int
) -> None:
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}

    assert (await client.get("/graphql", params=QUERY, headers=headers)).status_code == status


async def test_cors_answers_for_listed_pages(client: httpx.AsyncClient) -> None:
    asked = {
        "Origin": UI,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }

    preflight = await client.options("/graphql", headers=asked)
    answer = await client.post("/graphql", json=QUERY, headers={"Origin": UI})

    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == UI
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    assert "Origin" in preflight.headers["vary"]
    assert answer.headers["access-control-allow-origin"] == UI
    assert "access-control-allow-credentials" not in answer.headers
    assert "X-Request-ID" in answer.headers["access-control-expose-headers"]
    assert "Origin" in answer.headers["vary"]


async def test_pages_of_ours_need_no_cors(client: httpx.AsyncClient) -> None:
    response = await client.post("/graphql", json=QUERY, headers={"Origin": "http://localhost:8000"})

    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://UI.Example.com/", "https://ui.example.com"),
        ("https://ui.example.com:443", "https://ui.example.com"),
        ("http://ui.example.com:80", "http://ui.example.com"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        (" http://localhost:3000", "http://localhost:3000"),
    ],
)
def test_origins_as_browsers_write_them(written: str, meant: str) -> None:
    assert canonical_origin(written) == meant


@pytest.mark.parametrize(
    "written",
    ["*", "", "null", "ui.example.com", "https://", "https://a.b/path", "ftp://a.b", "https://*/", "http://a:b"],
)
def test_what_is_no_origin(written: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        origin_middleware(hosts=[], cors_origins=[written])


# --- The same for sockets ---


async def dial(host: str, origin: str | None, host_header: str | None = None) -> ClientConnection:
    """Open a socket the way a browser does, from a page of `origin`."""
    address, _, port = host.partition(":")
    named = host_header or host
    return await websockets.connect(
        f"ws://{named}/graphql",
        origin=Origin(origin) if origin else None,
        subprotocols=[Subprotocol(PROTOCOL)],
        host=address,
        port=int(port),
        proxy=None,
    )


@pytest.mark.parametrize("own", [True, False], ids=["own page", "no page"])
async def test_sockets_of_ours(host: str, own: bool) -> None:
    connection = await dial(host, f"http://{host}" if own else None)

    assert connection.subprotocol == PROTOCOL
    await connection.close()


async def test_sockets_of_listed_pages(host: str) -> None:
    await (await dial(host, UI, "box.example.com")).close()


@pytest.mark.parametrize("origin", [origin for origin in FOREIGN_PAGES if origin])
async def test_sockets_of_foreign_pages(host: str, origin: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as refusal:
        await dial(host, origin)

    assert refusal.value.response.status_code == 403


@pytest.mark.parametrize("name", ["evil.example", "localhost.evil.example:8000"])
async def test_sockets_to_foreign_names(host: str, name: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as refusal:
        await dial(host, f"http://{name}", name)

    assert refusal.value.response.status_code == 403
