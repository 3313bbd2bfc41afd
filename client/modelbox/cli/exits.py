"""What the program ends with, and which command helps then. `docs/client-commands.md` has the same table."""

from __future__ import annotations

from typing import Final

from modelbox.errors import ModelBoxError, Refused, Unreachable

FINE: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
SIGNED_OUT: Final = 4
NOT_FOUND: Final = 5
FORBIDDEN: Final = 6
UNCONFIRMED: Final = 7
INTERRUPTED: Final = 130

TABLE: Final = {
    FINE: "It is done.",
    REFUSED: "The server refused it, or a check of `doctor` failed.",
    USAGE: "The command or the configuration is wrong.",
    UNREACHABLE: "No server answers, or it asks to come again later.",
    SIGNED_OUT: "The server wants a token, or a valid one.",
    NOT_FOUND: "There is no such thing, or you may not see it.",
    FORBIDDEN: "Your role does not allow it.",
    UNCONFIRMED: "It would destroy something, and nobody said yes.",
    INTERRUPTED: "It was interrupted.",
}

_BY_CODE: Final = {
    "UNAUTHENTICATED": SIGNED_OUT,
    "NOT_FOUND": NOT_FOUND,
    "FORBIDDEN": FORBIDDEN,
    "NOT_CONFIRMED": UNCONFIRMED,
}
_NEXT: Final = {
    UNREACHABLE: "modelbox doctor",
    SIGNED_OUT: "modelbox login",
    FORBIDDEN: "modelbox doctor",
}
_LISTS: Final = {
    "run": "modelbox run list",
    "metric": "modelbox run list",
    "event": "modelbox run list",
    "artifact": "modelbox run list",
    "model": "modelbox model list",
}


def of(error: ModelBoxError) -> int:
    """What the program ends with after an error."""
    if isinstance(error, Unreachable):
        return UNREACHABLE
    return _BY_CODE.get(error.code, REFUSED if isinstance(error, Refused) else USAGE)


def next_command(error: ModelBoxError, words: str) -> str:
    """The command to try after an error of the command that these words begin."""
    code = of(error)
    noun = words.partition(" ")[0]
    if code in _NEXT:
        return _NEXT[code]
    if code == UNCONFIRMED:
        return f"modelbox {words} … --yes"
    if code == NOT_FOUND and noun in _LISTS:
        return _LISTS[noun]
    if error.code in ("CONFIGURATION", "INSECURE_CONNECTION"):
        return "modelbox config explain"
    return f"modelbox {words} --help"
