"""Measures files: ModelBox beside `cp`, a bare process, MLflow and, in S3, boto3, in one run.

`make bench-artifacts` runs it; `ARGS="--help"` lists what can be changed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import time
from typing import Final

from benchmarks import (
    artifacts_arena,
    artifacts_client,
    artifacts_downloads,
    artifacts_report,
    artifacts_s3,
    artifacts_uploads,
    report,
)
from benchmarks.artifacts_client import MIB
from benchmarks.artifacts_report import Figures

PARTS: Final = {
    "files": artifacts_uploads.many,
    "upload": artifacts_uploads.one,
    "download": artifacts_downloads.one,
    "s3": artifacts_s3.one,
}
HASHED: Final = 512 * MIB


def main() -> None:
    """Begin all servers, measure, print."""
    options = _options()
    figures = Figures(os.getloadavg()[0], options.files, {count: _hashing(count) for count in (1, 2)})
    with artifacts_arena.arena(
        options.size_mib, options.part_mib * MIB, with_mlflow=not options.without_mlflow
    ) as arena:
        for name, part in PARTS.items():
            if name in options.only:
                print(f"Measuring {name}", flush=True)
                try:
                    part(arena, options, figures)
                except RuntimeError as error:  # The other parts can still tell something.
                    figures.failed[name] = str(error)
    text = artifacts_report.tables(figures)
    print(text)
    if options.record:
        report.record(text, "artifacts")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-artifacts", description=__doc__)
    parser.add_argument("--size-mib", type=int, default=1024, help="of the one big file")
    parser.add_argument("--s3-mib", type=int, default=256, help="of the one that goes to S3: moto is slow")
    parser.add_argument("--part-mib", type=int, default=8, help="of which both consist")
    parser.add_argument("--files", type=int, default=10_000, help="of 4 kB each")
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=tuple(PARTS), help=f"of: {', '.join(PARTS)}")
    parser.add_argument("--without-mlflow", action="store_true")
    parser.add_argument("--record", action="store_true", help="write the tables into benchmarks/README.md")
    return parser.parse_args()


def _hashing(threads: int) -> float:
    """MiB/s of SHA-256 alone, by so many threads together."""
    piece = os.urandom(MIB)

    def work() -> None:
        digest = hashlib.sha256()
        for _ in range(HASHED // MIB // threads):
            digest.update(piece)

    started = time.perf_counter()
    artifacts_client.together(work, threads)
    return HASHED / MIB / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
