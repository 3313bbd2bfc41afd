"""Series of strings and of bytes, each value up to a megabyte: no answer and no frame holds gigabytes of them."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import orjson

from db.metrics.want import MOST_BYTES
from graphql_schema.executor import Context, execute
from graphql_schema.schema import documents
from graphql_schema.subscriptions.metric_batches import BYTES
from tests.graph import Graph
from tests.graphql_schema.following import frames

LOG = "mutation ($input: LogMetricsInput!) { logMetrics(input: $input) { pointCount userErrors { message } } }"
BEGIN = 'mutation { createExperiment(input: {name: "chatty"}) { experiment { id } userErrors { message } } }'
WHOLE = "columns { strings bytes } points(first: 1000) { nodes { string bytes } } page: points(last: 7) { totalCount }"
READ = f"""
    query ($id: ID!) {{ node(id: $id) {{ ... on Experiment {{
        few: metric(key: "few") {{ {WHOLE} }}
        many: metric(key: "many") {{ {WHOLE} }}
    }} }} }}
"""
FOLLOW = """
    subscription ($ids: [ID!]!, $after: Cursor) { metricBatches(objectIds: $ids, after: $after) {
        cursor catchingUp series { rawCount columns { strings } }
    } }
"""
LONG = "x" * 1_000_000
A_CALL = 7
CALLS = MOST_BYTES // (A_CALL * len(LONG)) + 1


async def chatty(graphql: Graph, calls: int) -> str:
    """An experiment with that many calls of seven long strings each, and a short series."""
    id_: str = (await graphql.change(BEGIN))["experiment"]["id"]
    for _ in range(calls):
        await graphql.change(LOG, input={"objectId": id_, "columns": {"strings": {"many": [LONG] * A_CALL}}})
    await graphql.change(LOG, input={"objectId": id_, "columns": {"strings": {"few": ["short", "words"]}}})
    return id_


async def test_more_text_than_an_answer_holds_is_refused_beside_what_fits(graphql: Graph) -> None:
    id_ = await chatty(graphql, CALLS)

    context = Context(graphql.database, graphql.caller, "test-request")
    answer = orjson.loads(await execute(documents.prepare(READ), {"id": id_}, context))

    many, few = (answer["data"]["node"][name] for name in ("many", "few"))
    assert many == {"columns": None, "points": None, "page": {"totalCount": CALLS * A_CALL}}
    assert few["columns"]["strings"] == ["short", "words"]
    assert [point["string"] for point in few["points"]["nodes"]] == ["short", "words"]
    assert {tuple(error["path"][1:]) for error in answer["errors"]} == {("many", "columns"), ("many", "points")}
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"LIMIT_EXCEEDED"}


async def test_a_backlog_of_long_texts_comes_in_frames_of_a_bounded_size(graphql: Graph) -> None:
    id_ = await chatty(graphql, 0)
    cursor = (await graphql("query ($ids: [ID!]!) { feedCursor(objectIds: $ids) }", ids=[id_]))["feedCursor"]
    for _ in range(4):
        await graphql.change(LOG, input={"objectId": id_, "columns": {"strings": {"many": [LONG] * A_CALL}}})

    found: list[dict[str, Any]] = []
    async with aclosing(frames(graphql, FOLLOW, ids=[id_], after=cursor)) as stream:
        async for frame in stream:
            found.append(frame)
            if not frame["catchingUp"]:
                break

    assert sum(series["rawCount"] for frame in found for series in frame["series"]) == 4 * A_CALL
    assert all(len(orjson.dumps(frame)) < BYTES + 8_000_000 for frame in found)
    assert [frame["catchingUp"] for frame in found] == [True] * (len(found) - 1) + [False]
