"""One training job, reported while it runs: experiment, metrics, events, checkpoints and their files."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sklearn
from sklearn.neural_network import MLPClassifier

from demo import digits, mutations
from demo.connection import Connection
from demo.writer import MetricWriter

EPOCHS = 30
CHECKPOINT_EVERY = 10
"""Epochs."""


class Stopped(Exception):
    """Somebody wants the jobs to end."""


@dataclass(frozen=True)
class Plan:
    """What all jobs share. `seconds` is how long the training of one should take, so that it can be watched."""

    namespace: str
    data: dict[str, digits.Split]
    datasets: dict[str, str]
    folder: Path
    seconds: float
    stop: threading.Event

    @property
    def steps_per_epoch(self) -> int:
        """How many batches a pass over the training data has."""
        return len(self.data["train"].digits) // digits.BATCH_SIZE

    def paced(self, step: int, began: float) -> None:
        """Wait until a step is due. Raises Stopped."""
        due = began + self.seconds * step / (EPOCHS * self.steps_per_epoch)
        if self.stop.wait(max(0.0, due - time.monotonic())):
            raise Stopped


@dataclass(frozen=True)
class Finished:
    """A finished job: its best checkpoint is what is worth registering."""

    setting: str
    experiment: str
    checkpoint: str
    model: MLPClassifier
    weights: dict[str, Any]
    accuracy: float


def now() -> str:
    """The moment in RFC 3339."""
    return datetime.now(UTC).isoformat()


@dataclass(frozen=True)
class Job:
    """One experiment on its way."""

    server: Connection
    experiment: str
    setting: str
    name: str
    folder: Path

    @contextmanager
    def span(self, name: str, **metadata: Any) -> Iterator[None]:
        """Report how long a piece of work took."""
        began = now()
        yield
        event = {"objectId": self.experiment, "name": name, "source": "trainer", "at": began, "endedAt": now()}
        self.server.change(mutations.LOG_EVENTS, {"events": [{**event, "metadata": metadata}]})

    def checkpoint(self, model: MLPClassifier, epoch: int, step: int, accuracy: float) -> Finished:
        """Save the weights, and report the checkpoint, its metric and where its file lies."""
        with self.span("checkpoint_write", step=step):
            file = digits.save(model, self.folder / self.name / f"step-{step:04}.npz")
        wanted = {"experimentId": self.experiment, "step": step, "epoch": float(epoch), "name": f"epoch {epoch}"}
        id_: str = self.server.change(mutations.CREATE_CHECKPOINT, wanted)["checkpoint"]["id"]
        point = {"key": "validation/accuracy", "value": accuracy, "step": step, "wallTime": now()}
        self.server.change(mutations.LOG_METRICS, {"objectId": id_, "points": [point]})
        track(self.server, id_, "weights", "CHECKPOINT", file)
        return Finished(self.setting, self.experiment, id_, deepcopy(model), file, accuracy)


def track(server: Connection, object_id: str, name: str, kind: str, file: dict[str, Any]) -> None:
    """Report a file where it lies."""
    artifact = {"name": name, "kind": kind, "files": [file]}
    server.change(mutations.TRACK_ARTIFACTS, {"objectId": object_id, "artifacts": [artifact]})


def run(server: Connection, plan: Plan, setting: str, name: str, hyperparameters: dict[str, Any]) -> Finished:
    """Train one network and report everything as it happens. Raises Stopped."""
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
    experiment = server.change(mutations.CREATE_EXPERIMENT, wanted)["experiment"]["id"]
    for role in ("train", "validation"):
        use = {"objectId": experiment, "datasetId": plan.datasets[role], "role": role}
        server.change(mutations.USE_DATASET, use)
    job = Job(server, experiment, setting, name, plan.folder)
    status = "FAILED"
    try:
        with job.span("training", epochs=EPOCHS):
            best = _train(job, plan, hyperparameters)
        status = "COMPLETED"
    except Stopped:
        status = "KILLED"
        raise
    finally:
        server.change(mutations.FINISH_EXPERIMENT, {"id": experiment, "status": status})
    return best


def _train(job: Job, plan: Plan, hyperparameters: dict[str, Any]) -> Finished:
    model = digits.network(hyperparameters)
    writer = MetricWriter(job.server, job.experiment, "trainer")
    saved: list[Finished] = []
    began = time.monotonic()
    for step, metrics in enumerate(digits.training(model, plan.data, hyperparameters, EPOCHS), 1):
        plan.paced(step, began)
        writer.add(step, metrics)
        epoch, rest = divmod(step, plan.steps_per_epoch)
        if rest == 0 and epoch % CHECKPOINT_EVERY == 0:
            writer.flush()
            accuracy = metrics["validation/accuracy"]
            print(f"  {job.name}  epoch {epoch}  loss {metrics['train/loss']:.3f}  accuracy {accuracy:.3f}")
            saved.append(job.checkpoint(model, epoch, step, accuracy))
    return max(saved, key=lambda each: each.accuracy)
