"""Points on their way into a frame, and out of it into the columns that the server takes.

The trainer pays for the way in, so that is a few copies of memory; the sender pays for the rest.

    body = steps (8 bytes each) | wall times (8) | numbers of key sets (4) | values (8), row after row
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

NO_STEP: Final = -(1 << 63)
"""Stands for a step that was not given; the server takes none beyond 2**53."""

NON_FINITE: Final = {math.inf: "Infinity", -math.inf: "-Infinity"}

Row: TypeAlias = "tuple[int | None, int, dict[str, float]]"
"""Step, wall time in microseconds since 1970, and numbers by key."""

Text: TypeAlias = "tuple[int | None, int, str, str, bool]"
"""Step, wall time, key, and a string; or bytes in base64 if the last is true."""


def encoded(rows: Sequence[Row], texts: Sequence[Text]) -> tuple[dict[str, Any], bytes]:
    """Head and body of a frame that holds them."""
    sets: dict[tuple[str, ...], int] = {}
    steps, times, numbers, values = array("q"), array("q"), array("I"), array("d")
    for step, time, row in rows:
        steps.append(NO_STEP if step is None else step)
        times.append(time)
        keys = tuple(row)
        numbers.append(sets.setdefault(keys, len(sets)))
        values.extend(row.values())
    about = {"kind": "points", "rows": len(rows), "points": len(values) + len(texts)}
    head = about | {"sets": [list(keys) for keys in sets], "texts": list(texts)}
    return head, b"".join(part.tobytes() for part in (steps, times, numbers, values))


@dataclass
class Measure:
    """How much a call of some frames would hold, without looking at the points."""

    points: int = 0
    rows: int = 0
    keys: set[str] = field(default_factory=set)

    def add(self, head: Mapping[str, Any]) -> None:
        """Count a frame, too."""
        self.points += head["points"]
        self.rows += head["rows"] + len(head["texts"])
        self.keys.update(*head["sets"], (text[2] for text in head["texts"]))

    @property
    def cells(self) -> int:
        """Of the table, empty ones too."""
        return self.rows * len(self.keys)


@dataclass
class Columns:
    """Rows of one call, in order of arrival, on their way to a MetricTable."""

    steps: list[int | None] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    values: dict[str, list[Any]] = field(default_factory=dict)
    strings: dict[str, list[Any]] = field(default_factory=dict)
    binaries: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def keys(self) -> list[str]:
        """All series, in an order that does not depend on how they were read."""
        return sorted({*self.values, *self.strings, *self.binaries})

    @property
    def point_count(self) -> int:
        """How many points there are."""
        columns = (*self.values.values(), *self.strings.values(), *self.binaries.values())
        return sum(len(column) - column.count(None) for column in columns)

    def add(self, head: Mapping[str, Any], body: bytes) -> None:
        """Add what a frame holds."""
        count, sets = head["rows"], head["sets"]
        steps, times, numbers, values = _arrays(body, count)
        first = len(self.steps)
        self.steps += [None if step == NO_STEP else step for step in steps]
        self.times += times
        if len(sets) == 1:
            width = len(sets[0])
            for place, key in enumerate(sets[0]):
                self._column(self.values, key, first)[first:] = _spelled(values[place::width])
        else:
            self._scatter(first, sets, numbers, values)
        for step, time, key, text, is_binary in head["texts"]:
            self._text(step, time, key, text, is_binary=is_binary)
        self._level()

    def _scatter(self, first: int, sets: list[list[str]], numbers: array[int], values: array[float]) -> None:
        place = 0
        for row, number in enumerate(numbers, first):
            for key in sets[number]:
                column = self._column(self.values, key, row)
                column += [None] * (row - len(column))
                column.append(_spell(values[place]))
                place += 1

    def _text(self, step: int | None, time: int, key: str, text: str, *, is_binary: bool) -> None:
        self.steps.append(step)
        self.times.append(time)
        column = self._column(self.binaries if is_binary else self.strings, key, len(self.steps) - 1)
        column += [None] * (len(self.steps) - 1 - len(column))
        column.append(text)

    def _column(self, columns: dict[str, list[Any]], key: str, first: int) -> list[Any]:
        return columns.setdefault(key, [None] * first)

    def _level(self) -> None:
        """Make all columns as long as the rows are many."""
        count = len(self.steps)
        for columns in (self.values, self.strings, self.binaries):
            for column in columns.values():
                column.extend([None] * (count - len(column)))

    def table(self) -> dict[str, Any]:
        """What the server takes."""
        found: dict[str, Any] = {"wallTimes": self.times}
        if any(step is not None for step in self.steps):
            found["steps"] = self.steps
        kinds = {"values": self.values, "strings": self.strings, "bytes": self.binaries}
        return found | {name: columns for name, columns in kinds.items() if columns}

    def apart(self) -> list[tuple[str, Columns]]:
        """Each column by itself, with its key: one that has numbers and texts comes twice."""
        names = ("values", "strings", "binaries")
        return [(key, self._alone(name, key)) for key in self.keys for name in names if key in getattr(self, name)]

    def _alone(self, name: str, key: str) -> Columns:
        column: list[Any] = getattr(self, name)[key]
        there = [row for row, value in enumerate(column) if value is not None]
        found = Columns([self.steps[row] for row in there], [self.times[row] for row in there])
        getattr(found, name)[key] = [column[row] for row in there]
        return found


def _arrays(body: bytes, count: int) -> Iterator[array[Any]]:
    at = 0
    for code, size in (("q", 8 * count), ("q", 8 * count), ("I", 4 * count), ("d", None)):
        part: array[Any] = array(code)
        part.frombytes(body[at : None if size is None else at + size])
        at += size or 0
        yield part


def _spelled(values: array[float]) -> list[float | str]:
    if all(map(math.isfinite, values)):
        return list(values)
    return [_spell(value) for value in values]


def _spell(value: float) -> float | str:
    """As JSON can hold it."""
    if math.isfinite(value):
        return value
    return NON_FINITE.get(value, "NaN")
