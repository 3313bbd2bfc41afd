"""Which networks are trained, and where they are kept."""

from __future__ import annotations

from typing import Any, Final

from demo import digits

NAMESPACE: Final = "demo/digits"
SEEDS: Final = (7, 8)
COMMON: Final = {"activation": "relu", "weight_decay": 1e-4, "batch_size": digits.BATCH_SIZE}
SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "small": {**COMMON, "hidden": [16], "optimizer": {"name": "adam", "lr": 0.003}},
    "wide": {**COMMON, "hidden": [96], "optimizer": {"name": "adam", "lr": 0.003}},
    "deep": {**COMMON, "hidden": [64, 32], "optimizer": {"name": "sgd", "lr": 0.05}},
}


def jobs(stamp: str) -> dict[str, dict[str, Any]]:
    """The hyperparameters of every setting with every seed, by the name of the job."""
    return {f"{name}-{seed}-{stamp}": {**setting, "seed": seed} for name, setting in SETTINGS.items() for seed in SEEDS}
