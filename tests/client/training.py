"""Training scripts as processes of their own, and what the server has of their runs."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.acceptance.server import Server

RUN = """query ($by: ExperimentBy!) { experiment(by: $by) {
  id name status leg hyperparameters metadata labels
  metrics(first: 50) { nodes { key kind count last } }
  events(first: 50) { nodes { name at endedAt metadata } }
  artifacts(first: 50) { nodes { name status files { nodes { path size digest downloadUrl } } } }
  checkpoints(first: 50) { nodes { id name step status isPinned metadata shards { expected received }
    metrics { nodes { key last } } artifacts { nodes { name files { nodes { path size } } } }
    versions { nodes { version uniqueTags model { name } } } } }
} }"""
COLUMNS = """query ($by: ExperimentBy!, $keys: [String!]) { experiment(by: $by) {
  metrics(keys: $keys, first: 50) { nodes { key columns { steps values strings } } } } }"""


def begun(script: str, server: str, **variables: str) -> subprocess.Popen[str]:
    """A script that has `mb`, on its way."""
    text = f"import modelbox as mb\n{textwrap.dedent(script)}"
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MODELBOX_")}
    told = {"MODELBOX_SERVER": server, "PYTHONFAULTHANDLER": "1", **variables}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", text],
        env=inherited | told, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    """What it wrote, when it has ended as it should."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert "Traceback" not in err or code, err
    return out, err


def trained(script: str, server: str, code: int = 0, **variables: str) -> tuple[str, str]:
    """Run a script to its end."""
    return ended(begun(script, server, **variables), code)


def run_of(server: Server, run_id: str, namespace: str = "default") -> dict[str, Any]:
    """All that the server has of a run."""
    found: dict[str, Any] = server.graphql(RUN, by=_by(run_id, namespace))["experiment"]
    return found


def columns_of(server: Server, run_id: str, *keys: str) -> dict[str, Mapping[str, Any]]:
    """The points of a run's series."""
    found = server.graphql(COLUMNS, by=_by(run_id, "default"), keys=list(keys) or None)["experiment"]
    return {each["key"]: each["columns"] for each in found["metrics"]["nodes"]}


def _by(run_id: str, namespace: str) -> dict[str, Any]:
    return {"externalId": {"namespace": namespace, "name": run_id}}


def queue_of(folder: Path) -> list[Path]:
    """The queues that are left."""
    return sorted(path.parent for path in folder.glob(".modelbox/queue/*/*/about.json"))
