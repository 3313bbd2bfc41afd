"""Hugging Face Accelerate: a tracker, alone and on two ranks."""

from __future__ import annotations

import pytest

from tests.integrations.scripts import Scripts, files_of

pytestmark = pytest.mark.integrations

LOOP = """
import torch
from accelerate import Accelerator
from modelbox.integrations.accelerate import ModelBoxTracker

def main():
    tracker = ModelBoxTracker(name="accelerated")
    accelerator = Accelerator(log_with=tracker, cpu=True)
    accelerator.init_trackers("project", config={"lr": 0.1})
    model = torch.nn.Linear(1, 1)
    model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1))
    for step in range(4):
        loss = model(torch.ones(2, 1)).square().mean()
        accelerator.backward(loss)
        optimizer.step()
        accelerator.log({"loss": loss, "nested": {"a": 1}}, step=step)
    tracker.save_state(accelerator, "state", 3, metrics={"loss": float(loss)})
    accelerator.end_training()
"""


def test_a_loop(scripts: Scripts) -> None:
    scripts.run(f"{LOOP}\nmain()")
    [found] = scripts.runs().values()
    assert (found["name"], found["status"], found["hyperparameters"]) == ("accelerated", "COMPLETED", {"lr": 0.1})
    assert found["series"]["loss"]["steps"] == found["series"]["nested/a"]["steps"] == [0, 1, 2, 3]
    [checkpoint] = found["checkpoints"]["nodes"]
    assert (checkpoint["step"], checkpoint["status"]) == (3, "READY")
    assert "model.safetensors" in files_of(checkpoint)


def test_two_ranks_are_one_run(scripts: Scripts) -> None:
    scripts.run(
        f"{LOOP}\nif __name__ == '__main__':\n    from accelerate import debug_launcher\n"
        "    debug_launcher(main, num_processes=2)",
        namespace="ranks",
    )
    [found] = scripts.runs("ranks").values()
    assert found["series"]["loss"]["steps"] == [0, 1, 2, 3]
    assert found["status"] == "COMPLETED"
    assert len(found["checkpoints"]["nodes"]) == 1


def test_a_loop_that_fails(scripts: Scripts) -> None:
    scripts.run(
        LOOP.replace("tracker.save_state", "raise SystemError\n    tracker.save_state") + "\nmain()",
        code=1,
        namespace="failing",
    )
    assert scripts.runs("failing")["accelerated"]["status"] == "FAILED"
