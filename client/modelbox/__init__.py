"""ModelBox in a training script: `init`, `log`, `finish`.

import modelbox as mb

with mb.init(name="first", hyperparameters={"lr": 0.01}) as run:
    run.log({"loss": 0.5}, step=1)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelbox.begin import finish, init, log, the_run
from modelbox.errors import ModelBoxError, Refused, Unreachable
from modelbox.run import Run

if TYPE_CHECKING:
    from modelbox.api import Api
    from modelbox.live import subscribe

__all__ = ["Api", "ModelBoxError", "Refused", "Run", "Unreachable", "finish", "init", "log", "subscribe", "the_run"]

_LATER = {"Api": "modelbox.api", "subscribe": "modelbox.live"}
"""What takes longer to import than a training script should wait."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'modelbox' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)
