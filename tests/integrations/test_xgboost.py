"""XGBoost: rounds, parameters, checkpoints, folds."""

from __future__ import annotations

import pytest

from tests.integrations.scripts import Scripts, files_of

pytestmark = pytest.mark.integrations

DATA = """
import numpy as np
import xgboost
from modelbox.integrations.xgboost import ModelBoxCallback

X = np.random.default_rng(0).normal(size=(300, 4))
y = X[:, 0] * 2 + X[:, 1]
train, held_out = xgboost.DMatrix(X[:200], y[:200]), xgboost.DMatrix(X[200:], y[200:])
"""


def test_rounds_parameters_and_checkpoints(scripts: Scripts) -> None:
    out = scripts.run(
        DATA
        + """
with ModelBoxCallback(name="boosted", checkpoint_every=4, labels=["trees"]) as callback:
    seen = {}
    xgboost.train({"max_depth": 3, "eta": 0.3}, train, 10, evals=[(train, "train"), (held_out, "validation")],
                  callbacks=[callback], evals_result=seen)
print(seen["validation"]["rmse"][-1])
"""
    )
    found = scripts.runs()["boosted"]
    assert (found["status"], found["framework"], found["labels"]) == ("COMPLETED", "XGBOOST", ["trees"])
    assert found["hyperparameters"]["max_depth"] == 3
    assert found["hyperparameters"]["eta"] == pytest.approx(0.3)
    assert found["series"]["validation/rmse"]["steps"] == list(range(10))
    assert found["series"]["validation/rmse"]["values"][-1] == float(out.split()[-1])
    checkpoints = sorted(found["checkpoints"]["nodes"], key=lambda each: each["step"])
    assert [(each["step"], each["status"]) for each in checkpoints] == [(3, "READY"), (7, "READY"), (9, "READY")]
    assert files_of(checkpoints[-1]) == {"model.ubj"}
    metrics = {each["key"]: each["last"] for each in checkpoints[-1]["metrics"]["nodes"]}
    assert metrics["validation/rmse"] == float(out.split()[-1])


def test_early_stopping_folds_and_the_estimators(scripts: Scripts) -> None:
    scripts.run(
        DATA
        + """
with ModelBoxCallback(name="folds") as callback:
    xgboost.cv({"max_depth": 2}, train, 5, nfold=3, callbacks=[callback])
with ModelBoxCallback(name="estimator") as callback:
    model = xgboost.XGBRegressor(n_estimators=300, learning_rate=1.0, early_stopping_rounds=2, callbacks=[callback])
    model.fit(X[:200], y[:200], eval_set=[(X[200:], y[200:])], verbose=False)
""",
        namespace="more",
    )
    runs = scripts.runs("more")
    assert runs["folds"]["hyperparameters"]["folds"] == 3
    assert runs["folds"]["series"]["test/rmse"]["steps"] == runs["folds"]["series"]["test/rmse/std"]["steps"]
    stopped = runs["estimator"]
    assert len(stopped["series"]["validation_0/rmse"]["steps"]) < 300
    assert stopped["metadata"]["best_score"] == pytest.approx(min(stopped["series"]["validation_0/rmse"]["values"]))


def test_two_trainings_of_a_script_are_two_runs(scripts: Scripts) -> None:
    scripts.run(
        DATA
        + """
for name in ("one", "two"):
    xgboost.train({}, train, 2, evals=[(train, "train")], callbacks=[ModelBoxCallback(name=name)])
""",
        namespace="both",
    )
    runs = scripts.runs("both")
    assert {name: each["status"] for name, each in runs.items()} == {"one": "COMPLETED", "two": "COMPLETED"}
    assert {len(each["series"]["train/rmse"]["steps"]) for each in runs.values()} == {2}


def test_a_training_that_fails(scripts: Scripts) -> None:
    scripts.run(
        DATA
        + """
class Bad(xgboost.callback.TrainingCallback):
    def after_iteration(self, model, epoch, evals_log):
        if epoch == 2:
            raise SystemError("bad luck")

xgboost.train({}, train, 5, evals=[(train, "train")], callbacks=[ModelBoxCallback(name="fails"), Bad()])
""",
        code=1,
        namespace="failing",
    )
    found = scripts.runs("failing")["fails"]
    assert found["status"] == "FAILED"
    assert found["series"]["train/rmse"]["steps"] == [0, 1, 2]
