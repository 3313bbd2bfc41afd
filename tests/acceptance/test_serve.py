"""The server as a process: it begins, serves, dies, begins again with everything, and leaves nothing."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from websockets.sync.client import connect

from app.process import STEADY_SECONDS
from db.embedded_process import Identity, reaching
from tests.acceptance.server import PATIENCE, Server, processes_in, run, wait_until

pytestmark = pytest.mark.acceptance
REPOSITORY = Path(__file__).parents[2]
CREATE = "mutation Create($path: String!) { createNamespace(input: {path: $path}) { userErrors { message } } }"
PATHS = (
    "query Paths($after: Cursor) { namespaces(first: 100, after: $after) { nodes { path } pageInfo { endCursor } } }"
)

Start = Callable[..., Server]


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated data folder, to be copied: making one takes longer than most tests."""
    data_dir = tmp_path_factory.mktemp("seed") / "data"
    made = run("migrate", "--data-dir", str(data_dir), cwd=data_dir.parent)
    assert made.returncode == 0, made.stderr
    return data_dir


@pytest.fixture
def start(seed: Path, tmp_path: Path) -> Iterator[Start]:
    """Begin servers, none of which outlives its test."""
    servers: list[Server] = []
    shutil.copytree(seed, tmp_path / "data")

    def begin(*words: str, data_dir: Path = tmp_path / "data", identity: Identity | None = None) -> Server:
        servers.append(Server(data_dir, *words, identity=identity))
        return servers[-1]

    yield begin
    for server in servers:
        server.discard()


@pytest.fixture
def served(start: Start) -> Start:
    """The same, but they serve."""

    def begin(*words: str, data_dir: Path | None = None, identity: Identity | None = None) -> Server:
        server = start(*words, identity=identity, **({"data_dir": data_dir} if data_dir else {}))
        server.ready()
        return server

    return begin


def paths(server: Server) -> set[str]:
    found: set[str] = set()
    after = None
    while True:
        page = server.graphql(PATHS, after=after)["namespaces"]
        found |= {node["path"] for node in page["nodes"]}
        after = page["pageInfo"]["endCursor"]
        if after is None or not page["nodes"]:
            return found


def add(server: Server, path: str) -> None:
    assert server.graphql(CREATE, path=path)["createNamespace"]["userErrors"] == []


def test_data_outlives_a_restart_and_ctrl_c_leaves_nothing(served: Start) -> None:
    server = served()
    add(server, "vision")
    assert httpx.get(f"{server.address}/readyz").json() == {"status": "ready"}
    assert "GraphiQL" in httpx.get(server.address).text
    code, _ = server.end(signal.SIGINT)
    assert code == 0
    server = served()
    assert "vision" in paths(server)
    assert server.end(signal.SIGTERM)[0] == 0


def seconds_to_import() -> float:
    """Of a processor, once nothing has to be compiled any more."""
    before = psutil.Process().cpu_times()
    for _ in range(2):
        subprocess.run([sys.executable, "-c", "import app.main"], check=True)
    after = psutil.Process().cpu_times()
    return float(after.children_user + after.children_system - before.children_user - before.children_system) / 2


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_ready_within_three_seconds_when_begun_again(start: Start, end: signal.Signals) -> None:
    """On a machine that has more work than processors, what counts is the processor's time.

    On one on which Python alone takes longer to read our code, it may be twice that.
    """
    most = max(3.0, 2 * seconds_to_import())
    server = start()
    server.ready()
    tries = []
    for _ in range(5):
        server.end(end)
        server = start()
        wall = server.ready()
        tries.append((wall, sum(sum(each.cpu_times()[:2]) for each in server.family())))
        is_busy = os.getloadavg()[0] > (os.cpu_count() or 1)
        if wall <= most or (is_busy and tries[-1][1] <= most):
            return
    pytest.fail(f"it took (seconds, of them processor time) {tries}")


def test_what_was_acknowledged_outlives_a_kill(served: Start) -> None:
    server = served()
    acknowledged: list[str] = []

    def write() -> None:
        with contextlib.suppress(httpx.HTTPError):
            for number in range(100_000):
                add(server, f"n{number}")
                acknowledged.append(f"n{number}")

    writer = threading.Thread(target=write)
    writer.start()
    wait_until(lambda: len(acknowledged) > 50)
    family = server.family()
    server.process.kill()
    writer.join(PATIENCE)
    assert psutil.wait_procs(family, timeout=PATIENCE)[1] == []
    assert processes_in(server.data_dir) == []
    assert set(acknowledged) <= paths(served())


def test_several_workers_share_a_port_and_are_replaced(served: Start) -> None:
    server = served("--workers", "2")
    workers = workers_of(server)
    assert len(workers) == 2
    workers[0].kill()
    server.line("worker died; starting another")
    wait_until(lambda: len(workers_of(server)) == 2)
    add(server, "vision")
    assert {"vision"} <= paths(server)
    numbers = httpx.get(f"{server.address}/metrics").text
    assert 'modelbox_operation_seconds_count{kind="mutation",operation="Create",transport="http"} 1.0' in numbers
    assert server.end(signal.SIGINT)[0] == 0


def test_killed_parent_leaves_no_worker(served: Start) -> None:
    server = served("--workers", "2")
    family = server.family()
    server.process.kill()
    assert psutil.wait_procs(family, timeout=PATIENCE)[1] == []
    assert processes_in(server.data_dir) == []


