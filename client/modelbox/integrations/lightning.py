"""PyTorch Lightning: a logger with hyperparameters, metrics, and the checkpoints that `ModelCheckpoint` saves.

from modelbox.integrations.lightning import ModelBoxLogger

logger = ModelBoxLogger(name="digits")
Trainer(logger=logger).fit(model, data)
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from modelbox import configuration, ranks
from modelbox.integrations.held import Held, missing, numbers, under_way
from modelbox.run import Run, outcome_of

try:
    from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
    from lightning.pytorch.utilities.rank_zero import rank_zero_only
except ImportError as error:
    raise missing("lightning", error) from error


class ModelBoxLogger(Held, Logger):  # type: ignore[misc] # untyped where lightning is not installed
    """Rank 0 logs. The run ends with the script or the `with` block, and not with `fit`: `test` may follow.

    To go on, `logger.run.resume()` before `fit`, and give its `path` as `ckpt_path`.
    """

    def __init__(self, *, run: Run | None = None, checkpoints: bool = True, prefix: str = "", **settings: Any) -> None:
        Logger.__init__(self)
        planned = configuration.load(run_id=settings.get("run_id")).run_id or ranks.job() or uuid4().hex
        super().__init__("lightning", run, {"framework": "PYTORCH", **settings, "run_id": planned})
        self._planned = planned
        self._keeps = checkpoints
        self._prefix = prefix

    @property
    def name(self) -> str:
        """Where Lightning puts checkpoints below its own folder."""
        return "modelbox"

    @property
    def version(self) -> str:
        """The run's id, also before it begins."""
        run = self._held_run or under_way()
        return self._planned if run is None else run.id

    @property
    @rank_zero_experiment  # type: ignore[untyped-decorator]
    def experiment(self) -> Any:
        """The run. Lightning asks for it before it tells hyperparameters, so it begins when it is used."""
        return _Late(self)

    @rank_zero_only  # type: ignore[untyped-decorator]
    def log_hyperparams(self, params: Mapping[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Begin the run with them."""
        self._begun(vars(params) if isinstance(params, Namespace) else params)

    @rank_zero_only  # type: ignore[untyped-decorator]
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log them with Lightning's step."""
        self.run.log({f"{self._prefix}{key}": value for key, value in metrics.items()}, step=step)

    @rank_zero_only  # type: ignore[untyped-decorator]
    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Keep what was just saved, with the metric that is watched."""
        saved = getattr(checkpoint_callback, "_last_checkpoint_saved", "") or checkpoint_callback.last_model_path
        if not self._keeps or not saved:
            return
        watched = {checkpoint_callback.monitor: checkpoint_callback.current_score}
        metrics = numbers({key: value for key, value in watched.items() if key is not None and value is not None})
        step = getattr(checkpoint_callback, "_last_global_step_saved", None)
        self.run.checkpoint(saved, step=step, metrics=metrics)

    @rank_zero_only  # type: ignore[untyped-decorator]
    def save(self) -> None:
        """Put everything into the queue's file."""
        self.run.flush()

    @rank_zero_only  # type: ignore[untyped-decorator]
    def finalize(self, status: str) -> None:
        """End the run when the training failed; when not, more may come."""
        if status == "failed":
            self.finish(outcome_of(sys.exc_info()[1]) if sys.exc_info()[1] else "FAILED")
        elif self._held_run is not None:
            self._held_run.flush()


class _Late:
    """A run that begins when something of it is used."""

    def __init__(self, logger: ModelBoxLogger) -> None:
        self._logger = logger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger.run, name)
