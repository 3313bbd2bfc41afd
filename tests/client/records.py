"""What tests of the client write at a server, by its API alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from modelbox.connection import Connection
from tests.acceptance.server import Server

EXPERIMENT = """
mutation Create($input: CreateExperimentInput!) {
  createExperiment(input: $input) { experiment { id } userErrors { code message } }
}
"""
LOG = "mutation Log($input: LogMetricsInput!) { logMetrics(input: $input) { userErrors { code message } } }"
EVENTS = "mutation Events($input: LogEventsInput!) { logEvents(input: $input) { userErrors { code message } } }"
FINISH = (
    "mutation Finish($input: FinishExperimentInput!) { finishExperiment(input: $input) { userErrors { message } } }"
)
MODEL = (
    "mutation Model($input: CreateModelInput!) { createModel(input: $input) { model { id } userErrors { message } } }"
)
VERSION = """
mutation Version($input: CreateModelVersionInput!) {
  createModelVersion(input: $input) { modelVersion { id } userErrors { code message } }
}
"""
TAG = "mutation Tag($input: SetUniqueTagInput!) { setUniqueTag(input: $input) { userErrors { code message } } }"
CHECKPOINT = """
mutation Checkpoint($input: CreateCheckpointInput!) {
  createCheckpoint(input: $input) { checkpoint { id } userErrors { code message } }
}
"""
BEGIN = """
mutation Begin($input: BeginUploadInput!) {
  beginUpload(input: $input) {
    upload { id }
    parts { url headers { name value } }
    userErrors { code message }
  }
}
"""
COMPLETE = "mutation Done($input: CompleteUploadInput!) { completeUpload(input: $input) { userErrors { message } } }"


def change(server: Server, query: str, **input: Any) -> Any:
    """The payload of a mutation that must not be refused."""
    connection = Connection(server.address)
    try:
        return connection.change(query, input)
    finally:
        connection.close()


def experiment(server: Server, name: str, **input: Any) -> str:
    """The id of a new experiment."""
    return str(change(server, EXPERIMENT, name=name, **input)["experiment"]["id"])


def log(server: Server, id: str, steps: Sequence[int], **values: Sequence[Any]) -> None:
    """Points of series, a row a step."""
    named = {key.replace("_", "/"): list(column) for key, column in values.items()}
    change(server, LOG, objectId=id, columns={"steps": list(steps), "values": named})


def version(server: Server, model: str, word: str, namespace: str = "default", **input: Any) -> str:
    """The id of a new version; its model is made if need be."""
    owner = change(server, MODEL, name=model, namespace=namespace)["model"]["id"]
    return str(change(server, VERSION, modelId=owner, version=word, **input)["modelVersion"]["id"])


def upload(server: Server, owner: str, name: str, path: str, content: bytes) -> str:
    """The digest of a file that an artifact of the owner now has."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    files = [{"path": path, "size": len(content), "digest": digest}]
    begun = change(server, BEGIN, objectId=owner, name=name, files=files)
    for part in begun["parts"]:
        headers = {each["name"]: each["value"] for each in part["headers"]}
        Connection(server.address).put(part["url"], content, len(content), headers)
    change(server, COMPLETE, id=begun["upload"]["id"])
    return digest
