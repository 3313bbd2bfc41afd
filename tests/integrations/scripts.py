"""Scripts with a framework, run by the Python that has it, and what the server has of them afterwards."""

from __future__ import annotations

import os
import subprocess
import textwrap
from pathlib import Path
from typing import Any, Final

from tests.acceptance.server import Server, clean_environment

REPOSITORY = Path(__file__).parents[2]
PYTHON: Final = "MODELBOX_TORCH_PYTHON"
PATIENCE: Final = 400.0
"""Seconds for a script: of frameworks that take long to import, on what may be one busy core."""

RUNS = """query ($namespace: String!) { experiments(namespace: $namespace, first: 25) { nodes {
  id name externalId status framework leg hyperparameters metadata labels parent { id }
  metrics(first: 60) { nodes { key kind count last columns { steps values strings wallTimes } } }
  artifacts(first: 10) { nodes { name files(first: 20) { nodes { path size } } } }
  checkpoints(first: 10) { nodes { step epoch status metrics(first: 20) { nodes { key last } }
    artifacts(first: 2) { nodes { files(first: 20) { nodes { path size } } } } } } } } }"""


class Scripts:
    """Runs scripts in a folder, and reads what arrived."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder

    def run(self, script: str, code: int = 0, namespace: str = "default", **variables: str) -> str:
        """Run a script to its end; what it printed."""
        (self.folder / "script.py").write_text(textwrap.dedent(script))
        return self.run_file("script.py", code=code, namespace=namespace, **variables)

    def run_file(self, *words: str | Path, code: int = 0, namespace: str = "default", **variables: str) -> str:
        """Run a file of Python to its end; what it printed."""
        assert PYTHON in os.environ, f"{PYTHON} names a Python that has the frameworks; `make test-integrations` does."
        told = {
            "MODELBOX_SERVER": self.server.address, "MODELBOX_NAMESPACE": namespace, "MODELBOX_CAPTURE_SYSTEM": "0",
            "HOME": str(self.folder), "PYTHONPATH": str(REPOSITORY / "client"), "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "KERAS_BACKEND": "torch",
        }  # fmt: skip
        ended = subprocess.run(
            [os.environ[PYTHON], *words], cwd=self.folder, env={**clean_environment(), **told, **variables},
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert ended.returncode == code, ended.stdout + ended.stderr
        for wrong in ("NOT_SENT", "CLIENT_FAULT", "BAD_METRIC", "BAD_KEY", "BAD_STEP"):
            assert wrong not in ended.stderr, ended.stderr
        return ended.stdout

    def runs(self, namespace: str = "default") -> dict[str, dict[str, Any]]:
        """All runs of a namespace by name, with the series of each by key."""
        nodes = self.server.graphql(RUNS, namespace=namespace)["experiments"]["nodes"]
        for node in nodes:
            node["series"] = {each["key"]: each["columns"] for each in node["metrics"]["nodes"]}
        return {node["name"]: node for node in nodes}


def files_of(checkpoint: dict[str, Any]) -> set[str]:
    """The paths of what a checkpoint holds."""
    return {file["path"] for each in checkpoint["artifacts"]["nodes"] for file in each["files"]["nodes"]}
