"""The program: the parser of all commands, and what becomes of their errors.

A noun is a module with `add`; what a command needs is imported when it is called, so that help is instant.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from modelbox.cli import (
    archive,
    artifact,
    completion,
    config,
    doctor,
    event,
    exits,
    login,
    metric,
    model,
    output,
    query,
    run,
    sync,
)
from modelbox.cli.arguments import Parser
from modelbox.errors import ModelBoxError

NOUNS = (login, run, metric, artifact, model, event, query, sync, archive, config, doctor, completion)
"""In the order in which help lists them."""


def parser() -> Parser:
    """The parser of the whole command line."""
    parser = Parser(prog="modelbox", description="What models came to be, and how: ModelBox in a terminal.")
    parser.add_argument("--version", action=Version, help="say the version, and end")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for module in NOUNS:
        module.add(commands)
    return parser


class Version(argparse.Action):
    """Says the version; to find it takes longer than to say the help."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, *_: object) -> None:
        """Say it, and end."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            output.line(version("modelbox-client"))
        except PackageNotFoundError:
            output.line("unknown")
        sys.exit(exits.FINE)


def main(words: Sequence[str] | None = None) -> int:
    """Run the program; what it ends with."""
    wanted = parser().parse_args(words)
    try:
        code = wanted.command(wanted) or exits.FINE
        sys.stdout.flush()
    except ModelBoxError as error:
        sys.stdout.flush()
        output.say(f"modelbox: {output.printable(str(error))}\nNext: {exits.next_command(error, wanted.words)}")
        return exits.of(error)
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BrokenPipeError:
        # Who read along has enough. What Python still holds back goes nowhere, and without a word.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FINE
    return int(code)
