"""`modelbox sync`: what trainings could not send."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from modelbox.cli import exits, output
from modelbox.cli.arguments import verb

if TYPE_CHECKING:
    from modelbox.cli.arguments import Commands
    from modelbox.sender.sync import Synced

EVERY_SECONDS = 10.0
CODES = {"unreachable": exits.UNREACHABLE, "refused": exits.REFUSED, "damaged": exits.REFUSED}
WORDS = {
    "sent": "all is sent",
    "partly": "what is there is sent; it did not say that it is over",
    "taken": "another process sends it",
    "unreachable": "no server answers; all is kept",
    "refused": "the server does not allow it; all is kept",
    "damaged": "it is damaged, and kept as it is",
}


def add(commands: Commands) -> None:
    """Add the command."""
    parser = verb(commands, "sync", "Send what is left in queues of trainings; safe at any time, from anywhere.", sync)
    parser.add_argument("folder", nargs="?", type=Path, help="the queues; those that are configured when absent")
    parser.add_argument("--watch", action="store_true", help="go on, and send what comes, until interrupted")


def sync(wanted: argparse.Namespace) -> int:
    """Send everything once, or again and again; the worst that came of it."""
    from modelbox import configuration
    from modelbox.sender.sync import queues
    from modelbox.sender.sync import sync as send

    folder = wanted.folder or configuration.load().folder
    while True:
        found = list(send(folder, wanted.server))
        for each in found:
            _tell(each, wanted)
        if not wanted.watch:
            break
        time.sleep(EVERY_SECONDS)
    if not found and not queues(folder):
        output.say(f"Nothing is left in {folder}.")
    return max((CODES.get(each.state, exits.FINE) for each in found), default=exits.FINE)


def _tell(synced: Synced, wanted: argparse.Namespace) -> None:
    if wanted.json:
        output.row({"run": synced.run, "writer": synced.writer, "state": synced.state, "points": synced.points})
        return
    about = f" ({synced.points:,} points)" if synced.points else ""
    more = f" {synced.message}" if synced.message else ""
    output.line(f"{output.printable(synced.run)}: {WORDS[synced.state]}{about}.{more}")
