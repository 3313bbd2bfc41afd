"""Which checkpoints of an experiment are kept.

One that any rule keeps is kept; and some are, whatever the rules say: what somebody pinned, what a model version was
made from, and the latest complete one, for a job must have something to resume from.

Rules look at the run's line alone. What a resumption left behind takes nobody's place and has none of its own: the job
saves these steps again.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from db.errors import Invalid
from db.metrics.series_key import check_key

MAX_COUNT: Final = 10_000
MAX_STEP: Final = 2**53 - 1

ABANDONED: Final = timedelta(days=7)
"""A checkpoint that was not complete by then never will be: its job is gone."""


@dataclass(frozen=True)
class KeepBest:
    """So many with the best last value of a series of their own."""

    metric: str
    is_least: bool
    count: int


@dataclass(frozen=True)
class Rules:
    """What an experiment keeps; a rule that is None keeps nothing."""

    last: int | None = None
    best: KeepBest | None = None
    every: int | None = None

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Rules:
        """The rules in the form in which `check` leaves them."""
        best = stored.get("keepBest")
        keep_best = KeepBest(best["metric"], best["mode"] == "MIN", best["count"]) if best else None
        return cls(stored.get("keepLast"), keep_best, stored.get("keepEvery"))


@dataclass(frozen=True)
class Checkpoint:
    """What the rules ask of a checkpoint. `value` is that of the metric that `keepBest` names.

    `is_held`: somebody pinned it, or a model version was made from it. `is_left`: a resumption left it behind.
    """

    id: UUID
    step: int | None
    created_at: datetime
    is_complete: bool = True
    is_held: bool = False
    is_left: bool = False
    value: float | None = None


def dropped(rules: Rules, checkpoints: Collection[Checkpoint], now: datetime) -> list[UUID]:
    """Those that nothing keeps, the oldest first. `checkpoints` are all of one experiment that are not deleted."""
    ready = sorted((c for c in checkpoints if c.is_complete), key=_place, reverse=True)
    complete = [each for each in ready if not each.is_left]
    kept = {each.id for each in checkpoints if each.is_held}
    kept |= {each.id for each in checkpoints if not each.is_complete and each.created_at > now - ABANDONED}
    # A job that went on from a step, and has saved nothing since, has only what it left.
    kept |= {each.id for each in (complete or ready)[:1]}
    kept |= {each.id for each in complete[: rules.last or 0]}
    if rules.best:
        kept |= {each.id for each in _best(rules.best, complete)}
    if rules.every:
        kept |= {each.id for each in complete if each.step is not None and each.step % rules.every == 0}
    return sorted(each.id for each in checkpoints if each.id not in kept)


def _place(checkpoint: Checkpoint) -> tuple[float, UUID]:
    """Where it stands among the others: by step, those without one before all, and of equals by their creation."""
    return (-math.inf if checkpoint.step is None else checkpoint.step, checkpoint.id)


def _best(rule: KeepBest, complete: Collection[Checkpoint]) -> list[Checkpoint]:
    """Those with the best finite values; of equals, the newest."""
    sign = -1 if rule.is_least else 1
    ranked = [(sign * c.value, c.id, c) for c in complete if c.value is not None and math.isfinite(c.value)]
    return [each for _, _, each in sorted(ranked, reverse=True)[: rule.count]]


def check(given: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The rules as they are stored: only those that were given.

    Raises:
        Invalid: there is none, or one is out of bounds; the path names it.
    """
    found: dict[str, Any] = {}
    if given.get("keep_last") is not None:
        found["keepLast"] = _counted(given["keep_last"], f"{what}.keepLast", MAX_COUNT)
    if given.get("keep_best") is not None:
        found["keepBest"] = _checked_best(given["keep_best"], f"{what}.keepBest")
    if given.get("keep_every") is not None:
        found["keepEvery"] = _counted(given["keep_every"], f"{what}.keepEvery", MAX_STEP)
    if not found:
        text = f"`{what}` has no rule. Give `keepLast`, `keepBest` or `keepEvery`; or null, which keeps everything."
        raise Invalid(text, path=tuple(what.split(".")))
    return found


def _checked_best(given: Mapping[str, Any], what: str) -> dict[str, Any]:
    metric = check_key(given["metric"], lambda: (*what.split("."), "metric"))
    return {"metric": metric, "mode": given["mode"], "count": _counted(given["count"], f"{what}.count", MAX_COUNT)}


def _counted(value: int, what: str, most: int) -> int:
    if not 1 <= value <= most:
        raise Invalid(f"`{what}` must be 1 to {most}.", path=tuple(what.split(".")))
    return value
