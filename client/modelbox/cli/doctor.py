"""`modelbox doctor`: what would keep a run from being remembered."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from modelbox.cli import exits, output
from modelbox.cli.arguments import verb

if TYPE_CHECKING:
    from modelbox.api import Api
    from modelbox.cli.arguments import Commands
    from modelbox.configuration import Configuration

SKEW = 5.0
"""Seconds that clocks may differ."""

STREAM = "subscription Doctor($after: Cursor) { changes(after: $after) { cursor } }"
Check = tuple[str, Callable[[], str]]


def add(commands: Commands) -> None:
    """Add the command."""
    verb(commands, "doctor", "Look for what would keep runs from being remembered.", doctor)


def doctor(wanted: argparse.Namespace) -> int:
    """Check one thing after the other; what needs an earlier one is left out when that failed."""
    from modelbox.errors import ModelBoxError

    found: list[dict[str, object]] = []
    worst = exits.FINE
    checks = _checks(wanted)
    for name, check in checks:
        try:
            found.append({"check": name, "isFine": True, "says": check()})
        except ModelBoxError as error:
            found.append({"check": name, "isFine": False, "says": str(error)})
            worst = exits.of(error)
            output.say(f"Next: {exits.next_command(error, 'doctor') if worst != exits.UNREACHABLE else ADVICE}")
            break
    if wanted.json:
        output.document(found)
    else:
        output.table(("CHECK", "", "SAYS"), [(e["check"], "ok" if e["isFine"] else "FAILED", e["says"]) for e in found])
    return worst


ADVICE = "start a server (`make serve`), or name yours: modelbox doctor --server URL"


def _checks(wanted: argparse.Namespace) -> Iterator[Check]:
    from modelbox import configuration, credentials
    from modelbox.api import Api

    yield "configuration", lambda: configuration.load(server=wanted.server).server
    settings = configuration.load(server=wanted.server)
    yield "variables", _variables
    yield "queue", lambda: _queue(settings)
    yield "token", lambda: f"from {credentials.find(settings.server)[1]}"
    api = Api(wanted.server)
    yield "server", lambda: f"ModelBox {api.server().version} at {settings.server}"
    yield "clock", lambda: _clock(api)
    yield "you", lambda: _viewer(api)
    yield "stream", lambda: _stream(wanted)


def _variables() -> str:
    from modelbox import configuration
    from modelbox.errors import ModelBoxError

    for name, near in configuration.misspelled():
        raise ModelBoxError("CONFIGURATION", f"{name} is set and does nothing; did you mean {near}?")
    return "none is misspelled"


def _queue(settings: Configuration) -> str:
    """The nearest folder that is there must take files."""
    from modelbox.errors import ModelBoxError

    place = settings.folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        raise ModelBoxError("CONFIGURATION", f"{place} takes no files; set MODELBOX_QUEUE_DIR to a folder that does.")
    return str(settings.folder)


def _clock(api: Api) -> str:
    from datetime import UTC, datetime

    before = datetime.now(UTC)
    there = api.server().time
    late = max((before - there).total_seconds(), (there - datetime.now(UTC)).total_seconds(), 0.0)
    return "agrees with the server's" if late <= SKEW else f"differs from the server's by {late:.0f} s: set it"


def _viewer(api: Api) -> str:
    viewer = api.viewer()
    return f"{viewer.actor} of tenant {viewer.tenant}"


def _stream(wanted: argparse.Namespace) -> str:
    """A proxy may let requests through, and sockets not."""
    from modelbox.live import subscribe

    with subscribe(STREAM, server=wanted.server, patience=5.0) as stream:
        next(stream)
    return "opens"
