"""Train networks on handwritten digits side by side, register the best, and ask how they did."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from demo import digits, job, mutations, results
from demo.connection import Connection, DemoFailed

NAMESPACE = "demo/digits"
FOLDER = Path(".modelbox") / "demo"
SECONDS = 30.0
SEEDS = (7, 8)
COMMON = {"activation": "relu", "weight_decay": 1e-4, "batch_size": digits.BATCH_SIZE}
SETTINGS: dict[str, dict[str, Any]] = {
    "small": {**COMMON, "hidden": [16], "optimizer": {"name": "adam", "lr": 0.003}},
    "wide": {**COMMON, "hidden": [96], "optimizer": {"name": "adam", "lr": 0.003}},
    "deep": {**COMMON, "hidden": [64, 32], "optimizer": {"name": "sgd", "lr": 0.05}},
}


def main() -> None:
    """Do it, with a sentence instead of a traceback when the server refuses."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long the training should take")
    seconds = parser.parse_args().seconds
    try:
        report(Connection.from_environment(), seconds)
    except DemoFailed as error:
        sys.exit(f"The demo stopped. {error}")
    except (KeyboardInterrupt, job.Stopped):
        sys.exit("Stopped: the experiments that had not ended are KILLED now.")


def report(server: Connection, seconds: float) -> None:
    """Everything, from data to the answers."""
    server.send("{ server { version } }")  # Says at once when there is none; later calls have more patience.
    data = digits.splits()
    datasets = {role: dataset(server, role, split) for role, split in data.items()}
    plan = job.Plan(NAMESPACE, data, datasets, FOLDER, seconds, threading.Event())
    print(
        f"Training {len(SETTINGS) * len(SEEDS)} networks side by side into {NAMESPACE}, for {seconds:.0f} s."
        "\nWatch them in a second terminal:  make watch"
        f"\nor in a browser:                  {server.url.removesuffix('graphql')}live\n"
    )
    finished = trained(server, plan)
    best = [
        max((each for each in finished if each.setting == name), key=lambda each: each.accuracy) for name in SETTINGS
    ]
    register(server, best, data["test"], datasets["test"])
    results.show(server, NAMESPACE, [each.experiment for each in finished], [each.experiment for each in best])


def trained(server: Connection, plan: job.Plan) -> list[job.Finished]:
    """Every setting with every seed, all at once."""
    stamp = datetime.now().strftime("%m%d-%H%M%S")  # noqa: DTZ005 - a name for people
    jobs = [
        (name, f"{name}-{seed}-{stamp}", {**setting, "seed": seed})
        for name, setting in SETTINGS.items()
        for seed in SEEDS
    ]
    # The networks are so small that more threads for one of them only get into the way of the others.
    with threadpool_limits(1), ThreadPoolExecutor(len(jobs)) as pool:
        running = [pool.submit(job.run, server, plan, *each) for each in jobs]
        try:
            return [each.result() for each in running]
        except BaseException:
            plan.stop.set()
            raise


def dataset(server: Connection, role: str, split: digits.Split) -> str:
    """The dataset's id; the same data is the same dataset at every run."""
    wanted = {"namespace": NAMESPACE, "name": f"digits-{role}", "digest": split.digest, "profile": split.profile}
    schema = {"columns": {"image": "64 × float64 in 0–1", "digit": "int64 in 0–9"}}
    id_: str = server.change(mutations.CREATE_DATASET, {**wanted, "schema": schema})["dataset"]["id"]
    return id_


def register(server: Connection, finished: Iterable[job.Finished], test: digits.Split, dataset_id: str) -> None:
    """A version for each network, judged on the test data; the best becomes `prod`."""
    wanted = {"namespace": NAMESPACE, "name": "digit-reader", "task": "image-classification"}
    model = server.change(mutations.CREATE_MODEL, wanted)["model"]["id"]
    judged = [(version_of(server, model, each, test, dataset_id), each.accuracy) for each in finished]
    best, score = max(judged, key=lambda pair: pair[1])
    tagged = server.change(mutations.SET_UNIQUE_TAG, {"versionId": best, "tag": "prod"})["modelVersion"]
    print(f"\nVersion {tagged['version']} is now {', '.join(tagged['uniqueTags'])} (validation accuracy {score:.3f})")


def version_of(server: Connection, model: str, made: job.Finished, test: digits.Split, dataset_id: str) -> str:
    """Register what a job made: its files, its metadata, and how well it does on the test data."""
    origin = {"experimentId": made.experiment, "checkpointId": made.checkpoint}
    wanted = {"modelId": model, "framework": "SKLEARN", **origin}
    id_: str = server.change(mutations.CREATE_VERSION, wanted)["modelVersion"]["id"]
    job.track(server, id_, "weights", "MODEL", made.weights)
    use = {"objectId": id_, "datasetId": dataset_id, "role": "test"}
    used = server.change(mutations.USE_DATASET, use)["datasetUse"]["id"]
    accuracy = float(made.model.score(test.images, test.digits))
    for object_id in (id_, used):
        points = [{"key": "test/accuracy", "value": accuracy}]
        server.change(mutations.LOG_METRICS, {"objectId": object_id, "points": points})
    notes = {"layers": list(made.model.coefs_[0].shape), "export/format": "npz"}
    server.change(mutations.LOG_METADATA, {"objectId": id_, "metadata": notes})
    return id_


if __name__ == "__main__":
    main()
