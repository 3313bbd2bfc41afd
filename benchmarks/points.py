"""What is logged: random walks with consecutive steps and wall times, and each server's way of writing them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
STEP_MICROSECONDS: Final = 100_000
JITTER_MICROSECONDS: Final = 1_000
LOG: Final = (
    "mutation ($input: LogMetricsInput!) { logMetrics(input: $input) { pointCount userErrors { code message } } }"
)


@dataclass(frozen=True)
class Shape:
    """One call: so many series, and so many steps of each."""

    keys: int
    rows: int

    @property
    def points(self) -> int:
        """How many points that is."""
        return self.keys * self.rows

    @property
    def names(self) -> list[str]:
        """The names of the series."""
        return [f"train/metric_{number:02}" for number in range(self.keys)]


@dataclass(frozen=True)
class Table:
    """The points of one call: steps, microseconds since 1970, and a row of values for each series."""

    names: list[str]
    steps: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]


def walk(shape: Shape, seed: int, first: int) -> Iterator[Table]:
    """The calls of one writer, from its call number `first` on."""
    random = np.random.default_rng((seed, first))
    last = np.zeros((shape.keys, 1))
    begin = int(BEGIN.timestamp() * 1_000_000)
    names = shape.names
    while True:
        steps = np.arange(first * shape.rows, (first + 1) * shape.rows)
        jitter = random.normal(0, JITTER_MICROSECONDS, shape.rows).astype(np.int64)
        values = last + np.cumsum(random.normal(0, 0.01, (shape.keys, shape.rows)), axis=1)
        yield Table(names, steps, begin + steps * STEP_MICROSECONDS + jitter, values)
        last = values[:, -1:]
        first += 1


def _dumps(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def _columns(table: Table) -> dict[str, Any]:
    values = dict(zip(table.names, table.values, strict=True))
    return {"steps": table.steps, "wallTimes": table.times, "values": values}


def columns(run: str, writer: str, number: int, table: Table) -> bytes:
    """For ModelBox: one scalar."""
    sent = {"objectId": run, "columns": _columns(table), "writer": writer, "sequence": number}
    return _dumps({"query": LOG, "variables": {"input": sent}})


def objects(run: str, writer: str, number: int, table: Table) -> bytes:
    """For ModelBox: an object for each point."""
    times = [datetime.fromtimestamp(time / 1_000_000, UTC).isoformat() for time in table.times.tolist()]
    rows = list(zip(table.steps.tolist(), times, strict=True))
    points = [
        {"key": name, "step": step, "wallTime": time, "value": value}
        for name, series in zip(table.names, table.values.tolist(), strict=True)
        for (step, time), value in zip(rows, series, strict=True)
    ]
    sent = {"objectId": run, "points": points, "writer": writer, "sequence": number}
    return _dumps({"query": LOG, "variables": {"input": sent}})


def floor(run: str, writer: str, number: int, table: Table) -> bytes:
    """For the floor: the columns, and whose they are."""
    del writer, number
    return _dumps({"run": run, **_columns(table)})


def mlflow(run: str, writer: str, number: int, table: Table) -> bytes:
    """For MLflow's `log-batch`; its times are milliseconds."""
    del writer, number
    rows = list(zip(table.steps.tolist(), (table.times // 1000).tolist(), strict=True))
    metrics = [
        {"key": name, "value": value, "timestamp": time, "step": step}
        for name, series in zip(table.names, table.values.tolist(), strict=True)
        for (step, time), value in zip(rows, series, strict=True)
    ]
    return _dumps({"run_id": run, "metrics": metrics})


FORMATS: Final[dict[str, Callable[[str, str, int, Table], bytes]]] = {
    "columns": columns,
    "objects": objects,
    "floor": floor,
    "mlflow": mlflow,
}
