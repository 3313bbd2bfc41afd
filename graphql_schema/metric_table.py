"""The scalar of points as columns, which machines send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NewType

import strawberry
from graphql import GraphQLError, ObjectValueNode, ValueNode

from db.metrics.batch import Table
from graphql_schema.json_value import Written, parse_json_literal, shown

MetricTable = NewType("MetricTable", object)

_LISTS: Final = ("steps", "wallTimes")
_GROUPS: Final = ("values", "strings", "bytes")


def parse_metric_table(value: object) -> Table:
    """A table whose members are what they should be. What stands in its columns is looked at when it is logged."""
    if not isinstance(value, dict):
        raise _refusal(value, "Send an object of columns.")
    for name, part in value.items():
        if name in _LISTS:
            _check_list(part, name)
        elif name in _GROUPS:
            _check_group(part, name)
        else:
            raise _refusal(value, f"It has no member {shown(name)}.")
    return Table(value.get("steps"), value.get("wallTimes"), *(value.get(name) for name in _GROUPS))


def _check_list(part: object, name: str) -> None:
    if part is not None and not isinstance(part, list):
        raise _refusal(part, f"`{name}` is a list, or null for none.")


def _check_group(part: object, name: str) -> None:
    if part is not None and not isinstance(part, dict):
        raise _refusal(part, f"`{name}` is an object with a list for each key.")
    for key, column in (part or {}).items():
        if not isinstance(column, list):
            raise _refusal(column, f"The column {shown(key)} of `{name}` is a list.")


def _parse_literal(node: ValueNode, variables: Mapping[str, Any] | None = None) -> object:
    if not isinstance(node, ObjectValueNode):
        raise _refusal(Written(node), "Send an object of columns.")
    value = parse_json_literal(node, variables)
    # When the document is validated, the variables in it have no values yet.
    return value if variables is None else parse_metric_table(value)


def _refusal(value: object, remedy: str) -> GraphQLError:
    return GraphQLError(f"MetricTable cannot represent {shown(value)}. {remedy}")


def _finished(value: Any) -> Any:
    return value


METRIC_TABLE: Final = strawberry.scalar(
    name="MetricTable",
    specified_by_url="https://modelbox.dev/scalars/metric-table",
    description=(
        "Points as machines send them, an object of columns: "
        '`{"steps": [1, 2], "wallTimes": [1767225600000000, null], "values": {"train/loss": [0.5, "NaN"], '
        '"val/loss": [null, 0.25]}, "strings": {}, "bytes": {}}`. A row is a moment, a column of `values` (as '
        "MetricValue), `strings` or `bytes` (as Base64) a series by its key; null in a column means no point of "
        "that series in that row. `steps` (as SafeInt) and `wallTimes` (SafeInt, in microseconds since "
        "1970-01-01 UTC: the years 1684 to 2255) are of whole rows, and may be absent or hold nulls. All columns "
        "have the same length; one that holds no value is refused. At most 100 000 cells, nulls counted. As input "
        "only."
    ),
    serialize=_finished,
    parse_value=parse_metric_table,
    parse_literal=_parse_literal,
)
"""How the scalar is declared."""
