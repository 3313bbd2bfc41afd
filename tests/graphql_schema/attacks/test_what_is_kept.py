"""What a server keeps to answer faster does not grow with what callers make up."""

from __future__ import annotations

import sys
from contextlib import aclosing

from db.feed.feed import Feed
from db.identifiers import new_id
from graphql_schema import cursor
from graphql_schema.broadcast import Live
from graphql_schema.cursor import shape_of_cursor
from graphql_schema.executor import Context, subscribe
from graphql_schema.live_query import KEPT_FRAMES
from graphql_schema.schema import documents
from tests.graph import MAKE_NAMESPACE, Graph

FOLLOW = """
    subscription ($after: Cursor) { experimentUpdates(namespace: "lab", after: $after) { cursor removed } }
"""


def test_a_long_cursor_has_a_short_shape() -> None:
    """Plans are kept by it, fifty for each of a thousand documents."""
    shapes = [shape_of_cursor(cursor.encode([None, *[7] * count])) for count in (9, 90_000, 90_001)]

    assert len(set(shapes)) == 3
    assert all(sys.getsizeof(shape) < 200 for shape in shapes)
    assert shape_of_cursor(cursor.encode([None, 1])) == shape_of_cursor(cursor.encode([None, "x"]))
    assert shape_of_cursor(cursor.encode([None, 1])) != shape_of_cursor(cursor.encode([1, None]))
    assert shape_of_cursor(cursor.encode([None] * 500)) != shape_of_cursor(cursor.encode([1] * 500))


async def test_whoever_comes_back_with_made_up_cursors_leaves_no_frames_behind(graphql: Graph) -> None:
    await graphql.change(MAKE_NAMESPACE, path="lab")
    live = Live(Feed(graphql.database), graphql.database)
    context = Context(graphql.database, graphql.caller, "test-request", live)
    async with aclosing(subscribe(documents.prepare(FOLLOW), {}, context)) as stays:
        _, epoch, seq, _ = cursor.decode((await anext(stays)).cursor)
        for _ in range(3 * KEPT_FRAMES):
            made_up = cursor.encode(["q", epoch, seq, [[new_id().hex, 1]]])
            async with aclosing(subscribe(documents.prepare(FOLLOW), {"after": made_up}, context)) as comes_and_goes:
                assert b"exp_" in (await anext(comes_and_goes)).json
        (query,) = live.queries._queries.values()
        assert query.state is not None
        assert len(query.state.frames) <= KEPT_FRAMES
