"""Tokens: from the environment, from the keyring where one is installed, or from a file that only its owner reads.

A token is for one server, and goes to it over TLS or within this machine, unless MODELBOX_ALLOW_INSECURE=1.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from modelbox.configuration import CODE, user_folder
from modelbox.errors import ModelBoxError

INSECURE: Final = "INSECURE_CONNECTION"
SERVICE: Final = "modelbox"
"""What a keyring knows us by."""

PORTS: Final = {"http": 80, "https": 443}


def token(server: str) -> str | None:
    """The token to sign in with at a server; None when there is none.

    Raises:
        ModelBoxError: CONFIGURATION or INSECURE_CONNECTION.
    """
    return find(server)[0]


def find(server: str) -> tuple[str | None, str]:
    """The same, and where it was found. Raises as `token`."""
    for origin, found in (
        ("$MODELBOX_TOKEN", os.environ.get("MODELBOX_TOKEN")),
        ("$MODELBOX_TOKEN_FILE", _from_variable()),
        ("keyring", _keyring_get(server)),
        (str(path()), _stored().get(place(server))),
    ):
        if found and found.strip():
            check_secure(server)
            return _clean(found), origin
    return None, "nowhere"


def store(server: str, token: str) -> str:
    """Keep a token; answers where. Raises as `token`."""
    check_secure(server)
    kept = _clean(token)
    if _keyring_set(server, kept):
        return "keyring"
    _write({**_stored(), place(server): kept})
    return str(path())


def forget(server: str) -> bool:
    """Remove what is kept; whether there was any."""
    forgotten = _keyring_delete(server)
    known = _stored()
    if known.pop(place(server), None) is not None:
        _write(known)
        return True
    return forgotten


def path() -> Path:
    """The file for who has no keyring."""
    return user_folder() / "credentials.json"


def place(server: str) -> str:
    """A server's address, spelled in one way."""
    parts = urlsplit(server)
    port = parts.port or PORTS.get(parts.scheme, 0)
    return f"{parts.scheme.lower()}://{(parts.hostname or '').lower()}:{port}{parts.path.rstrip('/')}"


def is_secure(server: str) -> bool:
    """Whether nobody on the way can read what is sent there."""
    return urlsplit(server).scheme == "https" or is_loopback(server)


def is_loopback(server: str) -> bool:
    """Whether it is this machine."""
    host = urlsplit(server).hostname or ""
    return host in {"localhost", "::1"} or _is_loopback_address(host)


def _is_loopback_address(host: str) -> bool:
    """127.0.0.0/8, and not a name that merely begins so."""
    parts = host.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdecimal() for part in parts)


def check_secure(server: str) -> None:
    """Raises ModelBoxError when a token must not be sent there."""
    if not is_secure(server) and os.environ.get("MODELBOX_ALLOW_INSECURE") != "1":
        raise ModelBoxError(
            INSECURE,
            f"{server} is not https, so all on the way could read the token. "
            "Use https, or set MODELBOX_ALLOW_INSECURE=1 if you trust the network.",
        )


def _clean(token: str) -> str:
    found = token.strip()
    if not (found.isascii() and found.isprintable()) or " " in found:
        raise ModelBoxError(CODE, "That is no token: it holds characters that none has. Copy it again.")
    return found


def _from_variable() -> str | None:
    told = os.environ.get("MODELBOX_TOKEN_FILE")
    if not told:
        return None
    try:
        return Path(told).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ModelBoxError(CODE, f"MODELBOX_TOKEN_FILE cannot be read: {error}.") from error


# --- The file ---


def _stored() -> dict[str, str]:
    try:
        with path().open(encoding="utf-8") as file:
            state = os.fstat(file.fileno())
            if stat.S_IMODE(state.st_mode) & 0o077 or state.st_uid != os.getuid():
                raise ModelBoxError(
                    CODE, f"Others can read {path()}. Run `chmod 600 '{path()}'`, and renew its tokens."
                )
            found = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelBoxError(CODE, f"{path()} cannot be read ({error}). Remove it and run `modelbox login`.") from error
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _write(tokens: dict[str, str]) -> None:
    """Whole or not at all; nobody else can open it at any moment."""
    folder = path().parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".credentials-")  # Made with 0600.
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(tokens, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path())
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


# --- The keyring, if there is one ---


def _keyring() -> Any:
    """The module, where it is installed and has a place to keep things; else None."""
    try:
        import keyring  # type: ignore[import-not-found,unused-ignore]

        return keyring if keyring.get_keyring().priority > 0 else None
    except Exception:  # noqa: BLE001 - a keyring of any kind may be broken in any way; the file remains
        return None


def _keyring_get(server: str) -> str | None:
    keyring = _keyring()
    try:
        found = keyring.get_password(SERVICE, place(server)) if keyring else None
    except Exception:  # noqa: BLE001 - locked, or without a session to unlock it
        return None
    return found if isinstance(found, str) else None


def _keyring_set(server: str, token: str) -> bool:
    keyring = _keyring()
    try:
        if keyring:
            keyring.set_password(SERVICE, place(server), token)
    except Exception:  # noqa: BLE001
        return False
    return keyring is not None


def _keyring_delete(server: str) -> bool:
    if _keyring_get(server) is None:
        return False
    try:
        _keyring().delete_password(SERVICE, place(server))
    except Exception:  # noqa: BLE001
        return False
    return True
