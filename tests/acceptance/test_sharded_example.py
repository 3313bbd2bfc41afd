"""PyTorch on four ranks, killed with −9 wherever it hurts: it goes on by itself, and ends with the same model.

`make test-integrations` names the Python that has torch; the example runs there, and the tests here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from tests.acceptance import gate
from tests.acceptance.server import Server, clean_environment, serving

pytestmark = [pytest.mark.acceptance, pytest.mark.integrations]
REPOSITORY = Path(__file__).parents[2]
PYTHON: Final = "MODELBOX_TORCH_PYTHON"
RANKS, STEPS = 4, 200
SAVED: Final = [40, 80, 120, 160, 200]
SENDS_BYTES, COMMITS = b"PUT /", b"commitCheckpoint"
PATIENCE: Final = 300.0
"""Seconds for a training: of four processes that import torch, on what may be one busy core."""

MADE = """
query ($name: String!) {
  experiments(namespace: "examples/sharded", filter: {name: {eq: $name}}) {
    nodes {
      status
      legs { fromStep checkpoint { id status shards { expected received } } }
      checkpoints { nodes { id step status shards { expected received missing }
        artifacts { nodes { shard status uploads { status } files { nodes { path digest } } } } } }
      metric(key: "loss") { columns { steps values } }
      resumeState { step checkpoint { id } files { path digest artifact { shard } } }
    }
  }
}
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """An empty one: what another has of the same bytes need not be sent again."""
    with serving(tmp_path) as server:
        yield server


