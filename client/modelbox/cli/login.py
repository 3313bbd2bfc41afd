"""`modelbox login`, `modelbox logout`: a token is kept for a server, or forgotten."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from modelbox.cli import exits, output
from modelbox.cli.arguments import verb

if TYPE_CHECKING:
    from modelbox.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Add the commands."""
    verb(commands, "login", "Keep a token for a server; it is asked for, or read from the standard input.", login)
    verb(commands, "logout", "Forget the token of a server.", logout)


def login(wanted: argparse.Namespace) -> int:
    """Try a token, and keep it when it is good."""
    from modelbox import configuration, credentials
    from modelbox.api import Api

    server = configuration.load(server=wanted.server).server
    credentials.check_secure(server)
    token = _token(server)
    if not token:
        output.say(f"modelbox: No token was given.\nNext: modelbox login --server {server}")
        return exits.USAGE
    viewer = Api(server, token).viewer()
    place = credentials.store(server, token)
    output.say(f"Signed in at {server} as {output.printable(viewer.actor)}; the token is kept in {place}.")
    if os.environ.get("MODELBOX_TOKEN") or os.environ.get("MODELBOX_TOKEN_FILE"):
        output.say("MODELBOX_TOKEN or MODELBOX_TOKEN_FILE is set here, and goes before it.")
    if wanted.json:
        output.document({"server": server, "tenant": viewer.tenant, "actor": viewer.actor, "keptIn": place})
    return exits.FINE


def _token(server: str) -> str:
    """Never from the command line: others on the machine can read that."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    from getpass import getpass

    return getpass(f"Token for {server}: ", sys.stderr).strip()


def logout(wanted: argparse.Namespace) -> None:
    """Forget what is kept."""
    from modelbox import configuration, credentials

    server = configuration.load(server=wanted.server).server
    was_there = credentials.forget(server)
    output.say(f"The token for {server} is forgotten." if was_there else f"No token was kept for {server}.")
    if wanted.json:
        output.document({"server": server, "wasKept": was_there})
