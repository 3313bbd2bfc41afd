"""What commands have in common: their options, and how each is said to exist."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from modelbox.cli import exits

if TYPE_CHECKING:
    from modelbox.api import Api

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

Command = Callable[[argparse.Namespace], int | None]
T = TypeVar("T")


class Parser(argparse.ArgumentParser):
    """A parser whose errors name the next command."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end."""
        sys.stderr.write(f"modelbox: {message}\nNext: {self.prog} --help\n")
        sys.exit(exits.USAGE)


def noun(commands: Commands, name: str, sentence: str) -> Commands:
    """A noun, whose verbs are added to what this answers."""
    parser = commands.add_parser(name, help=sentence, description=sentence)
    return parser.add_subparsers(required=True, metavar="COMMAND", title="commands")


def verb(commands: Commands, name: str, sentence: str, command: Command) -> argparse.ArgumentParser:
    """A command, with the options that all have."""
    parser = commands.add_parser(name, help=sentence, description=sentence)
    parser.add_argument("--server", metavar="URL", help="the server, in place of the configured one")
    parser.add_argument("--json", action="store_true", help="print JSON, with the names of the API")
    parser.set_defaults(command=command, words=parser.prog.partition(" ")[2])
    return parser


def api_of(wanted: argparse.Namespace, **more: Any) -> Api:
    """The server that is meant."""
    from modelbox.api import Api

    return Api(wanted.server, **more)


def count(text: str) -> int:
    """A number of rows."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number
