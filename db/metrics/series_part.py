"""New points of several series, sorted: a part of what a call brings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import numpy as np

from db.errors import Invalid
from db.metrics.columns import Columns, Ints, together

Path = tuple[str, ...]
OpaquePoint = tuple[int | None, datetime | None, str | bytes]

FIELDS: Final[Mapping[str, str]] = {"value": "FLOAT", "string": "STRING", "bytes": "BYTES"}
"""What a series holds, by the field that gives a value of it."""

GIVEN_BY: Final = {kind: field for field, kind in FIELDS.items()}


@dataclass(frozen=True)
class Opaque:
    """New points of one series of strings or of bytes, in order of arrival: step, wall time, value."""

    key: str
    kind: str
    points: list[OpaquePoint]


def _nowhere(key: str) -> Path:
    return (key,)


@dataclass
class Part:
    """Points of float series in the order of `keys`, which are sorted and distinct, and of opaque ones.

    `counts` says how many of the columns' points each key has; `places` is the path of a key's first point in the
    input, for refusals.
    """

    keys: list[str]
    counts: Ints
    columns: Columns
    opaque: Sequence[Opaque] = ()
    places: Callable[[str], Path] = field(default=_nowhere, repr=False)

    def kinds(self) -> dict[str, str]:
        """What each series holds."""
        return {**dict.fromkeys(self.keys, "FLOAT"), **{series.key: series.kind for series in self.opaque}}


def joined(first: Part, second: Part) -> Part:
    """The points of both, those of the first before those of the second in each series.

    Raises:
        Invalid: a series is of floats in one, and of something else in the other.
    """
    kinds = first.kinds()
    for key, kind in second.kinds().items():
        if kinds.setdefault(key, kind) != kind:
            raise other_kind(key, kinds[key], second.places(key))
    keys = sorted({*first.keys, *second.keys})
    number = {key: n for n, key in enumerate(keys)}
    numbers = np.concatenate([_numbers(part, number) for part in (first, second)])
    order = np.argsort(numbers, kind="stable")
    known = first.kinds()
    return Part(
        keys,
        np.bincount(numbers, minlength=len(keys)).astype(np.int64),
        together([first.columns, second.columns]).at(order),
        _joined_opaque(first.opaque, second.opaque),
        lambda key: (first if key in known else second).places(key),
    )


def other_kind(key: str, kind: str, path: Path) -> Invalid:
    """The refusal of a value that is not of its series' kind; `path` is where it stands."""
    return Invalid(
        f"The series {key!r} holds {kind}, which its first point settled: give such values, as `{GIVEN_BY[kind]}`,"
        " or use another key.",
        path=path,
    )


def _numbers(part: Part, number: Mapping[str, int]) -> Ints:
    """For each point, the number of its key."""
    return np.repeat(np.array([number[key] for key in part.keys], dtype=np.int64), part.counts)


def _joined_opaque(first: Sequence[Opaque], second: Sequence[Opaque]) -> list[Opaque]:
    found: dict[str, Opaque] = {}
    for series in (*first, *second):
        found.setdefault(series.key, Opaque(series.key, series.kind, [])).points.extend(series.points)
    return [found[key] for key in sorted(found)]
