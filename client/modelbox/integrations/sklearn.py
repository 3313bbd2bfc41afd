"""scikit-learn: parameters, scores, curves and searches of estimators. Nothing is pickled.

from modelbox.integrations import sklearn

with sklearn.begin(estimator, name="forest") as run:
    estimator.fit(X, y)
    sklearn.log_fitted(run, estimator)
    sklearn.log_scores(run, estimator, X_test, y_test, prefix="test/")
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from modelbox.begin import init
from modelbox.integrations.held import missing, numbers, parameters
from modelbox.run import Run

try:
    from sklearn import metrics
    from sklearn.base import is_classifier, is_regressor
except ImportError as error:
    raise missing("scikit-learn", error) from error

CURVES: Final = ("loss_curve_", "validation_scores_", "train_score_", "validation_score_", "oob_scores_")
"""What estimators that are fitted step by step keep of their steps."""

FITTED: Final = (
    "best_loss_", "best_validation_score_", "n_iter_", "inertia_", "oob_score_", "n_features_in_", "n_estimators_",
    "lower_bound_", "noise_variance_", "reconstruction_err_", "alpha_", "C_", "explained_variance_ratio_",
)  # fmt: skip
"""Numbers that estimators found out."""


def begin(estimator: Any, **settings: Any) -> Run:
    """Begin a run with the parameters of an estimator, those of its parts too; `settings` are `modelbox.init`'s."""
    found = {"estimator": type(estimator).__name__} | parameters(estimator.get_params(deep=True))
    given = parameters(settings.pop("hyperparameters", None) or {})
    return init(hyperparameters=found | given, framework="SKLEARN", **settings)


def log_fitted(run: Run, estimator: Any, prefix: str = "") -> None:
    """What a fitted estimator knows of itself: curves by step, and figures."""
    estimator = getattr(estimator, "_final_estimator", estimator)
    for name in CURVES:
        values = getattr(estimator, name, None)
        for step, value in enumerate(() if values is None else values):
            run.log(numbers({f"{prefix}{name.rstrip('_')}": value}), step=step)
    found = {name.rstrip("_"): getattr(estimator, name, None) for name in FITTED}
    run.log(numbers(found, prefix))


def log_scores(
    run: Run,
    estimator: Any,
    X: Any,  # noqa: N803 - sklearn's name
    y: Any,
    *,
    prefix: str = "",
    step: int | None = None,
) -> dict[str, float]:
    """Predict, and log the usual scores of a classifier or a regressor; they are returned, too."""
    predicted = estimator.predict(X)
    if is_classifier(estimator):
        found = _classified(estimator, X, y, predicted)
    elif is_regressor(estimator):
        found = _regressed(y, predicted)
    else:
        found = {"score": estimator.score(X, y)} if hasattr(estimator, "score") else {}
    scores = numbers(found, prefix)
    run.log(scores, step=step)
    return scores


def _classified(estimator: Any, X: Any, y: Any, predicted: Any) -> dict[str, Any]:  # noqa: N803 - sklearn's name
    found = {
        "accuracy": metrics.accuracy_score(y, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(y, predicted),
        "f1_macro": metrics.f1_score(y, predicted, average="macro"),
        "precision_macro": metrics.precision_score(y, predicted, average="macro", zero_division=0),
        "recall_macro": metrics.recall_score(y, predicted, average="macro", zero_division=0),
    }
    if hasattr(estimator, "predict_proba"):
        found["log_loss"] = metrics.log_loss(y, estimator.predict_proba(X), labels=estimator.classes_)
    return found


def _regressed(y: Any, predicted: Any) -> dict[str, Any]:
    return {
        "r2": metrics.r2_score(y, predicted),
        "mean_absolute_error": metrics.mean_absolute_error(y, predicted),
        "root_mean_squared_error": metrics.root_mean_squared_error(y, predicted),
    }


def log_cross_validation(run: Run, results: Mapping[str, Any], prefix: str = "cv/") -> None:
    """What `cross_validate` returned: a point for each fold, and the mean of each figure."""
    columns = {key: list(column) for key, column in results.items() if key not in ("estimator", "indices")}
    for fold, row in enumerate(zip(*columns.values(), strict=True)):
        run.log(numbers(dict(zip(columns, row, strict=True)), prefix), step=fold)
    run.log({f"{prefix}mean_{key}": sum(column) / len(column) for key, column in columns.items() if column})


def log_search(run: Run, search: Any, prefix: str = "search/") -> None:
    """A fitted grid, random or halving search: a point for each candidate, its parameters as JSON, and the best."""
    results = search.cv_results_
    for step, chosen in enumerate(results["params"]):
        row = {key: column[step] for key, column in results.items() if not key.startswith("param")}
        run.log({**numbers(row, prefix), f"{prefix}params": json.dumps(parameters(chosen), sort_keys=True)}, step=step)
    if hasattr(search, "best_index_"):
        best = {"candidate": int(search.best_index_), "parameters": parameters(results["params"][search.best_index_])}
        run.metadata(best=best | numbers({"score": getattr(search, "best_score_", None)}))
