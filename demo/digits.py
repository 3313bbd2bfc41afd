"""Handwritten digits, and networks that learn to read them: 1 797 images of 8 × 8 that ship with scikit-learn."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
CLASSES = np.arange(10)
BATCH_SIZE = 64
SCHEMA = {"columns": {"image": "64 × float64 in 0–1", "digit": "int64 in 0–9"}}


@dataclass(frozen=True)
class Split:
    """Images as rows of 64 values in 0–1, and the digit that each shows."""

    images: Floats
    digits: Labels

    @property
    def digest(self) -> str:
        """SHA-256 of the data in memory, as `sha256:…`."""
        return "sha256:" + hashlib.sha256(self.images.tobytes() + self.digits.tobytes()).hexdigest()

    @property
    def profile(self) -> dict[str, Any]:
        """How many examples it has, of each digit too."""
        counts = np.bincount(self.digits, minlength=10)
        return {"rows": len(self.digits), "perDigit": {str(digit): int(counts[digit]) for digit in CLASSES}}


def splits() -> dict[str, Split]:
    """The data in three parts: `train` 60 %, `validation` and `test` 20 % each; the same every time."""
    images, digits = load_digits(return_X_y=True)
    images = np.ascontiguousarray(images / 16.0)
    rest, test, rest_digits, test_digits = train_test_split(
        images, digits, test_size=0.2, random_state=0, stratify=digits
    )
    train, validation, train_digits, validation_digits = train_test_split(
        rest, rest_digits, test_size=0.25, random_state=0, stratify=rest_digits
    )
    return {
        "train": Split(train, train_digits),
        "validation": Split(validation, validation_digits),
        "test": Split(test, test_digits),
    }


def network(hyperparameters: Mapping[str, Any]) -> MLPClassifier:
    """An untrained network."""
    optimizer = hyperparameters["optimizer"]
    return MLPClassifier(
        hidden_layer_sizes=tuple(hyperparameters["hidden"]),
        activation=hyperparameters["activation"],
        solver=optimizer["name"],
        learning_rate_init=optimizer["lr"],
        alpha=hyperparameters["weight_decay"],
        batch_size=hyperparameters["batch_size"],
        random_state=hyperparameters["seed"],
    )


@dataclass
class Training:
    """A network on its way: with the optimizer inside it, and where the random order of the examples stands."""

    model: MLPClassifier
    order: np.random.Generator
    epoch: int = 0

    @classmethod
    def begun(cls, hyperparameters: Mapping[str, Any]) -> Training:
        """One that has learned nothing yet."""
        return cls(network(hyperparameters), np.random.default_rng(hyperparameters["seed"]))

    def steps(self, data: dict[str, Split], epochs: int) -> Iterator[dict[str, float]]:
        """Train until so many passes are done; the metrics of each step, and after a pass those of all data."""
        train = data["train"]
        while self.epoch < epochs:
            *rest, last = batches(len(train.digits), self.order)
            for rows in rest:
                yield {"train/loss": step(self.model, train, rows)}
            loss = step(self.model, train, last)
            self.epoch += 1
            yield {"train/loss": loss, **judged(self.model, data)}


def batches(count: int, order: np.random.Generator) -> list[Labels]:
    """Rows in a random order, a batch at a time; this pass leaves out the few that fill no batch."""
    rows = order.permutation(count)
    return [rows[first : first + BATCH_SIZE] for first in range(0, count - BATCH_SIZE + 1, BATCH_SIZE)]


def step(model: MLPClassifier, train: Split, rows: Labels) -> float:
    """Learn from these examples; how wrong the network was about them."""
    model.partial_fit(train.images[rows], train.digits[rows], classes=CLASSES)
    return float(model.loss_)


def judged(model: MLPClassifier, data: dict[str, Split]) -> dict[str, float]:
    """How well it does on what it learns from, and on what it never saw."""
    train, validation = data["train"], data["validation"]
    return {
        "train/accuracy": float(model.score(train.images, train.digits)),
        "validation/loss": float(log_loss(validation.digits, model.predict_proba(validation.images), labels=CLASSES)),
        "validation/accuracy": float(model.score(validation.images, validation.digits)),
    }
