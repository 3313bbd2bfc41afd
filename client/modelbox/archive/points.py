"""Points of a series between server and archive, as the columns that the API has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from modelbox.archive import documents
from modelbox.connection import Connection
from modelbox.errors import ModelBoxError, Refused

A_LINE: Final = 5_000
"""Points of a line, and of a call when they are sent again."""

NAMES: Final = ("steps", "wallTimes", "values", "strings", "bytes")
KINDS: Final = {"FLOAT": "values", "STRING": "strings", "BYTES": "bytes"}


def exported(server: Connection, owner: str, series: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All points of a series on the run's line, some thousand at a time.

    Raises:
        ModelBoxError: `INCOMPLETE_EXPORT`, when not all of them come: points older than `rawMetricDays` are figures.
    """
    count = 0
    for columns in _columns(server, owner, series["key"], None):
        size = len(columns[KINDS[series["kind"]]] or ())
        count += size
        for at in range(0, size, A_LINE):
            part = {name: columns[name][at : at + A_LINE] for name in NAMES if columns[name] is not None}
            yield {"owner": owner, "key": series["key"], "kind": series["kind"], **part}
    if count != series["count"]:
        told = f"{series['key']!r} has {series['count']:,} points, of which {count:,} came"
        raise ModelBoxError("INCOMPLETE_EXPORT", f"{told}: it still grows, or was rolled up.")


def _columns(server: Connection, owner: str, key: str, between: dict[str, int] | None) -> Iterator[dict[str, Any]]:
    """All at once, or, when that is too much for one answer, in halves by step."""
    try:
        found = server.ask(documents.COLUMNS, id=owner, key=key, range=between)["node"]["metric"]
    except Refused as error:
        if error.code != "LIMIT_EXCEEDED":
            raise
        low, high = between.values() if between else _steps(server, owner, key)
        if low is None or high is None or low >= high:
            raise
        middle = (low + high) // 2
        yield from _columns(server, owner, key, {"from": low, "to": middle})
        yield from _columns(server, owner, key, {"from": middle + 1, "to": high})
        return
    yield found["columns"]


def _steps(server: Connection, owner: str, key: str) -> tuple[int | None, int | None]:
    """The first and the last of a series."""
    nothing = {"from": 0, "to": 0}
    found = server.ask(documents.COLUMNS, id=owner, key=key, range=nothing)["node"]["metric"]
    return found["firstStep"], found["lastStep"]


def table(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line as the server takes it."""
    kind = KINDS[line["kind"]]
    wanted = {name: line[name] for name in ("steps", "wallTimes") if line.get(name) is not None}
    return {**wanted, kind: {line["key"]: line[kind]}}


def write_parquet(path: Path, lines: Iterator[dict[str, Any]]) -> None:
    """Lines as one table, a point a row; needs pyarrow.

    Raises:
        ModelBoxError: `PYARROW_MISSING`.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ModelBoxError("PYARROW_MISSING", "Parquet needs pyarrow: pip install pyarrow.") from error
    names = ("owner", "key", "kind", "step", "wall_time", "value", "string", "bytes")
    kinds = (*[pa.string()] * 3, *[pa.int64()] * 2, pa.float64(), *[pa.string()] * 2)
    schema = pa.schema(list(zip(names, kinds, strict=True)))
    with pq.ParquetWriter(path, schema) as writer:
        for line in lines:
            count = len(line[KINDS[line["kind"]]])
            same = [[line[name]] * count for name in ("owner", "key", "kind")]
            values = [None if value is None else float(value) for value in line.get("values") or [None] * count]
            others = [line.get(name) or [None] * count for name in ("steps", "wallTimes", "strings", "bytes")]
            columns = [*same, *others[:2], values, *others[2:]]
            writer.write_table(pa.table(dict(zip(names, columns, strict=True)), schema=schema))


def read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    """The same, read as lines. Raises ModelBoxError as `write_parquet`."""
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ModelBoxError("PYARROW_MISSING", "Parquet needs pyarrow: pip install pyarrow.") from error
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            rows = file.read_row_group(number).to_pydict()
            line = {name: rows[name][0] for name in ("owner", "key", "kind")}
            found = {
                "steps": rows["step"],
                "wallTimes": rows["wall_time"],
                "strings": rows["string"],
                "bytes": rows["bytes"],
            }
            line |= {name: column for name, column in found.items() if any(each is not None for each in column)}
            if line["kind"] == "FLOAT":
                line["values"] = [_spelled(value) for value in rows["value"]]
            yield line


def _spelled(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    return {float("inf"): "Infinity", float("-inf"): "-Infinity"}.get(value, value)
