"""The peer: MLflow's tracking server as pip installs it, in an environment of its own, over the same PostgreSQL."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import urllib.parse
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks.contenders import Contender, free_port, running
from benchmarks.store import FOLDER

PACKAGES: Final = ("mlflow==3.17.2", "psycopg2-binary==2.9.13")
HOME: Final = FOLDER / PACKAGES[0].replace("==", "-")
API: Final = "/api/2.0/mlflow"
FILES: Final = "/api/2.0/mlflow-artifacts/artifacts"
LOG_BATCH: Final = f"{API}/runs/log-batch"
INTERVAL: Final = "/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval"
TABLES: Final = ("metrics", "latest_metrics")
DATABASE: Final = "mlflow"
# In its favour: it neither reports its use nor keeps workers for jobs that nobody gives it.
SETTINGS: Final = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def install() -> Path:
    """Its Python, with what it needs; a minute when it is missing."""
    python, done = HOME / "bin" / "python", HOME / ".installed"
    if not done.exists():
        print(f"Installing {PACKAGES[0]} into {HOME} (once; a minute or so)")
        venv.create(HOME, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", *PACKAGES], check=True)
        done.write_text("\n".join(PACKAGES))
    return python.absolute()


@contextlib.contextmanager
def serving(
    dsn: str, workers: int, name: str = "MLflow", artifacts: Path = FOLDER / "mlartifacts"
) -> Iterator[Contender]:
    """The server, ready: its tables are made, and it has answered. Files go through it into a folder."""
    python, port = install(), free_port()
    address = dsn.replace("postgresql://", "postgresql+psycopg2://")
    command = [str(python), "-m", "mlflow", "server", "--backend-store-uri", address, "--port", str(port)]
    command += ["--workers", str(workers), "--default-artifact-root", "mlflow-artifacts:/"]
    command += ["--artifacts-destination", str(artifacts.absolute())]
    with running(name, command, port, SETTINGS, FOLDER.absolute()) as server:
        for _ in range(4 * workers):
            call(server, "/experiments/search", {"max_results": 1})
        yield server


def call(server: Contender, path: str, body: dict[str, Any]) -> Any:
    """One request of its REST protocol."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{API}{path}", orjson.dumps(body), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return orjson.loads(answer.read())


def make_runs(server: Contender, count: int) -> list[str]:
    """The ids of new runs."""
    made = (call(server, "/runs/create", {"experiment_id": "0"}) for _ in range(count))
    return [each["run"]["info"]["run_id"] for each in made]


def interval_path(run: str, key: str, points: int) -> str:
    """Where a sampled history is read: what its own charts ask for."""
    asked = {"run_ids": run, "metric_key": key, "max_results": points}
    return f"{INTERVAL}?{urllib.parse.urlencode(asked)}"


if __name__ == "__main__":
    sys.exit(f"{install()} is installed.")
