"""The files that settings are read from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

TOML: Final = Path("modelbox.toml")
CLIENTS_TABLE: Final = "client"
"""The table that the trainers' client reads; the server passes over it."""


class SettingsError(Exception):
    """The settings cannot be used; the message is a sentence for the operator."""


def in_toml() -> Mapping[str, Any]:
    """The settings in `./modelbox.toml`; none if there is no such file. Raises SettingsError."""
    try:
        values = tomllib.loads(TOML.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{TOML} cannot be read: {error}.") from None
    values.pop(CLIENTS_TABLE, None)
    return values


def named_by(files: Mapping[str, str]) -> Mapping[str, str]:
    """The content of each file, without the line end. Raises SettingsError."""
    return {name: _content(Path(path)) for name, path in files.items()}


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise SettingsError(f"The file {path}, which a _FILE variable names, cannot be read: {error}.") from None
