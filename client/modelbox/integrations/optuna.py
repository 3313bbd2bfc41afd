"""Optuna: a study as a run, and each trial as a run below it.

from modelbox.integrations.optuna import ModelBoxCallback

with ModelBoxCallback(study, name="sweep") as callback:
    study.optimize(objective, n_trials=20, callbacks=[callback])
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

from modelbox.integrations.held import Held, child_of, missing, numbers, parameters
from modelbox.run import Outcome, Run

try:
    import optuna
    from optuna.trial import FrozenTrial, TrialState
except ImportError as error:
    raise missing("optuna", error) from error

ENDINGS: Final[Mapping[Any, Outcome]] = {
    TrialState.COMPLETE: "COMPLETED", TrialState.PRUNED: "KILLED", TrialState.FAIL: "FAILED",
}  # fmt: skip
TRIAL_SECONDS: Final = 5.0
"""A trial that is over waits so long for its sender; what is not sent then goes on being sent."""


class ModelBoxCallback(Held):
    """Give it to `optimize`. A trial's run has its parameters, intermediate values, result and state.

    A trial that fails and ends `optimize` is seen at the end of the `with` block, if the study was given here.
    """

    def __init__(self, study: optuna.Study | None = None, *, run: Run | None = None, **settings: Any) -> None:
        super().__init__("optuna", run, settings)
        self._study = study
        self._told: set[int] = set()
        self._lock = threading.Lock()  # `n_jobs` calls from several threads.

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """A trial is over."""
        with self._lock:
            self._study = study
            self._tell(study, trial)

    def _tell(self, study: optuna.Study, trial: FrozenTrial) -> None:
        if trial.number in self._told or trial.state not in ENDINGS:
            return
        self._told.add(trial.number)
        run = self._begun(_about(study))
        self._child(run, study, trial)
        run.log(_results(study, trial) | _best(study), step=trial.number)
        if len(study.directions) == 1 and _best(study):
            run.metadata(best={"trial": study.best_trial.number, "parameters": parameters(study.best_trial.params)})

    def _child(self, run: Run, study: optuna.Study, trial: FrozenTrial) -> None:
        began = (trial.datetime_start or datetime.now()).astimezone(UTC)  # noqa: DTZ005 - optuna's are local, too
        child = child_of(
            run, f"trial-{trial.number}", name=f"{study.study_name}-{trial.number}".translate(_UNNAMED)[:200],
            hyperparameters=parameters(trial.params), labels=[trial.state.name.lower()],
            startedAt=began.isoformat(), metadata=_aside(trial),
        )  # fmt: skip
        for step, value in sorted(trial.intermediate_values.items()):
            child.log({"intermediate": value}, step=step)
        child.log(_results(study, trial))
        child.finish(ENDINGS[trial.state], timeout=TRIAL_SECONDS)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._study is not None:
            for trial in self._study.get_trials(deepcopy=False):
                if kind is not None or trial.number not in self._told:
                    self._tell(self._study, trial)
        super().__exit__(kind, error, trace)


_UNNAMED: Final = str.maketrans("/:@", "---")
"""What a run's name has none of."""


def _about(study: optuna.Study) -> dict[str, Any]:
    return {
        "study": study.study_name, "directions": [direction.name.lower() for direction in study.directions],
        "sampler": type(study.sampler).__name__, "pruner": type(study.pruner).__name__,
    }  # fmt: skip


def _results(study: optuna.Study, trial: FrozenTrial) -> dict[str, float]:
    """The values of a trial, by the names that the study gives them; what a pruned one last reported is none."""
    values = (trial.values or []) if trial.state == TrialState.COMPLETE else []
    names = study.metric_names or (
        ["value"] if len(values) == 1 else [f"value/{place}" for place in range(len(values))]
    )
    return dict(zip(names, values, strict=False))


def _best(study: optuna.Study) -> dict[str, float]:
    if len(study.directions) > 1:
        return {}
    try:
        return numbers({"best_value": study.best_value})
    except ValueError:  # No trial is complete yet.
        return {}


def _aside(trial: FrozenTrial) -> dict[str, Any]:
    """What is known of a trial beside its parameters and values."""
    seconds = trial.duration.total_seconds() if trial.duration else None
    told = {"trial": trial.number, "state": trial.state.name, "seconds": seconds}
    return {"optuna": parameters({**told, "user": trial.user_attrs})}
