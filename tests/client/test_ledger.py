"""What a training has said longer than a fifth of a second ago is stored, once and in order, whoever is killed when."""

from __future__ import annotations

import random
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from modelbox.sender.sync import sync
from tests.acceptance.server import Server
from tests.client import mean_proxy
from tests.client.mean_proxy import MeanProxy
from tests.client.training import begun, columns_of, run_of

QUEUES = Path(".modelbox/queue")
TRAINING = """
import itertools, sys, time
from pathlib import Path
run = mb.init(quiet=True)
print(run.id, flush=True)
for step in itertools.count():
    run.log({"x": step * 0.5, "y": -step * 1.0}, step=step)
    if step % 400 == 399:
        Path(f"c-{run.id}").write_bytes(b"%d" % step)
        run.checkpoint(f"c-{run.id}", step=step)
        print("saved", step, flush=True)
    print(step, time.monotonic(), flush=True)
    time.sleep(0.001)
"""


@dataclass
class Trial:
    """A server behind a proxy, trainings, and the ledger of what they said."""

    folder: Path
    proxy: MeanProxy
    server: Server
    port: int
    said: dict[str, list[int]] = field(default_factory=dict)
    saved: dict[str, list[int]] = field(default_factory=dict)

    def kill_server(self) -> None:
        """kill -9, and another one in its place."""
        self.server.process.send_signal(signal.SIGKILL)
        self.server.process.wait()
        self.server.discard()
        self.server = started(self.folder, self.port)

    def train(self, seconds: float) -> None:
        """Train for so long, and kill -9."""
        process = begun(TRAINING, self.proxy.address)
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        time.sleep(seconds)
        process.kill()
        lines = [line.split() for line in process.stdout.read().split("\n")[:-1]]
        process.communicate()
        self.saved[run_id] = [int(line[1]) for line in lines if line[0] == "saved"]
        steps = [(int(line[0]), float(line[1])) for line in lines if line[0] != "saved" and len(line) == 2]
        self.said[run_id] = [step for step, moment in steps if moment < steps[-1][1] - 0.2]

    def settle(self) -> None:
        """Let everything arrive."""
        self.proxy.rate, self.proxy.is_cut = 0.0, False
        limit = time.monotonic() + 120
        while any(synced.state not in ("sent", "partly") for synced in sync(QUEUES)):
            assert time.monotonic() < limit
            time.sleep(1)

    def check(self) -> None:
        """Hold what is stored against the ledger."""
        for run_id, said in self.said.items():
            columns = columns_of(self.server, run_id, "x", "y")
            steps = columns["x"]["steps"]
            assert steps == list(range(len(steps))), f"{run_id} has gaps, or points twice"
            assert len(steps) >= len(said)
            assert columns["x"]["values"] == [step * 0.5 for step in steps]
            assert columns["y"]["values"] == [-step * 1.0 for step in columns["y"]["steps"]]
            found = [each["step"] for each in run_of(self.server, run_id)["checkpoints"]["nodes"]]
            assert sorted(found)[: len(self.saved[run_id])] == self.saved[run_id]
            assert len(set(found)) == len(found)


def started(folder: Path, port: int) -> Server:
    server = Server(folder / "data", "--port", str(port))
    server.ready()
    return server


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = started(tmp_path, port)
    with mean_proxy.running((str(urlsplit(server.address).hostname), port)) as proxy:
        trial = Trial(tmp_path, proxy, server, port)
        try:
            yield trial
        finally:
            trial.server.discard()


def test_kills_of_both_sides_and_a_mean_network(trial: Trial) -> None:
    trial.proxy.rate = 0.3
    trial.train(2)
    trial.kill_server()
    trial.train(2)
    trial.proxy.is_cut = True
    trial.train(1)
    trial.settle()
    trial.check()
    assert sum(map(len, trial.said.values())) > 100
    assert trial.proxy.counts


@pytest.mark.chaos
def test_the_same_for_long(trial: Trial) -> None:
    """50 kills of trainings, 50 of the server, cuts of 30 s and of 10 min."""
    chance = random.Random(7)
    trial.proxy.rate = 0.2
    for _ in range(50):
        trial.train(chance.uniform(0.5, 4))
        trial.kill_server()
    for seconds in (30, 600):
        trial.proxy.is_cut = True
        trial.train(seconds)
        trial.proxy.is_cut = False
    trial.settle()
    trial.check()
    print(  # noqa: T201 - figures for people
        sum(map(len, trial.said.values())), "points by", len(trial.said), "trainings;", trial.proxy.counts
    )
