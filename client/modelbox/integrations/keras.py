"""Keras 3, on any backend: a callback with the optimizer's settings, epochs, batches on request, and checkpoints.

from modelbox.integrations.keras import ModelBoxCallback

model.fit(x, y, validation_split=0.2, callbacks=[ModelBoxCallback(name="keras", checkpoint="model.keras")])
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelbox.integrations.held import Held, missing, numbers
from modelbox.run import Run

try:
    from keras.callbacks import Callback
except ImportError as error:
    raise missing("keras", error) from error


class ModelBoxCallback(Held, Callback):  # type: ignore[misc] # untyped where keras is not installed
    """Every step is the optimizer's, which goes on when a saved model is trained further.

    `batch_every` logs each so-many-th batch, too. `checkpoint` is a path ending in `.keras`, where the whole model is
    saved after every epoch; to go on, load the `path` of `callback.run.resume()`, and give its `epoch` as
    `initial_epoch`.
    """

    def __init__(
        self, *, run: Run | None = None, batch_every: int | None = None, checkpoint: str | Path | None = None,
        **settings: Any,
    ) -> None:  # fmt: skip
        Callback.__init__(self)
        super().__init__("keras", run, {"framework": "KERAS", **settings})
        self._batch_every = batch_every
        self._place = None if checkpoint is None else Path(checkpoint)
        self._is_fitting = False

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Begin the run."""
        del logs
        self._is_fitting = True
        optimizer = getattr(self.model, "optimizer", None)
        about = {"optimizer": optimizer.get_config()} if optimizer is not None else {}
        self._begun(
            {**(self.params or {}), **about, "weights": self.model.count_params() if self.model.built else None}
        )

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Log the batch, if batches are asked for."""
        if self._batch_every and batch % self._batch_every == 0:
            self.run.log(numbers(logs or {}, "batch/"), step=self._step())

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Log the epoch: `train/loss`, `validation/loss`; and save the model, if asked to."""
        row = {_key(name): value for name, value in numbers(logs or {}).items()}
        self.run.log({**row, "epoch": float(epoch + 1)}, step=self._step())
        if self._place is not None:
            self.model.save(self._place)
            self.run.checkpoint(self._place, step=self._step(), epoch=epoch + 1, metrics=row)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Evaluations that come now are tests."""
        del logs
        self._is_fitting = False
        self.run.flush()

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Log an evaluation of its own; that of an epoch comes with the epoch."""
        if not self._is_fitting:
            self.run.log(numbers(logs or {}, "test/"), step=self._step())

    def _step(self) -> int | None:
        optimizer = getattr(self.model, "optimizer", None)
        return None if optimizer is None else int(optimizer.iterations)


def _key(name: str) -> str:
    return f"validation/{name[4:]}" if name.startswith("val_") else f"train/{name}"
