"""Hugging Face Accelerate: a tracker.

from modelbox.integrations.accelerate import ModelBoxTracker

tracker = ModelBoxTracker(name="accelerated")
accelerator = Accelerator(log_with=tracker)
accelerator.init_trackers("project", config={"lr": 0.1})
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelbox.integrations.held import Held, missing
from modelbox.run import Run

try:
    from accelerate.tracking import GeneralTracker, on_main_process
except ImportError as error:
    raise missing("accelerate", error) from error


class ModelBoxTracker(Held, GeneralTracker):  # type: ignore[misc] # untyped where accelerate is not installed
    """The main process logs; `accelerator.end_training()` ends a run that began here."""

    name = "modelbox"
    requires_logging_directory = False
    main_process_only = True

    def __init__(self, *, run: Run | None = None, **settings: Any) -> None:
        GeneralTracker.__init__(self)
        super().__init__("accelerate", run, {"framework": "PYTORCH", **settings})

    @property
    def tracker(self) -> Run:
        """The run."""
        return self.run

    @on_main_process  # type: ignore[untyped-decorator]
    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        """Begin the run with these hyperparameters."""
        self._begun(values)

    @on_main_process  # type: ignore[untyped-decorator]
    def log(self, values: Mapping[str, Any], step: int | None = None, **_: Any) -> None:
        """Log values."""
        self.run.log(values, step=step)

    def save_state(self, accelerator: Any, folder: str | Path, step: int, **more: Any) -> None:
        """Have all processes save their state, and keep it as a checkpoint; `more` is what `Run.checkpoint` takes."""
        accelerator.save_state(folder)
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            self.run.checkpoint(folder, step=step, **more)
