"""`modelbox artifact …`: files, sent, fetched and compared; each can be interrupted and begun again."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelbox.cli import exits, output
from modelbox.cli.arguments import api_of, noun, verb

if TYPE_CHECKING:
    from modelbox.api import Api, types
    from modelbox.cli.arguments import Commands
    from modelbox.transfer import Local

OBJECT = "what has them: a run (NAME, NAMESPACE/NAME), a version (MODEL:TAG, MODEL:VERSION), or any id"
KINDS = ("MODEL", "CHECKPOINT", "TEXT", "IMAGE", "AUDIO", "VIDEO", "DATASET", "CODE", "OTHER")


def add(commands: Commands) -> None:
    """Add the commands."""
    verbs = noun(commands, "artifact", "Files of runs, checkpoints and versions.")
    parser = verb(verbs, "push", "Send a file, or a folder with all that is in it, as one artifact.", push)
    parser.add_argument("object", help=OBJECT)
    parser.add_argument("place", type=Path, help="the file or the folder")
    parser.add_argument("--name", metavar="NAME", help="the artifact's; that of the file or folder when absent")
    parser.add_argument("--kind", type=str.upper, choices=KINDS, help="what its files are")
    parser = verb(verbs, "pull", "Fetch files; they appear only when their bytes are right.", pull)
    _add_choice(parser)
    parser.add_argument("--to", type=Path, default=Path(), metavar="FOLDER", help="where to; here when absent")
    parser = verb(verbs, "verify", "Compare files here with what their digests on the server say.", verify)
    _add_choice(parser)
    parser.add_argument("--in", dest="to", type=Path, default=Path(), metavar="FOLDER", help="where they are")


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("object", help=OBJECT)
    parser.add_argument("name", nargs="?", help="only this artifact; all when absent")


def push(wanted: argparse.Namespace) -> None:
    """Send, and say what came of it."""
    from modelbox.transfer import files_below, upload

    api = api_of(wanted)
    files = files_below(wanted.place)
    also = {"kind": wanted.kind} if wanted.kind else {}
    name = wanted.name or wanted.place.resolve().name
    with _progress("Sending", sum(local.file.stat().st_size for local in files)) as told:
        artifact = upload(api.connection, _owner(api, wanted.object), name, files, told=told, **also)
    if wanted.json:
        output.document({"id": artifact, "name": name, "files": [local.path for local in files]})
    else:
        output.say(f"{_files(files)} are stored, and verified, as {output.printable(name)}.")
        output.line(artifact)


def pull(wanted: argparse.Namespace) -> None:
    """Fetch, and say where it is."""
    from modelbox.transfer import download

    api = api_of(wanted)
    chosen = list(_places(api, wanted))
    with _progress("Fetching", sum(file.size or 0 for file, _ in chosen)) as told:
        for file, place in chosen:
            about = {"size": file.size, "digest": file.digest, "downloadUrl": file.download_url}
            download(api.connection, about, place, told=told)
    _list(wanted, [(place, "fetched") for _, place in chosen])


def verify(wanted: argparse.Namespace) -> int:
    """Compare; whether all are right."""
    found = [(place, _state(file, place)) for file, place in _places(api_of(wanted), wanted)]
    _list(wanted, found)
    wrong = sum(state != "right" for _, state in found)
    if wrong:
        output.say(f"{wrong} of {len(found)} files are not as they should be.\nNext: modelbox artifact pull … --to …")
    return exits.REFUSED if wrong else exits.FINE


def _state(file: types.File, place: Path) -> str:
    from modelbox.transfer import announced

    if not place.is_file():
        return "missing"
    return "right" if announced(place).digest == file.digest else "changed"


def _list(wanted: argparse.Namespace, found: list[tuple[Path, str]]) -> None:
    if wanted.json:
        output.document([{"path": str(place), "state": state} for place, state in found])
    else:
        output.table(("FILE", "STATE"), [(str(place), state) for place, state in found])


def _owner(api: Api, text: str) -> str:
    """The id of what has the files."""
    return api.version(text).id if ":" in text else api.id(text)


def _places(api: Api, wanted: argparse.Namespace) -> Iterator[tuple[types.File, Path]]:
    """Stored files, each with its place below the folder: of several artifacts, each in a folder of its name.

    Raises:
        Refused: `NOT_FOUND`, when there are none.
    """
    from modelbox.errors import Refused
    from modelbox.transfer import inside

    artifacts = [a for a in api.artifacts(_owner(api, wanted.object)) if wanted.name in (None, a.name)]
    if not artifacts:
        what = f"artifact {wanted.name!r}" if wanted.name else "artifact"
        raise Refused("NOT_FOUND", f"{wanted.object} has no {what}.")
    for artifact in artifacts:
        below = wanted.to if wanted.name or len(artifacts) == 1 else inside(wanted.to, artifact.name)
        for file in artifact.files:
            if file.download_url is not None:
                yield file, inside(below, file.path)


def _files(files: list[Local]) -> str:
    return "1 file" if len(files) == 1 else f"{len(files):,} files"


@contextlib.contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar, for people only."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich import progress
    from rich.console import Console

    columns: list[Any] = [progress.TextColumn(what), progress.BarColumn(), progress.DownloadColumn()]
    columns += [progress.TransferSpeedColumn(), progress.TimeRemainingColumn()]
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)
