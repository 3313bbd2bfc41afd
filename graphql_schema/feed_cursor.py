"""Where metric streams stand, for who queries first and then follows."""

from __future__ import annotations

from typing import Final

import strawberry

from db.read import value
from db.read.plan import Leaf, Plan
from db.read.source import ENTITIES
from graphql_schema.fields import Argument, read_field
from graphql_schema.lookup import MAX_IDS, decoded_ids
from graphql_schema.selection import Selected

PREFIXES: Final = tuple(source.prefix for source in ENTITIES)


class FeedCursorRead:
    """`feedCursor(objectIds:)`: read in the snapshot of the whole query."""

    def plan(self, selected: Selected) -> Plan:
        ids = selected.arguments["objectIds"]
        decode = decoded_ids(PREFIXES, ids.path)
        decode(ids.raw)
        bind = ids.bind("uuid[]", decode)
        with selected.planner.repeated(1):
            return Leaf(lambda statement, alias: value.metric_position(bind, statement))


METRICS_CURSOR = read_field(
    FeedCursorRead(),
    "Where the metric streams of objects stand: for `metricBatches(after:)`, to go on without a gap from what a query"
    f" shows. Objects that are not in your sight are left out. At most {MAX_IDS}.",
    [Argument("objectIds", list[strawberry.ID], "Objects of any type.", ...)],
)
