"""`modelbox metric get`: points, for other programs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from modelbox.cli import output
from modelbox.cli.arguments import api_of, noun, verb

if TYPE_CHECKING:
    from modelbox.api import Api, types
    from modelbox.cli.arguments import Commands

HEAD = ("key", "step", "wallTime", "value")
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def add(commands: Commands) -> None:
    """Add the command."""
    verbs = noun(commands, "metric", "Points of metrics.")
    parser = verb(verbs, "get", "Print the points of metrics: all, or those of a range of steps.", get)
    parser.add_argument("run", help="a run by NAME or NAMESPACE/NAME, or any object by its id")
    parser.add_argument("key", nargs="*", help="metrics; all when absent")
    parser.add_argument("--csv", action="store_true", help="print comma-separated values, with a head")
    parser.add_argument("--from", dest="start", type=int, metavar="STEP", help="only from this step on")
    parser.add_argument("--to", dest="stop", type=int, metavar="STEP", help="only up to this step")


def get(wanted: argparse.Namespace) -> None:
    """Print them, a series after the other."""
    api = api_of(wanted)
    of = api.id(wanted.run)
    keys = wanted.key or [series.key for series in api.series(of)]
    if wanted.json:
        return output.document({key: _columns(api, of, key, wanted) for key in keys})
    rows = (row for key in keys for row in _rows(key, _columns(api, of, key, wanted)))
    if wanted.csv:
        import csv

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(HEAD)
        writer.writerows(rows)
    else:
        output.table([name.upper() for name in HEAD], rows)
    return None


def _columns(api: Api, of: str, key: str, wanted: argparse.Namespace) -> types.MetricColumns:
    return api.columns(of, key, start=wanted.start, stop=wanted.stop)


def _rows(key: str, columns: types.MetricColumns) -> Iterator[tuple[Any, ...]]:
    """Values as they are written by `repr`, which loses nothing of a number."""
    values: list[Any] = columns.values or columns.strings or columns.bytes or []
    nothing = [None] * len(values)
    for step, at, value in zip(columns.steps or nothing, columns.wall_times or nothing, values, strict=True):
        yield key, step, None if at is None else moment(at), repr(value) if isinstance(value, float) else value


def moment(microseconds: int) -> str:
    """A wall time as people and programs read it."""
    return (BEGINNING + timedelta(microseconds=microseconds)).isoformat(timespec="microseconds").replace("+00:00", "Z")
