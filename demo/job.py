"""One training job, reported while it runs: hyperparameters, datasets, metrics, spans, and checkpoints.

Killed at any moment and run again, it goes on from its latest checkpoint, and ends with the same network.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import modelbox as mb
from demo import digits, state
from demo.digits import Training

EPOCHS: Final = 30
CHECKPOINT_EVERY: Final = 10
"""Epochs."""

PATIENCE: Final = 120.0
"""Seconds that a checkpoint, and the end, may take to arrive."""


class Stopped(KeyboardInterrupt):
    """Somebody wants the jobs to end."""


class NotSent(Exception):
    """The server does not have all; the queue does."""


@dataclass(frozen=True)
class Plan:
    """What all jobs share. `seconds` is how long the training of one should take, so that it can be watched."""

    namespace: str
    data: dict[str, digits.Split]
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


def run(plan: Plan, name: str, hyperparameters: Mapping[str, Any]) -> None:
    """Train one network, or go on with it, and report everything as it happens. Raises Stopped and NotSent."""
    with mb.init(
        plan.namespace, name, hyperparameters, run_id=name, group="hidden layers", framework="SKLEARN",
        labels=["demo"], stall_after=120, quiet=True,
    ) as job:  # fmt: skip
        for role in ("train", "validation"):
            split = plan.data[role]
            job.use_dataset(f"digits-{role}", role, digest=split.digest, schema=digits.SCHEMA, profile=split.profile)
        training, first = _begun(job, name, plan, hyperparameters)
        if training.epoch < EPOCHS:
            with job.span("training", epochs=EPOCHS):
                _train(job, name, plan, training, first)
        _sent(job.finish(timeout=PATIENCE))


def _begun(job: mb.Run, name: str, plan: Plan, hyperparameters: Mapping[str, Any]) -> tuple[Training, int]:
    """The training as its latest checkpoint has it, and the step; from the begin, when there is none."""
    found = job.resume()
    if found is None or found.step is None:
        return Training.begun(hyperparameters), 0
    print(f"  {name}  goes on from step {found.step}", flush=True)
    return state.restored(hyperparameters, plan.data["train"], found.folder), found.step


def _train(job: mb.Run, name: str, plan: Plan, training: Training, first: int) -> None:
    began = time.monotonic()
    for step, metrics in enumerate(training.steps(plan.data, EPOCHS), first + 1):
        plan.paced(step - first, began)
        job.log(metrics, step)
        if "validation/accuracy" in metrics and training.epoch % CHECKPOINT_EVERY == 0:
            accuracy = metrics["validation/accuracy"]
            loss = f"loss {metrics['train/loss']:.3f}  accuracy {accuracy:.3f}"
            print(f"  {name}  epoch {training.epoch}  {loss}", flush=True)
            _checkpoint(job, training, step, accuracy)


def _checkpoint(job: mb.Run, training: Training, step: int, accuracy: float) -> None:
    """Save what the training goes on from, and wait until the server has it.

    Most trainings need not wait: what is saved is not lost. This one is so short that nothing would be left to kill.
    """
    epoch, metrics = training.epoch, {"validation/accuracy": accuracy}
    with job.span("checkpoint_write", step=step), TemporaryDirectory() as folder:
        state.save(training, Path(folder))
        job.checkpoint(folder, step, epoch=epoch, name=f"epoch {epoch}", metrics=metrics)
        _sent(job.wait(PATIENCE))


def _sent(is_sent: bool) -> None:
    if not is_sent:
        raise NotSent("The server did not take all; what is left waits in the queue, and `modelbox sync` sends it.")
