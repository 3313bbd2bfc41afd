"""Long series: how many bytes a point takes, and how fast samples and whole series are read."""

from __future__ import annotations

import http.client
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import orjson

from benchmarks import mlflow_peer, writers
from benchmarks.contenders import Contender
from benchmarks.points import Shape, walk
from benchmarks.trackers import ModelBox

MILLION: Final = 1_000_000
CALL: Final = Shape(keys=1, rows=10_000)
KEY: Final = CALL.names[0]
SAMPLE: Final = 1_000
READS: Final = 20
READING_LIMIT: Final = 15.0
"""Seconds after which a slow read is not asked again, but three times at least."""

METRIC_TABLES: Final = ("series", "metric_batch", "metric_segment", "opaque_point", "metric_writer", "metric_author")
SIZES: Final = "SELECT name, pg_total_relation_size(name::regclass) AS size FROM unnest($1::text[]) AS given(name)"
BY_ID: Final = "query ($id: ID!, $key: String!) { experiment(by: { id: $id }) { metric(key: $key) { %s } } }"
SAMPLED: Final = BY_ID % f"sample(maxPoints: {SAMPLE}) {{ rawCount x columns {{ steps values }} }}"
CURVE: Final = BY_ID % "columns { steps values }"
WHOLE: Final = BY_ID % "columns { steps wallTimes values }"


@dataclass(frozen=True)
class Reading:
    """One read, asked again and again over one connection. Times are in seconds."""

    name: str
    server: str
    size: int
    times: Sequence[float]

    @property
    def milliseconds(self) -> float:
        """The median."""
        return 1000 * statistics.median(self.times)


def load(box: ModelBox, points: Sequence[int]) -> list[str]:
    """Runs with one series each, of so many points, logged by the mutation."""
    runs = box.make_runs(len(points))
    started = []
    for run, count in zip(runs, points, strict=True):
        limit = count // CALL.rows
        task = box.tracker("long", "columns", [run]).task(CALL, 600.0, limit=limit)
        started.append(writers.begin(task))
    for process in started:
        writers.result(process)
    return runs


async def bytes_a_point(dsn: str, tables: Sequence[str], count: str) -> dict[str, float]:
    """What each table takes with all that belongs to it, by points; space that nobody uses any more is its, too."""
    connection = await asyncpg.connect(dsn)
    try:
        for table in tables:
            await connection.execute(f'VACUUM "{table}"')
        points = float(await connection.fetchval(count))
        sizes = await connection.fetch(SIZES, tables)
        return {row["name"]: float(row["size"]) / points for row in sizes}
    finally:
        await connection.close()


async def write_mlflow(dsn: str, run: str, points: int) -> None:
    """Put a series straight into MLflow's tables, as its server would write it."""
    connection = await asyncpg.connect(dsn)
    try:
        columns = ("key", "value", "timestamp", "run_uuid", "step", "is_nan")
        await connection.copy_records_to_table("metrics", records=_mlflow_rows(run, points), columns=columns)
        await connection.execute("ANALYZE metrics")
    finally:
        await connection.close()


def _mlflow_rows(run: str, points: int) -> Iterator[tuple[Any, ...]]:
    for number, table in enumerate(walk(CALL, 0, 0)):
        if number * CALL.rows >= points:
            return
        times = (table.times // 1000).tolist()
        for step, at, value in zip(table.steps.tolist(), times, table.values[0].tolist(), strict=True):
            yield KEY, value, at, run, step, False


def read_modelbox(box: ModelBox, runs: Mapping[str, str]) -> Iterator[Reading]:
    """Samples of every series, and the whole of the first."""
    for name, run in runs.items():
        yield _read(f"sample({SAMPLE:,}) of {name}", box, SAMPLED, run)
    name, run = next(iter(runs.items()))
    yield _read(f"all of {name}: steps, values", box, CURVE, run)
    yield _read(f"all of {name}: steps, wall times, values", box, WHOLE, run)


def _read(name: str, box: ModelBox, query: str, run: str) -> Reading:
    body = orjson.dumps({"query": query, "variables": {"id": run, "key": KEY}})
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {box.token}"}
    return _timed(name, box.server, ("POST", "/graphql", body, headers))


def read_mlflow(server: Contender, run: str) -> Reading:
    """What its charts ask for."""
    path = mlflow_peer.interval_path(run, KEY, SAMPLE)
    return _timed("get-history-bulk-interval of 1 M points", server, ("GET", path, None, {}))


def _timed(name: str, server: Contender, request: tuple[str, str, bytes | None, dict[str, str]]) -> Reading:
    """The read, after one that warms up."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    times: list[float] = []
    size = 0
    began = time.perf_counter()
    while len(times) <= READS and (len(times) <= 3 or time.perf_counter() < began + READING_LIMIT):
        sent = time.perf_counter()
        connection.request(*request)
        answer = connection.getresponse()
        text = answer.read()
        times.append(time.perf_counter() - sent)
        if answer.status != 200 or b'"errors":' in text[:200] or b'"metric":null' in text[:200]:
            raise RuntimeError(f"{server.name} answers {name} with {text[:1000]!r}")
        size = len(text)
    connection.close()
    return Reading(name, server.name, size, times[1:])
