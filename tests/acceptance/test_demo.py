"""The main job on real input: `python -m demo` trains, reports and asks, against a server process."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from demo.job import CHECKPOINT_EVERY, EPOCHS
from tests.acceptance.server import Server, clean_environment, wait_until

pytestmark = pytest.mark.acceptance
REPOSITORY = Path(__file__).parents[2]
GRAPH = """
{
  models(namespace: "demo") {
    nodes {
      name uniqueTags { tag version { version } }
      versions(orderBy: [{metric: {key: "test/accuracy"}, direction: DESC}]) {
        nodes {
          version name framework metadata uniqueTags
          metric(key: "test/accuracy") { last }
          experiment { name } checkpoint { step }
          datasets { nodes { role dataset { name digest } metric(key: "test/accuracy") { last } } }
          artifacts { nodes { name files { nodes { path size digest downloadUrl } } } }
        }
      }
    }
  }
  experiments(namespace: "demo/digits", filter: {hyperparameters: [{path: ["optimizer", "lr"], number: {lt: 0.01}}]}) {
    totalCount
    nodes {
      status endedAt hyperparameters datasets { nodes { role } }
      metrics { nodes { key count lastStep } }
      metric(key: "train/loss") { columns { steps wallTimes values } }
      latestCheckpoint { step }
      bestCheckpoint(metric: "validation/accuracy") { metric(key: "validation/accuracy") { last } }
      eventDurations { name count }
      checkpoints(filter: {status: {eq: READY}}) {
        nodes { step artifacts { nodes { files { nodes { path size digest downloadUrl } } } } }
      }
    }
  }
}
"""

STEPS_A_PASS = 16
STEPS = EPOCHS * STEPS_A_PASS
AGAIN = "{ models { nodes { versions { totalCount } tagHistory { nodes { tag } } } } datasets { totalCount } }"
STATUSES = "{ experiments { totalCount nodes { status } } }"
FAST = [sys.executable, "-m", "demo", "--seconds", "0"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("demo") / "data")
    server.ready()
    # A log that nobody reads would fill its pipe, and stop the server.
    threading.Thread(target=server.process.communicate, daemon=True).start()
    yield server
    server.discard()


def demo(server: Server) -> subprocess.CompletedProcess[str]:
    environment = {**clean_environment(), "MODELBOX_SERVER": server.address, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        FAST, cwd=server.data_dir.parent, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def printed(server: Server) -> str:
    done = demo(server)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def graph(server: Server, printed: str) -> dict[str, Any]:
    assert printed
    found: dict[str, Any] = server.graphql(GRAPH)
    return found


def test_it_ends_with_what_the_server_answers(printed: str) -> None:
    assert "make watch" in printed
    assert printed.count("  epoch ") >= 6 * EPOCHS // CHECKPOINT_EVERY
    _, compared, seeds, curves, registered = printed.split("\n\n")[-5:]
    assert {"hidden.0", "optimizer.lr", "validation/loss"} <= {line.split()[0] for line in compared.splitlines()[2:]}
    assert [line.split("]")[0].strip() for line in seeds.splitlines()[2:]] == ["[16", "[96", "[64, 32"]
    assert seeds.count("±") == 3 * 4
    assert curves.count(f"of {STEPS} points") == 3
    assert "demo/digits/digit-reader  image-classification" in registered
    assert registered.count("sha256:") == 6


def test_killed_in_the_middle_it_ends_with_the_same_networks(printed: str) -> None:
    assert "kill -9" in printed
    assert "  goes on from step " in printed
    assert "The final weights of all 6 are, bit for bit, those of trainings without a break." in printed


def test_every_step_is_stored_once(graph: dict[str, Any]) -> None:
    assert graph["experiments"]["totalCount"] == 4
    for experiment in graph["experiments"]["nodes"]:
        assert (experiment["status"], bool(experiment["endedAt"])) == ("COMPLETED", True)
        found = {series["key"]: series["count"] for series in experiment["metrics"]["nodes"]}
        counts = {key: count for key, count in found.items() if not key.startswith("system/")}
        assert counts.pop("train/loss") == STEPS
        assert counts == dict.fromkeys(("train/accuracy", "validation/accuracy", "validation/loss"), EPOCHS)
        columns = experiment["metric"]["columns"]
        assert columns["steps"] == list(range(1, STEPS + 1))
        assert columns["wallTimes"] == sorted(columns["wallTimes"])
        first, last = columns["values"][:STEPS_A_PASS], columns["values"][-STEPS_A_PASS:]
        assert sum(last) < sum(first) / 2, "it learned nothing"
        assert [use["role"] for use in experiment["datasets"]["nodes"]] == ["validation", "train"]


def test_checkpoints_have_the_files_that_were_written(server: Server, graph: dict[str, Any]) -> None:
    for experiment in graph["experiments"]["nodes"]:
        checkpoints = experiment["checkpoints"]["nodes"]
        steps = [each["step"] for each in checkpoints]
        assert sorted(set(steps)) == [CHECKPOINT_EVERY * STEPS_A_PASS * number for number in (1, 2, 3)]
        assert experiment["latestCheckpoint"]["step"] == STEPS
        spans = {span["name"]: span["count"] for span in experiment["eventDurations"]}
        assert spans["training"] == 1
        assert spans["checkpoint_write"] >= 2
        for each in checkpoints:
            [artifact] = each["artifacts"]["nodes"]
            assert [file["path"] for file in artifact["files"]["nodes"]] == ["optimizer.npz", "weights.npz"]
            for file in artifact["files"]["nodes"]:
                content = httpx.get(urljoin(f"{server.address}/graphql", file["downloadUrl"])).content
                assert (len(content), "sha256:" + hashlib.sha256(content).hexdigest()) == (file["size"], file["digest"])


def test_the_best_version_is_tagged_and_knows_where_it_comes_from(graph: dict[str, Any]) -> None:
    [model] = graph["models"]["nodes"]
    versions = model["versions"]["nodes"]
    assert sorted(version["version"] for version in versions) == ["1", "2", "3"]
    assert [tag["tag"] for tag in model["uniqueTags"]] == ["prod"]
    for version in versions:
        assert version["name"] == model["name"]
        assert version["experiment"]["name"]
        assert version["checkpoint"]["step"]
        [use] = version["datasets"]["nodes"]
        assert (use["role"], use["metric"], use["dataset"]["name"]) == ("test", version["metric"], "digits-test")
        assert 0.8 < version["metric"]["last"] <= 1
        assert version["artifacts"]["nodes"][0]["files"]["nodes"][0]["digest"]


def test_run_again_it_adds_and_moves_the_tag(server: Server, printed: str) -> None:
    assert printed
    assert demo(server).returncode == 0
    found = server.graphql(AGAIN)
    assert found["models"]["nodes"][0]["versions"]["totalCount"] == 6
    assert [move["tag"] for move in found["models"]["nodes"][0]["tagHistory"]["nodes"]] == ["prod", "prod"]
    assert found["datasets"]["totalCount"] == 3


def test_a_server_that_restarts_loses_nothing(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    server.ready()
    threading.Thread(target=server.process.communicate, daemon=True).start()
    port = server.address.rpartition(":")[2]
    environment = {**clean_environment(), "MODELBOX_SERVER": server.address, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "demo", "--seconds", "8"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as running:
        try:
            wait_until(lambda: points(server) > 6 * 8)
            os.killpg(server.pid, signal.SIGKILL)
            server.discard()
            server = Server(tmp_path / "data", "--port", port)
            server.ready()
            threading.Thread(target=server.process.communicate, daemon=True).start()
            running.communicate(timeout=120)
            assert running.returncode == 0
            assert points(server) == 6 * STEPS
        finally:
            running.kill()
            server.discard()


def test_an_interrupted_demo_leaves_no_running_experiments(server: Server, printed: str) -> None:
    assert printed
    environment = {**clean_environment(), "MODELBOX_SERVER": server.address, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "demo", "--seconds", "100"]
    ended = server.graphql(STATUSES)["experiments"]["totalCount"]
    with subprocess.Popen(
        command, cwd=server.data_dir.parent, env=environment, stderr=subprocess.PIPE, text=True
    ) as it:
        wait_until(lambda: server.graphql(STATUSES)["experiments"]["totalCount"] == ended + 6)
        it.send_signal(signal.SIGINT)
        _, said = it.communicate(timeout=60)

    assert it.returncode == 1
    assert said == "Stopped: the experiments that had not ended are KILLED now.\n"
    statuses = [each["status"] for each in server.graphql(STATUSES)["experiments"]["nodes"]]
    assert statuses[:6] == ["KILLED"] * 6


def points(server: Server) -> int:
    """How many points of the loss the experiments have."""
    found = server.graphql('{ experiments { nodes { metric(key: "train/loss") { count } } } }')["experiments"]["nodes"]
    return sum(each["metric"]["count"] for each in found if each["metric"])


def test_without_a_server_it_says_what_to_do(server: Server) -> None:
    environment = {**clean_environment(), "MODELBOX_SERVER": "http://127.0.0.1:9", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        FAST, cwd=server.data_dir.parent, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "Start one with `make serve`" in done.stderr
    assert "Traceback" not in done.stderr
