"""From flags, variables and files to settings: what is refused, and what is said about it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import SecretStr, ValidationError

from app import setting_files
from app.setting_files import SettingsError
from app.settings import PREFIX, Settings, secret_names, variable

_CLIENTS: Final = (
    "ALLOW_INSECURE CAPTURE_COMMAND CAPTURE_DIFF CAPTURE_GIT CAPTURE_HOST CAPTURE_PACKAGES CAPTURE_SYSTEM MODE "
    "NAMESPACE QUEUE_DIR RUN_ID SERVER TOKEN TOKEN_FILE URL"
)
CLIENTS_VARIABLES: Final = {f"{PREFIX}{name}" for name in _CLIENTS.split()}
"""Variables of the trainers' client, which may stand in the same environment."""

_EXPOSED: Final = (
    "--{flag} holds a password, which everyone on this machine could read in the list of processes. "
    "Set {variable} instead, or {variable}_FILE to the name of a file that holds it."
)


def load(flags: Mapping[str, Any] | None = None) -> Settings:
    """The settings, from `flags` (None: not given), the environment and `./modelbox.toml`.

    Raises SettingsError, with one sentence for each thing that is wrong.
    """
    given = _given(flags)
    _refuse_strangers(given)
    for name in secret_names():
        if "***" in _masked_if_url(str(given.get(name, ""))):
            raise SettingsError(_EXPOSED.format(flag=name.replace("_", "-"), variable=variable(name)))
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError("\n".join(_sentences(error, origins(flags)))) from None


def origins(flags: Mapping[str, Any] | None = None) -> Mapping[str, str]:
    """Where the value of each setting comes from: a flag, a variable, the file, or `default`."""
    given, toml = _given(flags), setting_files.in_toml()
    return {name: _origin(name, given, toml) for name in Settings.model_fields}


def shown(value: Any) -> str:
    """The value of a setting as text fit to be seen: passwords in addresses are masked."""
    match value:
        case None:
            return "unset"
        case SecretStr():
            return masked(value.get_secret_value())
        case tuple():
            return ",".join(value) or "none"
        case float():
            return f"{value:g}"
        case _:
            return str(value) or "none"


def masked(url: str) -> str:
    """The URL of a database or of NATS without its password, wherever in it that stands."""
    parts = urlsplit(url)
    userinfo, at, place = parts.netloc.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    netloc = f"{user}:***@{place}" if colon else f"{userinfo}{at}{place}"
    if userinfo and not colon and parts.scheme not in ("postgresql", "postgres"):
        netloc = f"***@{place}"  # a token of NATS stands alone
    query = [(key, "***" if "password" in key else value) for key, value in parse_qsl(parts.query)]
    tail = "?" + urlencode(query, safe="/*") if query else ""
    return f"{parts.scheme}://{netloc}{parts.path}{tail}"


def _given(flags: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (flags or {}).items() if value is not None}


def _masked_if_url(text: str) -> str:
    try:
        return masked(text)
    except ValueError:
        return ""


def _refuse_strangers(given: Iterable[str]) -> None:
    """Refuse names that are no setting: a misspelt one would leave its default in place unnoticed."""
    known = list(Settings.model_fields)
    for name in given:
        _refuse_stranger(name, known, "-c ")
    for name in setting_files.in_toml():
        _refuse_stranger(name, known, f"{setting_files.TOML}: ")
    variables = [variable(name) for name in known] + [f"{variable(name)}_FILE" for name in secret_names()]
    for name, value in os.environ.items():
        if name.upper().startswith(PREFIX) and value and name not in CLIENTS_VARIABLES:
            _refuse_stranger(name.upper(), variables, "")
    for name in secret_names():
        if os.environ.get(variable(name)) and os.environ.get(f"{variable(name)}_FILE"):
            raise SettingsError(f"Set either {variable(name)} or {variable(name)}_FILE, not both.")


def _refuse_stranger(name: str, known: list[str], place: str) -> None:
    if name in known:
        return
    bare = {each.removeprefix(PREFIX): each for each in known}
    nearest = get_close_matches(name.removeprefix(PREFIX), bare, n=1, cutoff=0.5)
    hint = f" Did you mean {bare[nearest[0]]}?" if nearest else ""
    if name.startswith((f"{PREFIX}SERVICE_", f"{PREFIX}PORT_")):
        hint = " Kubernetes makes such variables for a service: set enableServiceLinks: false in the pod."
    raise SettingsError(f"{place}{name} is no setting.{hint} `modelbox-server settings` lists them all.")


def _origin(name: str, given: Mapping[str, Any], toml: Mapping[str, Any]) -> str:
    environ = {key.upper() for key, value in os.environ.items() if value}
    if name in given:
        return "flag"
    for candidate in (variable(name), f"{variable(name)}_FILE"):
        if candidate in environ:
            return candidate
    return str(setting_files.TOML) if name in toml else "default"


def _sentences(error: ValidationError, came_from: Mapping[str, str]) -> Iterator[str]:
    """What is wrong, without the values: one of them may be a secret."""
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        name = str(problem["loc"][0])
        origin = came_from[name]
        place = origin if origin.startswith(PREFIX) else f"{name} ({origin})"
        reason = problem["msg"].removeprefix("Value error, ").replace("Input should be", "it must be")
        yield f"{place} cannot be used: {reason}."


def explained(flags: Mapping[str, Any] | None = None, *, as_json: bool = False) -> str:
    """Every setting with its value and where that came from. Raises SettingsError."""
    settings, came_from = load(flags), origins(flags)
    rows = [(variable(name), shown(getattr(settings, name)), came_from[name]) for name in Settings.model_fields]
    if as_json:
        entries = [dict(zip(("name", "value", "origin"), row, strict=True)) for row in rows]
        return json.dumps(entries, indent=2)
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin}" for name, value, origin in rows)
