"""LightGBM: rounds, parameters, checkpoints, folds."""

from __future__ import annotations

import pytest

from tests.integrations.scripts import Scripts, files_of

pytestmark = pytest.mark.integrations

DATA = """
import lightgbm
import numpy as np
from modelbox.integrations.lightgbm import ModelBoxCallback

X = np.random.default_rng(0).normal(size=(300, 4))
y = X[:, 0] * 2 + X[:, 1]
train = lightgbm.Dataset(X[:200], y[:200])
held_out = lightgbm.Dataset(X[200:], y[200:], reference=train)
chosen = {"objective": "regression", "num_leaves": 7, "verbose": -1}
"""


def test_rounds_parameters_and_checkpoints(scripts: Scripts) -> None:
    out = scripts.run(
        DATA
        + """
seen = {}
with ModelBoxCallback(name="boosted", checkpoint_every=4) as callback:
    lightgbm.train(chosen, train, 10, valid_sets=[held_out], valid_names=["validation"],
                   callbacks=[lightgbm.record_evaluation(seen), callback])
print(seen["validation"]["l2"][-1])
"""
    )
    found = scripts.runs()["boosted"]
    assert (found["status"], found["framework"]) == ("COMPLETED", "LIGHTGBM")
    assert found["hyperparameters"]["num_leaves"] == 7
    assert found["hyperparameters"]["num_boost_round"] == 10
    assert found["series"]["validation/l2"]["steps"] == list(range(10))
    assert found["series"]["validation/l2"]["values"][-1] == float(out)
    checkpoints = sorted(found["checkpoints"]["nodes"], key=lambda each: each["step"])
    assert [(each["step"], each["status"]) for each in checkpoints] == [(3, "READY"), (7, "READY"), (9, "READY")]
    assert files_of(checkpoints[0]) == {"model.txt"}


def test_early_stopping_folds_and_a_run_that_is_there(scripts: Scripts) -> None:
    scripts.run(
        DATA
        + """
import modelbox as mb

with ModelBoxCallback(name="folds") as callback:
    lightgbm.cv(chosen, train, 5, nfold=3, stratified=False, callbacks=[callback])
with mb.init(name="mine") as run:
    model = lightgbm.LGBMRegressor(n_estimators=300, learning_rate=1.0, verbose=-1)
    model.fit(X[:200], y[:200], eval_set=[(X[200:], y[200:])],
              callbacks=[ModelBoxCallback(run=run), lightgbm.early_stopping(2, verbose=False)])
    run.log({"after": 1.0})
""",
        namespace="more",
    )
    runs = scripts.runs("more")
    assert runs["folds"]["series"]["valid/l2"]["steps"] == runs["folds"]["series"]["valid/l2/std"]["steps"]
    mine = runs["mine"]
    assert len(mine["series"]["valid_0/l2"]["steps"]) < 300
    assert mine["series"]["after"]["values"] == [1.0]
    assert mine["metadata"]["lightgbm"]["learning_rate"] == 1.0
    assert mine["status"] == "COMPLETED"
