"""Train networks on handwritten digits side by side, kill that in the middle, go on, register the best, and ask."""

from __future__ import annotations

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from threadpoolctl import threadpool_limits

import modelbox as mb
from demo import digits, job, mutations, results, state, trainer
from demo.asking import ask, change
from demo.settings import NAMESPACE, SETTINGS, jobs
from modelbox import transfer

SECONDS: Final = 30.0
LOOK: Final = 0.05
LATEST_KILL: Final = 0.15
"""The part of the training that may pass between the first checkpoint and the kill."""

MADE: Final = """
query ($path: String!, $names: [String!]!) {
  experiments(namespace: $path, first: 10, filter: {name: {in: $names}}) {
    nodes {
      id name leg status
      checkpoints(first: 1, filter: {status: {eq: READY}}) { totalCount }
      latestCheckpoint { artifacts(first: 1) { nodes { files(first: 2) { nodes { path digest } } } } }
      bestCheckpoint(metric: "validation/accuracy") {
        id metric(key: "validation/accuracy") { last }
        artifacts(first: 1) { nodes { files(first: 2) { nodes { path size digest downloadUrl } } } }
      }
    }
  }
}
"""


class DemoFailed(Exception):
    """Something is not as it should be; the message says what."""


@dataclass(frozen=True)
class Finished:
    """A finished job, and the best of its checkpoints: that is what is worth registering."""

    name: str
    experiment: str
    checkpoint: str
    weights: dict[str, Any]
    accuracy: float

    @property
    def setting(self) -> str:
        """The setting that it is of."""
        return self.name.partition("-")[0]


