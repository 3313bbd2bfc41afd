"""Lines and numbers: one line a request, one id through all, nothing secret, no label without bound."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
import websockets
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from app import auth, logs
from app.gateway import Finished
from app.health import Readiness
from app.main import create_app
from app.measures import LONGEST_NAME, MULTIPROCESS, OTHER, Measures, OperationNames
from app.settings import Settings
from app.telemetry import Observer, RequestTelemetry, note_actor
from db.access import Role, has_tokens
from db.engine import Database
from db.verbs import tokens
from tests.app.serving import serving

SECRET = "hunter2"
ADMIN = tokens.Wish("ann", "USER", Role.ADMIN)
Lines = Callable[[], list[dict[str, Any]]]


class Stream(io.StringIO):
    """What lines are written to."""


@pytest.fixture
def lines() -> Iterator[Lines]:
    """The lines written so far, decoded; everything as it was afterwards."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = Stream()
    logs.configure(Settings(log_format="json", log_level="debug"), stream)
    structlog.configure(cache_logger_on_first_use=False)  # The modules' loggers outlive this test.
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines() if "HTTP Request:" not in line]
    structlog.configure(**before)
    logging.captureWarnings(False)
    root.handlers, root.level = handlers, level


async def greet(_request: Request) -> Response:
    note_actor("ann")
    return PlainTextResponse("hello")


async def fail(_request: Request) -> Response:
    raise RuntimeError(SECRET)


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    note_actor("ann")
    if await socket.receive_text() == "fail":
        raise RuntimeError(SECRET)
    await socket.close(4400)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    routes = [Route("/greet", greet), Route("/fail", fail)]
    transport = httpx.ASGITransport(Starlette(routes=routes, middleware=[Middleware(RequestTelemetry, Measures())]))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def test_a_request_is_one_line(client: httpx.AsyncClient, lines: Lines) -> None:
    response = await client.get(f"/greet?token={SECRET}", headers={"Authorization": f"Bearer {SECRET}"})
    (line,) = lines()
    assert line["duration_ms"] >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line.pop("timestamp"))
    assert line == {
        "event": "request",
        "level": "info",
        "method": "GET",
        "path": "/greet",
        "status": 200,
        "actor": "ann",
        "client": "127.0.0.1",
        "request_id": response.headers["x-request-id"],
        "duration_ms": line["duration_ms"],
    }


@pytest.mark.parametrize("given", ["abc", "0190a6e0-7d1c.4:5_6", "x" * 128])
async def test_a_sane_request_id_is_kept(client: httpx.AsyncClient, lines: Lines, given: str) -> None:
    response = await client.get("/greet", headers={"X-Request-ID": given})
    assert response.headers["x-request-id"] == lines()[0]["request_id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\tb", '"', "-a", "é".encode().decode("latin-1")])
async def test_another_request_id_is_replaced(client: httpx.AsyncClient, lines: Lines, given: str) -> None:
    response = await client.get("/greet", headers={b"X-Request-ID": given.encode("latin-1")})
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])
    assert lines()[0]["request_id"] == response.headers["x-request-id"]


async def test_a_path_is_logged_as_it_was_sent(client: httpx.AsyncClient, lines: Lines) -> None:
    await client.get("/%1b[2J%0a" + "x" * 1_000)
    assert lines()[0]["path"].startswith("/%1b[2J%0a")
    assert len(lines()[0]["path"]) == 256


