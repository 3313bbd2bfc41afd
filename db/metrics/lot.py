"""The points of several batches, series by series, as if one call had brought them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from uuid import UUID

import numpy as np

from db.metrics.batch import Batch
from db.metrics.columns import NONE, Columns, Ints
from db.metrics.figures import Figures, figures, microseconds
from db.metrics.series_part import Opaque, other_kind
from db.metrics.series_rows import Kept, Named

FLOAT: Final = "FLOAT"


class Owned(Protocol):
    """A batch, and whose series it adds to."""

    batch: Batch
    owner_id: UUID

    @property
    def home_id(self) -> UUID: ...


@dataclass(frozen=True)
class Lot:
    """Series in the order in which they first came, each with its kind and the batch that it first came in.

    `columns` has the points, one series after the other, `counts[i]` > 0 each. Those of strings and of bytes have NaN
    for a value.
    """

    names: Sequence[Named]
    kinds: Sequence[str]
    batches: Sequence[Owned]
    counts: Ints
    columns: Columns

    def figures(self) -> Figures:
        """What the points add to the figures of their series."""
        found = figures(self.columns, self.counts)
        return _without_values(found, [kind == FLOAT for kind in self.kinds])

    def require_kinds(self, kept: Sequence[Kept]) -> None:
        """Raises Invalid, naming the first point, where a series holds other values."""
        for name, kind, first, known in zip(self.names, self.kinds, self.batches, kept, strict=True):
            if known.kind != kind:
                raise other_kind(name.key, known.kind, first.batch.places(name.key))


def gathered(batches: Sequence[Owned]) -> Lot:
    """The points of the batches, those of the first before those of the next in each series.

    Raises:
        Invalid: two of them bring values of different kinds to one series.
    """
    kinds: dict[Named, str] = {}
    first: dict[Named, Owned] = {}
    numbers: dict[Named, int] = {}
    order: list[Ints] = []
    for batch in batches:
        for name, kind in _series(batch):
            if kinds.setdefault(name, kind) != kind:
                raise other_kind(name.key, kinds[name], batch.batch.places(name.key))
            first.setdefault(name, batch)
            numbers.setdefault(name, len(numbers))
        order.append(np.repeat([numbers[name] for name, _ in _series(batch)], _counts(batch.batch)))
    columns = _concatenated([part for batch in batches for part in _parts(batch.batch)])
    lot_order = np.concatenate(order)
    if bool((np.diff(lot_order) < 0).any()):
        rows = np.argsort(lot_order, kind="stable")
        columns = Columns(columns.steps[rows], columns.times[rows], columns.values[rows])
    counts = np.bincount(lot_order, minlength=len(numbers)).astype(np.int64)
    return Lot(list(kinds), list(kinds.values()), list(first.values()), counts, columns)


def _series(batch: Owned) -> Iterator[tuple[Named, str]]:
    for key in batch.batch.keys:
        yield Named(batch.owner_id, key), FLOAT
    for opaque in batch.batch.opaque:
        yield Named(batch.owner_id, opaque.key), opaque.kind


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


def _concatenated(parts: Sequence[Columns]) -> Columns:
    if len(parts) == 1:
        return parts[0]
    return Columns(
        np.concatenate([part.steps for part in parts]),
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.values for part in parts]),
    )


def _without_values(found: Figures, has_values: Sequence[bool]) -> Figures:
    """The figures, with nothing said of values that are no numbers."""
    if all(has_values):
        return found
    changes: dict[str, Any] = {
        name: [value if has else none for value, has in zip(getattr(found, name), has_values, strict=True)]
        for name, none in (("first", None), ("last", None), ("non_finite_count", 0))
    }
    return Figures(**{**vars(found), **changes})
