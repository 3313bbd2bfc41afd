"""Which of several processes of one job this is, as launchers tell it."""

from __future__ import annotations

import os
from itertools import count
from typing import Final

RANKS: Final = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK")
STARTS: Final = ("TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT", "MASTER_PORT")
JOBS: Final = ("TORCHELASTIC_RUN_ID", "SLURM_JOB_ID", "OMPI_MCA_ess_base_jobid")


def rank() -> int:
    """From 0; 0 when nobody says anything."""
    for name in RANKS:
        value = os.environ.get(name, "")
        if value.isdecimal():
            return int(value)
    return 0


_runs = count(1)


def next_run() -> str | None:
    """An id for the run that this process begins now, which the others' run of the same turn has, too.

    Only for runs of which every rank is a writer: a sweep within a job has many runs of its own.
    """
    found, turn = job(), next(_runs)
    return found if found is None or turn == 1 else f"{found}-{turn}"


def job() -> str | None:
    """What all processes of the job have in common; None when nobody says."""
    for name in JOBS:
        value = os.environ.get(name, "")
        if value and value != "none":
            return f"{name.partition('_')[0].lower()}-{value}"
    return None


def attempt() -> str:
    """Tells one start of the job from the next, the same for all its processes, as far as launchers tell it."""
    return "".join(f".{os.environ[name]}" for name in STARTS if os.environ.get(name))