async def test_a_fault_is_answered_without_its_text_and_logged_with_it(client: httpx.AsyncClient, lines: Lines) -> None:
    response = await client.get("/fail")
    error = response.json()["errors"][0]
    assert response.status_code == 500
    assert SECRET not in response.text
    assert error["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    fault, request = lines()
    assert fault["request_id"] == request["request_id"] == error["extensions"]["requestId"]
    assert (fault["level"], request["status"]) == ("error", 500)
    assert "RuntimeError" in fault["exception"]


async def test_a_socket_is_one_line(lines: Lines) -> None:
    routes, middleware = [WebSocketRoute("/talk", talk)], [Middleware(RequestTelemetry, Measures())]
    async with serving(Starlette(routes=routes, middleware=middleware)) as address:
        for word in ("bye", "fail"):
            async with websockets.connect(f"ws://{address}/talk?token={SECRET}") as socket:
                await socket.send(word)
                await socket.wait_closed()
                assert socket.close_code == (4400 if word == "bye" else 1011)
    ended = [line for line in lines() if line["event"] == "socket"]
    assert [(line["path"], line["code"], line["actor"]) for line in ended] == [
        ("/talk", 4400, "ann"),
        ("/talk", 1011, "ann"),
    ]
    assert SECRET not in json.dumps(ended)


async def test_an_operation_is_named_in_the_line_of_its_request(lines: Lines, kept_database: Database) -> None:
    transport = httpx.ASGITransport(create_app(Settings(), kept_database))
    query = f'query Who {{ viewer {{ actor {{ name }} }} node(id: "{SECRET}") {{ id }} }}'
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        await client.post("/graphql", json={"query": "query Who { viewer { actor { name } } }"})
        await client.post("/graphql", json={"query": query, "variables": {"x": SECRET}})
        await client.post("/graphql", json={"query": f"query Broken {{ {SECRET}"})
        numbers = (await client.get("/metrics")).text
    first, refused, broken, _ = [line for line in lines() if line["event"] == "request"]
    assert (first["operation"], first["kind"], first["actor"], first["status"]) == ("Who", "query", "local", 200)
    assert refused["operation"] == "Who"
    assert broken["error"] == "GRAPHQL_PARSE_FAILED"
    assert SECRET not in json.dumps(lines())
    assert 'modelbox_operation_seconds_count{kind="query",operation="Who",transport="http"}' in numbers
    assert 'modelbox_operations_refused_total{code="GRAPHQL_PARSE_FAILED",transport="http"} 1.0' in numbers
    assert SECRET not in numbers


def test_an_operation_of_a_socket_has_its_own_line(lines: Lines) -> None:
    Observer(Measures()).operation(Finished("websocket", "id-1", "query", "Who", None, 0.5))
    (line,) = lines()
    assert (line["event"], line["operation"], line["duration_ms"]) == ("operation", "Who", 500)


def test_lines_of_libraries_look_the_same(lines: Lines) -> None:
    logging.getLogger("some.library").warning("disk %s", "full")
    logging.getLogger("uvicorn.error").info("a socket with its query string")
    (line,) = lines()
    assert (line["event"], line["level"]) == ("disk full", "warning")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_no_variables(log_format: str) -> None:
    stream, before = Stream(), structlog.get_config()
    logs.configure(Settings.model_validate({"log_format": log_format}), stream)
    try:
        int(f"{len(SECRET)}x")
    except ValueError:
        structlog.get_logger().exception("failed")
    structlog.configure(**before)
    assert "ValueError: invalid literal" in stream.getvalue()
    assert SECRET not in stream.getvalue()


def test_names_of_operations_are_bounded() -> None:
    names = OperationNames(most=2)
    assert [names.label(name) for name in (None, "A", "B", "C", "A")] == ["anonymous", "A", "B", OTHER, "A"]
    assert OperationNames().label("x" * (LONGEST_NAME + 1)) == OTHER


def test_inventing_names_does_not_grow_the_numbers() -> None:
    numbers = Measures()
    for number in range(1_000):
        numbers.operation(Finished("http", "id", "query", f"Q{number}", None, 0.1))
    assert numbers.exposition().count(b"modelbox_operation_seconds_count{") == 101
    assert b'operation="other",transport="http"} 900.0' in numbers.exposition()


def test_numbers_of_several_processes_are_added(tmp_path: Path) -> None:
    """The library decides when it is imported how it counts, so each process is a fresh one."""
    script = (
        "from app.gateway import Finished; from app.measures import Measures; numbers = Measures();"
        "numbers.operation(Finished('http', 'id', 'query', 'Q', None, 0.1)); numbers.sockets(1);"
        "print(numbers.exposition().decode())"
    )
    for _ in range(2):
        ran = subprocess.run(
            [sys.executable, "-c", script],
            env={MULTIPROCESS: str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])},
            check=True,
            capture_output=True,
            text=True,
        )
    assert 'modelbox_operation_seconds_count{kind="query",operation="Q",transport="http"} 2.0' in ran.stdout
    assert "modelbox_sockets 2.0" in ran.stdout


