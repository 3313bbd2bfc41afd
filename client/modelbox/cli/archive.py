"""`modelbox export` and `modelbox import`: runs as plain files, and from other tools."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from modelbox.cli import output
from modelbox.cli.arguments import api_of, noun, verb

if TYPE_CHECKING:
    from modelbox.cli.arguments import Commands


def add(commands: Commands) -> None:
    """Add the commands."""
    parser = verb(commands, "export", "Write runs with all their points, events and files into a folder.", export)
    parser.add_argument("run", nargs="+", help="NAME, NAMESPACE/NAME or id")
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="a new folder")
    parser.add_argument("--parquet", action="store_true", help="points as Parquet, not as JSON lines; needs pyarrow")
    verbs = noun(commands, "import", "Runs from elsewhere; what is here already stays as it is.")
    parser = verb(verbs, "archive", "Make the runs of a folder that `export` wrote, and compare them with it.", restore)
    parser.add_argument("folder", type=Path, help="the folder")
    parser.add_argument("--namespace", metavar="PATH", help="where to; as it was when absent")
    parser = verb(verbs, "tensorboard", "Make runs of folders with event files; again adds only what is new.", events)
    parser.add_argument("folder", type=Path, help="the log directory")
    parser.add_argument("--namespace", metavar="PATH", help="where to")


def export(wanted: argparse.Namespace) -> None:
    """Write them."""
    from modelbox.archive.export import export as write

    api = api_of(wanted)
    names: list[str] = []
    write(api.connection, [api.id(run) for run in wanted.run], wanted.to, is_parquet=wanted.parquet, told=names.append)
    _tell(wanted, names, f"in {wanted.to}")


def restore(wanted: argparse.Namespace) -> None:
    """Make them."""
    from modelbox.archive.restore import restore as make

    names: list[str] = []
    make(api_of(wanted).connection, wanted.folder, wanted.namespace, told=names.append)
    _tell(wanted, names, "there, and the same")


def events(wanted: argparse.Namespace) -> None:
    """Read them."""
    from modelbox.integrations.event_import import import_logs

    found = import_logs(wanted.folder, namespace=wanted.namespace, server=wanted.server)
    if wanted.json:
        return output.document([vars(each) | {"folder": str(each.folder)} for each in found])
    rows = [(each.name, each.points, each.skipped, each.damaged, str(each.folder)) for each in found]
    return output.table(("RUN", "NEW POINTS", "PASSED BY", "DAMAGED", "FOLDER"), rows)


def _tell(wanted: argparse.Namespace, names: list[str], where: str) -> None:
    if wanted.json:
        output.document(names)
        return
    for name in names:
        output.line(output.printable(name))
    output.say(f"{len(names)} of them {where}." if len(names) > 1 else f"It is {where}.")
