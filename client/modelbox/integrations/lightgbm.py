"""LightGBM: the evaluation of each round, the parameters, and the model as checkpoints.

from modelbox.integrations.lightgbm import ModelBoxCallback

with ModelBoxCallback(name="boosted", checkpoint_every=50) as callback:
    lightgbm.train(chosen, data, valid_sets=[held_out], callbacks=[callback])
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from modelbox.integrations.held import Held, missing
from modelbox.run import Run

try:
    from lightgbm import Booster
    from lightgbm.callback import CallbackEnv
except ImportError as error:
    raise missing("lightgbm", error) from error


class ModelBoxCallback(Held):
    """Logs each round with the round's number as step. For `train`, `cv` and the scikit-learn estimators.

    With `checkpoint_every`, the model is saved after so many rounds, and in the last.
    """

    def __init__(self, *, run: Run | None = None, checkpoint_every: int | None = None, **settings: Any) -> None:
        super().__init__("lightgbm", run, {"framework": "LIGHTGBM", **settings})
        self._every = checkpoint_every
        self._is_told = False
        self.order = 25
        """After LightGBM's own that record, and before the one that stops early: that ends a round by an exception."""

    def __call__(self, env: CallbackEnv) -> None:
        """A round is over."""
        if not self._is_told:
            self._is_told = True
            self._begun({**env.params, "num_boost_round": env.end_iteration - env.begin_iteration})
        row = {}
        for data, metric, value, _, *deviation in env.evaluation_result_list or ():
            row[f"{data}/{metric}"] = float(value)
            if deviation and deviation[0] is not None:
                row[f"{data}/{metric}/std"] = float(deviation[0])
        self.run.log(row, step=env.iteration)
        is_last = env.iteration + 1 == env.end_iteration
        if self._every and (is_last or (env.iteration + 1) % self._every == 0):
            self._save(env.model, env.iteration, row)

    def _save(self, model: Any, step: int, row: dict[str, float]) -> None:
        if not isinstance(model, Booster):
            return
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder, "model.txt")
            model.save_model(place)
            self.run.checkpoint(place, step=step, metrics=row)
