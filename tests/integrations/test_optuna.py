"""Optuna: what its studies and trials leave on the server."""

from __future__ import annotations

import pytest

from tests.integrations.scripts import Scripts

pytestmark = pytest.mark.integrations

SWEEP = """
import optuna
from modelbox.integrations.optuna import ModelBoxCallback

def objective(trial):
    x = trial.suggest_float("x", -1, 1)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    if trial.number == 2:
        raise ValueError("bad luck")
    for step in range(3):
        trial.report(x * x + step, step)
        if trial.number == 1 and step == 1:
            raise optuna.TrialPruned
    return x * x

study = optuna.create_study(study_name="team/sweep", sampler=optuna.samplers.RandomSampler(seed=1))
with ModelBoxCallback(study, name="sweep") as callback:
    study.optimize(objective, n_trials=4, callbacks=[callback], catch=[ValueError], n_jobs={jobs})
print(study.best_value, study.best_trial.number)
"""


def test_a_study_is_a_run_and_its_trials_are_runs_below_it(scripts: Scripts) -> None:
    best, number = scripts.run(SWEEP.replace("{jobs}", "1")).split()
    runs = scripts.runs()
    assert set(runs) == {"sweep", *(f"team-sweep-{n}" for n in range(4))}
    study, trials = runs["sweep"], [runs[f"team-sweep-{n}"] for n in range(4)]
    assert study["status"] == "COMPLETED"
    assert study["hyperparameters"]["sampler"] == "RandomSampler"
    assert study["series"]["best_value"]["values"][-1] == float(best)
    assert study["series"]["value"]["steps"] == [0, 3]
    assert study["metadata"]["best"]["trial"] == int(number)
    assert {each["parent"]["id"] for each in trials} == {study["id"]}
    assert [each["status"] for each in trials] == ["COMPLETED", "KILLED", "FAILED", "COMPLETED"]
    assert [each["labels"] for each in trials] == [["complete"], ["pruned"], ["fail"], ["complete"]]
    assert trials[0]["hyperparameters"].keys() == {"x", "kind"}
    assert trials[0]["series"]["intermediate"]["steps"] == [0, 1, 2]
    assert trials[1]["series"]["intermediate"]["steps"] == [0, 1]
    x = trials[0]["hyperparameters"]["x"]
    assert trials[0]["series"]["value"]["values"] == [x * x]


def test_trials_of_several_threads(scripts: Scripts) -> None:
    scripts.run(SWEEP.replace("{jobs}", "2"), namespace="threads")
    runs = scripts.runs("threads")
    assert len(runs) == 5
    assert sum(each["status"] == "COMPLETED" for each in runs.values()) == 3


FAILING = """
import optuna
from modelbox.integrations.optuna import ModelBoxCallback

def objective(trial):
    trial.suggest_int("n", 1, 3)
    raise ValueError("bad luck")

study = optuna.create_study(study_name="failing")
with ModelBoxCallback(study, name="fails") as callback:
    study.optimize(objective, n_trials=4, callbacks=[callback])
"""


def test_a_study_that_a_trial_ends_has_failed_and_so_has_the_trial(scripts: Scripts) -> None:
    scripts.run(FAILING, code=1, namespace="failing")
    runs = scripts.runs("failing")
    assert {name: each["status"] for name, each in runs.items()} == {"fails": "FAILED", "failing-0": "FAILED"}


def test_several_objectives_and_a_run_that_is_there(scripts: Scripts) -> None:
    scripts.run(
        """
        import modelbox as mb
        import optuna
        from modelbox.integrations.optuna import ModelBoxCallback

        with mb.init(name="mine") as run:
            study = optuna.create_study(study_name="two", directions=["minimize", "maximize"])
            study.set_metric_names(["loss", "accuracy"])
            study.optimize(lambda t: (t.suggest_float("x", 0, 1), 0.5), n_trials=2, callbacks=[ModelBoxCallback()])
            run.log({"after": 1.0})
            assert mb.the_run() is run
        """,
        namespace="two",
    )
    runs = scripts.runs("two")
    assert runs["mine"]["series"]["accuracy"]["values"] == [0.5, 0.5]
    assert runs["mine"]["series"]["after"]["values"] == [1.0]
    assert runs["mine"]["metadata"]["optuna"]["directions"] == ["minimize", "maximize"]
    assert runs["two-1"]["series"].keys() == {"loss", "accuracy"}
    assert runs["mine"]["status"] == "COMPLETED"
