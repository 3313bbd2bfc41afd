"""`modelbox query`: any operation."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelbox.cli import output
from modelbox.cli.arguments import api_of, verb

if TYPE_CHECKING:
    from modelbox.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    parser = verb(commands, "query", "Send an operation, and print the data of its answer as JSON.", query)
    parser.add_argument("document", help="GraphQL; @FILE reads a file, - the standard input")
    parser.add_argument(
        "--var", action="append", default=[], type=variable, metavar="NAME=VALUE", help="JSON, or else a text"
    )


def variable(text: str) -> tuple[str, Any]:
    """A name and a value."""
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def query(wanted: argparse.Namespace) -> None:
    """Ask, and print."""
    output.document(api_of(wanted).query(_document(wanted.document), **dict(wanted.var)))


def _document(text: str) -> str:
    from modelbox.errors import ModelBoxError

    if text == "-":
        return sys.stdin.read()
    try:
        return Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
    except OSError as error:
        raise ModelBoxError("BAD_REFERENCE", f"{text[1:]} cannot be read: {error.strerror}.") from error
