"""Which checkpoints are dropped, by the rules alone: small cases in full, and every combination against plain words."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest

from db.errors import Invalid
from db.policies.checkpoint_retention import Checkpoint, KeepBest, Rules, check, dropped

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def saved(number: int, step: int | None, **also: Any) -> Checkpoint:
    return Checkpoint(UUID(int=number), step, also.pop("created_at", NOW), **also)


def gone(rules: Rules, *checkpoints: Checkpoint) -> list[int]:
    return [id_.int for id_ in dropped(rules, checkpoints, NOW)]


def run(*steps: int | None) -> list[Checkpoint]:
    return [saved(number, step) for number, step in enumerate(steps, 1)]


def test_the_last_are_those_with_the_greatest_steps() -> None:
    assert gone(Rules(last=2), *run(30, 10, 20, 40)) == [2, 3]
    assert gone(Rules(last=9), *run(30, 10, 20, 40)) == []
    assert gone(Rules(last=1), *run(None, 0, None, -5)) == [1, 3, 4]
    assert gone(Rules(last=2), *run(7, 7, 7)) == [1], "of equals, the newest are the last"


def test_the_best_are_finite_and_of_equals_the_newest() -> None:
    values = [0.5, 0.5, math.nan, None, 0.1, math.inf, -math.inf, 0.9, 0.7]
    some = [saved(number, number, value=value) for number, value in enumerate(values, 1)]
    assert gone(Rules(best=KeepBest("m", False, 3)), *some) == [1, 3, 4, 5, 6, 7], "8, 9 and 2 are best, 9 is latest"
    assert gone(Rules(best=KeepBest("m", True, 2)), *some) == [1, 3, 4, 6, 7, 8]
    assert gone(Rules(best=KeepBest("m", True, 99)), *some) == [3, 4, 6, 7]


def test_every_so_many_steps() -> None:
    assert gone(Rules(every=10), *run(0, 5, 10, None, -20, 15, 7)) == [2, 4, 7]


def test_one_that_any_rule_keeps_is_kept() -> None:
    values = {1: 0.1, 2: 0.9, 3: 0.2, 4: 0.3, 5: 0.4, 6: 0.5}
    some = [saved(number, number * 5, value=value) for number, value in values.items()]
    rules = Rules(last=1, best=KeepBest("m", False, 1), every=20)
    assert gone(rules, *some) == [1, 3, 5]


def test_the_latest_complete_one_is_kept_whatever_the_rules_say() -> None:
    assert gone(Rules(every=1000), *run(1, 2, 3)) == [1, 2]
    pending = saved(4, 4, is_complete=False)
    assert gone(Rules(every=1000), *run(1, 2, 3), pending) == [1, 2]
    assert gone(Rules(best=KeepBest("m", False, 1)), saved(1, None), saved(2, None)) == [1]
    assert gone(Rules(last=1)) == []


def test_what_is_held_is_kept_and_counts_among_the_others() -> None:
    assert gone(Rules(last=2), saved(1, 1, is_held=True), *[saved(n, n) for n in (2, 3)]) == []
    assert gone(Rules(last=2), saved(1, 1, is_held=True), saved(2, 2), saved(3, 3, is_held=True), saved(4, 4)) == [2]
    old = NOW - timedelta(days=400)
    assert gone(Rules(last=1), saved(1, 1, is_held=True, is_complete=False, created_at=old)) == []


@pytest.mark.parametrize(("age", "is_gone"), [(timedelta(days=6, hours=23), False), (timedelta(days=7), True)])
def test_what_never_became_complete_goes_after_a_week(age: timedelta, is_gone: bool) -> None:
    pending = saved(1, 10, is_complete=False, created_at=NOW - age, value=9.0)
    rules = Rules(last=5, best=KeepBest("m", False, 5), every=1)
    assert gone(rules, pending, saved(2, 2, value=1.0)) == ([1] if is_gone else [])


def test_what_was_left_behind_takes_no_place_and_has_none() -> None:
    """Five of the line, and behind them three that a resumption from 50 left; the job has just begun to save again."""
    line = [saved(n, 10 * n, value=float(n)) for n in range(1, 6)]
    left = [saved(n, 10 * n, value=float(100 + n), is_left=True) for n in range(6, 9)]
    assert gone(Rules(last=2), *line, *left) == [1, 2, 3, 6, 7, 8]
    assert gone(Rules(best=KeepBest("m", False, 2)), *line, *left) == [1, 2, 3, 6, 7, 8]
    assert gone(Rules(every=30), *line, *left) == [1, 2, 4, 6, 7, 8], "3 is a multiple, 5 is the latest; 6 was left"
    held = [saved(9, 90, is_left=True, is_held=True), saved(10, 100, is_left=True, is_complete=False)]
    assert gone(Rules(last=5), *line, *left, *held) == [6, 7, 8]


def test_where_nothing_is_on_the_line_the_latest_that_was_left_stays() -> None:
    left = [saved(n, 10 * n, is_left=True) for n in range(1, 4)]
    assert gone(Rules(last=2, every=10), *left) == [1, 2]
    assert gone(Rules(last=2), *left, saved(4, 1)) == [1, 2, 3]
    assert gone(Rules(last=2), *left, saved(4, 1, is_complete=False)) == [1, 2]


def told(rules: Rules, checkpoints: list[Checkpoint]) -> set[UUID]:
    """The same rules word by word: is there a reason to keep it?"""

    def later(a: Checkpoint, b: Checkpoint) -> bool:
        if a.step == b.step:
            return a.id > b.id
        return b.step is None or (a.step is not None and a.step > b.step)

    def better(a: Checkpoint, b: Checkpoint, rule: KeepBest) -> bool:
        assert a.value is not None
        assert b.value is not None
        if a.value == b.value:
            return a.id > b.id
        return (a.value < b.value) == rule.is_least

    ready = [c for c in checkpoints if c.is_complete]
    complete = [c for c in ready if not c.is_left]
    rated = [c for c in complete if c.value is not None and math.isfinite(c.value)]

    def is_kept(c: Checkpoint) -> bool:
        is_young = NOW - c.created_at < timedelta(days=7)
        return c.is_held or (is_ruled(c) if c.is_complete else is_young)

    def is_ruled(c: Checkpoint) -> bool:
        if c.is_left:
            return not complete and not any(later(other, c) for other in ready)
        before = sum(later(other, c) for other in complete)
        is_best = rules.best is not None and c in rated
        return (
            before == 0
            or (rules.last is not None and before < rules.last)
            or (rules.every is not None and c.step is not None and c.step % rules.every == 0)
            or (is_best and sum(better(o, c, rules.best) for o in rated) < rules.best.count)  # type: ignore[union-attr, arg-type]
        )

    return {c.id for c in checkpoints if not is_kept(c)}


RULES = [
    Rules(last, best, every)
    for last in (None, 1, 2, 5)
    for best in (None, *(KeepBest("m", is_least, count) for is_least in (False, True) for count in (1, 2)))
    for every in (None, 1, 2, 3)
]


def test_every_rule_over_every_small_run() -> None:
    """All runs of two checkpoints whose properties are drawn from a few, under all rules."""
    week = NOW - timedelta(days=8)
    kinds = list(
        itertools.product((None, 0, 3, 4), (None, 0.5, 0.7, math.nan), (True, False), (True, False), (NOW, week))
    )
    for first, second in itertools.product(kinds, kinds):
        some = [
            saved(number, step, value=value, is_complete=is_complete, is_held=is_held, created_at=created_at)
            for number, (step, value, is_complete, is_held, created_at) in enumerate((first, second), 1)
        ]
        for rules in RULES[:: len(RULES) // 7]:
            assert set(dropped(rules, some, NOW)) == told(rules, some), (rules, some)


def test_long_runs_under_every_rule() -> None:
    random = Random(7)
    for rules in RULES:
        for share in (0, 0, 0, 0.2, 0.2, 0.5, 0.9, 1):
            some = [
                saved(
                    number,
                    random.choice([None, *range(8)]),
                    value=random.choice([None, math.nan, math.inf, 0.0, -0.0, 0.1, 0.2, 0.3]),
                    is_complete=random.random() < 0.8,
                    is_held=random.random() < 0.15,
                    is_left=random.random() < share,
                    created_at=random.choice([NOW, NOW - timedelta(days=30)]),
                )
                for number in random.sample(range(100), random.randrange(15))
            ]
            found = dropped(rules, some, NOW)
            assert set(found) == told(rules, some), (rules, some)
            assert found == sorted(found)
            left = [each for each in some if each.id not in found]
            assert dropped(rules, left, NOW) == [], "what is left is left alone"


# --- As they are given and stored ---


def test_only_what_is_given_is_stored() -> None:
    best = {"metric": "val/loss", "mode": "MIN", "count": 2}
    given = {"keep_last": 3, "keep_best": best, "keep_every": 1000}
    stored = check(given, "input.checkpointRetention")
    assert stored == {"keepLast": 3, "keepBest": best, "keepEvery": 1000}
    assert Rules.read(stored) == Rules(3, KeepBest("val/loss", True, 2), 1000)
    assert Rules.read(check({"keep_last": 1, "keep_every": None}, "x")) == Rules(1)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({}, ()),
        ({"keep_last": None}, ()),
        ({"keep_last": 0}, ("keepLast",)),
        ({"keep_last": 10_001}, ("keepLast",)),
        ({"keep_every": 0}, ("keepEvery",)),
        ({"keep_every": 2**53}, ("keepEvery",)),
        ({"keep_best": {"metric": "", "mode": "MIN", "count": 1}}, ("keepBest", "metric")),
        ({"keep_best": {"metric": "a\0", "mode": "MIN", "count": 1}}, ("keepBest", "metric")),
        ({"keep_best": {"metric": "a", "mode": "MIN", "count": 0}}, ("keepBest", "count")),
    ],
)
def test_a_rule_out_of_bounds_names_itself(given: dict[str, Any], path: tuple[str, ...]) -> None:
    with pytest.raises(Invalid) as refused:
        check(given, "input.patch.checkpointRetention")
    assert refused.value.path == ("input", "patch", "checkpointRetention", *path)
