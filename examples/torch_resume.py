"""A plain loop of PyTorch that goes on where it was: kill it at any moment, and run it again.

Needs torch. With a server running (`make serve`):

    MODELBOX_RUN_ID=my-job python examples/torch_resume.py

The same MODELBOX_RUN_ID is the same run; a scheduler that starts a job again gives it the same name by itself.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import modelbox as mb

STEPS, SAVE_EVERY = 200, 50
CHOSEN = {"lr": 0.01, "hidden": 32, "batch": 64}


def main() -> None:
    """Learn to multiply two numbers."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=CHOSEN["lr"])
    fails_at = int(os.environ.get("FAILS_AT", "0"))
    with mb.init(name="torch-resume", hyperparameters=CHOSEN, framework="PYTORCH") as run:
        first = load(run, model, optimizer)
        for step in range(first + 1, STEPS + 1):
            if step == fails_at:
                sys.exit("The machine is gone.")
            loss = learn(model, optimizer, step)
            run.log({"train/loss": loss}, step=step)
            if step % SAVE_EVERY == 0:
                save(run, model, optimizer, step)
    print(f"from step {first} to {STEPS}, loss {float(loss):.4f}")


def load(run: mb.Run, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """The step to go on behind: that of the latest whole checkpoint, or 0."""
    resumed = run.resume()
    if resumed is None or resumed.step is None:
        return 0
    state = torch.load(resumed.path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return resumed.step


def learn(model: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int) -> torch.Tensor:
    """One step, the same whenever it is taken: its batch depends on its number alone."""
    x = torch.rand(CHOSEN["batch"], 2, generator=torch.Generator().manual_seed(step)) * 2 - 1
    loss = (model(x) - x.prod(1, keepdim=True)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def save(run: mb.Run, model: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write a checkpoint. When `checkpoint` returns, the client has a copy that survives a kill."""
    with TemporaryDirectory() as folder:
        place = Path(folder, "state.pt")
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, place)
        run.checkpoint(place, step=step)


if __name__ == "__main__":
    main()
