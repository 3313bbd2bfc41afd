"""Who follows points, or pages through them, while the experiment is resumed."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from typing import Any
from uuid import UUID

import pytest

from db.metrics.compact import compact
from graphql_schema.errors import RequestErrors
from graphql_schema.executor import Context, execute
from graphql_schema.schema import documents
from tests.graph import Graph
from tests.graphql_schema.following import frames
from tests.graphql_schema.mutations.test_resume import RESUME, log, new_run, series

FOLLOW = """subscription ($ids: [ID!]!, $keys: [String!], $after: Cursor) {
  metricBatches(objectIds: $ids, keys: $keys, after: $after) {
    cursor catchingUp legs { __typename objectId number fromStep }
    series { objectId key leg columns { steps values } }
  }
}"""
HERE = "query ($ids: [ID!]!) { feedCursor(objectIds: $ids) }"
PAGE = """query ($id: ID!, $leg: Int, $first: Int, $last: Int, $after: Cursor, $before: Cursor) { node(id: $id) {
  ... on Experiment { metric(key: "m", leg: $leg) {
    points(first: $first, last: $last, after: $after, before: $before) {
      pageInfo { hasNextPage hasPreviousPage endCursor startCursor } nodes { position step value } } } } } }"""


class Follower:
    """Somebody who knows nothing but frames: which points are on the line, by object and key."""

    def __init__(self, cursor: str) -> None:
        self.line: dict[tuple[str, str], list[tuple[int | None, float]]] = {}
        self.legs: list[tuple[str, int, int]] = []
        self.cursor = cursor

    def take(self, frame: dict[str, Any]) -> None:
        for leg in frame["legs"]:
            self.legs.append((leg["objectId"], leg["number"], leg["fromStep"]))
            for (owner, key), points in self.line.items():
                if owner == leg["objectId"]:
                    stays = [each for each in points if each[0] is None or each[0] <= leg["fromStep"]]
                    self.line[owner, key] = stays
        for one in frame["series"]:
            columns = one["columns"]
            steps = columns["steps"] or [None] * len(columns["values"])
            if one["leg"] == 0:
                known = self.line.setdefault((one["objectId"], one["key"]), [])
                known += zip(steps, columns["values"], strict=True)
        self.cursor = frame["cursor"]


async def followed(graph: Graph, ids: list[str], follower: Follower) -> None:
    """All frames from where the follower is until nothing is left."""
    async with asyncio.timeout(20), aclosing(frames(graph, FOLLOW, ids=ids, after=follower.cursor)) as stream:
        async for frame in stream:
            follower.take(frame)
            if not frame["catchingUp"]:
                return


async def line(graph: Graph, run: str) -> dict[tuple[str, str], list[tuple[int | None, float]]]:
    """What the server says is on the line."""
    found = {}
    for key, one in (await series(graph, run)).items():
        steps = one["columns"]["steps"] or [None] * len(one["columns"]["values"])
        found[run, key] = list(zip(steps, one["columns"]["values"], strict=True))
    return found


async def test_who_follows_live_is_told(graphql: Graph) -> None:
    run, other = await new_run(graphql), await new_run(graphql)
    async with asyncio.timeout(20), aclosing(frames(graphql, FOLLOW, ids=[run, other])) as stream:
        assert (await anext(stream))["legs"] == []
        await log(graphql, run, "m", [(step, float(step)) for step in range(4)])
        assert (await anext(stream))["legs"] == []
        await graphql.change(RESUME, input={"id": run, "step": 1})
        frame = await anext(stream)
        assert frame["legs"] == [{"__typename": "BegunLeg", "objectId": run, "number": 1, "fromStep": 1}]
        assert frame["series"] == []
        await log(graphql, run, "m", [(2, 20.0)])
        frame = await anext(stream)
        assert frame["legs"] == []
        assert [(one["leg"], one["columns"]["values"]) for one in frame["series"]] == [(0, [20.0])]


async def test_who_reads_one_series_is_told_too(graphql: Graph) -> None:
    run = await new_run(graphql)
    here = (await graphql(HERE, ids=[run]))["feedCursor"]
    await log(graphql, run, "m", [(1, 1.0), (2, 2.0)])
    await graphql.change(RESUME, input={"id": run, "step": 1})
    async with asyncio.timeout(20), aclosing(frames(graphql, FOLLOW, ids=[run], keys=["other"], after=here)) as stream:
        frame = await anext(stream)
    assert ([leg["number"] for leg in frame["legs"]], frame["series"]) == ([1], [])


async def act(graph: Graph, run: str, chance: random.Random, value: int) -> int:
    """Log some points, resume the run, or compact it; returns the next value that was not logged yet."""
    kind = chance.choices(["log", "resume", "compact"], [6, 2, 2])[0]
    if kind == "compact":
        await compact(graph.database, graph.caller.tenant_id, UUID(run.removeprefix("exp_")))
    elif kind == "resume":
        await graph.change(RESUME, input={"id": run, "step": chance.randrange(value + 5)})
    else:
        count = chance.choice([1, 5, 300])
        steps = [chance.choices([value + n, None, chance.randrange(value + 5)], [9, 1, 1])[0] for n in range(count)]
        await log(graph, run, chance.choice("ab"), [(step, float(value + n)) for n, step in enumerate(steps)])
        value += count
    return value


async def test_a_follower_knows_the_line_whenever_it_reads(graphql: Graph) -> None:
    """Logs, resumptions and compactions at random; followers who read at other times, from cursors of their own."""
    chance = random.Random(5)
    runs = [await new_run(graphql) for _ in range(2)]
    here = (await graphql(HERE, ids=runs))["feedCursor"]
    followers = [Follower(here) for _ in range(4)]
    value = 0
    for _ in range(60):
        value = await act(graphql, chance.choice(runs), chance, value)
        for each in followers[1:]:
            if chance.random() < 0.3:
                await followed(graphql, runs, each)
    wanted = {key: points for run in runs for key, points in (await line(graphql, run)).items()}
    for each in followers:
        await followed(graphql, runs, each)
        assert {key: points for key, points in each.line.items() if points} == wanted
        assert sorted(each.legs) == sorted(followers[0].legs)
    assert followers[0].legs


async def test_logging_beside_a_resumption(graphql: Graph) -> None:
    """Series that are not there yet when it begins, too: what a follower makes of its place is what the server did."""
    run = await new_run(graphql)
    here = (await graphql(HERE, ids=[run]))["feedCursor"]

    async def logging(number: int) -> None:
        for call in range(12):
            await log(graphql, run, f"{number}-{call // 3}", [(step, float(step)) for step in range(call * 5)])

    async def resuming() -> None:
        for number in range(5):
            await graphql.change(RESUME, input={"id": run, "step": 10 + number})
            await asyncio.sleep(0.01)

    await asyncio.gather(*(logging(number) for number in range(4)), resuming())
    follower = Follower(here)
    await followed(graphql, [run], follower)
    assert {key: points for key, points in follower.line.items() if points} == await line(graphql, run)


async def page(graph: Graph, run: str, **arguments: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await graph(PAGE, id=run, **arguments))["node"]["metric"]["points"]
    return found


async def test_a_cursor_of_points_from_before_is_refused(graphql: Graph) -> None:
    """Positions moved: to go on from one would skip points of the line, or show them twice."""
    run = await new_run(graphql)
    await log(graphql, run, "m", [(step, float(step)) for step in (5, 1, 6, 2, 7, 3)])
    first = await page(graphql, run, first=2)
    await graphql.change(RESUME, input={"id": run, "step": 3})
    context = Context(graphql.database, graphql.caller, "test-request")
    begin, end = (first["pageInfo"][name] for name in ("startCursor", "endCursor"))
    for arguments in ({"first": 2, "after": end}, {"last": 1, "before": begin}):
        text = (await execute(documents.prepare(PAGE), {"id": run, **arguments}, context)).decode()
        assert '"CURSOR_EXPIRED"' in text
        assert '"points":null' in text
    await log(graphql, run, "m", [(step, float(step)) for step in (4, 5)])
    values: list[float] = []
    after = None
    while True:
        found = await page(graphql, run, first=2, after=after)
        values += [node["value"] for node in found["nodes"]]
        after = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
    assert values == [1.0, 2.0, 3.0, 4.0, 5.0]


async def test_pages_of_what_was_left_behind_go_on(graphql: Graph) -> None:
    run = await new_run(graphql)
    await log(graphql, run, "m", [(step, float(step)) for step in range(10)])
    await graphql.change(RESUME, input={"id": run, "step": 4})
    first = await page(graphql, run, first=2, leg=1)
    await graphql.change(RESUME, input={"id": run, "step": 2})
    rest = await page(graphql, run, first=9, after=first["pageInfo"]["endCursor"], leg=1)
    assert [node["value"] for node in (*first["nodes"], *rest["nodes"])] == [5.0, 6.0, 7.0, 8.0, 9.0]


@pytest.mark.parametrize("wrong", ["", "x", "W10", "WyJhIiwxLDIsM10"])
async def test_what_is_no_cursor_of_points_is_refused(graphql: Graph, wrong: str) -> None:
    run = await new_run(graphql)
    await log(graphql, run, "m", [(1, 1.0)])
    with pytest.raises(RequestErrors) as refusal:
        await page(graphql, run, first=1, after=wrong)
    assert refusal.value.errors[0].code == "BAD_USER_INPUT"
