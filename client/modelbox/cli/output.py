"""Data on the standard output, talk on the standard error; colours for people only."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, TextIO

from modelbox.errors import ModelBoxError

GAP: Final = "  "
STATUSES: Final = {"RUNNING": 36, "COMPLETED": 32, "READY": 32, "FAILED": 31, "KILLED": 31, "STALLED": 33}
"""Colours of words that are looked for, by their ANSI codes."""


def say(sentence: str) -> None:
    """Something for the person in front."""
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def line(text: str) -> None:
    """One line of data."""
    sys.stdout.write(f"{text}\n")


def document(value: Any) -> None:
    """JSON, over several lines."""
    line(json.dumps(_plain(value), indent=2, ensure_ascii=False))


def row(value: Any) -> None:
    """JSON in one line, now: others read along."""
    line(json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":")))
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    from modelbox.api.reading import plain

    return plain(value)


def is_coloured(stream: TextIO) -> bool:
    """Whether a person sees it who did not ask for less."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Columns for people; for programs values between tabs, a row a line, without a head."""
    cells = [[cell(value) for value in each] for each in rows]
    if not sys.stdout.isatty():
        for each in cells:
            line("\t".join(each))
        return
    widths = [max(len(text) for text in column) for column in zip(head, *cells, strict=True)]
    room = os.get_terminal_size(sys.stdout.fileno()).columns or 80
    coloured = is_coloured(sys.stdout)
    line(_padded(head, widths)[:room] if not coloured else f"\x1b[1m{_padded(head, widths)[:room]}\x1b[0m")
    for each in cells:
        text = _padded(each, widths)[:room]
        line(_in_colours(text) if coloured else text)


def _padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    return GAP.join(text.ljust(width) for text, width in zip(cells, widths, strict=True)).rstrip()


def _in_colours(text: str) -> str:
    for word, colour in STATUSES.items():
        text = text.replace(f"{GAP}{word}", f"{GAP}\x1b[{colour}m{word}\x1b[0m", 1)
    return text


def fields(pairs: Iterable[tuple[str, Any]]) -> None:
    """Names and values, one a line; without what is not set."""
    known = [(name, cell(value)) for name, value in pairs if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        line(f"{name.ljust(width)}  {value}" if sys.stdout.isatty() else f"{name}\t{value}")


def cell(value: Any) -> str:
    """A value in one line, without what could steer a terminal."""
    match value:
        case None | bool():
            text = {None: "", True: "yes", False: "no"}[value]
        case float():
            text = f"{value:.6g}"
        case datetime():
            text = value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        case list() | tuple():
            text = ", ".join(cell(each) for each in value)
        case dict():
            text = json.dumps(value, ensure_ascii=False)
        case _:
            text = str(value)
    return printable(text)


def printable(text: str) -> str:
    """The same without tabs, new lines and other signs that are none to read."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() else "�" for sign in text)


def flush() -> None:
    """Let others have what was printed."""
    sys.stdout.flush()


def confirm(question: str, *, is_confirmed: bool) -> None:
    """Go on only when somebody said yes. Raises ModelBoxError, as NOT_CONFIRMED."""
    if is_confirmed:
        return
    if sys.stdin.isatty():
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    raise ModelBoxError("NOT_CONFIRMED", f"Nothing was changed. {question}")
