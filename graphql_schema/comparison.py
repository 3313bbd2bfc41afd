"""Experiments side by side: hyperparameters that differ, series against a baseline's, curves on common steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import strawberry

from db.metrics.json_text import ints_json, sparse_json
from db.read import comparison
from db.read import derived as row
from db.read.derived import Query
from db.read.hole import Hole
from db.read.plan import Plan
from db.read.sql import Asked, Bind, Environment
from graphql_schema import enums
from graphql_schema.aligned import (
    ALIGNMENT,
    COST,
    POINTS,
    Bounds,
    Together,
    asked,
    is_exact,
    max_points,
    step_width,
)
from graphql_schema.arguments import Value, refused
from graphql_schema.derived import LIST_LIMIT, bounded, derived
from graphql_schema.experiment import ExperimentType
from graphql_schema.fields import Argument, computed, given, read_field
from graphql_schema.lookup import decoded_id, id_bind
from graphql_schema.metric import MetricSeries
from graphql_schema.scalars import JSON, MetricValue, MetricValueColumn, SafeInt, SafeIntColumn
from graphql_schema.selection import Selected
from graphql_schema.written import writer, written

FEWEST: Final = 2
MAX_VALUES: Final = 1_000_000


# --- Curves ---


def _values(found: Together) -> bytes:
    aligned = found.aligned
    texts = [
        b"null" if place is None else sparse_json(aligned.values[place], aligned.present[place])
        for place in found.places
    ]
    return b"[" + b",".join(texts) + b"]"


@strawberry.type(
    description="A metric of several experiments on common steps: every step at which any has a value, as long as these"
    f" are at most `maxPoints`. {ALIGNMENT}"
)
class AlignedColumns:
    steps: SafeIntColumn = written(
        "The steps, rising; of steps that are put together, the greatest at which any has a value.",
        lambda found: ints_json(found.aligned.steps),
    )
    step_width: SafeInt = step_width()
    is_exact: bool = is_exact()
    values: list[MetricValueColumn | None] = written(
        "For each experiment in order its values at these steps, with null where it has none; null for one without such"
        " a series of floats.",
        _values,
    )


@dataclass(frozen=True)
class ColumnsRead:
    """`columns` of a metric."""

    def plan(self, selected: Selected) -> Plan:
        points = max_points(selected.outer)
        wanted = _Wanted(selected.outer.arguments["experimentIds"], given(selected.outer, "keys"))
        write = writer(selected)

        def ask(env: Environment) -> Callable[[Sequence[str]], Asked]:
            bounds = Bounds.of(points, wanted.series(env, points))
            return lambda told: asked(told[0], bounds, (), write)

        with selected.planner.repeated(COST / comparison.MAX_KEYS):
            return Hole([comparison.told], ask)


@dataclass(frozen=True)
class _Wanted:
    """The experiments and the keys that are asked for."""

    ids: Value
    keys: Value | None

    def series(self, env: Environment, points: int) -> int:
        """How many series these may be.

        Raises:
            RequestErrors: too many for columns of so many points.
        """
        keys = comparison.MAX_KEYS if self.keys is None else len(_checked_keys(self.keys.get(env)))
        series = len(self.ids.get(env)) * keys
        if series * points > MAX_VALUES:
            raise refused(
                f"at most {MAX_VALUES} values in the columns: experiments × keys × maxPoints is {series * points}"
                f" (keys count as {comparison.MAX_KEYS} when absent). Name fewer keys, or ask for fewer points.",
                ("keys",),
            )
        return series


# --- Figures ---


@strawberry.type(description="How a figure differs from the baseline's.")
class MetricDelta:
    absolute: MetricValue | None = computed(
        "The figure minus the baseline's; null when one of them is not finite, or the difference is beyond a double.",
        comparison.absolute,
    )
    relative: MetricValue | None = computed(
        "The same, divided by the magnitude of the baseline's figure: 0.1 is ten percent more. Null, too, when that is"
        " 0.",
        comparison.relative,
    )


@dataclass(frozen=True)
class DeltaRead:
    """The difference in one figure."""

    def plan(self, selected: Selected) -> Plan:
        return comparison.Delta(selected.name, selected.object())


def _delta(figure: str) -> Any:
    return read_field(DeltaRead(), f"Of {figure}.")


@strawberry.type(description="How the figures of a series differ from those of the baseline's series of the same key.")
class MetricDeltas:
    last: MetricDelta = _delta("the last values")
    min: MetricDelta = _delta("the least finite values")
    max: MetricDelta = _delta("the greatest finite values")
    mean: MetricDelta = _delta("the means of the finite values")


@dataclass(frozen=True)
class DeltasRead:
    """The differences of a series."""

    def plan(self, selected: Selected) -> Plan:
        return comparison.Deltas(selected.object())


@dataclass(frozen=True)
class SeriesRead:
    """The series itself, whose row is at hand."""

    def plan(self, selected: Selected) -> Plan:
        return selected.object()


@strawberry.type(description="The series of one experiment.")
class ComparedSeries:
    series: MetricSeries = read_field(SeriesRead(), "The series, with its figures.")
    deltas: MetricDeltas | None = read_field(
        DeltasRead(),
        "How its figures differ from the baseline's; null when the baseline is not in sight, or one of the two is no"
        " series of floats.",
    )


@dataclass(frozen=True)
class EachSeriesRead:
    """The series of a metric, one for each experiment."""

    def plan(self, selected: Selected) -> Plan:
        with selected.planner.repeated(comparison.MAX_EXPERIMENTS, 0.1):
            return comparison.EachSeries(selected.object())


@strawberry.type(description="A metric of the experiments.")
class MetricComparison:
    key: str = computed("The series' key.", row.text("key"))
    kind: enums.MetricKind | None = computed(
        "What its values are; null when no experiment has it, or some have another kind.", comparison.kind
    )
    series: list[ComparedSeries | None] = read_field(
        EachSeriesRead(), "For each experiment in order its series; null where it has none."
    )
    columns: AlignedColumns | None = read_field(
        ColumnsRead(), "The curves on common steps; null, with an error, when the points could not be read."
    )


# --- Hyperparameters ---


@strawberry.type(description="A path of the experiments' hyperparameters that leads to a value without others inside.")
class HyperparameterComparison:
    path: list[str] = computed("Keys from the outside in; positions in lists, from 0.", row.words("path"))
    values: list[JSON | None] = computed(
        "For each experiment in order its value there; null where it has none.", row.json("held")
    )
    is_different: bool = computed(
        "Whether experiments in sight differ there, or some have no value.", row.boolean("is_different")
    )


def _hyperparameters(selected: Selected) -> Query:
    different = bool(selected.arguments["onlyDifferent"].raw)
    limit = bounded(selected, "first", LIST_LIMIT, 1, LIST_LIMIT)
    return comparison.hyperparameters(only_different=different, limit=limit)


# --- The whole ---


@dataclass(frozen=True)
class EachExperimentRead:
    """The experiments, one for each id."""

    def plan(self, selected: Selected) -> Plan:
        with selected.planner.repeated(comparison.MAX_EXPERIMENTS):
            return comparison.EachExperiment(selected.object())


def _metrics(selected: Selected) -> Query:
    keys = given(selected.outer, "keys")
    return comparison.metrics(keys.bind("text[]", _checked_keys) if keys else None, comparison.MAX_KEYS)


@strawberry.type(
    description="Experiments side by side. Lists of one entry for each experiment are in the order of ids."
)
class Comparison:
    experiments: list[ExperimentType | None] = read_field(
        EachExperimentRead(), "The experiments; null where there is none in your sight."
    )
    hyperparameters: list[HyperparameterComparison] = derived(
        "Their hyperparameters, by path.",
        _hyperparameters,
        Argument("onlyDifferent", bool, "Only paths at which they differ.", True),
        Argument("first", int | None, f"How many at most, 1–{LIST_LIMIT}; {LIST_LIMIT} when absent."),
        expected=LIST_LIMIT,
    )
    metrics: list[MetricComparison] = derived(
        f"Their metrics: those of `keys`, in that order; or else all, the most frequent first, at most"
        f" {comparison.MAX_KEYS}.",
        _metrics,
        expected=comparison.MAX_KEYS,
    )


def _checked_keys(keys: Sequence[str]) -> Sequence[str]:
    if len(keys) > comparison.MAX_KEYS:
        raise refused(f"at most {comparison.MAX_KEYS} keys; got {len(keys)}.", ("keys",))
    return keys


@dataclass(frozen=True)
class ComparisonRead:
    """`compare`."""

    def plan(self, selected: Selected) -> Plan:
        ids, keys = selected.arguments["experimentIds"], given(selected, "keys")
        max_points(selected)
        decode = _decoded(ids.path)
        decode(ids.raw)
        if keys:
            _checked_keys(keys.raw)
        baseline = given(selected, "baselineId")
        base = id_bind(baseline, "exp") if baseline else Bind(lambda env: decode(ids.get(env))[0], "uuid")
        with selected.planner.repeated(1), selected.planner.within(selected):
            return comparison.Comparison(ids.bind("uuid[]", decode), base, selected.object())


def _decoded(path: tuple[str, ...]) -> Callable[[Sequence[str]], list[Any]]:
    decode = decoded_id(("exp",), path)

    def decode_all(texts: Sequence[str]) -> list[Any]:
        if not FEWEST <= len(texts) <= comparison.MAX_EXPERIMENTS:
            bound = f"{FEWEST} to {comparison.MAX_EXPERIMENTS} experiments are compared; got {len(texts)}."
            raise refused(bound, path)
        return [decode(text) for text in texts]

    return decode_all


def compare() -> Any:
    """The root field."""
    ids = f"Their ids, {FEWEST}–{comparison.MAX_EXPERIMENTS}; the same one may occur twice."
    keys = (
        f"Keys of series, at most {comparison.MAX_KEYS}; all that they have when absent. Where columns are asked for,"
        f" experiments × keys × maxPoints is at most {MAX_VALUES}."
    )
    return read_field(
        ComparisonRead(),
        "Experiments side by side: hyperparameters that differ, figures of series against a baseline's, and curves on"
        " common steps.",
        [
            Argument("experimentIds", list[strawberry.ID], ids, ...),
            Argument("keys", list[str] | None, keys),
            Argument("baselineId", strawberry.ID | None, "What the others are measured by; the first when absent."),
            POINTS,
        ],
    )
