"""The main job on real input: `python -m demo` trains, reports and asks, against a server process."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from demo.job import CHECKPOINT_EVERY, EPOCHS
from tests.acceptance.server import Server, clean_environment

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
          artifacts { nodes { name files { nodes { path uri size digest } } } }
        }
      }
    }
  }
  experiments(namespace: "demo/digits", filter: {hyperparameters: [{path: ["optimizer", "lr"], number: {lt: 0.01}}]}) {
    totalCount
    nodes {
      status endedAt hyperparameters datasets { nodes { role } }
      metrics { nodes { key count lastStep } }
      metric(key: "train/loss") { points(first: 100) { nodes { step wallTime value } } }
      latestCheckpoint { step }
      bestCheckpoint(metric: "validation/accuracy") { metric(key: "validation/accuracy") { last } }
      eventDurations { name count }
      checkpoints { nodes { step artifacts { nodes { files { nodes { uri size digest } } } } } }
    }
  }
}
"""

AGAIN = "{ models { nodes { versions { totalCount } tagHistory { nodes { tag } } } } datasets { totalCount } }"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("demo") / "data")
    server.ready()
    # A log that nobody reads would fill its pipe, and stop the server.
    threading.Thread(target=server.process.communicate, daemon=True).start()
    yield server
    server.discard()


def demo(server: Server) -> subprocess.CompletedProcess[str]:
    environment = {**clean_environment(), "MODELBOX_URL": server.address, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "demo"]
    return subprocess.run(
        command, cwd=server.data_dir.parent, env=environment, capture_output=True, text=True, timeout=300, check=False
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


def test_it_ends_with_the_nested_query(printed: str) -> None:
    assert '"path": "demo/digits"' in printed
    assert printed.count("epoch ") >= 3 * EPOCHS


def test_every_epoch_is_stored_once(graph: dict[str, Any]) -> None:
    assert graph["experiments"]["totalCount"] == 2
    for experiment in graph["experiments"]["nodes"]:
        assert (experiment["status"], bool(experiment["endedAt"])) == ("COMPLETED", True)
        assert {series["count"] for series in experiment["metrics"]["nodes"]} == {EPOCHS}
        points = experiment["metric"]["points"]["nodes"]
        assert [point["step"] for point in points] == list(range(1, EPOCHS + 1))
        assert points[-1]["value"] < points[0]["value"], "it learned nothing"
        assert [use["role"] for use in experiment["datasets"]["nodes"]] == ["validation", "train"]


def test_checkpoints_lead_to_the_files_that_were_written(graph: dict[str, Any]) -> None:
    for experiment in graph["experiments"]["nodes"]:
        checkpoints = experiment["checkpoints"]["nodes"]
        assert [each["step"] for each in checkpoints] == list(range(EPOCHS, 0, -CHECKPOINT_EVERY))
        assert experiment["latestCheckpoint"]["step"] == EPOCHS
        spans = {span["name"]: span["count"] for span in experiment["eventDurations"]}
        assert spans == {"checkpoint_write": EPOCHS // CHECKPOINT_EVERY, "training": 1}
        for file in [each["artifacts"]["nodes"][0]["files"]["nodes"][0] for each in checkpoints]:
            content = Path(unquote(urlsplit(file["uri"]).path)).read_bytes()
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


def test_without_a_server_it_says_what_to_do(server: Server) -> None:
    environment = {**clean_environment(), "MODELBOX_URL": "http://127.0.0.1:9", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "demo"]
    done = subprocess.run(
        command, cwd=server.data_dir.parent, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "Start one with `make serve`" in done.stderr
    assert "Traceback" not in done.stderr
