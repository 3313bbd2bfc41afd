"""The machine: what its files and variables tell without asking anybody; and GPUs, which another process asks for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from modelbox.capture.asking import asked

GPU_SECONDS: Final = 5.0
"""The driver of many GPUs that sleep takes its time."""

GPU_COLUMNS: Final = {"index": "index", "name": "name", "memory.total": "memoryMiB", "driver_version": "driver"}
JOB: Final = {
    "SLURM_CLUSTER_NAME": "cluster", "SLURM_JOB_ID": "id", "SLURM_JOB_NAME": "name", "SLURM_JOB_PARTITION": "partition",
    "SLURM_JOB_NUM_NODES": "nodes", "SLURM_JOB_NODELIST": "nodeList", "SLURM_NTASKS": "tasks",
    "SLURM_CPUS_PER_TASK": "cpusPerTask", "SLURM_ARRAY_JOB_ID": "arrayId", "SLURM_ARRAY_TASK_ID": "arrayTask",
    "SLURM_RESTART_COUNT": "restarts", "WORLD_SIZE": "worldSize", "LOCAL_WORLD_SIZE": "localWorldSize",
    "CUDA_VISIBLE_DEVICES": "visibleGpus",
}  # fmt: skip
"""Variables of SLURM and of launchers; no others are read."""


def at_once() -> dict[str, Any]:
    """What the machine is."""
    system = os.uname()
    found = {
        "name": system.nodename,
        "system": f"{system.sysname} {system.release} {system.machine}",
        "distribution": _value(Path("/etc/os-release"), "PRETTY_NAME", "=").strip('"'),
        "cpu": _cpu(),
        "cpuCount": os.cpu_count(),
        "usableCpuCount": _usable(),
        "memoryBytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "memoryLimitBytes": _limit(),
        "container": _container(),
        "gpus": list(_gpus()),
    }
    return {name: value for name, value in found.items() if value not in ("", None, [])}


def _value(path: Path, key: str, mark: str) -> str:
    """The first value of a key in a file of lines, of which only the begin is read."""
    try:
        with path.open(errors="replace") as file:
            lines = file.read(1 << 14).splitlines()
    except OSError:
        return ""
    pairs = (line.partition(mark) for line in lines)
    return next((value.strip() for name, _, value in pairs if name.strip() == key), "")


def _cpu() -> str:
    if sys.platform == "darwin":
        answer = asked(["sysctl", "-n", "machdep.cpu.brand_string"], seconds=0.2)
        return "" if answer is None else answer.text.strip()
    names = Path("/proc/cpuinfo")
    return _value(names, "model name", ":") or _value(names, "Model", ":")


def _usable() -> int | None:
    """The scheduler's share of the CPUs."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else None


def _limit() -> int | None:
    """What a container may use."""
    for place in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            found = Path(place).read_text().strip()
        except OSError:
            continue
        if found.isdecimal() and int(found) < 1 << 60:
            return int(found)
    return None


def _container() -> str:
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    if "APPTAINER_CONTAINER" in os.environ or "SINGULARITY_CONTAINER" in os.environ:
        return "apptainer"
    if Path("/run/.containerenv").exists():
        return "podman"
    return "docker" if Path("/.dockerenv").exists() else ""


def _gpus() -> Iterator[str]:
    """Their names, as the driver lists them."""
    for place in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        yield _value(place, "Model", ":")


def job() -> dict[str, str]:
    """What the scheduler calls it."""
    return {name: os.environ[variable][:1_000] for variable, name in JOB.items() if os.environ.get(variable)}


def gpus() -> list[dict[str, str]]:
    """What `nvidia-smi` says of each GPU; nothing without it."""
    columns = ",".join(GPU_COLUMNS)
    answer = asked(["nvidia-smi", f"--query-gpu={columns}", "--format=csv,noheader,nounits"], seconds=GPU_SECONDS)
    rows = [] if answer is None else [line.split(", ") for line in answer.text.splitlines()]
    return [dict(zip(GPU_COLUMNS.values(), row, strict=True)) for row in rows if len(row) == len(GPU_COLUMNS)]
