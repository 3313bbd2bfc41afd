"""One training job, reported while it runs: experiment, metrics, events, and checkpoints with their files.

Killed at any moment and run again, it goes on from its latest checkpoint, and ends with the same network.
"""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sklearn

from demo import digits, files, mutations, state
from demo.connection import Connection
from demo.digits import Training
from demo.writer import MetricWriter

EPOCHS: Final = 30
CHECKPOINT_EVERY: Final = 10
"""Epochs."""

RESUME: Final = """
query ($id: ID!) {
  node(id: $id) {
    ... on Experiment { resumeState { step checkpoint { id } files { path digest downloadUrl } } }
  }
}
"""


class Stopped(Exception):
    """Somebody wants the jobs to end."""


@dataclass(frozen=True)
class Plan:
    """What all jobs share. `seconds` is how long the training of one should take, so that it can be watched."""

    namespace: str
    data: dict[str, digits.Split]
    datasets: dict[str, str]
    seconds: float
    stop: threading.Event

    @property
    def steps_per_epoch(self) -> int:
        """How many batches a pass over the training data has."""
        return len(self.data["train"].digits) // digits.BATCH_SIZE

    def paced(self, steps: int, began: float) -> None:
        """Wait until so many steps are due. Raises Stopped."""
        due = began + self.seconds * steps / (EPOCHS * self.steps_per_epoch)
        if self.stop.wait(max(0.0, due - time.monotonic())):
            raise Stopped


def now() -> str:
    """The moment in RFC 3339."""
    return datetime.now(UTC).isoformat()


@dataclass(frozen=True)
class Job:
    """One experiment on its way."""

    server: Connection
    experiment: str
    name: str

    @contextmanager
    def span(self, name: str, **metadata: Any) -> Iterator[None]:
        """Report how long a piece of work took."""
        began = now()
        yield
        event = {"objectId": self.experiment, "name": name, "source": "trainer", "at": began, "endedAt": now()}
        self.server.change(mutations.LOG_EVENTS, {"events": [{**event, "metadata": metadata}]})

    def checkpoint(self, training: Training, step: int, accuracy: float) -> None:
        """Store what the training can go on from. Until it is committed, nobody takes it for one."""
        about = {"experimentId": self.experiment, "step": step, "epoch": float(training.epoch)}
        wanted = {**about, "name": f"epoch {training.epoch}", "expectedShards": 1}
        id_: str = self.server.change(mutations.CREATE_CHECKPOINT, wanted)["checkpoint"]["id"]
        point = {"key": "validation/accuracy", "value": accuracy, "step": step, "wallTime": now()}
        self.server.change(mutations.LOG_METRICS, {"objectId": id_, "points": [point]})
        with self.span("checkpoint_write", step=step):
            files.upload(self.server, id_, "state", state.saved(training), kind="CHECKPOINT", shard=0)
            self.server.change(mutations.COMMIT_CHECKPOINT, {"id": id_})

    def resumed(self, plan: Plan, hyperparameters: dict[str, Any]) -> tuple[Training, int]:
        """The training as its latest checkpoint has it, and the step; from the begin, when there is none."""
        found = self.server.look(RESUME, id=self.experiment)["node"]["resumeState"]
        if found is None:
            self.server.change(mutations.RESUME_EXPERIMENT, {"id": self.experiment, "step": 0})
            return Training.begun(hyperparameters), 0
        self.server.change(
            mutations.RESUME_EXPERIMENT, {"id": self.experiment, "checkpointId": found["checkpoint"]["id"]}
        )
        content = {file["path"]: files.download(self.server, file) for file in found["files"]}
        print(f"  {self.name}  goes on from step {found['step']}", flush=True)
        return state.restored(hyperparameters, plan.data["train"], content), found["step"]


def run(server: Connection, plan: Plan, name: str, hyperparameters: dict[str, Any]) -> None:
    """Train one network, or go on with it, and report everything as it happens. Raises Stopped."""
    wanted = {
        "namespace": plan.namespace,
        "name": name,
        "group": "hidden layers",
        "framework": "SKLEARN",
        "hyperparameters": hyperparameters,
        "environment": {"python": platform.python_version(), "scikit-learn": sklearn.__version__},
        "labels": ["demo"],
        "stallAfterSeconds": 120,
    }
    made = server.change(mutations.CREATE_EXPERIMENT, wanted)
    experiment, status = made["experiment"]["id"], made["experiment"]["status"]
    if status == "COMPLETED":
        return
    for role in ("train", "validation"):
        use = {"objectId": experiment, "datasetId": plan.datasets[role], "role": role}
        server.change(mutations.USE_DATASET, use)
    job = Job(server, experiment, name)
    training, step = (Training.begun(hyperparameters), 0) if made["created"] else job.resumed(plan, hyperparameters)
    status = "FAILED"
    try:
        with job.span("training", epochs=EPOCHS):
            _train(job, plan, training, step)
        status = "COMPLETED"
    except Stopped:
        status = "KILLED"
        raise
    finally:
        server.change(mutations.FINISH_EXPERIMENT, {"id": experiment, "status": status})


def _train(job: Job, plan: Plan, training: Training, first: int) -> None:
    # A name for each process that writes: its calls are counted from the begin.
    writer = MetricWriter(job.server, job.experiment, f"trainer from step {first} at {now()}")
    began = time.monotonic()
    for step, metrics in enumerate(training.steps(plan.data, EPOCHS), first + 1):
        plan.paced(step - first, began)
        writer.add(step, metrics)
        if "validation/accuracy" in metrics and training.epoch % CHECKPOINT_EVERY == 0:
            writer.flush()
            accuracy = metrics["validation/accuracy"]
            loss = f"loss {metrics['train/loss']:.3f}  accuracy {accuracy:.3f}"
            print(f"  {job.name}  epoch {training.epoch}  {loss}", flush=True)
            job.checkpoint(training, step, accuracy)
