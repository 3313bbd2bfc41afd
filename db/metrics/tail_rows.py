"""The tail of one object: the rows that its log calls made, and of each series in them its points."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final

import numpy as np

from db.metrics import tail
from db.metrics.columns import Columns, Ints, concatenated, together
from db.metrics.segment import SIZE

LITTLE: Final = 64
"""Segments decoded, or as much other work, at once; more is done in a thread, so that others are served meanwhile."""


class TailRows:
    """Rows of the tail with their numbers in the feed, decoded when first asked for."""

    def __init__(self, rows: Sequence[tuple[int, bytes]] = ()) -> None:
        self._rows = rows

    @property
    def work(self) -> int:
        """What decoding costs, in segments. A row alone takes half as long as one."""
        return len(self._rows) // 2 + sum(len(data) for _, data in self._rows) // (8 * SIZE)

    @property
    def series(self) -> set[int]:
        """Of which series there are points."""
        return self._merged.series

    def of(self, series: int) -> tuple[Columns, Ints]:
        """The points of a series in order of arrival, and their numbers in the feed.

        Raises:
            Damaged: a row is not what was written.
        """
        return self._merged.of(series)

    @cached_property
    def _merged(self) -> _Merged:
        return _Merged(sorted(self._rows))


class _Merged:
    """Rows in order, as one."""

    def __init__(self, rows: Sequence[tuple[int, bytes]]) -> None:
        parts = [tail.decode(data) for _, data in rows]
        self._ids = concatenated([part.ids for part in parts], np.int64)
        self._counts = concatenated([part.counts for part in parts], np.int64)
        self._seqs = np.repeat(np.array([seq for seq, _ in rows], np.int64), [len(part.ids) for part in parts])
        self._begins = np.cumsum(self._counts) - self._counts
        self._columns = together([part.columns for part in parts])
        self.series = set(self._ids.tolist())

    def of(self, series: int) -> tuple[Columns, Ints]:
        which = np.flatnonzero(self._ids == series)
        counts = self._counts[which]
        at = np.repeat(self._begins[which] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        return self._columns.at(at), np.repeat(self._seqs[which], counts)
