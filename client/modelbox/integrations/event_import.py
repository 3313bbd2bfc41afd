"""Folders of TensorBoard's event files as runs. The same again adds only what is new.

from modelbox.integrations.event_import import import_logs

for run in import_logs("runs"):
    print(run.name, run.points)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from modelbox import configuration
from modelbox.connection import Connection
from modelbox.errors import ModelBoxError, Refused
from modelbox.integrations.event_files import Event, events
from modelbox.integrations.held import parameters
from modelbox.points import Columns, Row, Text, encoded
from modelbox.resumption import connect, patiently
from modelbox.sender import documents
from modelbox.values import LONGEST_TEXT, as_text, check_key, check_step

PATTERN: Final = "*tfevents*"
MOST_ROWS: Final = 4_000
MOST_KEYS: Final = 400
MOST_CELLS: Final = 80_000
MOST_BYTES: Final = 1 << 20
LOOKED_AT: Final = 100
"""Events at the beginning of a file among which hyperparameters are looked for."""

STATE: Final = "query ($by: ExperimentBy!) { experiment(by: $by) { id status metadata } }"
UNNAMED: Final = str.maketrans("/:@", "---")


@dataclass
class Imported:
    """What became of a folder."""

    folder: Path
    run_id: str
    name: str
    points: int = 0
    """New ones."""

    skipped: int = 0
    """Pictures, histograms and others that were passed by."""

    damaged: int = 0
    """Events whose checksum is wrong."""


@dataclass
class _Chunk:
    """What goes in one call: always the same between the same two places of a file."""

    end: int
    rows: list[Row] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    size: int = 0
    skipped: int = 0
    damaged: int = 0
    last: float = 0.0

    def add(self, event: Event) -> None:
        """Take one more event."""
        step, moment = _step(event.step), round(event.moment * 1e6)
        row = {key: value for tag, value in event.numbers.items() if (key := _key(tag))}
        if row:
            self.rows.append((step, moment, row))
        for tag, value in event.texts.items():
            text, _ = as_text(value[:LONGEST_TEXT])
            if key := _key(tag):
                self.texts.append((step, moment, key, text, False))
                self.size += len(text)
                self.keys.add(key)
        self.keys |= row.keys()
        self.end, self.last = event.end, max(self.last, event.moment)
        self.skipped += event.skipped
        self.damaged += event.is_damaged

    @property
    def is_full(self) -> bool:
        """Whether the next event begins another."""
        rows = len(self.rows) + len(self.texts)
        is_wide = len(self.keys) > MOST_KEYS or rows * len(self.keys) > MOST_CELLS
        return rows > MOST_ROWS or is_wide or self.size > MOST_BYTES


def import_logs(folder: str | Path, *, namespace: str | None = None, server: str | None = None) -> list[Imported]:
    """Import every folder below that has event files, each as a run that has ended.

    Raises:
        ModelBoxError: there are none; or the server does not answer, or does not let us.
    """
    root = Path(folder)
    found = sorted({path.parent for path in root.rglob(PATTERN) if path.is_file()})
    if not found:
        raise ModelBoxError("NO_SUCH_FILE", f"There are no event files ({PATTERN}) below {root}.")
    settings = configuration.load(namespace=namespace, server=server)
    connection = connect(settings)
    return [_Importing(connection, settings.namespace, root, each).run() for each in found]


class _Importing:
    """One folder."""

    def __init__(self, server: Connection, namespace: str, root: Path, folder: Path) -> None:
        self._server = server
        self._namespace = namespace
        self._files = sorted(path for path in folder.glob(PATTERN) if path.is_file())
        name = folder.resolve().name if folder == root else folder.relative_to(root).as_posix()
        self._run_id = f"tensorboard-{_digest(folder.resolve().name, _identity(self._files[0]))}"
        self._found = Imported(folder, self._run_id, name.translate(UNNAMED)[:200])
        self._last = 0.0

    def run(self) -> Imported:
        """Make the run, or find it, and send what it does not have."""
        first = [event for path in self._files for event in islice(events(path), LOOKED_AT)]
        began = min((event.moment for event in first if event.moment), default=0.0)
        self._experiment = self._made(first, began)
        by = {"externalId": {"namespace": self._namespace, "name": self._run_id}}
        state = patiently(lambda: self._server.ask(STATE, by=by))["experiment"]
        for path in self._files:
            self._file(path, (state["metadata"] or {}).get(f"tensorboard/{path.name}") or {})
        if state["status"] == "RUNNING":
            ended = _text(max(self._last, began))
            self._change(documents.FINISH, {"id": self._experiment, "status": "COMPLETED", "endedAt": ended})
        return self._found

    def _made(self, first: list[Event], began: float) -> str:
        hyperparameters = {key: value for event in first for key, value in event.hyperparameters.items()}
        wanted = {
            "namespace": self._namespace, "externalId": self._run_id, "name": self._found.name,
            "startedAt": _text(began), "hyperparameters": parameters(hyperparameters), "labels": ["tensorboard"],
        }  # fmt: skip
        try:
            made = self._change(documents.CREATE, wanted)
        except Refused as error:
            if error.code != "CONFLICT":
                raise
            made = self._change(documents.CREATE, wanted | {"name": f"{self._found.name}-{self._run_id[-6:]}"})
        self._found.name = made["experiment"]["name"]
        return str(made["experiment"]["id"])

    def _file(self, path: Path, kept: dict[str, Any]) -> None:
        """Send a file from where it was left.

        What is planned is noted before it is sent: if the answer is lost, the same is sent again with the same number,
        and the server knows it.
        """
        start, planned, sequence = (int(kept.get(name, 0)) for name in ("done", "planned", "sequence"))
        writer = f"tensorboard-{_digest(path.name, _identity(path))}"
        for chunk in _chunks(path, start, planned):
            self._note(path, done=start, planned=chunk.end, sequence=sequence)
            self._send(chunk, writer, sequence)
            start, sequence = chunk.end, sequence + 1
            self._last = max(self._last, chunk.last)
            self._found.skipped += chunk.skipped
            self._found.damaged += chunk.damaged
        if start != int(kept.get("done", 0)):
            self._note(path, done=start, planned=start, sequence=sequence)

    def _note(self, path: Path, **place: int) -> None:
        self._change(documents.METADATA, {
            "objectId": self._experiment, "metadata": {f"tensorboard/{path.name}": place},
        })  # fmt: skip

    def _send(self, chunk: _Chunk, writer: str, sequence: int) -> None:
        if not chunk.rows and not chunk.texts:
            return
        columns = Columns()
        columns.add(*encoded(chunk.rows, chunk.texts))
        try:
            self._points(columns, writer, sequence)
        except Refused as error:
            if error.code in ("UNAUTHENTICATED", "FORBIDDEN"):
                raise
            self._send_apart(columns, writer, sequence)

    def _send_apart(self, columns: Columns, writer: str, sequence: int) -> None:
        """Each series by itself, such as when one has been of another kind before."""
        for key, alone in columns.apart():
            name = key if alone.values else f"{key} as text"
            try:
                self._points(alone, f"{writer}/{_digest(name)[:12]}", sequence)
            except Refused:
                self._found.skipped += 1

    def _points(self, columns: Columns, writer: str, sequence: int) -> None:
        about = {"objectId": self._experiment, "columns": columns.table(), "writer": writer, "sequence": sequence}
        if not self._change(documents.POINTS, about).get("replayed"):
            self._found.points += columns.point_count

    def _change(self, document: str, about: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = patiently(lambda: self._server.change(document, about))
        return found


def _chunks(path: Path, start: int, planned: int) -> Iterator[_Chunk]:
    """A file in pieces; the first ends where it was planned to."""
    chunk = _Chunk(start)
    for event in events(path, start):
        chunk.add(event)
        if event.end == planned or (event.end > planned and chunk.is_full):
            yield chunk
            chunk = _Chunk(event.end)
    if chunk.rows or chunk.texts or chunk.skipped or chunk.damaged:
        yield chunk


def _identity(path: Path) -> str:
    """What a file has for ever: its name, and how it begins."""
    with path.open("rb") as file:
        return f"{path.name}\0{file.read(64).hex()}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:32]


def _step(step: int) -> int | None:
    try:
        return check_step(step)
    except ModelBoxError:
        return None


def _key(tag: str) -> str | None:
    """A tag as the key of a series; None, if nothing of it can be one."""
    key = "".join(each if each.isprintable() else " " for each in tag).strip()
    try:
        return check_key(key)
    except ModelBoxError:
        return None


def _text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()
