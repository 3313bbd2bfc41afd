"""The smallest training that is remembered: a line, fitted by hand. Needs nothing but the client.

With a server running (`make serve`):

    python examples/quickstart.py
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import modelbox as mb


def main() -> None:
    """Fit y = 2x + 1."""
    chance = random.Random(0)  # noqa: S311 - no secret
    chosen = {"lr": 0.05, "steps": 300}
    slope = offset = 0.0
    with mb.init(name="quickstart", hyperparameters=chosen, labels=["example"]) as run, TemporaryDirectory() as folder:
        for step in range(1, int(chosen["steps"]) + 1):
            x = chance.uniform(-1, 1)
            error = slope * x + offset - (2 * x + 1)
            slope -= chosen["lr"] * error * x
            offset -= chosen["lr"] * error
            run.log({"loss": error * error, "slope": slope, "offset": offset}, step=step)
        place = Path(folder, "line.json")
        place.write_text(json.dumps({"slope": slope, "offset": offset}))
        run.checkpoint(place, step=step, metrics={"loss": error * error})
        run.register("line", tags=["candidate"])
    print(f"y = {slope:.2f} x + {offset:.2f}")


if __name__ == "__main__":
    main()
