"""XGBoost: the evaluation of each round, the parameters, and the model as checkpoints.

from modelbox.integrations.xgboost import ModelBoxCallback

with ModelBoxCallback(name="boosted", checkpoint_every=50) as callback:
    xgboost.train(chosen, data, num_boost_round=200, evals=[(held_out, "validation")], callbacks=[callback])
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelbox.integrations.held import Held, missing, numbers
from modelbox.run import Run

try:
    from xgboost import Booster
    from xgboost.callback import TrainingCallback
except ImportError as error:
    raise missing("xgboost", error) from error


class ModelBoxCallback(Held, TrainingCallback):  # type: ignore[misc] # untyped where xgboost is not installed
    """Logs each round with the round's number as step. For `train`, `cv` and the scikit-learn estimators.

    With `checkpoint_every`, the model is saved after so many rounds, and at the end.
    """

    def __init__(self, *, run: Run | None = None, checkpoint_every: int | None = None, **settings: Any) -> None:
        super().__init__("xgboost", run, {"framework": "XGBOOST", **settings})
        self._every = checkpoint_every
        self._last: tuple[int, dict[str, float]] | None = None
        self._saved: int | None = None

    def before_training(self, model: Any) -> Any:
        """All that XGBoost was told, its own defaults too, is known now."""
        folds = getattr(model, "cvfolds", None)
        booster = folds[0].bst if folds else model
        self._begun(_configured(booster) | ({"folds": len(folds)} if folds else {}))
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        """Log the newest of each evaluation."""
        row = dict(_newest(evals_log))
        self.run.log(row, step=epoch)
        self._last = epoch, row
        if self._every and (epoch + 1) % self._every == 0:
            self._save(model)
        return False

    def after_training(self, model: Any) -> Any:
        """Note the best round, if there is one, and save the model."""
        best = model.attributes() if isinstance(model, Booster) else {}
        found = numbers({key: best[key] for key in ("best_iteration", "best_score") if key in best})
        if found:
            self.run.metadata(**found)
        if self._every:
            self._save(model)
        return model

    def _save(self, model: Any) -> None:
        if self._last is None or not isinstance(model, Booster) or self._saved == self._last[0]:
            return
        step, row = self._last
        self._saved = step
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder, "model.ubj")
            model.save_model(place)
            self.run.checkpoint(place, step=step, metrics=row)


def _newest(evals_log: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """`validation/rmse` and its like; of `cv`, the deviation over the folds, too."""
    for data, measured in evals_log.items():
        for metric, history in measured.items():
            value = history[-1]
            if isinstance(value, tuple):
                yield f"{data}/{metric}/std", float(value[1])
                value = value[0]
            yield f"{data}/{metric}", float(value)


def _configured(booster: Any) -> dict[str, Any]:
    """The parameters of a booster, from its nested description of itself, where all are texts."""
    learner = json.loads(booster.save_config()).get("learner", {})
    found: dict[str, Any] = {}
    for key, value in _leaves(learner):
        found[key] = _number(value)
    return found


def _leaves(table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value)
        elif isinstance(value, str):
            yield key, value


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
