"""The demo's training, killed with −9 while a file of a checkpoint is on its way, for certain and not by luck."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from tests.acceptance import gate
from tests.acceptance.server import Server, clean_environment, serving

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


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """An empty one: what another has of the same bytes need not be sent again."""
    with serving(tmp_path) as server:
        yield server


@contextlib.asynccontextmanager
async def training(address: str, stamp: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """What `make demo` kills, and begins again."""
    environment = {**clean_environment(), "MODELBOX_SERVER": address, "PYTHONPATH": str(REPOSITORY)}
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


async def kill_all(process: asyncio.subprocess.Process) -> None:
    """The training, and what sends for it: as if the machine were switched off."""
    senders = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for each in senders:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    await process.wait()


@pytest.mark.parametrize(
    ("number", "is_disk_kept"),
    [(1, False), (20, False), (20, True)],
    ids=["the first file", "a later file", "a later file, and the disk is kept"],
)
async def test_killed_within_an_upload_it_goes_on_from_what_was_whole(
    server: Server, unbroken: dict[str, Any], tmp_path: Path, number: int, is_disk_kept: bool
) -> None:
    """On another disk that is the checkpoint before; on the same one the rest is sent first, and nothing is lost."""
    stamp = f"killed{number}"
    other = tmp_path if is_disk_kept else tmp_path / "other"
    other.mkdir(exist_ok=True)
    async with gate.before(server.address, gate.nth(number, b"PUT /")) as before:
        async with training(before.address, stamp, tmp_path) as process:
            half_sent = await before.holds()
            await kill_all(process)
        torn = torn_by(half_sent, made(server, stamp))
        assert (torn["status"], torn["artifacts"]["nodes"][0]["fileCount"]) == ("PENDING", 0)
        await trained(before.address, stamp, other)

    experiments = made(server, stamp)
    assert outcome(experiments) == unbroken
    resumed = [leg["checkpoint"] for each in experiments for leg in each["legs"] if leg["fromStep"]]
    assert {checkpoint["status"] for checkpoint in resumed} <= {"READY"}
    assert (torn["id"] in {checkpoint["id"] for checkpoint in resumed}) is is_disk_kept
    [left] = [made for each in experiments for made in each["checkpoints"]["nodes"] if made["id"] == torn["id"]]
    assert left["status"] == ("READY" if is_disk_kept else "PENDING")
    assert any(each["legs"] for each in experiments)


def torn_by(half_sent: bytes, experiments: list[dict[str, Any]]) -> dict[str, Any]:
    """The checkpoint whose file was half sent."""
    upload = half_sent.split()[1].split(b"/")[-3].decode()
    [torn] = [
        checkpoint
        for each in experiments
        for checkpoint in each["checkpoints"]["nodes"]
        if upload
        in {under_way["id"] for artifact in checkpoint["artifacts"]["nodes"] for under_way in artifact["uploads"]}
    ]
    found: dict[str, Any] = torn
    return found
