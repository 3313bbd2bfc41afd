"""The process that finds out what takes a while: what it is to look for comes in, and a line goes out for each find.

A process and not a thread: it takes nothing from the training, and a fork of the training cannot catch it halfway
through an import.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelbox.capture import git, host, packages


def main(wanted: Mapping[str, Any]) -> None:
    """Print what is found."""
    with contextlib.suppress(OSError):
        os.nice(5)
    for name, value in _found(wanted):
        if value:
            print(json.dumps({name: value}), flush=True)  # noqa: T201 - how it answers


def _found(wanted: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if wanted["git"]:
        yield "environment/git", git.state(Path(wanted["git"]), with_diff=wanted["diff"])
    if wanted["packages"]:
        yield "environment/packages", packages.installed(wanted["path"])
    if wanted["gpus"]:
        yield "environment/gpus", host.gpus()
