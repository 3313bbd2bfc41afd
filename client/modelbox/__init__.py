"""ModelBox in a training script: `init`, `log`, `finish`.

    import modelbox as mb

    with mb.init(name="first", hyperparameters={"lr": 0.01}) as run:
        run.log({"loss": 0.5}, step=1)

Each name is imported when it is first used: neither scripts nor the command line wait for what they do not need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelbox.api import Api
    from modelbox.begin import finish, init, log, the_run
    from modelbox.errors import ModelBoxError, Refused, Unreachable
    from modelbox.live import follow_events, follow_metrics, subscribe
    from modelbox.run import Run

__all__ = [
    "Api",
    "ModelBoxError",
    "Refused",
    "Run",
    "Unreachable",
    "finish",
    "follow_events",
    "follow_metrics",
    "init",
    "log",
    "subscribe",
    "the_run",
]

_HOMES = {
    "modelbox.api": ("Api",),
    "modelbox.begin": ("finish", "init", "log", "the_run"),
    "modelbox.errors": ("ModelBoxError", "Refused", "Unreachable"),
    "modelbox.live": ("follow_events", "follow_metrics", "subscribe"),
    "modelbox.run": ("Run",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'modelbox' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = found
    return found
