"""A framework that is not there is asked for in words. Needs none of them."""

from __future__ import annotations

import importlib
import sys

import pytest

PACKAGES = {
    "accelerate": "accelerate", "keras": "keras", "lightgbm": "lightgbm", "lightning": "lightning",
    "optuna": "optuna", "sklearn": "scikit-learn", "transformers": "transformers", "xgboost": "xgboost",
}  # fmt: skip


@pytest.mark.parametrize(("module", "package"), PACKAGES.items(), ids=PACKAGES)
def test_a_framework_that_is_not_there_is_asked_for(module: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"needs {package}.*pip install {package}"):
        importlib.import_module(f"modelbox.integrations.{module}")
