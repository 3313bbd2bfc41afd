"""Metrics over groups of experiments, such as the seeds of one setting: mean, spread and quantiles at each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import strawberry

from db.metrics.json_text import finite_json, ints_json
from db.read import derived as row
from db.read import distribution
from db.read.condition import Compare
from db.read.derived import Query
from db.read.hole import Hole
from db.read.plan import Plan
from db.read.sql import Asked, Bind, Environment, constant
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
from graphql_schema.derived import derived
from graphql_schema.experiment import ExperimentType
from graphql_schema.facets import FILTER, picked
from graphql_schema.fields import Argument, computed, given, read_field
from graphql_schema.lookup import decoded_id
from graphql_schema.place import PLACE
from graphql_schema.scalars import JSON, MetricValue, MetricValueColumn, SafeInt, SafeIntColumn
from graphql_schema.selection import Selected
from graphql_schema.written import writer, written

MAX_KEYS: Final = 20
MAX_PATHS: Final = 8
MAX_QUANTILES: Final = 9
MAX_PLACES: Final = 10_000


# --- Columns ---


def _figure(name: str, description: str) -> Any:
    return written(description, lambda found: finite_json(getattr(found.figures, name)))


def _quantiles(found: Together) -> bytes:
    return b"[" + b",".join(finite_json(column) for column in found.figures.quantiles) + b"]"


@strawberry.type(
    description="A metric over the experiments of a group, as columns of one length: for every step at which any has a"
    f" value the figures over all that have one, as long as these are at most `maxPoints` steps. {ALIGNMENT} Values"
    " that are NaN or infinite are left out and counted. Figures are null where no finite value is left, or where they"
    " are beyond a double."
)
class AggregatedColumns:
    steps: SafeIntColumn = written(
        "The steps, rising; of steps that are put together, the greatest at which any has a value.",
        lambda found: ints_json(found.aligned.steps),
    )
    step_width: SafeInt = step_width()
    is_exact: bool = is_exact()
    count: SafeIntColumn = written(
        "How many experiments have a finite value there.", lambda found: ints_json(found.figures.count)
    )
    non_finite_count: SafeIntColumn = written(
        "How many experiments have NaN or an infinity there.", lambda found: ints_json(found.figures.non_finite_count)
    )
    mean: MetricValueColumn = _figure("mean", "The arithmetic means.")
    std: MetricValueColumn = _figure(
        "std",
        "The sample standard deviations, `sqrt(Σ(x − mean)² / (n − 1))` (NIST/SEMATECH e-Handbook of Statistical"
        " Methods, 1.3.5.6); null for a single value.",
    )
    min: MetricValueColumn = _figure("min", "The least values.")
    max: MetricValueColumn = _figure("max", "The greatest values.")
    quantiles: list[MetricValueColumn] = written(
        "For each of `quantiles` in order a column, linear between the two nearest values (definition 7 of Hyndman and"
        " Fan, 1996).",
        _quantiles,
    )


@dataclass(frozen=True)
class _Wanted:
    """What decides how much is read."""

    keys: Value
    ids: Value | None
    quantiles: Value | None

    def bounds(self, env: Environment, points: int) -> Bounds:
        """How much of each series is read.

        Raises:
            RequestErrors: it would be too much.
        """
        keys = len(_checked_keys(self.keys.get(env)))
        if keys * points > MAX_PLACES:
            raise refused(f"keys × maxPoints is at most {MAX_PLACES}; got {keys * points}.", ("maxPoints",))
        experiments = distribution.MAX_EXPERIMENTS if self.ids is None else len(self.ids.get(env))
        return Bounds.of(points, keys * experiments)

    def parts(self, env: Environment) -> Sequence[float]:
        """The quantiles.

        Raises:
            RequestErrors: there are too many, or one is none.
        """
        parts: Sequence[float] = self.quantiles.get(env) if self.quantiles else ()
        if len(parts) > MAX_QUANTILES or not all(0 <= part <= 1 for part in parts):
            raise refused(f"at most {MAX_QUANTILES} numbers from 0 to 1.", ("quantiles",))
        return parts


def _wanted(selected: Selected) -> _Wanted:
    return _Wanted(selected.arguments["keys"], given(selected, "experimentIds"), given(selected, "quantiles"))


@dataclass(frozen=True)
class ColumnsRead:
    """`columns` of a metric of a group."""

    def plan(self, selected: Selected) -> Plan:
        points, wanted, write = max_points(selected.outer), _wanted(selected.outer), writer(selected)

        def ask(env: Environment) -> Callable[[Sequence[str]], Asked]:
            bounds, parts = wanted.bounds(env, points), wanted.parts(env)
            return lambda told: asked(told[0], bounds, parts, write)

        with selected.planner.repeated(COST / distribution.MAX_GROUPS / MAX_KEYS):
            return Hole([distribution.told], ask)


# --- Groups ---


@strawberry.type(description="A metric of a group of experiments.")
class AggregatedMetric:
    key: str = computed("The series' key.", row.text("key"))
    experiment_count: SafeInt = computed(
        "How many experiments of the group have such a series of floats.", distribution.how_many_series
    )
    columns: AggregatedColumns | None = read_field(
        ColumnsRead(),
        "The figures at each step; null when no experiment has the metric, and, with an error, when the points could"
        " not be read.",
    )


@dataclass(frozen=True)
class MembersRead:
    """The experiments of a group."""

    def plan(self, selected: Selected) -> Plan:
        with selected.planner.repeated(distribution.MAX_EXPERIMENTS / distribution.MAX_GROUPS):
            return distribution.Members(selected.object())


def _metrics(selected: Selected) -> Query:
    return distribution.Metrics(selected.outer.arguments["keys"].bind("text[]", _checked_keys))


@strawberry.type(description="Experiments that are alike in all hyperparameters that are grouped by.")
class ExperimentGroup:
    values: list[JSON | None] = computed(
        "What they have at each path of `groupBy`, in order; null where the path leads nowhere.", row.json("shown")
    )
    experiment_count: SafeInt = computed("How many experiments are in it.", row.number("size"))
    experiments: list[ExperimentType] = read_field(MembersRead(), "The experiments, newest first.")
    metrics: list[AggregatedMetric] = derived("For each of `keys` in order its metric.", _metrics, expected=MAX_KEYS)


@strawberry.type(description="Metrics over groups of experiments.")
class MetricAggregation:
    experiment_count: SafeInt = computed("How many experiments are in all groups.", distribution.how_many)
    is_complete: bool = computed(
        f"Whether these are all that the arguments let through; at most {distribution.MAX_EXPERIMENTS} are aggregated,"
        " the newest.",
        distribution.is_complete,
    )
    group_count: SafeInt = computed("How many groups there are.", distribution.how_many_groups)
    groups: list[ExperimentGroup] = derived(
        f"The groups, by the values that they are alike in; at most {distribution.MAX_GROUPS}.",
        lambda _: distribution.groups,
        expected=distribution.MAX_GROUPS,
    )


# --- The whole ---


def _checked_keys(keys: Sequence[str]) -> Sequence[str]:
    if not 1 <= len(keys) <= MAX_KEYS:
        raise refused(f"1 to {MAX_KEYS} keys are aggregated; got {len(keys)}.", ("keys",))
    return keys


def _checked_paths(paths: Sequence[Sequence[str]] | None) -> Sequence[Sequence[str]]:
    if paths and len(paths) > MAX_PATHS:
        raise refused(f"at most {MAX_PATHS} paths; got {len(paths)}.", ("groupBy",))
    return paths or []


def _decoded_ids(value: Value) -> Bind:
    decode = decoded_id(("exp",), value.path)

    def decode_all(texts: Sequence[str]) -> list[Any]:
        if len(texts) > distribution.MAX_EXPERIMENTS:
            bound = f"at most {distribution.MAX_EXPERIMENTS} experiments are aggregated; got {len(texts)}."
            raise refused(bound, value.path)
        return [decode(text) for text in texts]

    decode_all(value.raw)
    return value.bind("uuid[]", decode_all)


@dataclass(frozen=True)
class DistributionRead:
    """`aggregateMetrics`."""

    def plan(self, selected: Selected) -> Plan:
        max_points(selected)
        wanted = _wanted(selected)
        wanted.parts(selected.planner.variables)
        _checked_keys(wanted.keys.raw)
        chosen = [Compare("id", "in", _decoded_ids(wanted.ids))] if wanted.ids else []
        window = picked(selected, distribution.MAX_EXPERIMENTS, chosen)
        with selected.planner.repeated(1), selected.planner.within(selected):
            return distribution.Distribution(window, _paths(selected), selected.object())


def _paths(selected: Selected) -> Bind:
    paths = given(selected, "groupBy")
    if paths is None:
        return constant([], "jsonb")
    _checked_paths(paths.raw)
    return paths.bind("jsonb", _checked_paths)


def aggregate_metrics() -> Any:
    """The root field."""
    keys = f"Keys of series of floats, 1–{MAX_KEYS}. For columns, keys × maxPoints is at most {MAX_PLACES}."
    ids = f"Only these experiments, at most {distribution.MAX_EXPERIMENTS}; what is not in your sight does not count."
    parts = f"Numbers from 0 to 1, at most {MAX_QUANTILES}; none when absent."
    paths = (
        f"Paths of hyperparameters, at most {MAX_PATHS}: experiments are together when they have the same at all of"
        " them. All are one group when absent."
    )
    return read_field(
        DistributionRead(),
        "Metrics over groups of experiments, such as the seeds of one setting, aligned by step.",
        [
            *PLACE,
            FILTER,
            Argument("experimentIds", list[strawberry.ID] | None, ids),
            Argument("groupBy", list[list[str]] | None, paths),
            Argument("keys", list[str], keys, ...),
            POINTS,
            Argument("quantiles", list[MetricValue] | None, parts),
        ],
    )
