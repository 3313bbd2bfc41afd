"""`modelbox config explain`: what is set, and where."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from modelbox.cli import output
from modelbox.cli.arguments import noun, verb

if TYPE_CHECKING:
    from modelbox.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    verbs = noun(commands, "config", "What the client is set to.")
    verb(verbs, "explain", "Show every setting, its value, and where that came from.", explain)


def explain(wanted: argparse.Namespace) -> None:
    """Show all; of the token only where it is."""
    from modelbox import configuration, credentials

    found = configuration.load(server=wanted.server)
    _, origin = credentials.find(found.server)
    rows = [(name, value, origin) for name, value, origin in found.explain()]
    rows.append(("token", None if origin == "nowhere" else "(secret)", origin))
    if wanted.json:
        values = [(name, str(value) if name == "folder" else value, origin) for name, value, origin in rows]
        output.document([dict(zip(("name", "value", "origin"), each, strict=True)) for each in values])
    else:
        output.table(("NAME", "VALUE", "FROM"), rows)