# --- Health, and who may read the numbers ---


@pytest.fixture
async def exposed(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """A server that other machines can reach."""
    transport = httpx.ASGITransport(create_app(Settings(host="0.0.0.0"), database))
    async with httpx.AsyncClient(transport=transport, base_url="http://10.1.2.3") as client:
        yield client


async def test_strangers_get_health_only(exposed: httpx.AsyncClient, database: Database) -> None:
    assert (await exposed.get("/healthz")).json() == {"status": "ok"}
    assert (await exposed.get("/readyz")).json() == {"status": "ready"}
    refused = await exposed.get("/metrics")
    assert (refused.status_code, refused.json()["errors"][0]["extensions"]) == (401, {"code": "UNAUTHENTICATED"})
    assert (await exposed.post("/graphql", json={"query": "{ __typename }"})).status_code == 401
    token = {"Authorization": f"Bearer {await tokens.create(database, ADMIN, 'id')}"}
    assert (await exposed.get("/metrics", headers=token)).status_code == 200
    assert (await exposed.post("/graphql", json={"query": "{ __typename }"}, headers=token)).status_code == 200


async def test_the_local_user_is_admin_until_a_token_is_stored(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "FRESH_SECONDS", 0.0)
    transport = httpx.ASGITransport(create_app(Settings(), database))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/metrics")).status_code == 200
        token = await tokens.create(database, ADMIN, "id")
        assert await has_tokens(database)
        assert (await client.get("/metrics")).status_code == 401
        signed = {"Authorization": f"Bearer {token}"}
        assert (await client.get("/metrics", headers=signed)).status_code == 200
        await tokens.revoke(database, token, "id")
        assert (await client.get("/metrics", headers=signed)).status_code == 401
        assert (await client.get("/metrics")).status_code == 200


async def test_a_required_token_is_required_on_this_machine_too(database: Database) -> None:
    transport = httpx.ASGITransport(create_app(Settings(auth="required"), database))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/metrics")).status_code == 401


async def test_ready_only_with_a_migrated_database_that_answers(database: Database, empty_dsn: str) -> None:
    empty = await Database.connect(empty_dsn)
    readiness = Readiness(database)
    assert await readiness.obstacle() is None
    assert await Readiness(empty).obstacle() == "schema"
    readiness.draining = True
    assert await readiness.obstacle() == "draining"
    await empty.close()


async def test_not_ready_while_the_database_answers_errors(database: Database, dsn: str) -> None:
    owner = await Database.connect(dsn, size=1)
    async with owner.connection() as connection:
        await connection.execute("REVOKE ALL ON alembic_version FROM modelbox_server")
    assert await Readiness(database).obstacle() == "database"
    await owner.close()


async def test_not_ready_while_the_database_is_away() -> None:
    nowhere = Database("postgresql://x@/x?host=/nonexistent", size=1, statement_timeout=1, role=None)
    transport = httpx.ASGITransport(create_app(Settings(), nowhere))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["obstacle"]) == (503, "database")
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/metrics")).status_code == 503


async def test_everything_is_below_the_base_path_and_health_also_above(kept_database: Database) -> None:
    transport = httpx.ASGITransport(create_app(Settings(base_path="/team/box"), kept_database))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for path in ("/team/box/", "/team/box/healthz", "/team/box/metrics", "/healthz", "/readyz"):
            assert (await client.get(path)).status_code == 200, path
        assert (await client.post("/team/box/graphql", json={"query": "{ __typename }"})).status_code == 200
        for path in ("/", "/graphql", "/metrics"):
            assert (await client.get(path)).status_code == 404, path
        assert (await client.get("/team/box")).headers["location"] == "http://localhost/team/box/"
