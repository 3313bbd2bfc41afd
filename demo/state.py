"""What a training goes on from, as files: plain arrays, which run nothing when they are read.

A checkpoint has two files. `weights.npz` is what reads digits; `optimizer.npz` is what only more training needs: how
the optimizer moves, and where the random order of the examples stands. Both together make the rest of a training come
out the same, bit for bit.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier

from demo import digits

WEIGHTS, OPTIMIZER = "weights.npz", "optimizer.npz"

Arrays = dict[str, NDArray[Any]]


def saved(training: digits.Training) -> dict[str, bytes]:
    """The files of a checkpoint, by name."""
    order = np.array(json.dumps(training.order.bit_generator.state))
    moves = {**_moves(training.model), "epoch": np.array(training.epoch), "order": order}
    return {WEIGHTS: _packed(_weights(training.model)), OPTIMIZER: _packed(moves)}


def save(training: digits.Training, folder: Path) -> None:
    """Write the files of a checkpoint."""
    for name, content in saved(training).items():
        (folder / name).write_bytes(content)


def restored(hyperparameters: Mapping[str, Any], data: digits.Split, folder: Path) -> digits.Training:
    """A training as it was when the files of this folder were saved."""
    training = digits.Training.begun(hyperparameters)
    training.model = reader(hyperparameters, data, (folder / WEIGHTS).read_bytes())
    moves = _unpacked((folder / OPTIMIZER).read_bytes())
    training.epoch = int(moves.pop("epoch"))
    training.order.bit_generator.state = json.loads(str(moves.pop("order")))
    _put(_moves(training.model), moves)
    optimizer = vars(_optimizer(training.model))
    optimizer.update({name: value.item() for name, value in moves.items() if value.ndim == 0})
    return training


def reader(hyperparameters: Mapping[str, Any], data: digits.Split, weights: bytes) -> MLPClassifier:
    """A network with these weights. Of the data it learns only what shape a batch has."""
    model = digits.network(hyperparameters)
    digits.step(model, data, np.arange(digits.BATCH_SIZE))  # Makes the arrays; what is in them is written over.
    _put(_weights(model), _unpacked(weights))
    return model


def _weights(model: MLPClassifier) -> Arrays:
    layers = zip(model.coefs_, model.intercepts_, strict=True)
    return {f"{name}{n}": array for n, pair in enumerate(layers) for name, array in zip("wb", pair, strict=True)}


def _moves(model: MLPClassifier) -> Arrays:
    """What the optimizer keeps from step to step: its moments by layer, its count of steps, its rate."""
    kept = vars(_optimizer(model))
    moments = {
        f"{name}{n}": array for name, kind in kept.items() if isinstance(kind, list) for n, array in enumerate(kind)
    }
    return moments | {name: np.array(kept[name]) for name in ("t", "learning_rate") if name in kept}


def _optimizer(model: MLPClassifier) -> Any:
    """Scikit-learn has no public name for it, and no other way to go on exactly."""
    return model._optimizer


def _put(into: Arrays, arrays: Arrays) -> None:
    """Write over arrays where they lie, so that the model sees it. Raises ValueError when the shapes are others."""
    if into.keys() != arrays.keys():
        raise ValueError(f"The file has {sorted(arrays)}, and not {sorted(into)}.")
    for name, array in into.items():
        array[...] = arrays[name]


def _packed(arrays: Arrays) -> bytes:
    """The same arrays make the same bytes: an archive of NumPy's has no dates."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _unpacked(content: bytes) -> Arrays:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return dict(archive)