def main() -> None:
    """Do it, with a sentence instead of a traceback when the server refuses."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long the training should take")
    seconds = parser.parse_args().seconds
    try:
        report(mb.Api(), seconds)
    except mb.Unreachable as error:
        sys.exit(f"The demo stopped. {error.message} Start one with `make serve`.")
    except (mb.ModelBoxError, DemoFailed) as error:
        sys.exit(f"The demo stopped. {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped: the experiments that had not ended are KILLED now.")


def report(api: mb.Api, seconds: float) -> None:
    """Everything, from data to the answers."""
    api.server()  # Says at once when there is none; later questions have more patience.
    stamp = datetime.now().strftime("%m%d-%H%M%S")  # noqa: DTZ005 - a name for people
    wanted = jobs(stamp)
    print(
        f"Training {len(wanted)} networks side by side into {NAMESPACE}, for {seconds:.0f} s."
        "\nWatch them in a second terminal:  make watch"
        f"\nor in a browser:                  {api.server_address}/live\n",
        flush=True,
    )
    train_and_kill(api, stamp, seconds)
    train(stamp, seconds)
    made = {each["name"]: each for each in made_of(api, wanted)}
    compare_with_unbroken(made, wanted)
    finished = [_finished(each) for each in made.values()]
    best = [max((f for f in finished if f.setting == name), key=lambda each: each.accuracy) for name in SETTINGS]
    register(api, best, wanted)
    results.show(api, NAMESPACE, [each.experiment for each in finished], [each.experiment for each in best])


# --- Training, in a process of its own ---


def begun(stamp: str, seconds: float) -> subprocess.Popen[bytes]:
    """The process that trains."""
    return subprocess.Popen([sys.executable, "-m", "demo.trainer", stamp, str(seconds)])


def train_and_kill(api: mb.Api, stamp: str, seconds: float) -> None:
    """Train until there are checkpoints, and a while longer; then kill −9, whatever is being done at that moment."""
    process, wanted = begun(stamp, seconds), jobs(stamp)
    try:
        while process.poll() is None and not any(each["checkpoints"]["totalCount"] for each in made_of(api, wanted)):
            time.sleep(LOOK)
        time.sleep(random.random() * LATEST_KILL * seconds)  # noqa: S311 - no secret
    except BaseException:
        _end(process)
        raise
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        print("\nThe training was killed (kill -9), whatever it was at. It is begun again.\n", flush=True)
    elif process.returncode:
        raise DemoFailed("The training failed; it said above why.")
    process.wait()


def train(stamp: str, seconds: float) -> None:
    """Train to the end, or go on with what was begun."""
    process = begun(stamp, seconds)
    try:
        code = process.wait()
    except BaseException:
        _end(process)
        raise
    if code == trainer.STOPPED:
        raise KeyboardInterrupt
    if code:
        raise DemoFailed("The training failed; it said above why.")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait until the process has ended its experiments; whoever pressed Ctrl-C told it, too, or is told for."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait()


def made_of(api: mb.Api, wanted: dict[str, dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """What the server has of the jobs."""
    found: Sequence[dict[str, Any]] = ask(api, MADE, path=NAMESPACE, names=list(wanted))["experiments"]["nodes"]
    return found


# --- What came of it ---


def compare_with_unbroken(made: dict[str, dict[str, Any]], wanted: dict[str, dict[str, Any]]) -> None:
    """Train all once more, here and without a break, and hold the final weights against those on the server.

    Raises DemoFailed when a bit differs.
    """
    data = digits.splits()
    for name, hyperparameters in wanted.items():
        training = digits.Training.begun(hyperparameters)
        with threadpool_limits(1):
            for _ in training.steps(data, job.EPOCHS):
                pass
        here = f"sha256:{hashlib.sha256(state.saved(training)[state.WEIGHTS]).hexdigest()}"
        there = _weights(made[name]["latestCheckpoint"])["digest"]
        if here != there:
            raise DemoFailed(f"{name} ended with other weights than an unbroken training: {there}, not {here}.")
    resumed = sum(each["leg"] > 0 for each in made.values())
    print(f"\n{resumed} of {len(made)} trainings were killed and went on.")
    print(f"The final weights of all {len(made)} are, bit for bit, those of trainings without a break.")


def _weights(checkpoint: dict[str, Any]) -> dict[str, Any]:
    [artifact] = checkpoint["artifacts"]["nodes"]
    found: dict[str, Any] = next(file for file in artifact["files"]["nodes"] if file["path"] == state.WEIGHTS)
    return found


def _finished(made: dict[str, Any]) -> Finished:
    best = made["bestCheckpoint"]
    return Finished(made["name"], made["id"], best["id"], _weights(best), best["metric"]["last"])


def register(api: mb.Api, finished: Sequence[Finished], wanted: dict[str, dict[str, Any]]) -> None:
    """A version for each network, judged on the test data; the best becomes `prod`."""
    given = {"namespace": NAMESPACE, "name": "digit-reader", "task": "image-classification"}
    model = change(api, mutations.CREATE_MODEL, **given)["model"]["id"]
    dataset = _test_dataset(api)
    judged = [(version_of(api, model, each, wanted[each.name], dataset), each.accuracy) for each in finished]
    best, score = max(judged, key=lambda pair: pair[1])
    tagged = change(api, mutations.SET_UNIQUE_TAG, versionId=best, tag="prod")["modelVersion"]
    print(f"\nVersion {tagged['version']} is now {', '.join(tagged['uniqueTags'])} (validation accuracy {score:.3f})")


def _test_dataset(api: mb.Api) -> str:
    test = digits.splits()["test"]
    about = {"digest": test.digest, "profile": test.profile, "schema": digits.SCHEMA}
    made = change(api, mutations.CREATE_DATASET, namespace=NAMESPACE, name="digits-test", **about)
    return str(made["dataset"]["id"])


def version_of(api: mb.Api, model: str, made: Finished, hyperparameters: dict[str, Any], dataset: str) -> str:
    """Promote a checkpoint, whose files the version shares, and note how well it does on the test data."""
    wanted = {"modelId": model, "checkpointId": made.checkpoint, "framework": "SKLEARN"}
    id_: str = change(api, mutations.PROMOTE_CHECKPOINT, **wanted)["modelVersion"]["id"]
    used = change(api, mutations.USE_DATASET, objectId=id_, datasetId=dataset, role="test")
    data = digits.splits()
    with TemporaryDirectory() as folder:
        weights = transfer.download(api.connection, made.weights, Path(folder) / state.WEIGHTS)
        network = state.reader(hyperparameters, data["train"], weights.read_bytes())
    accuracy = float(network.score(data["test"].images, data["test"].digits))
    for object_id in (id_, used["datasetUse"]["id"]):
        points = [{"key": "test/accuracy", "value": accuracy}]
        change(api, mutations.LOG_METRICS, objectId=object_id, points=points)
    notes = {"layers": list(network.coefs_[0].shape), "export/format": "npz"}
    change(api, mutations.LOG_METADATA, objectId=id_, metadata=notes)
    return id_


if __name__ == "__main__":
    main()