class Training:
    """The example in a process group of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.printed = ""

    async def says(self, words: str) -> None:
        """Return when it printed these words."""
        assert self._process.stdout
        async with asyncio.timeout(PATIENCE):
            while words not in self.printed:
                line = await self._process.stdout.readline()
                assert line, self.printed
                self.printed += line.decode()

    async def kill(self) -> None:
        """Kill all ranks at once, what began them and what sends for them: as if the machine were switched off."""
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            family = psutil.Process(self._process.pid).children(recursive=True)
            os.killpg(self._process.pid, signal.SIGKILL)
            for each in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
        await self._process.wait()

    async def ended(self) -> str:
        """What it printed until it ended well."""
        assert self._process.stdout
        async with asyncio.timeout(PATIENCE):
            self.printed += (await self._process.stdout.read()).decode()
            assert await self._process.wait() == 0, self.printed
        return self.printed


@contextlib.asynccontextmanager
async def training(name: str, address: str, folder: Path) -> AsyncIterator[Training]:
    assert PYTHON in os.environ, f"{PYTHON} names a Python that has torch; `make test-integrations` sets it."
    environment = {**clean_environment(), "MODELBOX_SERVER": address, "PYTHONPATH": str(REPOSITORY)}
    process = await asyncio.create_subprocess_exec(
        *(os.environ[PYTHON], "-u", "-m", "examples.sharded", name),
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    running = Training(process)
    try:
        yield running
    finally:
        await running.kill()


async def trained(name: str, address: str, folder: Path) -> str:
    """What it prints from where it stands to its end."""
    async with training(name, address, folder) as running:
        return await running.ended()


def made(server: Server, name: str) -> dict[str, Any]:
    """What the server has of an experiment."""
    [found] = server.graphql(MADE, name=name)["experiments"]["nodes"]
    experiment: dict[str, Any] = found
    return experiment


def final_model(experiment: dict[str, Any]) -> dict[int, str]:
    """The digest of each shard of what the experiment ended with: parameters and optimizer, bit for bit."""
    assert experiment["status"] == "COMPLETED"
    state = experiment["resumeState"]
    assert state["step"] == STEPS
    return {file["artifact"]["shard"]: file["digest"] for file in state["files"]}


@pytest.fixture(scope="module")
async def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """The digest of the model that a run ends with that nobody kills, and all that the server has of it."""
    folder = tmp_path_factory.mktemp("unbroken")
    with serving(folder) as server:
        printed = await trained("unbroken", server.address, folder)
        return digest_in(printed), made(server, "unbroken")


def digest_in(printed: str) -> str:
    [digest] = re.findall(r"^final model (sha256:[0-9a-f]{64})$", printed, re.MULTILINE)
    return str(digest)


def is_the_same(printed: str, experiment: dict[str, Any], unbroken: tuple[str, dict[str, Any]]) -> None:
    """It ended as the other did, its curve too, and resumed from nothing but whole checkpoints."""
    digest, other = unbroken
    assert digest_in(printed) == digest
    assert final_model(experiment) == final_model(other)
    assert experiment["metric"] == other["metric"]
    whole = {"status": "READY", "shards": {"expected": RANKS, "received": RANKS}}
    for leg in experiment["legs"]:
        if leg["fromStep"]:
            id_ = leg["checkpoint"]["id"]
            assert leg["checkpoint"] == {"id": id_, **whole}
            assert leg["fromStep"] in SAVED


def test_four_ranks_train_and_save_whole_checkpoints(unbroken: tuple[str, dict[str, Any]]) -> None:
    _, experiment = unbroken
    assert experiment["legs"] == []
    assert sorted(final_model(experiment)) == list(range(RANKS))
    columns = experiment["metric"]["columns"]
    assert columns["steps"] == list(range(1, STEPS + 1))
    assert columns["values"][-1] < columns["values"][0] / 2, "it learned nothing"
    checkpoints = experiment["checkpoints"]["nodes"]
    assert sorted(each["step"] for each in checkpoints) == SAVED
    for each in checkpoints:
        assert each["status"] == "READY"
        assert each["shards"] == {"expected": RANKS, "received": RANKS, "missing": []}
        shards = {artifact["shard"]: artifact["files"]["nodes"] for artifact in each["artifacts"]["nodes"]}
        assert {shard: [file["path"] for file in files] for shard, files in shards.items()} == {
            rank: [f"rank-{rank}.pt"] for rank in range(RANKS)
        }


async def test_killed_in_the_middle_it_goes_on(
    server: Server, unbroken: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    for words in ("saved step 40", "saved step 120"):
        async with training("killed", server.address, tmp_path) as running:
            await running.says(words)
            await running.kill()
        assert made(server, "killed")["status"] == "RUNNING"
    printed = await trained("killed", server.address, tmp_path)
    experiment = made(server, "killed")
    is_the_same(printed, experiment, unbroken)
    first, second = [leg["fromStep"] for leg in experiment["legs"]]
    assert 40 <= first < 120 <= second
    assert f"goes on from step {second}" in printed


def second_commits() -> gate.Chosen:
    """Each rank commits, when it has sent its own; that of the last one counts."""
    return gate.from_nth(RANKS + 1, COMMITS)


@dataclass(frozen=True)
class Moment:
    """When it is killed: while a request is half sent, and so many shards are there."""

    chosen: Callable[[], gate.Chosen]
    received: int
    last_whole: int
    is_disk_kept: bool = False


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(Moment(lambda: gate.nth(1, SENDS_BYTES), 3, last_whole=0), id="a shard of the first"),
        pytest.param(Moment(lambda: gate.nth(7, SENDS_BYTES), 3, last_whole=40), id="a shard of the second"),
        pytest.param(Moment(second_commits, 4, last_whole=40), id="the commits of the second"),
        pytest.param(
            Moment(lambda: gate.nth(7, SENDS_BYTES), 3, last_whole=40, is_disk_kept=True), id="and the disk is kept"
        ),
    ],
)
async def test_killed_while_a_checkpoint_is_saved_it_goes_on_from_the_last_whole_one(
    server: Server, unbroken: tuple[str, dict[str, Any]], tmp_path: Path, moment: Moment
) -> None:
    """On another disk, that is; on the same one what was saved is sent first, and is gone on from."""
    name = "torn"
    other = tmp_path if moment.is_disk_kept else tmp_path / "other"
    other.mkdir(exist_ok=True)
    async with gate.before(server.address, moment.chosen()) as before:
        async with training(name, before.address, tmp_path) as running:
            await before.holds()
            torn = await _with_shards(server, name, moment.received)
            await running.kill()
        assert torn["step"] == moment.last_whole + SAVED[0]
        state = made(server, name)["resumeState"]
        assert (state["step"] if state else 0) == moment.last_whole
        # What was held is no more: the second start is let through.
        printed = await trained(name, server.address, other)

    experiment = made(server, name)
    is_the_same(printed, experiment, unbroken)
    begun_at = torn["step"] if moment.is_disk_kept else moment.last_whole
    assert [leg["fromStep"] for leg in experiment["legs"]] == [begun_at]
    [left] = [each for each in experiment["checkpoints"]["nodes"] if each["id"] == torn["id"]]
    assert left["status"] == ("READY" if moment.is_disk_kept else "PENDING")
    assert left["shards"]["received"] == (RANKS if moment.is_disk_kept else moment.received)


async def _with_shards(server: Server, name: str, received: int) -> dict[str, Any]:
    """The checkpoint that is being saved, as soon as it has so many shards; what it still lacks is on its way."""
    async with asyncio.timeout(PATIENCE):
        while True:
            newest: dict[str, Any] = made(server, name)["checkpoints"]["nodes"][0]
            if newest["shards"]["received"] == received:
                break
            await asyncio.sleep(0.05)
    assert newest["status"] == "PENDING"
    under_way = [each for artifact in newest["artifacts"]["nodes"] for each in artifact["uploads"]]
    assert len(under_way) == RANKS - received
    return newest
