"""Train three networks on handwritten digits, register the versions, and ask for everything at once."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from demo import digits, job, mutations
from demo.connection import Connection, DemoFailed

NAMESPACE = "demo/digits"
FOLDER = Path(".modelbox") / "demo"
COMMON = {"activation": "relu", "weight_decay": 1e-4, "batch_size": 64, "seed": 7}
CHOICES: dict[str, dict[str, Any]] = {
    "small": {**COMMON, "hidden": [16], "optimizer": {"name": "adam", "lr": 0.003}},
    "wide": {**COMMON, "hidden": [96], "optimizer": {"name": "adam", "lr": 0.003}},
    "deep": {**COMMON, "hidden": [64, 32], "optimizer": {"name": "sgd", "lr": 0.05}},
}


def main() -> None:
    """Do it, with a sentence instead of a traceback when the server refuses."""
    try:
        report(Connection.from_environment())
    except DemoFailed as error:
        sys.exit(f"The demo stopped. {error}")


def report(server: Connection) -> None:
    """Everything, from data to the nested query."""
    data = digits.splits()
    datasets = {role: dataset(server, role, split) for role, split in data.items()}
    stamp = datetime.now().strftime("%m%d-%H%M%S")  # noqa: DTZ005 - a name for people
    print(f"Training {len(CHOICES)} networks on {len(data['train'].digits)} images into {NAMESPACE}")
    finished = [
        job.run(
            server,
            f"{name}-{stamp}",
            namespace=NAMESPACE,
            hyperparameters=choice,
            data=data,
            datasets=datasets,
            folder=FOLDER,
        )
        for name, choice in CHOICES.items()
    ]
    register(server, finished, data["test"], datasets["test"])
    whole = (Path(__file__).parent / "whole.graphql").read_text()
    print(json.dumps(server.send(whole, path=NAMESPACE), indent=2))


def dataset(server: Connection, role: str, split: digits.Split) -> str:
    """The dataset's id; the same data is the same dataset at every run."""
    wanted = {"namespace": NAMESPACE, "name": f"digits-{role}", "digest": split.digest, "profile": split.profile}
    schema = {"columns": {"image": "64 × float64 in 0–1", "digit": "int64 in 0–9"}}
    id_: str = server.change(mutations.CREATE_DATASET, input={**wanted, "schema": schema})["dataset"]["id"]
    return id_


def register(server: Connection, finished: list[job.Finished], test: digits.Split, dataset_id: str) -> None:
    """A version for each network, judged on the test data; the best becomes `prod`."""
    wanted = {"namespace": NAMESPACE, "name": "digit-reader", "task": "image-classification"}
    model = server.change(mutations.CREATE_MODEL, input=wanted)["model"]["id"]
    judged = [(version_of(server, model, each, test, dataset_id), each) for each in finished]
    (best, _), score = max(((version, each.accuracy) for version, each in judged), key=lambda pair: pair[1])
    tag = {"versionId": best, "tag": "prod"}
    tagged = server.change(mutations.SET_UNIQUE_TAG, input=tag)["modelVersion"]
    print(f"Version {tagged['version']} is now {', '.join(tagged['uniqueTags'])} (validation accuracy {score:.3f})")


def version_of(
    server: Connection, model: str, made: job.Finished, test: digits.Split, dataset_id: str
) -> tuple[str, str]:
    """Register what a job made: its files, its metadata, and how well it does on the test data."""
    origin = {"experimentId": made.experiment, "checkpointId": made.checkpoint}
    wanted = {"modelId": model, "framework": "SKLEARN", **origin}
    version = server.change(mutations.CREATE_VERSION, input=wanted)["modelVersion"]
    id_: str = version["id"]
    job.track(server, id_, "weights", "MODEL", made.weights)
    use = {"objectId": id_, "datasetId": dataset_id, "role": "test"}
    used = server.change(mutations.USE_DATASET, input=use)["datasetUse"]["id"]
    accuracy = float(made.model.score(test.images, test.digits))
    for object_id in (id_, used):
        points = [{"key": "test/accuracy", "value": accuracy}]
        server.change(mutations.LOG_METRICS, input={"objectId": object_id, "points": points})
    notes = {"layers": list(made.model.coefs_[0].shape), "export/format": "npz"}
    server.change(mutations.LOG_METADATA, input={"objectId": id_, "metadata": notes})
    return id_, version["version"]


if __name__ == "__main__":
    main()
