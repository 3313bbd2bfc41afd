"""`modelbox run tail`: the points of a run as they are logged."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from modelbox.cli import output
from modelbox.cli.arguments import api_of, verb

if TYPE_CHECKING:
    from modelbox.api import types
    from modelbox.cli.arguments import Commands

PATIENCE = 300.0
"""Seconds for which a server that is away is waited for."""


def add(verbs: Commands) -> None:
    """Add the command."""
    parser = verb(verbs, "tail", "Print points as they are logged, until the run has ended.", tail)
    parser.add_argument("run", help="NAME, NAMESPACE/NAME or id")
    parser.add_argument("--key", action="append", metavar="KEY", help="only this metric; may be repeated")
    parser.add_argument("--all", action="store_true", help="begin with what was logged so far, of 100 metrics at most")


def tail(wanted: argparse.Namespace) -> None:
    """Print what was, if asked, and what comes; each point once."""
    from modelbox.live import follow_metrics

    api = api_of(wanted)
    run = api.experiment(wanted.run)
    if wanted.all:
        past = api.history(run, keys=wanted.key)
        after = past.cursor
        for key, columns in past.columns.items():
            _print(key, columns, as_json=wanted.json)
    else:
        after = api.feed_cursor(run)
    output.say(f"Following {output.printable(run.name)} ({run.status}); Ctrl-C leaves it.")
    batches = follow_metrics([run], keys=wanted.key, after=after, server=wanted.server, patience=PATIENCE)
    for batch in batches:
        for each in batch.series:
            _print(each.key, each.columns, as_json=wanted.json)
    output.say(f"{output.printable(run.name)} is {api.experiment(run).status}.")


def _print(key: str, columns: types.MetricColumns, *, as_json: bool) -> None:
    values: list[Any] = columns.values or columns.strings or columns.bytes or []
    steps = columns.steps or [None] * len(values)
    for step, value in zip(steps, values, strict=True):
        if as_json:
            output.row({"key": key, "step": step, "value": value})
        else:
            output.line(f"{output.cell(step)}\t{output.printable(key)}\t{output.cell(value)}")
    output.flush()
