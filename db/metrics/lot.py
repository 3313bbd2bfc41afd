"""The points of several batches, series by series, as if one call had brought them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from uuid import UUID

import numpy as np

from db.metrics.batch import Batch
from db.metrics.columns import NONE, Columns, Ints, together
from db.metrics.figures import Figures, figures
from db.metrics.instant import microseconds
from db.metrics.series_part import Opaque

FLOAT: Final = "FLOAT"

Named = tuple[UUID, str]
"""A series: of which object, by which key."""


class Owned(Protocol):
    """A batch, and whose series it adds to."""

    @property
    def batch(self) -> Batch:
        """What came."""

    @property
    def owner_id(self) -> UUID:
        """Whose series it is of."""


@dataclass(frozen=True)
class Lot:
    """Series of one or more objects, each with its kind and the number of the batch that it first came in.

    `columns` has the points, one series after the other, `counts[i]` > 0 each. Those of strings and of bytes have NaN
    for a value. `numbers` are, for each batch, those of its series: floats first, as `keys` and `opaque` have them.
    """

    names: Sequence[Named]
    kinds: Sequence[str]
    first: Sequence[int]
    numbers: Sequence[Ints]
    counts: Ints
    columns: Columns

    def figures(self) -> Figures:
        """What the points add to the figures of their series."""
        found = figures(self.columns, self.counts)
        return _without_values(found, [kind == FLOAT for kind in self.kinds])


def gathered(batches: Sequence[Owned]) -> Lot:
    """The points of the batches, those of the first before those of the next in each series.

    Raises:
        Invalid: two of them bring values of different kinds to one series.
    """
    found = _Numbering()
    numbers = [found.numbers_of(place, batch) for place, batch in enumerate(batches)]
    order = np.concatenate([np.repeat(n, _counts(each.batch)) for n, each in zip(numbers, batches, strict=True)])
    columns = together([part for each in batches for part in _parts(each.batch)])
    if bool((np.diff(order) < 0).any()):
        rows = np.argsort(order, kind="stable")
        columns = columns.at(rows)
    counts = np.bincount(order, minlength=len(found.names)).astype(np.int64)
    return Lot(found.names, found.kinds, found.first, numbers, counts, columns)


class _Numbering:
    """Numbers series as they come. A trainer brings the same keys in each call: they are looked up once."""

    def __init__(self) -> None:
        self.names: list[Named] = []
        self.kinds: list[str] = []
        self.first: list[int] = []
        self._known: dict[UUID, dict[str, int]] = {}
        self._floats: dict[tuple[UUID, tuple[str, ...]], Ints] = {}

    def numbers_of(self, place: int, batch: Owned) -> Ints:
        """Of the series of a batch, the numbers."""
        same = (batch.owner_id, tuple(batch.batch.keys))
        floats = self._floats.get(same)
        if floats is None:
            floats = np.array([self._number(place, batch, key, FLOAT) for key in batch.batch.keys], np.int64)
            self._floats[same] = floats
        if not batch.batch.opaque:
            return floats
        opaque = [self._number(place, batch, series.key, series.kind) for series in batch.batch.opaque]
        return np.concatenate([floats, np.array(opaque, np.int64)])

    def _number(self, place: int, batch: Owned, key: str, kind: str) -> int:
        known = self._known.setdefault(batch.owner_id, {})
        number = known.get(key)
        if number is None:
            number = known[key] = len(self.names)
            self.names.append((batch.owner_id, key))
            self.kinds.append(kind)
            self.first.append(place)
        elif self.kinds[number] != kind:
            raise batch.batch.refusal(key, self.kinds[number])
        return number


def _counts(batch: Batch) -> Ints:
    return np.concatenate([batch.counts, np.array([len(opaque.points) for opaque in batch.opaque], np.int64)])


def _parts(batch: Batch) -> Iterator[Columns]:
    yield batch.columns
    for opaque in batch.opaque:
        yield _marks(opaque)


def _marks(opaque: Opaque) -> Columns:
    """Steps and times of strings or of bytes."""
    steps = [NONE if step is None else step for step, _, _ in opaque.points]
    times = [NONE if at is None else microseconds(at) for _, at, _ in opaque.points]
    return Columns(np.array(steps, np.int64), np.array(times, np.int64), np.full(len(steps), np.nan))


def _without_values(found: Figures, has_values: Sequence[bool]) -> Figures:
    """The figures, with nothing said of values that are no numbers."""
    if all(has_values):
        return found
    changes: dict[str, Any] = {
        name: [value if has else none for value, has in zip(getattr(found, name), has_values, strict=True)]
        for name, none in (("first", None), ("last", None), ("non_finite_count", 0))
    }
    return Figures(**{**vars(found), **changes})
