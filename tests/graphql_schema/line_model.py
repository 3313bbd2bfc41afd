"""A run with its line, what was left behind of it, and its checkpoints, in plain lists: what the server must say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

Point = tuple[int | None, float]


@dataclass
class Saved:
    """A checkpoint. `back` is the last leg that went on from it, or else the leg that it was saved on."""

    id: str
    step: int | None
    back: int
    is_ready: bool
    loss: float | None = None
    is_pinned: bool = False


@dataclass
class Run:
    """What happened to an experiment, and what follows from it."""

    series: dict[tuple[str, int], list[Point]] = field(default_factory=lambda: defaultdict(list))
    steps: list[int] = field(default_factory=list)
    saved: list[Saved] = field(default_factory=list)
    keep_last: int = 2
    keep_every: int = 40

    @property
    def leg(self) -> int:
        """How often it was resumed."""
        return len(self.steps)

    def log(self, key: str, points: Iterable[Point]) -> None:
        """Points go on the line."""
        self.series[key, 0] += points

    def resume(self, step: int, checkpoint: Saved | None = None) -> None:
        """Points past the step leave it."""
        self.steps.append(step)
        for key in [key for key, leg in self.series if leg == 0]:
            points = self.series[key, 0]
            self.series[key, self.leg] = [point for point in points if _is_past(point, step)]
            self.series[key, 0] = [point for point in points if not _is_past(point, step)]
        if checkpoint is not None:
            checkpoint.back = self.leg

    def rename(self, key: str, new_key: str) -> None:
        """On the line and off it."""
        for leg in range(self.leg + 1):
            if (key, leg) in self.series:
                self.series[new_key, leg] = self.series.pop((key, leg))

    def delete(self, key: str) -> int:
        """How many points went."""
        return sum(len(self.series.pop((key, leg), ())) for leg in range(self.leg + 1))

    def known(self) -> set[str]:
        """Of series with points, wherever."""
        return {key for (key, _), points in self.series.items() if points}

    def on(self, leg: int) -> dict[str, list[Point]]:
        """The series with points of a leg."""
        return {key: points for (key, at), points in self.series.items() if at == leg and points}

    def is_left(self, one: Saved) -> bool:
        """Whether the run was resumed from before it since."""
        return one.step is not None and any(step < one.step for step in self.steps[one.back :])

    def line(self) -> list[Saved]:
        """The complete checkpoints of the line, the latest last."""
        found = [one for one in self.saved if one.is_ready and not self.is_left(one)]
        return sorted(found, key=lambda one: (-1 if one.step is None else one.step, one.id))

    def best(self) -> Saved | None:
        """That with the least loss; of equals the newest."""
        rated = [(-one.loss, one.id, one) for one in self.line() if one.loss is not None]
        return max(rated)[2] if rated else None

    def retain(self) -> None:
        """Forget what no rule keeps."""
        line = self.line()
        every = [one for one in line if one.step is not None and one.step % self.keep_every == 0]
        kept = line[-self.keep_last :] + every
        if not line:
            ready = [one for one in self.saved if one.is_ready]
            kept = sorted(ready, key=lambda one: (-1 if one.step is None else one.step, one.id))[-1:]
        self.saved = [one for one in self.saved if one in kept or one.is_pinned or not one.is_ready]


def _is_past(point: Point, step: int) -> bool:
    return point[0] is not None and point[0] > step
