"""What is set, and where: flag > `MODELBOX_*` > the project's file > the user's file > default.

A project's file is `modelbox.toml`, or `[tool.modelbox]` of `pyproject.toml`, of the nearest folder upwards that has
one; nothing above the root of the git repository is looked at.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from modelbox.errors import ModelBoxError

CODE: Final = "CONFIGURATION"
PREFIX: Final = "MODELBOX_"
MODES: Final = ("online", "offline", "disabled")
SECRETS: Final = ("token", "token_file")

TRUE: Final = frozenset({"1", "true", "yes", "on"})
FALSE: Final = frozenset({"0", "false", "no", "off"})


def _server(value: object, _: Path) -> str:
    text = _text(value, _).rstrip("/")
    found = urlsplit(text)
    if found.scheme not in ("http", "https") or not found.hostname:
        raise ValueError("must be an address such as https://modelbox.example.org")
    if found.username or found.password:
        raise ValueError("must hold no user and no password; `modelbox login` keeps a token")
    return text


def _text(value: object, _: Path) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text, and not empty")
    return value.strip()


def _mode(value: object, _: Path) -> str:
    if value not in MODES:
        raise ValueError(f"must be one of {', '.join(MODES)}")
    return str(value)


def _folder(value: object, base: Path) -> Path:
    if not isinstance(value, str | os.PathLike) or not str(value):
        raise ValueError("must be a path")
    return base / Path(value).expanduser()


def _flag(value: object, _: Path) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word not in TRUE | FALSE:
        raise ValueError("must be true or false")
    return word in TRUE


@dataclass(frozen=True)
class _Setting:
    """How a value is read, the variable that holds it, and whether files may."""

    read: Callable[[object, Path], Any]
    variable: str | None = None
    shared: bool = True


_SETTINGS: Final = {
    "server": _Setting(_server),
    "namespace": _Setting(_text),
    "mode": _Setting(_mode),
    "folder": _Setting(_folder, "MODELBOX_QUEUE_DIR"),
    "run_id": _Setting(_text, shared=False),
    "capture_git": _Setting(_flag),
    "capture_diff": _Setting(_flag),
    "capture_packages": _Setting(_flag),
    "capture_command": _Setting(_flag),
    "capture_host": _Setting(_flag),
    "capture_system": _Setting(_flag),
}
NAMES: Final = tuple(_SETTINGS)


@dataclass(frozen=True)
class Configuration:
    """All that is set. `explain` says from where."""

    server: str = "http://127.0.0.1:8000"
    namespace: str = "default"
    mode: str = "online"
    folder: Path = Path(".modelbox/queue")
    """Where the queue is kept."""
    run_id: str | None = None
    """The experiment to go on with."""
    capture_git: bool = True
    capture_diff: bool = False
    capture_packages: bool = True
    capture_command: bool = True
    capture_host: bool = True
    capture_system: bool = True
    origins: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def explain(self) -> list[tuple[str, Any, str]]:
        """Every name with its value and where that came from."""
        return [(name, getattr(self, name), self.origins.get(name, "default")) for name in NAMES]


def load(**flags: Any) -> Configuration:
    """What is set; a flag that is None is none.

    Raises:
        ModelBoxError: CONFIGURATION, for an unknown name or a value that is not acceptable.
    """
    here = Path.cwd()
    values: dict[str, Any] = {"folder": here / Configuration.folder}
    origins: dict[str, str] = {}
    for origin, base, found in (*_files(here), *_environment(here), ("flag", here, flags)):
        for key, value in found.items():
            name = key.replace("-", "_")
            _check(name, origin)
            if value is None:
                continue
            values[name] = _read(name, value, base, origin)
            origins[name] = f"${variable(name)}" if origin == "environment" else origin
    return Configuration(**values, origins=origins)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return _SETTINGS[name].variable or f"{PREFIX}{name.upper()}"


def misspelled() -> list[tuple[str, str]]:
    """Variables that are set and are nearly ours, each with ours: the server's have the same prefix and are not."""
    from difflib import get_close_matches

    known = [*map(variable, NAMES), "MODELBOX_TOKEN", "MODELBOX_TOKEN_FILE", "MODELBOX_ALLOW_INSECURE"]
    strange = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    return [(name, near[0]) for name in strange if (near := get_close_matches(name, known, 1, 0.85))]


def user_folder() -> Path:
    """Where the user's own settings and credentials are kept."""
    told = os.environ.get("XDG_CONFIG_HOME")
    if told:
        return Path(told) / "modelbox"
    return Path.home() / ("Library/Application Support" if sys.platform == "darwin" else ".config") / "modelbox"


Source = tuple[str, Path, Mapping[str, Any]]


def _environment(here: Path) -> Iterator[Source]:
    """Ours only: the server's variables begin with the same prefix."""
    yield "environment", here, {name: os.environ.get(variable(name)) or None for name in NAMES}


def _files(here: Path) -> Iterator[Source]:
    """The weaker before the stronger."""
    for path in (user_folder() / "config.toml", _project_file(here)):
        if path is not None and path.is_file():
            found = _table(path)
            for name in found:
                _check(name.replace("-", "_"), str(path), in_file=True)
            yield str(path), path.parent, found


def _project_file(here: Path) -> Path | None:
    for folder in (here, *here.parents):
        if (folder / "modelbox.toml").is_file():
            return folder / "modelbox.toml"
        project = folder / "pyproject.toml"
        if project.is_file() and _table(project):
            return project
        if (folder / ".git").exists():
            break
    return None


def _table(path: Path) -> Mapping[str, Any]:
    import tomllib

    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if path.name == "pyproject.toml":
            return {}  # It is not ours to judge.
        raise ModelBoxError(CODE, f"{path} cannot be read: {error}. Correct it, or move it away.") from error
    table = found.get("tool", {}).get("modelbox", {}) if path.name == "pyproject.toml" else found
    return table if isinstance(table, dict) else {}


def _check(name: str, origin: str, *, in_file: bool = False) -> None:
    if in_file and name in SECRETS:
        raise ModelBoxError(CODE, f"{origin} holds a token, and others can read it. Remove it; run `modelbox login`.")
    if name not in _SETTINGS:
        raise ModelBoxError(CODE, f"There is no setting {name!r} ({origin}); {_nearest(name)}.")
    if in_file and not _SETTINGS[name].shared:
        raise ModelBoxError(CODE, f"{name!r} is of one process: set {variable(name)}, not in {origin}.")


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, NAMES, 1, 0.4)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(NAMES)}"


def _read(name: str, value: object, base: Path, origin: str) -> Any:
    try:
        return _SETTINGS[name].read(value, base)
    except ValueError as error:
        where = variable(name) if origin == "environment" else f"{name!r} ({origin})"
        raise ModelBoxError(CODE, f"{where} {error}.") from None
