"""Runs on common steps, and figures over them, against plain Python and numpy's own functions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.metrics.aggregate import Aligned, Run, align, last_at_each, over_runs
from db.metrics.json_text import sparse_json

SAFE = 2**53 - 1
STEPS = st.one_of(st.integers(-20, 40), st.integers(-SAFE, SAFE), st.sampled_from([-SAFE, SAFE, 0, -1]))
VALUES = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1.0, 0.1, 1.7976931348623157e308, -1.7976931348623157e308, 5e-324]),
)
SERIES = st.lists(st.tuples(STEPS, VALUES), max_size=60)
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.9, 1.0)


def run_of(points: Sequence[tuple[int, float]]) -> Run:
    return last_at_each(np.array([step for step, _ in points], np.int64), np.array([value for _, value in points]))


def plain_alignment(
    runs: Sequence[dict[int, float]], max_points: int
) -> tuple[int, list[int], list[list[float | None]]]:
    """The rule as its description says it."""
    width, union = 1, {step for run in runs for step in run}
    while len({step // width for step in union}) > max_points:
        width *= 2
    places = sorted({step // width for step in union})
    names = [max(step for step in union if step // width == place) for place in places]
    table: list[list[float | None]] = []
    for run in runs:
        inside = [[step for step in run if step // width == place] for place in places]
        table.append([run[max(steps)] if steps else None for steps in inside])
    return width, names, table


def shown(aligned: Aligned) -> list[list[str]]:
    """Values as text, so that NaN equals itself and −0.0 does not equal 0."""
    return [
        [repr(float(value)) if there else "None" for value, there in zip(values, present, strict=True)]
        for values, present in zip(aligned.values, aligned.present, strict=True)
    ]


@given(st.lists(SERIES, max_size=5), st.integers(2, 12))
def test_alignment(runs: list[list[tuple[int, float]]], max_points: int) -> None:
    aligned = align([run_of(run) for run in runs], max_points)
    width, steps, table = plain_alignment([dict(run) for run in runs], max_points)
    assert (aligned.width, aligned.steps.tolist()) == (width, steps)
    assert shown(aligned) == [[repr(value) for value in row] for row in table]


@given(st.lists(SERIES, max_size=5))
def test_figures(runs: list[list[tuple[int, float]]]) -> None:
    aligned = align([run_of(run) for run in runs], 1000)
    figures = over_runs(aligned, QUANTILES)
    for place in range(len(aligned.steps)):
        there = aligned.values[aligned.present[:, place], place]
        finite = there[np.isfinite(there)]
        assert figures.count[place] == len(finite)
        assert figures.non_finite_count[place] == len(there) - len(finite)
        check(finite, [float(figure[place]) for figure in (figures.min, figures.max, figures.mean, figures.std)])
        check_quantiles(finite, figures.quantiles[:, place].tolist())


def check(values: np.ndarray, found: list[float]) -> None:
    if not len(values):
        assert np.isnan(found).all()
        return
    least, greatest, mean, deviation = found
    assert (least, greatest) == (values.min(), values.max())
    # A long double neither overflows nor runs out of digits here.
    exact = values.astype(np.longdouble)
    assert mean == pytest.approx(float(exact.mean()), rel=1e-12, abs=float(np.abs(exact).max()) * 1e-12)
    wanted = exact.std(ddof=1) if len(values) > 1 else np.longdouble(np.nan)
    if np.isnan(wanted) or wanted > np.finfo(float).max:
        assert np.isnan(deviation)
    else:
        assert deviation == pytest.approx(float(wanted), rel=1e-9, abs=float(np.abs(exact).max()) * 1e-12)


def check_quantiles(values: np.ndarray, found: list[float]) -> None:
    if not len(values):
        assert np.isnan(found).all()
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = np.quantile(values, QUANTILES)
    # Where numpy's own difference of two values overflows, there is nothing to compare with.
    comparable = np.isfinite(wanted)
    assert np.array(found)[comparable].tolist() == wanted[comparable].tolist()
    assert all(values.min() <= one <= values.max() for one in found)


def test_numpy_to_the_last_bit() -> None:
    """Of ordinary numbers, quantiles are numpy's own, and so are the least and the greatest."""
    random = np.random.default_rng(7)
    values = random.normal(size=(17, 400))
    present = random.random((17, 400)) < 0.7
    figures = over_runs(Aligned(np.arange(400), values, present, 1), QUANTILES)
    for place in range(400):
        there = values[present[:, place], place]
        assert figures.quantiles[:, place].tolist() == np.quantile(there, QUANTILES).tolist()
        assert figures.mean[place] == pytest.approx(np.mean(there), rel=1e-14, abs=1e-15)
        assert figures.std[place] == pytest.approx(np.std(there, ddof=1), rel=1e-13)


def test_a_bucket_keeps_its_bounds_while_a_run_goes_on() -> None:
    def run(length: int) -> Aligned:
        steps = np.arange(length, dtype=np.int64)
        return align([(steps, steps.astype(float))], 100)

    assert (run(1000).width, run(1600).width) == (16, 16)
    assert run(1600).steps.tolist()[:62] == run(1000).steps.tolist()[:62]
    assert run(1601).width == 32


def test_nothing_is_nothing() -> None:
    for runs in ([], [run_of([])]):
        aligned = align(runs, 2)
        assert (aligned.steps.tolist(), aligned.values.shape) == ([], (len(runs), 0))
        assert over_runs(aligned, QUANTILES).quantiles.shape == (len(QUANTILES), 0)


@given(st.lists(st.one_of(st.none(), st.floats()), max_size=30))
def test_columns_with_gaps_as_json(values: list[float | None]) -> None:
    present = np.array([value is not None for value in values], np.bool_)
    array = np.array([0.0 if value is None else value for value in values], float)
    found = orjson.loads(sparse_json(array, present))
    spelled = [float(value) if isinstance(value, str) else value for value in found]
    assert list(map(repr, spelled)) == list(map(repr, values))
