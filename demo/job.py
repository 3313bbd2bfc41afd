"""One training job, reported while it runs: experiment, metrics, events, checkpoints and their files."""

from __future__ import annotations

import platform
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

EPOCHS = 15
CHECKPOINT_EVERY = 5


@dataclass(frozen=True)
class Finished:
    """A finished job: its best checkpoint is what is worth registering."""

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
    name: str
    folder: Path

    def log(self, object_id: str, metrics: dict[str, float], step: int) -> None:
        """Report metrics. The key makes a retry safe: the same epoch is never stored twice."""
        points = [{"key": key, "value": value, "step": step, "wallTime": now()} for key, value in metrics.items()]
        key = f"{object_id}/{step}"
        self.server.change(
            mutations.LOG_METRICS, input={"objectId": object_id, "points": points, "idempotencyKey": key}
        )

    @contextmanager
    def span(self, name: str, **metadata: Any) -> Iterator[None]:
        """Report how long a piece of work took."""
        began = now()
        yield
        event = {"objectId": self.experiment, "name": name, "source": "trainer", "at": began, "endedAt": now()}
        self.server.change(mutations.LOG_EVENTS, input={"events": [{**event, "metadata": metadata}]})

    def checkpoint(self, model: MLPClassifier, step: int, metrics: dict[str, float]) -> tuple[str, dict[str, Any]]:
        """Save the weights, and report the checkpoint, its metrics and where its file lies."""
        with self.span("checkpoint_write", step=step):
            file = digits.save(model, self.folder / self.name / f"step-{step:04}.npz")
        wanted = {"experimentId": self.experiment, "step": step, "epoch": float(step), "name": f"epoch {step}"}
        id_: str = self.server.change(mutations.CREATE_CHECKPOINT, input=wanted)["checkpoint"]["id"]
        self.log(id_, {"validation/accuracy": metrics["validation/accuracy"]}, step)
        track(self.server, id_, "weights", "CHECKPOINT", file)
        return id_, file


def track(server: Connection, object_id: str, name: str, kind: str, file: dict[str, Any]) -> None:
    """Report a file where it lies."""
    artifact = {"name": name, "kind": kind, "files": [file]}
    server.change(mutations.TRACK_ARTIFACTS, input={"objectId": object_id, "artifacts": [artifact]})


def run(
    server: Connection,
    name: str,
    *,
    namespace: str,
    hyperparameters: dict[str, Any],
    data: dict[str, digits.Split],
    datasets: dict[str, str],
    folder: Path,
) -> Finished:
    """Train one network and report everything as it happens."""
    experiment = server.change(
        mutations.CREATE_EXPERIMENT,
        input={
            "namespace": namespace,
            "name": name,
            "group": "hidden layers",
            "framework": "SKLEARN",
            "hyperparameters": hyperparameters,
            "environment": {"python": platform.python_version(), "scikit-learn": sklearn.__version__},
            "labels": ["demo"],
            "stallAfterSeconds": 120,
        },
    )["experiment"]["id"]
    job = Job(server, experiment, name, folder)
    for role in ("train", "validation"):
        server.change(mutations.USE_DATASET, input={"objectId": experiment, "datasetId": datasets[role], "role": role})
    with job.span("training", epochs=EPOCHS):
        finished = _train(job, hyperparameters, data)
    server.change(mutations.FINISH_EXPERIMENT, input={"id": experiment, "status": "COMPLETED"})
    return finished


def _train(job: Job, hyperparameters: dict[str, Any], data: dict[str, digits.Split]) -> Finished:
    model = digits.network(hyperparameters)
    saved: list[Finished] = []
    began = time.monotonic()
    for step, metrics in enumerate(digits.epochs(model, data, EPOCHS), 1):
        job.log(job.experiment, {**metrics, "time/elapsed": time.monotonic() - began}, step)
        print(
            f"  {job.name}  epoch {step:2}  loss {metrics['train/loss']:.3f}  "
            f"accuracy {metrics['validation/accuracy']:.3f}"
        )
        if step % CHECKPOINT_EVERY == 0:
            id_, file = job.checkpoint(model, step, metrics)
            saved.append(Finished(job.experiment, id_, deepcopy(model), file, metrics["validation/accuracy"]))
    return max(saved, key=lambda each: each.accuracy)
