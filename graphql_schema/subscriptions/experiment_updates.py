"""`experimentUpdates`: the experiments that a filter finds, and how they change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import strawberry
from graphql import GraphQLObjectType, get_named_type

from db.read.live import RowPlan
from db.read.plan import Plan, Rows, compiled
from db.read.source import EXPERIMENT
from db.read.sql import ACTOR, Statement
from db.read.window import Window
from db.read.within import Within
from graphql_schema import listings
from graphql_schema.connection import PAGE_LIMIT, ROOT_PAGE, page_size
from graphql_schema.experiment import Experiment
from graphql_schema.fields import Argument, given, read_field
from graphql_schema.filters import filtered
from graphql_schema.live_query import REST, Difference, LiveFrames, Row
from graphql_schema.scalars import Cursor
from graphql_schema.selection import Selected
from graphql_schema.subscriptions.pace import every, paced, pause_of
from graphql_schema.subscriptions.recorded import namespace_at
from graphql_schema.subscriptions.stream import began

LEAST: Final = int(REST * 1_000)
"""Milliseconds between two frames."""

METRIC_FIELDS: Final = frozenset({"metric", "metrics"})
"""Of filters and orders, those that look at series."""

ROW_LISTS: Final = ("added", "updated")


class UpdateRead:
    """A field of a frame, which `LiveFrames` writes."""

    def plan(self, selected: Selected) -> Plan:
        raise TypeError(f"{selected.name} is written, not planned")


def _told(description: str) -> Any:
    return strawberry.field(description=description, metadata={"read": UpdateRead()})


@strawberry.type(description="How the experiments that a filter finds differ from those of the frame before.")
class ExperimentUpdate:
    cursor: Cursor = _told("What to go on from: give it to `after`. It also tells which rows you were told of.")
    catching_up: bool = _told("Always false: each frame is up to date.")
    added: list[Experiment] = _told("Rows that came in; in the first frame, all of them. In the order of the list.")
    updated: list[Experiment] = _told(
        "Rows that stayed and of which something that is selected here changed. After a resume also rows that may"
        " have changed meanwhile."
    )
    removed: list[strawberry.ID] = _told("The ids of rows that went out: deleted, out of the filter, or pushed out.")
    ids: list[strawberry.ID] = _told("The ids of all rows of now, in the order of the list.")


@dataclass(frozen=True)
class UpdatesRead:
    """`experimentUpdates`: a list that is evaluated again when something moved."""

    def plan(self, selected: Selected) -> Plan:
        raise TypeError("experimentUpdates is a live query")

    def frames(self, key: str, selected: Selected, *, restricted: bool) -> LiveFrames:
        window = _window(selected)
        lists = {name: nodes for name, nodes in selected.collected().items() if nodes[0].name.value in ROW_LISTS}
        assert isinstance(selected.type, GraphQLObjectType)
        row_type = get_named_type(selected.type.fields["added"].type)
        with selected.planner.repeated(window.limit):
            plans = [selected.planner.object(row_type, nodes) for nodes in lists.values()]
        statement = Statement(restricted)
        text = compiled(Rows(window, RowPlan(plans)).render(statement, ""), statement)
        after, begin = began(selected)
        pause = pause_of(selected, LEAST)
        return LiveFrames(
            statement=text,
            find=paced(namespace_at(selected.arguments["namespace"]), pause),
            write=_writer(key, selected, {name: number for number, name in enumerate(lists)}),
            pause=pause,
            is_restless=_looks_at_metrics(selected),
            is_personal=any(bind is ACTOR for bind in statement.binds),
            after=after,
            begin=begin,
        )


def _window(selected: Selected) -> Window:
    listing = listings.EXPERIMENTS
    limit, _ = page_size(selected, ROOT_PAGE)
    wanted = given(selected, "filter")
    path = selected.arguments["namespace"].bind("text")
    return Window(
        source=EXPERIMENT,
        order=listing.order(given(selected, "orderBy"), of_one=False),
        limit=limit,
        within=Within(path, bool(selected.arguments["descendants"].raw)),
        where=[filtered(wanted, listing.leaves)] if wanted else [],
    )


def _looks_at_metrics(selected: Selected) -> bool:
    """Whether a metric decides which rows are in: then one that is out may come in by it."""
    asked = [given(selected, name) for name in ("filter", "orderBy")]
    return any(not METRIC_FIELDS.isdisjoint(_fields(value.raw)) for value in asked if value)


def _fields(value: Any) -> Iterator[str]:
    """The names of all fields in an input, however deep."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    yield from value if isinstance(value, dict) else ()
    for item in items:
        yield from _fields(item)


def _writer(key: str, selected: Selected, places: Mapping[str, int]) -> Callable[[Difference], bytes]:
    """Writes a frame in the order of the document."""
    names = [(name, nodes[0].name.value) for name, nodes in selected.collected().items()]
    type_name = selected.type.name

    def field(name: str, written: str, change: Difference) -> bytes:
        match written:
            case "added" | "updated":
                rows: Sequence[Row] = getattr(change, written)
                return b"[" + b",".join([row.texts[places[name]] for row in rows]) + b"]"
            case "removed":
                return orjson.dumps([f"{EXPERIMENT.prefix}_{id_.hex}" for id_ in change.removed])
            case "ids":
                return orjson.dumps([f"{EXPERIMENT.prefix}_{row.id.hex}" for row in change.state.rows])
            case "cursor":
                return orjson.dumps(change.state.cursor)
            case "catchingUp":
                return b"false"
        return orjson.dumps(type_name)

    def write(change: Difference) -> bytes:
        fields = b",".join([f'"{name}":'.encode() + field(name, written, change) for name, written in names])
        return f'{{"data":{{"{key}":{{'.encode() + fields + b"}}}"

    return write


EXPERIMENT_UPDATES = read_field(
    UpdatesRead(),
    "A live list of experiments: first all its rows, then what changes, as rows that are added, updated and removed."
    " Evaluated again, at most once a second, when something is recorded in the namespace or logged on one of the rows;"
    " where a metric decides which rows are in it, also every two seconds. A reader who is slow is told less often, and"
    " everything. Ends with `CURSOR_EXPIRED` when `after` is of another epoch; with `FORBIDDEN` when your role there is"
    " taken away.",
    [
        Argument("namespace", str, "The path of a namespace.", "default"),
        Argument("descendants", bool, "Also in the namespaces below it.", True),
        Argument("filter", listings.EXPERIMENTS.filter_type | None, "Which rows."),
        Argument(
            "orderBy",
            list[listings.EXPERIMENTS.order_type] | None,  # type: ignore[name-defined]
            "Keys of the order, the first is the strongest; newest first when absent.",
        ),
        Argument("first", int | None, f"How many rows, 1–{PAGE_LIMIT}; {ROOT_PAGE} when absent."),
        Argument("after", Cursor | None, "Only what differs from the frame of this cursor; all rows when absent."),
        every(LEAST),
    ],
)
