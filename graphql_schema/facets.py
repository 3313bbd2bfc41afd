"""Facets of experiments: the keys, paths and words that tables and filters of them are built from."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import strawberry

from db.read import derived as row
from db.read import facets
from db.read.condition import Condition
from db.read.derived import Query
from db.read.plan import Plan
from db.read.window import Window
from graphql_schema import enums, listings
from graphql_schema.arguments import Value
from graphql_schema.derived import derived, listed_rows
from graphql_schema.fields import Argument, computed, given, read_field
from graphql_schema.filters import filtered
from graphql_schema.place import PLACE, within
from graphql_schema.scalars import MetricValue, SafeInt
from graphql_schema.selection import Selected

COUNTED = "How many of the experiments have it."


@strawberry.type(description="A word that experiments carry.")
class TextFacet:
    value: str = computed("The word.", row.text("value"))
    experiment_count: SafeInt = computed(COUNTED, row.number("n"))


@strawberry.type(description="A status of experiments.")
class StatusFacet:
    value: enums.ExperimentStatus = computed("The status.", row.text("value"))
    experiment_count: SafeInt = computed(COUNTED, row.number("n"))


@strawberry.type(description="A library that experiments train with.")
class FrameworkFacet:
    value: enums.Framework = computed("The library.", row.text("value"))
    experiment_count: SafeInt = computed(COUNTED, row.number("n"))


@strawberry.type(description="A key of the experiments' series. Where some hold another kind, there is one for each.")
class MetricKeyFacet:
    key: str = computed("The series' key.", row.text("key"))
    kind: enums.MetricKind = computed("What its values are.", row.text("kind"))
    experiment_count: SafeInt = computed("How many of the experiments have such a series.", row.number("n"))
    min_last: MetricValue | None = computed("The least of the finite last values.", row.double("low"))
    max_last: MetricValue | None = computed("The greatest of the finite last values.", row.double("high"))


@strawberry.enum(description="What the values of a hyperparameter are.")
class ParameterKind(enum.Enum):
    NUMBER = strawberry.enum_value("NUMBER", description="Numbers in all experiments that have it.")
    TEXT = strawberry.enum_value("TEXT", description="Text, or booleans, in all experiments that have it.")
    MIXED = strawberry.enum_value("MIXED", description="Numbers in some, text in others.")


@strawberry.type(
    description="A path of the experiments' hyperparameters that leads to a number, a boolean, or a text of at most"
    " 1 000 bytes."
)
class HyperparameterFacet:
    path: list[str] = computed("Keys from the outside in; positions in lists, from 0.", row.words("path"))
    kind: ParameterKind = computed("What its values are.", facets.type_of_values)
    experiment_count: SafeInt = computed(COUNTED, row.number("n"))
    min: MetricValue | None = computed("The least of its numbers.", row.double("low"))
    max: MetricValue | None = computed("The greatest of its numbers.", row.double("high"))
    texts: list[TextFacet] = derived(
        f"Its most frequent texts, at most {facets.TEXTS}; booleans are `true` and `false`.",
        lambda _: facets.texts,
        expected=facets.TEXTS,
    )


def _first(query: Any) -> Any:
    return lambda selected: query(listed_rows(selected))


def _keys(selected: Selected) -> Query:
    prefix = given(selected, "prefix")
    return facets.metric_keys(prefix.bind("text") if prefix else None, listed_rows(selected))


def _texts(column: str, description: str) -> Any:
    return derived(f"{description}, the most frequent first.", _first(partial(facets.values_of, column)))


@strawberry.type(
    description="What tables and filters of experiments can be built from: keys, paths and words, each with the number"
    " of experiments. At most 10 000 of them are looked at, the newest."
)
class ExperimentFacets:
    experiment_count: SafeInt = computed("How many experiments were looked at.", facets.how_many)
    is_complete: bool = computed("Whether these are all that the filter lets through.", facets.is_complete)
    metric_keys: list[MetricKeyFacet] = derived(
        "The keys of their series, the most frequent first.",
        _keys,
        Argument("prefix", str | None, "Only keys that begin with this, such as `train/`."),
    )
    hyperparameters: list[HyperparameterFacet] = derived(
        "The paths of their hyperparameters, the most frequent first.", _first(facets.hyperparameters)
    )
    statuses: list[StatusFacet] = derived(
        "Their statuses, the most frequent first.", lambda _: facets.values_of("status", 100), expected=6
    )
    frameworks: list[FrameworkFacet] = derived(
        "The libraries that they train with, the most frequent first.",
        lambda _: facets.values_of("framework", 100),
        expected=12,
    )
    labels: list[TextFacet] = derived("Their labels, the most frequent first.", _first(facets.labels))
    groups: list[TextFacet] = _texts("group", "What they are compared within")
    owners: list[TextFacet] = _texts("owner", "Who answers for them")


def picked(selected: Selected, limit: int, also: Sequence[Condition] = ()) -> Window:
    """The newest experiments of a place that a filter lets through."""
    listing = listings.EXPERIMENTS
    wanted: Value | None = given(selected, "filter")
    return Window(
        source=listing.source,
        order=listing.order(None, of_one=False),
        limit=limit,
        within=within(selected),
        where=[*also, *([filtered(wanted, listing.leaves)] if wanted else [])],
    )


FILTER = Argument("filter", listings.EXPERIMENTS.filter_type | None, "Which experiments.")


@dataclass(frozen=True)
class FacetsRead:
    """`experimentFacets`."""

    def plan(self, selected: Selected) -> Plan:
        with selected.planner.repeated(1):
            return facets.Facets(picked(selected, facets.LOOKED_AT), selected.object())


def experiment_facets() -> Any:
    """The root field."""
    return read_field(
        FacetsRead(), "What tables and filters of experiments can be built from, with counts.", [*PLACE, FILTER]
    )
