"""Typed filters: the inputs that callers write, and the conditions that they become."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import strawberry

from db.read.condition import All, Compare, Condition, JsonIs, Labelled, MetricIs, Not, OneOf, ParameterIs
from db.read.sql import Bind
from graphql_schema.arguments import Value, refused
from graphql_schema.scalars import MetricValue

NESTING_LIMIT = 8
CONDITION_LIMIT = 200
GLOB_LIMIT = 255


def _described(description: str) -> Any:
    return strawberry.field(description=description, default=strawberry.UNSET)


@strawberry.input(description="Conditions on text. All that are given must hold.")
class StringFilter:
    eq: str | None = _described("Equal to this.")
    ne: str | None = _described("Different from this, or null.")
    in_: list[str] | None = strawberry.field(name="in", description="Equal to one of these.", default=strawberry.UNSET)
    starts_with: str | None = _described("Begins with this, case-sensitive.")
    contains: str | None = _described("Holds this anywhere, case-sensitive.")
    matches: str | None = _described("A glob over the whole text: `*` any run, `?` one character; at most 255 long.")
    is_null: bool | None = _described("True: has no value. False: has one.")


@strawberry.input(
    description="Conditions on a number. All that are given must hold. NaN is equal to itself, and neither less nor"
    " greater than anything."
)
class NumberFilter:
    eq: MetricValue | None = _described("Equal to this.")
    ne: MetricValue | None = _described("Different from this, or null.")
    lt: MetricValue | None = _described("Less than this.")
    lte: MetricValue | None = _described("At most this.")
    gt: MetricValue | None = _described("Greater than this.")
    gte: MetricValue | None = _described("At least this.")
    in_: list[MetricValue] | None = strawberry.field(
        name="in", description="Equal to one of these.", default=strawberry.UNSET
    )
    is_null: bool | None = _described("True: has no value. False: has one.")


@strawberry.input(description="Conditions on a moment. All that are given must hold.")
class DateTimeFilter:
    eq: datetime | None = _described("Exactly then.")
    lt: datetime | None = _described("Before.")
    lte: datetime | None = _described("Then or before.")
    gt: datetime | None = _described("After.")
    gte: datetime | None = _described("Then or after.")
    is_null: bool | None = _described("True: has no value. False: has one.")


@strawberry.input(description="Conditions on labels. All that are given must hold.")
class LabelFilter:
    all: list[str] | None = _described("Carries every one of these.")
    any: list[str] | None = _described("Carries at least one of these.")


@strawberry.enum(
    description="A figure kept of every series, over its finite values. Lists find LAST, MIN, MAX and MEAN by an index;"
    " by the others they look at each row, so bound those by a namespace or by another condition."
)
class MetricAggregate(enum.Enum):
    LAST = strawberry.enum_value(
        "last", description="The value with the greatest step, or the newest; may be non-finite. Indexed."
    )
    MIN = strawberry.enum_value("min", description="The least finite value. Indexed.")
    MAX = strawberry.enum_value("max", description="The greatest finite value. Indexed.")
    MEAN = strawberry.enum_value("mean", description="The arithmetic mean of the finite values. Indexed.")
    FIRST = strawberry.enum_value(
        "first", description="The value with the least step, or the oldest; may be non-finite. Not indexed."
    )
    COUNT = strawberry.enum_value("count", description="How many points there are, of any kind. Not indexed.")
    NON_FINITE_COUNT = strawberry.enum_value(
        "non_finite_count", description="How many points are NaN or infinite. Not indexed."
    )
    FIRST_STEP = strawberry.enum_value("first_step", description="The least step of a point. Not indexed.")
    LAST_STEP = strawberry.enum_value("last_step", description="The greatest step of a point. Not indexed.")
    MIN_STEP = strawberry.enum_value("min_step", description="The step of the least finite value. Not indexed.")
    MAX_STEP = strawberry.enum_value("max_step", description="The step of the greatest finite value. Not indexed.")


@strawberry.input(
    description="A condition on an aggregate of one of the object's series. An object without the series has no value:"
    " only `ne` and `isNull` can hold of it. Without any operator: the object has the series."
)
class MetricFilter:
    key: str = strawberry.field(description="The series' key, exactly.")
    aggregate: MetricAggregate = strawberry.field(
        description="Which figure of the series is compared.", default=MetricAggregate.LAST
    )
    is_: NumberFilter = strawberry.field(name="is", description="What must hold of it.")


@strawberry.input(
    description="A condition on a value inside JSON, found by its path. Where the path leads nowhere there is no value:"
    " only `ne` and `isNull` can hold of it. Without any operator: the path leads somewhere."
)
class PathFilter:
    path: list[str] = strawberry.field(description='Keys from the outside in, such as `["optimizer", "lr"]`.')
    number: NumberFilter | None = _described("This holds of the number; what is no number counts as no value.")
    text: StringFilter | None = _described("This holds of the value as text; booleans are `true` and `false`.")


def enum_filter(kind: type[enum.Enum]) -> type:
    """`{ eq, in }` over an enumeration."""
    name = f"{kind.__name__}Filter"
    body: dict[str, Any] = {
        "__annotations__": {"eq": kind | None, "in_": list[kind] | None},  # type: ignore[valid-type]
        "eq": _described("Equal to this."),
        "in_": strawberry.field(name="in", description="Equal to one of these.", default=strawberry.UNSET),
    }
    made = type(name, (), body)
    return strawberry.input(made, name=name, description=f"Conditions on {kind.__name__}.")


def plain(value: Any) -> Any:
    """A coerced leaf as the driver wants it: enums by their stored word."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.value if isinstance(value, enum.Enum) else value


