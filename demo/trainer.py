"""The process that trains all jobs: `python -m demo.trainer STAMP SECONDS`. It may be killed, and run again."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import threadpool_limits

from demo import digits, job, mutations
from demo.connection import Connection, DemoFailed
from demo.settings import NAMESPACE, jobs

STOPPED = 3
"""How the process ends when somebody wanted it to."""


def main() -> None:
    """Train, with a sentence instead of a traceback when the server refuses."""
    _, stamp, seconds = sys.argv
    server = Connection.from_environment()
    try:
        data = digits.splits()
        datasets = {role: dataset(server, role, split) for role, split in data.items()}
        trained(server, job.Plan(NAMESPACE, data, datasets, float(seconds), threading.Event()), stamp)
    except DemoFailed as error:
        sys.exit(f"The training stopped. {error}")
    except (KeyboardInterrupt, job.Stopped):
        sys.exit(STOPPED)


def trained(server: Connection, plan: job.Plan, stamp: str) -> None:
    """Every setting with every seed, all at once. Raises Stopped."""
    wanted = jobs(stamp)
    # The networks are so small that more threads for one of them only get into the way of the others.
    with threadpool_limits(1), ThreadPoolExecutor(len(wanted)) as pool:
        running = [pool.submit(job.run, server, plan, *each) for each in wanted.items()]
        try:
            for each in running:
                each.result()
        except BaseException:
            plan.stop.set()
            raise


def dataset(server: Connection, role: str, split: digits.Split) -> str:
    """The dataset's id; the same data is the same dataset at every run."""
    wanted = {"namespace": NAMESPACE, "name": f"digits-{role}", "digest": split.digest, "profile": split.profile}
    schema = {"columns": {"image": "64 × float64 in 0–1", "digit": "int64 in 0–9"}}
    id_: str = server.change(mutations.CREATE_DATASET, {**wanted, "schema": schema})["dataset"]["id"]
    return id_


if __name__ == "__main__":
    main()