def workers_of(server: Server) -> list[psutil.Process]:
    children = psutil.Process(server.pid).children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_postgres_that_dies_is_begun_again(served: Start, workers: str) -> None:
    server = served("--workers", workers)
    add(server, "vision")
    time.sleep(STEADY_SECONDS)  # One that died at once would not be begun again.
    postgres = next(each for each in psutil.Process(server.pid).children() if each.name() == "postgres")
    postgres.kill()
    server.line("postgres died; starting it again")
    address = server.address
    server.ready()
    assert server.address == address
    assert "vision" in paths(server)
    server.end(signal.SIGTERM)


def test_sockets_are_told_that_the_server_restarts(served: Start) -> None:
    server = served()
    address = server.address.replace("http", "ws")
    with connect(f"{address}/graphql", subprotocols=["graphql-transport-ws"]) as ws:  # type: ignore[list-item]
        ws.send('{"type": "connection_init"}')
        assert ws.recv(PATIENCE) == '{"type":"connection_ack"}'
        server.process.terminate()
        with contextlib.suppress(Exception):
            ws.recv(PATIENCE)
        assert ws.close_code == 1012
    server.end(signal.SIGTERM)


def test_not_ready_while_draining(served: Start) -> None:
    server = served("-c", "drain_delay=2")
    server.process.terminate()
    wait_until(lambda: httpx.get(f"{server.address}/readyz").status_code == 503)
    assert httpx.get(f"{server.address}/readyz").json() == {"status": "not ready", "obstacle": "draining"}
    assert httpx.get(f"{server.address}/healthz").status_code == 200
    assert server.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_before_it_is_ready(start: Start, end: signal.Signals) -> None:
    server = start()
    wait_until(lambda: bool(processes_in(server.data_dir)))
    assert server.end(end)[0] == 130


def test_a_data_folder_has_one_server(served: Start, start: Start) -> None:
    first = served()
    second = start()
    assert second.process.wait(PATIENCE) == 3
    assert f"in use by another ModelBox server, pid {first.pid}" in second.process.stdout.read().decode()  # type: ignore[union-attr]


def test_tokens_are_made_beside_a_running_server(served: Start, start: Start, tmp_path: Path) -> None:
    """The first run of a server that others can reach: refused, then a token, then served."""
    refused = start("--host", "0.0.0.0")
    assert refused.process.wait(PATIENCE) == 5
    server = served()
    made = run("token", "create", "ann", "--role", "ADMIN", "--data-dir", str(server.data_dir), cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    token = {"Authorization": f"Bearer {made.stdout.strip()}"}
    wait_until(lambda: httpx.get(f"{server.address}/metrics").status_code == 401)
    assert httpx.get(f"{server.address}/metrics", headers=token).status_code == 200
    server.end(signal.SIGINT)
    public = served("--host", "0.0.0.0")
    address = public.address.replace("0.0.0.0", "127.0.0.1")
    assert httpx.post(f"{address}/graphql", json={"query": "{ __typename }"}).status_code == 401
    answer = httpx.post(f"{address}/graphql", json={"query": "{ __typename }"}, headers=token)
    assert answer.json()["data"] == {"__typename": "Query"}
    listed = run("token", "list", "--data-dir", str(server.data_dir), cwd=tmp_path)
    assert "ann" in listed.stdout
    assert made.stdout.strip().encode() not in b"".join(
        path.read_bytes() for path in server.data_dir.glob("*.log") if path.is_file()
    )


def test_people_read_one_line(start: Start) -> None:
    server = start("--log-format", "console", "--base-path", "/box")
    seen = ""
    for text in server.process.stdout:  # type: ignore[union-attr]
        seen = text.decode()
        if "ready" in seen:
            break
    line = r"ModelBox is ready on http://127\.0\.0\.1:\d+/box \(data in \S+\)\. Press Ctrl-C to stop\.\n"
    assert re.fullmatch(line, seen)
    assert httpx.get(seen.split()[4] + "/healthz").status_code == 200


def test_a_process_is_small(served: Start) -> None:
    """Asked a little, so that what is loaded at the first request is counted, too."""
    server = served("--workers", "2")
    for _ in range(20):
        paths(server)
    sizes = {each.pid: each.memory_info().rss >> 20 for each in server.family() if each.name() != "postgres"}
    assert max(sizes.values()) <= 150, sizes


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_an_ordinary_user_serves(served: Start) -> None:
    nobody = Identity(pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
    able = reaching(nobody, [REPOSITORY], Path(sys.executable))
    with tempfile.TemporaryDirectory() as home:
        nobody.own(Path(home))
        server = served(data_dir=Path(home, "data"), identity=able)
        add(server, "vision")
        assert {each.uids().effective for each in server.family()} == {nobody.uid}
        assert server.end(signal.SIGINT)[0] == 0
        server = served(data_dir=Path(home, "data"), identity=able)
        assert "vision" in paths(server)
        server.end(signal.SIGINT)


def test_a_port_is_not_taken_twice(served: Start, start: Start, tmp_path: Path) -> None:
    server = served()
    port = server.address.rpartition(":")[2]
    second = start("--port", port, data_dir=tmp_path / "other")
    assert second.process.wait(PATIENCE) == 4
    assert not (tmp_path / "other").exists()
    with socket.create_connection(("127.0.0.1", int(port))):
        pass
