"""A `SummaryWriter` that takes what PyTorch's takes, and logs to ModelBox. Needs neither torch nor tensorboard.

from modelbox.integrations.tensorboard import SummaryWriter

with SummaryWriter(name="written") as writer:
    writer.add_scalar("loss", 0.5, 1)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modelbox.integrations.held import Held, numbers, parameters
from modelbox.run import Run


class SummaryWriter(Held):
    """Scalars, texts, figures of histograms, and hyperparameters; pictures, sounds and graphs are left out.

    `log_dir` and `comment` make the name, if none is given; the queue keeps what is logged, so that the other
    settings of PyTorch's have nothing to do.
    """

    def __init__(
        self, log_dir: str | Path | None = None, comment: str = "", *_: Any, run: Run | None = None,
        purge_step: int | None = None, max_queue: int = 10, flush_secs: int = 120, filename_suffix: str = "",
        **settings: Any,
    ) -> None:  # fmt: skip
        del purge_step, max_queue, flush_secs, filename_suffix
        given = f"{Path(log_dir).name if log_dir else ''}{comment}".strip("-_ ").replace(":", "-").replace("/", "-")
        super().__init__("tensorboard", run, {"name": given or None, **settings})
        self.log_dir = str(log_dir or "")

    def add_scalar(self, tag: str, scalar_value: Any, global_step: int | None = None, *_: Any, **__: Any) -> None:
        """Log a number. Its moment is now."""
        self.run.log({tag: scalar_value}, step=global_step)

    def add_scalars(
        self, main_tag: str, tag_scalar_dict: Mapping[str, Any], global_step: int | None = None, *_: Any, **__: Any
    ) -> None:
        """Log several, as `main_tag/name`."""
        self.run.log({main_tag: tag_scalar_dict}, step=global_step)

    def add_text(self, tag: str, text_string: str, global_step: int | None = None, *_: Any, **__: Any) -> None:
        """Log a text."""
        self.run.log({tag: str(text_string)}, step=global_step)

    def add_histogram(self, tag: str, values: Any, global_step: int | None = None, *_: Any, **__: Any) -> None:
        """Log the figures of a distribution: `tag/mean`, `tag/std`, `tag/min`, `tag/max`."""
        self.run.log(_figures(tag, values), step=global_step)

    def add_hparams(
        self, hparam_dict: Mapping[str, Any], metric_dict: Mapping[str, Any], *_: Any,
        global_step: int | None = None, **__: Any,
    ) -> None:  # fmt: skip
        """Keep hyperparameters: as those of the run, when it begins with them; else in its metadata."""
        self._begun(parameters(hparam_dict)).log(numbers(metric_dict), step=global_step)

    def flush(self) -> None:
        """Put everything into the queue's file."""
        self.run.flush()

    def close(self) -> None:
        """End the run, if it began here."""
        self.finish()

    def get_logdir(self) -> str:
        """What was given."""
        return self.log_dir

    def __getattr__(self, name: str) -> Callable[..., None]:
        """What is left out: told of once, by name."""
        if not name.startswith("add_"):
            raise AttributeError(f"SummaryWriter has no {name!r}")

        def left_out(*_: Any, **__: Any) -> None:
            message = f"{name} is left out: ModelBox keeps numbers and texts as series, and files as artifacts."
            self.run.warnings.tell("NOT_KEPT", message, about=name)

        return left_out


def _figures(tag: str, values: Any) -> dict[str, float]:
    """Of a tensor, an array, or a sequence of numbers."""
    flat = values.reshape(-1) if hasattr(values, "reshape") else values
    found = [float(each) for each in (flat.tolist() if hasattr(flat, "tolist") else flat)]
    if not found:
        return {}
    mean = sum(found) / len(found)
    deviation = (sum((each - mean) ** 2 for each in found) / len(found)) ** 0.5
    return {f"{tag}/mean": mean, f"{tag}/std": deviation, f"{tag}/min": min(found), f"{tag}/max": max(found)}
