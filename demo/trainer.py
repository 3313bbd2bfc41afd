"""The process that trains all jobs: `python -m demo.trainer STAMP SECONDS`. It may be killed, and run again."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import threadpool_limits

import modelbox as mb
from demo import digits, job
from demo.settings import NAMESPACE, jobs

STOPPED = 3
"""How the process ends when somebody wanted it to."""


def main() -> None:
    """Train, with a sentence instead of a traceback when the server refuses."""
    _, stamp, seconds = sys.argv
    try:
        trained(job.Plan(NAMESPACE, digits.splits(), float(seconds), threading.Event()), stamp)
    except (mb.ModelBoxError, job.NotSent) as error:
        sys.exit(f"The training stopped. {error}")
    except KeyboardInterrupt:
        sys.exit(STOPPED)


def trained(plan: job.Plan, stamp: str) -> None:
    """Every setting with every seed, all at once, each in a thread with a run of its own. Raises Stopped."""
    wanted = jobs(stamp)
    # The networks are so small that more threads for one of them only get into the way of the others.
    with threadpool_limits(1), ThreadPoolExecutor(len(wanted)) as pool:
        running = [pool.submit(job.run, plan, *each) for each in wanted.items()]
        try:
            for each in running:
                each.result()
        except BaseException:
            plan.stop.set()
            raise


if __name__ == "__main__":
    main()
