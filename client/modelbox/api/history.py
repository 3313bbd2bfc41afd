"""What was logged so far, and where to go on: both of one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelbox.api import types
from modelbox.api.reading import found, raw
from modelbox.api.rows import there

# The cursor is read in the snapshot of the points: nothing is between them, and nothing in both.
HISTORY: Final = """
query History($id: ID!, $ids: [ID!]!, $keys: [String!]) {
  feedCursor(objectIds: $ids)
  node(id: $id) {
    ... on Entity {
      metrics(keys: $keys, first: 100) { nodes { key columns { steps wallTimes values strings bytes } } }
    }
  }
}
"""


@dataclass(frozen=True)
class History:
    """The points of series by their keys, and the cursor behind them."""

    cursor: str
    columns: dict[str, types.MetricColumns]


def read_history(data: Mapping[str, Any], place: str) -> History:
    """Read an answer. Raises Refused when there is no such object."""
    nodes = there(raw(data, "node", "metrics", "nodes"), f"object {place!r}")
    columns = {row["key"]: there(found(types.MetricColumns, row, "columns"), "points of it") for row in nodes}
    return History(data["feedCursor"], columns)
