"""Hugging Face transformers: a callback with arguments, the model's configuration, logs, and saved checkpoints.

from modelbox.integrations.transformers import ModelBoxCallback

trainer = Trainer(model=model, args=TrainingArguments(..., report_to=[]), callbacks=[ModelBoxCallback(name="tiny")])
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelbox.integrations.held import Held, missing, numbers
from modelbox.run import Run

try:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ImportError as error:
    raise missing("transformers", error) from error


class ModelBoxCallback(Held, TrainerCallback):  # type: ignore[misc] # untyped where transformers is not installed
    """The process of rank 0 logs. The run ends with the script or the `with` block: an evaluation may follow `train`.

    To go on, `callback.run.resume()`, and give its `folder` as `resume_from_checkpoint`.
    """

    def __init__(self, *, run: Run | None = None, checkpoints: bool = True, **settings: Any) -> None:
        super().__init__("transformers", run, {"framework": "PYTORCH", **settings})
        self._keeps = checkpoints

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **_: Any
    ) -> None:
        """Begin the run with the arguments and the model's configuration."""
        del control
        if state.is_world_process_zero:
            configuration: Any = getattr(model, "config", None)
            about = {} if configuration is None else {"model": configuration.to_dict()}
            self._begun({**args.to_dict(), **about})

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl,
        logs: Mapping[str, Any] | None = None, **_: Any,
    ) -> None:  # fmt: skip
        """Log with the global step; `eval_loss` is `eval/loss`, what has no such beginning is `train/…`."""
        del args, control
        if state.is_world_process_zero and logs:
            self.run.log({_key(name): value for name, value in numbers(logs).items()}, step=state.global_step)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Keep the checkpoint, with what was evaluated at its step."""
        del control
        if not self._keeps or not state.is_world_process_zero:
            return
        step = int(state.global_step)
        evaluated = [each for each in state.log_history if each.get("step") == step and "eval_loss" in each]
        metrics = {_key(name): value for each in evaluated for name, value in numbers(each).items() if name != "step"}
        metrics = {name: value for name, value in metrics.items() if name.startswith("eval/")}
        self.run.checkpoint(
            Path(args.output_dir or ".", f"checkpoint-{step}"), step=step, epoch=state.epoch, metrics=metrics
        )

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Note which checkpoint was the best."""
        del args, control
        if state.is_world_process_zero:
            if state.best_metric is not None:
                self.run.metadata(best={"metric": float(state.best_metric), "step": state.best_global_step})
            self.run.flush()


def _key(name: str) -> str:
    for beginning in ("eval", "test"):
        if name.startswith(f"{beginning}_"):
            return f"{beginning}/{name[len(beginning) + 1 :]}"
    return f"train/{name}"
