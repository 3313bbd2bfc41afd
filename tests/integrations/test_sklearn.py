"""scikit-learn: parameters, scores, curves, folds and searches."""

from __future__ import annotations

import json

import pytest

from tests.integrations.scripts import Scripts

pytestmark = pytest.mark.integrations

CLASSIFIER = """
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from modelbox.integrations import sklearn

X, y = make_classification(200, random_state=0)
model = make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=7, random_state=0))
with sklearn.begin(model, name="boosted", labels=["baseline"]) as run:
    model.fit(X[:150], y[:150])
    sklearn.log_fitted(run, model)
    scores = sklearn.log_scores(run, model, X[150:], y[150:], prefix="test/")
    sklearn.log_cross_validation(run, cross_validate(model, X, y, cv=3))
    grid = {"gradientboostingclassifier__max_depth": [1, 2, 3], "gradientboostingclassifier__n_estimators": [2]}
    sklearn.log_search(run, GridSearchCV(model, grid, cv=2).fit(X, y))
print(scores["test/accuracy"])
"""


def test_a_pipeline_with_its_scores_folds_and_search(scripts: Scripts) -> None:
    accuracy = float(scripts.run(CLASSIFIER))
    found = scripts.runs()["boosted"]
    assert (found["status"], found["framework"], found["labels"]) == ("COMPLETED", "SKLEARN", ["baseline"])
    parameters = found["hyperparameters"]
    assert parameters["estimator"] == "Pipeline"
    assert parameters["gradientboostingclassifier__n_estimators"] == 7
    series = found["series"]
    assert series["train_score"]["steps"] == list(range(7))
    assert series["test/accuracy"]["values"] == [accuracy]
    assert {"test/log_loss", "test/f1_macro", "test/balanced_accuracy"} <= series.keys()
    assert series["cv/test_score"]["steps"] == [0, 1, 2]
    mean = sum(series["cv/test_score"]["values"]) / 3
    assert series["cv/mean_test_score"]["values"] == pytest.approx([mean])
    assert len(series["search/mean_test_score"]["values"]) == 3
    depths = [json.loads(each)["gradientboostingclassifier__max_depth"] for each in series["search/params"]["strings"]]
    assert depths == [1, 2, 3]
    assert found["metadata"]["best"]["score"] == max(series["search/mean_test_score"]["values"])
    assert found["artifacts"]["nodes"] == found["checkpoints"]["nodes"] == []


def test_a_regressor_and_a_script_that_fails(scripts: Scripts) -> None:
    scripts.run(
        """
        import numpy as np
        from sklearn.linear_model import LassoCV
        from modelbox.integrations import sklearn

        X = np.random.default_rng(0).normal(size=(60, 3))
        model = LassoCV(cv=3)
        with sklearn.begin(model, name="lasso", hyperparameters={"missing": float("nan")}) as run:
            model.fit(X, X[:, 0])
            sklearn.log_fitted(run, model)
            sklearn.log_scores(run, model, X, X[:, 0])
            model.predict(X[:, :2])
        """,
        code=1,
        namespace="regression",
    )
    found = scripts.runs("regression")["lasso"]
    assert found["status"] == "FAILED"
    assert found["hyperparameters"]["missing"] == "nan"
    assert {"r2", "mean_absolute_error", "root_mean_squared_error", "alpha"} <= found["series"].keys()
