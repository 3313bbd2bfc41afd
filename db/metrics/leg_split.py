"""Points that stay on a run's line, and those that a resumption leaves behind: two series made of one.

Segments that leave whole keep their bytes and only take another place. So in what was left behind, one before them may
not be full: the positions behind it have a gap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from db.metrics import leg_figures
from db.metrics.columns import NONE
from db.metrics.leg_figures import One
from db.metrics.segment import SIZE
from db.metrics.stretch import Grown, Stretch, joined, written


@dataclass
class Side:
    """Where points go: a series, and the position of its next segment. `rest` are those that do not fill one yet.

    They are written like the last segment that points came from, for whoever logs waits.
    """

    series_id: int
    position: int
    rest: Stretch | None = None
    like: bytes | None = None

    def take(self, points: Stretch, like: bytes) -> Iterator[Grown]:
        """The full segments that there are with these points, which come from such a segment."""
        self.like = like
        both = points if self.rest is None else joined([self.rest, points])
        full = len(both.seqs) // SIZE * SIZE
        for begin in range(0, full, SIZE):
            yield self._segment(both.between(begin, begin + SIZE))
        self.rest = both.between(full, len(both.seqs)) if full < len(both.seqs) else None

    def end(self) -> Iterator[Grown]:
        """The last segment, if it is not full. What comes behind it begins where it would be."""
        if self.rest is not None:
            yield self._segment(self.rest)
            self.rest = None
            self.position = -(-self.position // SIZE) * SIZE

    def pass_by(self) -> int:
        """The place of a segment that comes as it is."""
        self.position += SIZE
        return self.position - SIZE

    def _segment(self, points: Stretch) -> Grown:
        found = Grown(self.series_id, self.position, points, self.like, is_hasty=True)
        self.position += len(points.seqs)
        return found


@dataclass
class Split:
    """Divides the segments of several series, one series after the other, at a step.

    `line` and `left` are, by series, where points go; `figures` grow with what went on the line. `whole` are the
    positions of segments that leave whole, which are not among those that are divided, and `moves` those that took
    their place: from which series and position, to which.
    """

    step: int
    line: Mapping[int, Side]
    left: Mapping[int, Side]
    whole: Mapping[int, deque[int]]
    figures: dict[int, One] = field(default_factory=dict)
    moves: list[tuple[int, int, int, int]] = field(default_factory=list)
    _open: int | None = None

    def segments(self, rows: Sequence[Mapping[str, Any]], *, is_end: bool) -> list[tuple[Any, ...]]:
        """The rows of the segments that these become, but for points that wait for more of their series."""
        grown = [each for row in rows for each in self._divided(row)]
        if is_end:
            grown += self._closed()
            for series_id in self.whole:
                grown += self._passed(series_id, None)
        mine = {side.series_id for side in self.line.values()}
        for series_id, one in leg_figures.of_points([each for each in grown if each.series_id in mine]):
            found = leg_figures.together(self.figures.get(series_id), [one])
            assert found is not None  # noqa: S101 (there is one)
            self.figures[series_id] = found
        return written(grown) if grown else []

    def _divided(self, row: Mapping[str, Any]) -> Iterator[Grown]:
        if row["series_id"] != self._open:
            yield from self._closed()
            self._open = row["series_id"]
        yield from self._passed(row["series_id"], row["position"])
        points = Stretch.of(row)
        # `NONE` is less than any step: but it is none, so such points stay.
        past = (points.columns.steps > self.step) & (points.columns.steps != NONE)
        for side, chosen in ((self.line, ~past), (self.left, past)):
            if np.any(chosen):
                yield from side[row["series_id"]].take(points.at(chosen), row["data"])

    def _passed(self, series_id: int, before: int | None) -> Iterator[Grown]:
        """Segments of a series that leave whole take their places, those before a position or all."""
        whole, side = self.whole.get(series_id), self.left[series_id]
        while whole and (before is None or whole[0] < before):
            yield from side.end()
            self.moves.append((series_id, whole.popleft(), side.series_id, side.pass_by()))

    def _closed(self) -> Iterator[Grown]:
        if self._open is not None:
            yield from self._passed(self._open, None)
            for side in (self.line, self.left):
                yield from side[self._open].end()
