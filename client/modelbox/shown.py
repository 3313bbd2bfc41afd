"""What the terminal and notebooks show of a run: a few values of each series, and texts that cannot do anything."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from modelbox.points import Row

MOST_KEYS: Final = 1_000
MOST_VALUES: Final = 64
MOST_CELLS: Final = 2_000
"""That are looked at of what is written at once: of a faster training, only each second row, or third, ..."""

BARS: Final = "▁▂▃▄▅▆▇█"
PLAIN_BARS: Final = ".,-~=+*#"
"""For a terminal that knows no others."""


class Series:
    """At most 64 values of one key, over all of its time: when they are too many, every second one goes."""

    __slots__ = ("_left", "_step", "last", "values")

    def __init__(self) -> None:
        self.values: list[float] = []
        self.last = math.nan
        self._step = 1
        self._left = 1

    def add(self, value: float) -> None:
        """Look at one more."""
        self.last = value
        self._left -= 1
        if self._left:
            return
        self.values.append(value)
        if len(self.values) > MOST_VALUES:
            del self.values[1::2]
            self._step *= 2
        self._left = self._step


class Shown:
    """Is told of all rows that are written, by whoever writes them."""

    def __init__(self) -> None:
        self.points = 0
        self.series: dict[str, Series] = {}

    def see(self, rows: Sequence[Row], texts: int = 0) -> None:
        """Count them all, and look at some."""
        cells = sum(len(row) for _, _, row in rows)
        self.points += cells + texts
        stride = 1 + cells // MOST_CELLS
        for _, _, row in rows[(len(rows) - 1) % stride :: stride]:  # Always the last.
            for key, value in islice(row.items(), MOST_KEYS):
                series = self.series.get(key)
                if series is None:
                    if len(self.series) == MOST_KEYS:
                        continue
                    series = self.series[key] = Series()
                series.add(value)

    def chosen(self, most: int) -> list[tuple[str, Series]]:
        """The first keys that were logged, the machine's behind those of the training."""
        there = list(self.series.items())
        return sorted(there, key=lambda each: each[0].startswith("system/"))[:most]


def bars(values: Sequence[float], width: int, marks: str = BARS) -> str:
    """A small picture; where it is no number, there is a blank."""
    some = [values[index * len(values) // width] for index in range(width)] if len(values) > width else list(values)
    finite = [value for value in some if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    return "".join(_bar(value, low, high, marks) for value in some)


def _bar(value: float, low: float, high: float, marks: str) -> str:
    if not math.isfinite(value):
        return " "
    # Halved, for the way from the lowest to the highest number is longer than any number.
    way = high / 2 - low / 2
    place = (value / 2 - low / 2) / way if way else 0.5
    return marks[min(int(place * len(marks)), len(marks) - 1)]


def safe(text: str) -> str:
    """A text in which nothing moves a cursor, changes a colour, or turns the direction of what is read."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)


def cut(text: str, width: int) -> str:
    """As much of a text as has room in so many columns."""
    taken = 0
    for index, size in enumerate(_widths(text)):
        taken += size
        if taken > width:
            return _shorter(text[:index], width)
    return text


def _shorter(text: str, width: int) -> str:
    while text and sum(_widths(text)) >= width:
        text = text[:-1]
    return f"{text}…" if width > 0 else ""


def _widths(text: str) -> Iterator[int]:
    if text.isascii():
        yield from (1 for _ in text)
        return
    import unicodedata

    for c in text:
        yield 0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1


def padded(text: str, width: int) -> str:
    """A text of exactly so many columns."""
    text = cut(text, width)
    return text + " " * (width - sum(_widths(text)))


def number(value: float) -> str:
    """Short, for people."""
    return f"{value:.4g}"
