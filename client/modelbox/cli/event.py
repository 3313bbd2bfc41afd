"""`modelbox event tail`: what outside systems report, as they do."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from modelbox.cli import output
from modelbox.cli.arguments import api_of, noun, verb

if TYPE_CHECKING:
    from modelbox.api import types
    from modelbox.cli.arguments import Commands

PATIENCE = 300.0
"""Seconds for which a server that is away is waited for."""


def add(commands: Commands) -> None:
    """Add the command."""
    verbs = noun(commands, "event", "Events that trainers, engines and pipelines report.")
    parser = verb(verbs, "tail", "Print events as they are reported; never ends by itself.", tail)
    parser.add_argument("--namespace", metavar="PATH", help="only there and below; the configured one when absent")
    parser.add_argument("--of", metavar="OBJECT", help="only of this run, or of any object by its id")
    parser.add_argument("--name", metavar="NAME", help="only events of this name")


def tail(wanted: argparse.Namespace) -> None:
    """Print what comes, each once."""
    from modelbox.live import follow_events

    api = api_of(wanted)
    of = api.id(wanted.of) if wanted.of else None
    place = None if of else wanted.namespace or api.namespace
    only: dict[str, object] = {"filter": {"name": {"eq": wanted.name}}} if wanted.name else {}
    batches = follow_events(place, of=of, server=wanted.server, patience=PATIENCE, **only)  # type: ignore[arg-type]
    for number, batch in enumerate(batches):
        if number == 0:  # From the first frame on, nothing is missed.
            output.say(f"Following events of {output.printable(wanted.of or str(place))}; Ctrl-C leaves it.")
        for event in batch.events:
            _print(event, as_json=wanted.json)


def _print(event: types.Event, *, as_json: bool) -> None:
    if as_json:
        return output.row(event)
    seconds = None if event.duration_ms is None else f"{event.duration_ms / 1000:.3f} s"
    cells = (event.at, event.source, event.name, event.object_id, seconds, event.metadata or None)
    output.line("\t".join(output.cell(each) for each in cells))
    return output.flush()
