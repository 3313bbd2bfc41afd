"""Lists of entities: for each kind of row, the filter, the order and the default that its lists share."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import strawberry
from sqlalchemy import ARRAY, Boolean, DateTime, Float, Integer
from strawberry.utils.str_converters import to_camel_case

from db.read.column import table_column
from db.read.condition import Condition
from db.read.order import SortKey, by_column, by_id, by_metric, by_parameter
from db.read.source import Source
from db.read.sql import Environment
from graphql_schema import filters
from graphql_schema.arguments import Value, refused
from graphql_schema.cursor import signature_of
from graphql_schema.filters import MetricAggregate

ORDER_LIMIT = 8


@strawberry.enum(description="Which way an order runs. Nulls come last in both.")
class Direction(enum.Enum):
    ASC = strawberry.enum_value("ASC", description="From small to great, from old to new.")
    DESC = strawberry.enum_value("DESC", description="From great to small, from new to old.")


@strawberry.input(description="An aggregate of a series, to order by.")
class MetricOrder:
    key: str = strawberry.field(description="The series' key, exactly.")
    aggregate: MetricAggregate = strawberry.field(description="Which figure.", default=MetricAggregate.LAST)


@strawberry.enum(description="How a hyperparameter is compared.")
class ParameterType(enum.Enum):
    NUMBER = strawberry.enum_value("NUMBER", description="As a number; text comes last.")
    TEXT = strawberry.enum_value("TEXT", description="As text.")


@strawberry.input(description="A hyperparameter, to order by.")
class ParameterOrder:
    path: list[str] = strawberry.field(description="Keys from the outside in.")
    type: ParameterType = strawberry.field(description="How it is compared.", default=ParameterType.NUMBER)


@dataclass
class Listing:
    """What callers may filter and order by in lists of one source.

    `columns` are database columns; `enums` says which of them hold enumerations. `fixed` lists
    have neither a filter nor an order. `tie` ends every order; a list of one object's rows needs none where an order
    names `unique`, a column that no two of them share.
    """

    source: Source
    type_name: str
    columns: Sequence[str]
    default: Sequence[tuple[str, bool]] = ()
    enums: Mapping[str, type[enum.Enum]] = field(default_factory=dict)
    labels: bool = True
    metrics: bool = True
    parameters: bool = False
    json: Sequence[str] = ("metadata",)
    tie: str = "id"
    unique: str = ""
    cost: float = 1.0

    def ordered(self, *default: tuple[str, bool]) -> Listing:
        """The same rows with the same filter, in another order when none is asked for."""
        twin = copy(self)
        twin.default = default
        return twin

    def __post_init__(self) -> None:
        self.leaves: dict[str, Callable[[Value], Condition]] = {}
        self.filter_type = self._make_filter()
        self.order_field = self._make_order_field()
        self.order_type = self._make_order()

    def _make_filter(self) -> type:
        name = f"{self.type_name}Filter"
        body: dict[str, Any] = {}
        hints: dict[str, Any] = {}
        for leaf, kind, on, text in self._leaf_fields():
            self.leaves[leaf] = on
            attribute = leaf + "_"
            hints[attribute] = kind
            body[attribute] = strawberry.field(name=leaf, description=text, default=strawberry.UNSET)
        for combined, text in (("and", "All of these hold."), ("or", "At least one of these holds.")):
            hints[combined + "_"] = f"list[{name}] | None"
            body[combined + "_"] = strawberry.field(name=combined, description=text, default=strawberry.UNSET)
        hints["not_"] = f"{name} | None"
        body["not_"] = strawberry.field(name="not", description="This does not hold.", default=strawberry.UNSET)
        made = type(name, (), {"__annotations__": hints, "__module__": __name__, **body})
        globals()[name] = strawberry.input(
            made,
            name=name,
            description=f"Which rows of {self.type_name} to list. All that are given must hold.",
        )
        return globals()[name]  # type: ignore[no-any-return]

    def _leaf_fields(self) -> list[tuple[str, Any, Callable[[Value], Condition], str]]:
        found = [self._column_leaf(column) for column in self.columns]
        if self.labels:
            found.append(("labels", filters.LabelFilter | None, filters.on_labels, "By label."))
        if self.metrics:
            text = "By aggregates of its series, indexed by key where the aggregate says so."
            found.append(("metrics", list[filters.MetricFilter] | None, filters.on_metrics, text))
        if self.parameters:
            text = "By hyperparameters. Indexed."
            found.append(("hyperparameters", list[filters.PathFilter] | None, filters.on_parameters, text))
        for column in self.json:
            text = f"By values inside `{column}`. Not indexed: bound it by a namespace."
            found.append((column, list[filters.PathFilter] | None, filters.on_json(column), text))
        return found

    def _column_leaf(self, column: str) -> tuple[str, Any, Callable[[Value], Condition], str]:
        name = to_camel_case(column)
        text = f"By `{name}`."
        if column in self.enums:
            return name, enum_filter_of(self.enums[column]) | None, filters.on_column(column, "text"), text
        kind = table_column(self.source.table, column).type
        if isinstance(kind, DateTime):
            return name, filters.DateTimeFilter | None, filters.on_column(column, "timestamptz"), text
        if isinstance(kind, Integer | Float):
            return name, filters.NumberFilter | None, filters.on_column(column, "float8"), text
        return name, filters.StringFilter | None, filters.on_column(column, "text"), text

    def _make_order_field(self) -> type[enum.Enum]:
        members = {
            to_screaming(column): strawberry.enum_value(column, description=f"By `{to_camel_case(column)}`.")
            for column in self._sortable()
        }
        made = enum.Enum(f"{self.type_name}OrderField", members, module=__name__)  # type: ignore[misc]
        return strawberry.enum(made, description=f"The fields that lists of {self.type_name} can be ordered by.")

    def _sortable(self) -> list[str]:
        unsortable = (ARRAY, Boolean)
        columns = [c for c in self.columns if not isinstance(table_column(self.source.table, c).type, unsortable)]
        return list(dict.fromkeys([*columns, *(c for c, _ in self.default)]))

    def _make_order(self) -> type:
        name = f"{self.type_name}Order"
        hints: dict[str, Any] = {"field": self.order_field | None}
        body: dict[str, Any] = {"field": strawberry.field(description="A field of the row.", default=strawberry.UNSET)}
        if self.metrics:
            hints["metric"] = MetricOrder | None
            body["metric"] = strawberry.field(description="An aggregate of a series.", default=strawberry.UNSET)
        if self.parameters:
            hints["hyperparameter"] = ParameterOrder | None
            body["hyperparameter"] = strawberry.field(description="A hyperparameter.", default=strawberry.UNSET)
        hints["direction"] = Direction
        body["direction"] = strawberry.field(description="Which way.", default=Direction.ASC)
        made = type(name, (), {"__annotations__": hints, "__module__": __name__, **body})
        text = f"One key of an order of {self.type_name}: exactly one of the ways, and a direction."
        return strawberry.input(made, name=name, description=text)

    def order(self, value: Value | None, *, of_one: bool) -> list[SortKey]:
        """The sort keys that were asked for (or the default ones), ended by the tie-breaker.

        `of_one`: the list is one object's.

        Raises:
            RequestErrors: there are too many, or one names no way or several.
        """
        if value is None or not value.raw:
            keys = [by_column(self.source.table, c, descending=down) for c, down in self.default]
            return self._ended(keys, bool(self.default and self.default[-1][1]) or not self.default, of_one=of_one)
        if len(value.raw) > ORDER_LIMIT:
            raise refused(f"at most {ORDER_LIMIT} keys; got {len(value.raw)}.", value.path)
        keys = [self._sort_key(item) for item in value.items()]
        return self._ended(keys, keys[-1].descending, of_one=of_one)

    def signature(self, keys: Sequence[SortKey], value: Value | None) -> Callable[[Environment], str]:
        """What tells cursors of this list and order from others, found anew for each request's variables."""
        fixed = (self.type_name, [(key.name, key.descending) for key in keys])
        if value is None or not value.raw:
            text = signature_of(*fixed)
            return lambda env: text
        get = value.get
        return lambda env: signature_of(*fixed, _signed(get(env)))

    def _ended(self, keys: list[SortKey], descending: bool, *, of_one: bool) -> list[SortKey]:
        if of_one and any(key.name == self.unique for key in keys):
            return keys
        if self.tie == "id":
            return [*keys, by_id(descending=descending)]
        if keys and keys[-1].name == self.tie:
            return keys
        return [*keys, by_column(self.source.table, self.tie, descending=descending)]

    def _sort_key(self, item: Value) -> SortKey:
        ways = [way for way in ("field", "metric", "hyperparameter") if way in item]
        if len(ways) != 1:
            raise refused("give exactly one of `field`, `metric` and `hyperparameter`.", item.path)
        descending = filters.plain(item.raw.get("direction", "ASC")) == "DESC"
        if ways == ["field"]:
            return by_column(self.source.table, filters.plain(item.raw["field"]), descending=descending)
        chosen = item[ways[0]]
        if ways == ["metric"]:
            aggregate = filters.plain(chosen.raw.get("aggregate", MetricAggregate.LAST))
            return by_metric(chosen["key"].bind("text"), aggregate, descending=descending)
        numeric = filters.plain(chosen.raw.get("type", "NUMBER")) == "NUMBER"
        return by_parameter(chosen["path"].bind("text[]"), descending=descending, numeric=numeric)


def _signed(raw: Any) -> Any:
    if isinstance(raw, dict):
        return {name: _signed(value) for name, value in sorted(raw.items())}
    if isinstance(raw, list):
        return [_signed(value) for value in raw]
    return filters.plain(raw)


def to_screaming(name: str) -> str:
    """`created_at` to `CREATED_AT`."""
    return name.upper()


_ENUM_FILTERS: dict[type[enum.Enum], type] = {}


def enum_filter_of(kind: type[enum.Enum]) -> type:
    """The filter of an enumeration, made once."""
    if kind not in _ENUM_FILTERS:
        _ENUM_FILTERS[kind] = filters.enum_filter(kind)
    return _ENUM_FILTERS[kind]
