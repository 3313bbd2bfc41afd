"""From a server into a folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from modelbox.archive import documents, layout, points
from modelbox.connection import Connection
from modelbox.errors import ModelBoxError, Refused
from modelbox.transfer import download


def export(
    server: Connection, runs: list[str], folder: Path, *, is_parquet: bool = False, told: Callable[[str], None] = print
) -> None:
    """Write runs, by their ids, with all their points, events, checkpoints and files. It is whole when it returns.

    Raises:
        Refused, Unreachable: as the server says.
        ModelBoxError: `NOT_EMPTY`; `INCOMPLETE_EXPORT`; `DIGEST_MISMATCH`.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ModelBoxError("NOT_EMPTY", f"{folder} is not empty. Export into a new folder.")
    folder.mkdir(parents=True, exist_ok=True)
    for run in runs:
        told(_export(server, run, folder, is_parquet=is_parquet))
    layout.seal(folder, runs)


def _export(server: Connection, id_: str, folder: Path, *, is_parquet: bool) -> str:
    run = server.ask(documents.RUN, id=id_)["node"]
    if run is None:
        raise Refused("NOT_FOUND", f"There is no run {id_}.")
    place = layout.run_folder(folder, id_)
    place.mkdir(parents=True)
    run["checkpoints"] = list(paged(server, documents.CHECKPOINTS, id_, "checkpoints"))
    for owner in (run, *run["checkpoints"]):
        owner["artifacts"] = list(paged(server, documents.ARTIFACTS, owner["id"], "artifacts"))
    owners = [id_, *(checkpoint["id"] for checkpoint in run["checkpoints"])]
    run["series"] = {owner: list(paged(server, documents.METRICS, owner, "metrics")) for owner in owners}
    lines = (
        line for owner, all_series in run["series"].items() for series in all_series
        for line in points.exported(server, owner, series)
    )  # fmt: skip
    if is_parquet:
        points.write_parquet(place / layout.PARQUET, lines)
    else:
        layout.write_lines(place / layout.POINTS, lines)
    layout.write_lines(place / layout.EVENTS, paged(server, documents.EVENTS, id_, "events"))
    _files(server, run, folder)
    (place / layout.RUN).write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return str(run["name"])


def _files(server: Connection, run: dict[str, Any], folder: Path) -> None:
    """The bytes of all stored files, once each."""
    for owner in (run, *run["checkpoints"]):
        for artifact in owner["artifacts"]:
            for file in artifact["allFiles"]:
                if file["downloadUrl"] is not None:
                    download(server, file, layout.blob(folder, file["digest"]))


def paged(server: Connection, document: str, id_: str, name: str) -> Iterator[dict[str, Any]]:
    """All rows of a list of an object's, page by page."""
    after = None
    while True:
        page = server.ask(document, id=id_, after=after)["node"][name]
        yield from page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return
        after = page["pageInfo"]["endCursor"]