def glob_to_regex(glob: str) -> str:
    """The regular expression of a glob: anchored, everything but `*` and `?` taken literally."""
    wild = {"*": ".*", "?": "."}
    squeezed = re.sub(r"\*+", "*", glob)
    return "^" + "".join(wild.get(c) or re.escape(c) for c in squeezed) + "$"


def glob_bind(value: Value) -> Bind:
    """A glob as a regular expression, checked now and in every later request."""

    def decode(glob: str) -> str:
        if len(glob) > GLOB_LIMIT or glob.count("*") > 10:
            raise refused(f"a glob has at most {GLOB_LIMIT} characters and 10 stars.", value.path)
        return glob_to_regex(glob)

    decode(value.raw)
    return value.bind("text", decode)


def comparisons(value: Value, cast: str) -> list[tuple[str, Bind]]:
    """The operators of a leaf filter, each with its bind."""
    found = []
    for operator, operand in value.fields():
        if operator == "matches":
            found.append((operator, glob_bind(operand)))
            continue
        kind = "boolean" if operator == "isNull" else f"{cast}[]" if operator == "in" else cast
        found.append((operator, operand.bind(kind, plain)))
    return found


def on_column(column: str, cast: str) -> Callable[[Value], Condition]:
    """A leaf filter over a column."""
    return lambda value: All([Compare(column, op, bind) for op, bind in comparisons(value, cast)])


def on_labels(value: Value) -> Condition:
    """A label filter."""
    return All([Labelled(op, operand.bind("text[]")) for op, operand in value.fields()])


def on_metrics(value: Value) -> Condition:
    """A list of metric filters."""
    return All([_metric(item) for item in value.items()])


def _metric(item: Value) -> Condition:
    aggregate = plain(item.raw.get("aggregate", MetricAggregate.LAST))
    return MetricIs(item["key"].bind("text"), aggregate, comparisons(item["is"], "float8"))


def _tests(item: Value) -> list[tuple[str, Sequence[tuple[str, Bind]]]]:
    """The tests of a path filter: of the value as a number and as text. Never none: then it must only be there."""
    casts = {"number": "float8", "text": "text"}
    found = [(kind, comparisons(item[kind], cast)) for kind, cast in casts.items() if kind in item]
    return [(kind, tests) for kind, tests in found if tests] or [("text", [])]


def on_parameters(value: Value) -> Condition:
    """A list of hyperparameter filters, answered by the parameter index."""
    conditions: list[Condition] = []
    for item in value.items():
        path = item["path"].bind("text[]")
        conditions.extend(ParameterIs(path, column, tests) for column, tests in _tests(item))
    return All(conditions)


def on_json(column: str) -> Callable[[Value], Condition]:
    """A list of path filters over a JSON column; not indexed."""

    def conditions(value: Value) -> Condition:
        found: list[Condition] = []
        for item in value.items():
            path = item["path"].bind("text[]")
            found.extend(JsonIs(column, path, kind == "number", tests) for kind, tests in _tests(item))
        return All(found)

    return conditions


def filtered(value: Value, leaves: Mapping[str, Callable[[Value], Condition]]) -> Condition:
    """The condition of a whole filter.

    Raises:
        RequestErrors: it has more than 200 conditions, or is nested more than eight levels deep.
    """
    count, level = 0, [value.raw]
    while level:
        count += len(level)
        if count > CONDITION_LIMIT:
            raise refused(f"a filter has at most {CONDITION_LIMIT} conditions; use `in` for many values.", value.path)
        level = [inner for item in level for inner in _inside(item)]
    return conditions_of(value, leaves)


def _inside(item: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The input objects in one, and in its lists."""
    values = (value if isinstance(value, list) else [value] for value in item.values())
    return [inner for found in values for inner in found if isinstance(inner, dict)]


def conditions_of(value: Value, leaves: Mapping[str, Callable[[Value], Condition]], depth: int = 0) -> Condition:
    """The condition of an entity's filter, `and`/`or`/`not` included.

    Raises:
        RequestErrors: it is nested more than eight levels deep.
    """
    if depth > NESTING_LIMIT:
        raise refused(f"filters nest at most {NESTING_LIMIT} levels; flatten it.", value.path)
    found: list[Condition] = []
    for name, operand in value.fields():
        if name in ("and", "or"):
            inner: Sequence[Condition] = [conditions_of(item, leaves, depth + 1) for item in operand.items()]
            found.append(All(inner) if name == "and" else OneOf(inner))
        elif name == "not":
            found.append(Not(conditions_of(operand, leaves, depth + 1)))
        else:
            found.append(leaves[name](operand))
    return All(found)
