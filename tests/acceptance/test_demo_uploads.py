"""The demo's training, killed with −9 while a file of a checkpoint is on its way, for certain and not by luck."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.acceptance import gate
from tests.acceptance.server import Server, clean_environment

pytestmark = [pytest.mark.acceptance, pytest.mark.chaos]
REPOSITORY = Path(__file__).parents[2]
PATIENCE: Final = 300.0
JOBS: Final = 6
MADE = """
query ($names: String!) {
  experiments(namespace: "demo/digits", filter: {name: {matches: $names}}) {
    nodes {
      name status
      legs { fromStep checkpoint { id status } }
      checkpoints { nodes { id status artifacts { nodes { status fileCount uploads { id status } } } } }
      metric(key: "train/loss") { columns { steps values } }
      resumeState { step files { path digest } }
    }
  }
}
"""


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    server = Server(folder / "data")
    server.ready()
    # A log that nobody reads would fill its pipe, and stop the server.
    threading.Thread(target=server.process.communicate, daemon=True).start()
    try:
        yield server
    finally:
        server.discard()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """An empty one: what another has of the same bytes need not be sent again."""
    with serving(tmp_path) as server:
        yield server


@contextlib.asynccontextmanager
async def training(address: str, stamp: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """What `make demo` kills, and begins again."""
    environment = {**clean_environment(), "MODELBOX_URL": address, "PYTHONPATH": str(REPOSITORY)}
    command = (sys.executable, "-m", "demo.trainer", stamp, "0")
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=environment)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def trained(address: str, stamp: str, folder: Path) -> None:
    """Train all to the end, from where they stand."""
    async with training(address, stamp, folder) as process, asyncio.timeout(PATIENCE):
        assert await process.wait() == 0


def made(server: Server, stamp: str) -> list[dict[str, Any]]:
    """What the server has of the six experiments."""
    found: list[dict[str, Any]] = server.graphql(MADE, names=f"*-{stamp}")["experiments"]["nodes"]
    return found


def outcome(experiments: list[dict[str, Any]]) -> dict[str, Any]:
    """What each ended with, bit for bit: its weights, its optimizer, and its curve."""
    assert [each["status"] for each in experiments] == ["COMPLETED"] * JOBS
    return {each["name"].rpartition("-")[0]: (each["resumeState"], each["metric"]) for each in experiments}


@pytest.fixture(scope="module")
async def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What trainings end with that nobody kills."""
    folder = tmp_path_factory.mktemp("unbroken")
    with serving(folder) as server:
        await trained(server.address, "unbroken", folder)
        return outcome(made(server, "unbroken"))


@pytest.mark.parametrize("number", [1, 20], ids=["the first file", "a later file"])
async def test_killed_within_an_upload_it_goes_on_from_what_was_whole(
    server: Server, unbroken: dict[str, Any], tmp_path: Path, number: int
) -> None:
    stamp = f"killed{number}"
    async with gate.before(server.address, gate.nth(number, b"PUT /")) as before:
        async with training(before.address, stamp, tmp_path) as process:
            half_sent = await before.holds()
            process.kill()
            await process.wait()
        torn = torn_by(half_sent, made(server, stamp))
        await trained(before.address, stamp, tmp_path)

    experiments = made(server, stamp)
    assert outcome(experiments) == unbroken
    resumed = [leg["checkpoint"] for each in experiments for leg in each["legs"] if leg["fromStep"]]
    assert {checkpoint["status"] for checkpoint in resumed} <= {"READY"}
    assert torn not in {checkpoint["id"] for checkpoint in resumed}
    assert torn_by(half_sent, experiments) == torn
    assert any(each["legs"] for each in experiments)


def torn_by(half_sent: bytes, experiments: list[dict[str, Any]]) -> str:
    """The checkpoint whose file is half sent; it is not complete, and has no file."""
    upload = half_sent.split()[1].split(b"/")[-3].decode()
    [torn] = [
        checkpoint
        for each in experiments
        for checkpoint in each["checkpoints"]["nodes"]
        if upload
        in {under_way["id"] for artifact in checkpoint["artifacts"]["nodes"] for under_way in artifact["uploads"]}
    ]
    assert torn["status"] == "PENDING"
    [artifact] = torn["artifacts"]["nodes"]
    assert (artifact["status"], artifact["fileCount"]) == ("PENDING", 0)
    return str(torn["id"])
