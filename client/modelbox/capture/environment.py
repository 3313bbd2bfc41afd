"""What is known at once of where a run is trained. It takes milliseconds: no process is begun, and nobody is asked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelbox.configuration import Configuration


def at_once(settings: Configuration) -> dict[str, Any]:
    """The experiment's `environment`; each part is there if it is set to be, and can be had."""
    from modelbox.capture import command, git, host

    found: dict[str, Any] = {}
    if settings.capture_git:
        found["git"] = _tried(git.at_once)
    if settings.capture_command:
        found["command"] = _tried(command.words)
    if settings.capture_host:
        found |= {"host": _tried(host.at_once), "job": _tried(host.job)}
    if settings.capture_packages:
        found["python"] = ".".join(map(str, sys.version_info[:3]))
    return {name: part for name, part in found.items() if part}


def _tried(part: Callable[[], Any]) -> Any:
    """A part, or nothing: a machine that is odd is no reason not to train."""
    try:
        return part()
    except Exception:  # noqa: BLE001 - files of the machine's may hold anything
        return None
