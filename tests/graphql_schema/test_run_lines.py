"""A run that is logged, saved, resumed, tidied and pruned in any order is what a plain model of it says."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from db.jobs import checkpoints, piece, retention
from db.metrics.compact import compact
from tests.blobs import stored_file
from tests.graph import Graph
from tests.graphql_schema.line_model import Point, Run, Saved
from tests.graphql_schema.mutations.test_resume import FIGURES, RESUME, assert_same, log, series

MAKE = """mutation { createExperiment(input: {checkpointRetention: {keepLast: 2, keepEvery: 40}}) {
  experiment { id } userErrors { code message path } } }"""
SAVE = """mutation ($input: CreateCheckpointInput!) { createCheckpoint(input: $input) {
  checkpoint { id leg isLeftBehind } userErrors { code message path } } }"""
COMMIT = """mutation ($id: ID!) { commitCheckpoint(input: {id: $id}) {
  checkpoint { status } userErrors { code message path } } }"""
RATE = """mutation ($id: ID!, $loss: MetricValue!) {
  logMetrics(input: {objectId: $id, points: [{key: "loss", value: $loss}]}) { userErrors { code message path } } }"""
RENAME = """mutation ($input: RenameSeriesInput!) { renameSeries(input: $input) {
  series { key } userErrors { code message path } } }"""
DELETE = """mutation ($input: DeleteSeriesInput!) { deleteSeries(input: $input) {
  pointCount userErrors { code message path } } }"""
SEEN = """query ($id: ID!) { node(id: $id) { ... on Experiment {
  leg legs { number fromStep checkpoint { id } }
  latestCheckpoint { id } bestCheckpoint(metric: "loss", mode: MIN) { id } resumeState { checkpoint { id } leg }
  checkpoints(first: 100) { nodes { id status isLeftBehind } }
} } }"""
KEYS = ["a", "b", "c"]
SAMPLE = """query ($id: ID!) { node(id: $id) { ... on Experiment { metric(key: "m") { %s } } } }"""


class Driven:
    """A run of the server and the model of it, to which the same happens."""

    def __init__(self, graph: Graph, id_: str, chance: random.Random) -> None:
        self.graph, self.id, self.chance, self.model = graph, id_, chance, Run()
        self.step = 0

    async def act(self) -> None:
        ways = [self.log] * 5 + [self.save] * 4 + [self.compact] * 2 + [self.resume, self.go_on, self.commit]
        await self.chance.choice([*ways, self.retain, self.rename, self.delete])()

    async def log(self) -> None:
        count = self.chance.choice([1, 7, 40, 5_000])
        points: list[Point] = []
        for number in range(count):
            odd = [None, self.chance.randrange(self.step + count)]
            step = self.step + number if self.chance.random() < 0.9 else self.chance.choice(odd)
            points.append((step, self.chance.gauss(0, 1)))
        self.step += min(count, 50)
        key = self.chance.choice(KEYS)
        await log(self.graph, self.id, key, points)
        self.model.log(key, points)

    async def save(self) -> None:
        step = self.chance.choice([self.step, self.step, None])
        given: dict[str, Any] = {"experimentId": self.id, "step": step}
        is_ready, is_pinned = self.chance.random() < 0.7, self.chance.random() < 0.1
        given |= {} if is_ready else {"expectedShards": 1}
        given |= {"pinned": True} if is_pinned else {}
        made = (await self.graph.change(SAVE, input=given))["checkpoint"]
        assert (made["leg"], made["isLeftBehind"]) == (self.model.leg, False)
        saved = Saved(made["id"], given["step"], self.model.leg, is_ready, is_pinned=is_pinned)
        if self.chance.random() < 0.7:
            saved.loss = self.chance.choice([0.25, 0.5, 0.75])
            await self.graph.change(RATE, id=saved.id, loss=saved.loss)
        self.model.saved.append(saved)

    async def commit(self) -> None:
        for one in self.model.saved:
            if not one.is_ready:
                await stored_file(self.graph.database, one.id, shard=0)
                await self.graph.change(COMMIT, id=one.id)
                one.is_ready = True
                return

    async def resume(self) -> None:
        """From a step that somebody chose."""
        step = self.chance.randrange(self.step + 10)
        await self.graph.change(RESUME, input={"id": self.id, "step": step})
        self.model.resume(step)
        self.step = step + 1

    async def go_on(self) -> None:
        """From any checkpoint that is complete, be it left behind."""
        ready = [one for one in self.model.saved if one.is_ready and one.step is not None]
        if ready:
            one = self.chance.choice(ready)
            await self.graph.change(RESUME, input={"id": self.id, "checkpointId": one.id})
            assert one.step is not None
            self.model.resume(one.step, one)
            self.step = one.step + 1

    async def compact(self) -> None:
        await compact(self.graph.database, self.graph.caller.tenant_id, UUID(self.id[4:]))

    async def retain(self) -> None:
        now = datetime.now(UTC)
        for name in await checkpoints.find(self.graph.database, now):
            await checkpoints.drop(self.graph.database, name, now)
        self.model.retain()

    async def rename(self) -> None:
        key, new_key = self.chance.sample(KEYS, 2)
        given = {"objectId": self.id, "key": key, "newKey": new_key}
        known = self.model.known()
        if key in known and new_key not in known:
            told = await self.graph.change(RENAME, input=given)
            self.model.rename(key, new_key)
            assert [one["key"] for one in told["series"]] == [new_key for one in self.model.on(0) if one == new_key]
        else:
            error = await self.graph.refused(RENAME, input=given)
            assert error["code"] == ("NAME_TAKEN" if key in known else "NOT_FOUND")

    async def delete(self) -> None:
        key = self.chance.choice(KEYS)
        if key in self.model.known():
            told = await self.graph.change(DELETE, input={"objectId": self.id, "key": key})
            assert told["pointCount"] == self.model.delete(key)

    async def check(self) -> None:
        """The server says what the model does."""
        seen = (await self.graph(SEEN, id=self.id))["node"]
        model, line, best = self.model, self.model.line(), self.model.best()
        assert (seen["leg"], [leg["fromStep"] for leg in seen["legs"]]) == (model.leg, model.steps)
        latest = {"id": line[-1].id} if line else None
        assert seen["latestCheckpoint"] == latest
        assert seen["resumeState"] == ({"checkpoint": latest, "leg": model.leg} if latest else None)
        assert seen["bestCheckpoint"] == (best and {"id": best.id})
        there = {one["id"]: (one["status"] == "READY", one["isLeftBehind"]) for one in seen["checkpoints"]["nodes"]}
        assert there == {one.id: (one.is_ready, model.is_left(one)) for one in model.saved}
        for leg in range(model.leg + 1):
            found = await series(self.graph, self.id, leg)
            assert {key: points_of(one) for key, one in found.items()} == model.on(leg)


def points_of(one: dict[str, Any]) -> list[Point]:
    values = one["columns"]["values"]
    assert one["count"] == len(values)
    return list(zip(one["columns"]["steps"] or [None] * len(values), values, strict=True))


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens(graphql: Graph, seed: int) -> None:
    run = Driven(graphql, (await graphql.change(MAKE))["experiment"]["id"], random.Random(seed))
    for number in range(60):
        await run.act()
        if number % 6 == 5:
            await run.check()
    for key, points in run.model.on(0).items():
        await assert_same(graphql, (await series(graphql, run.id))[key], points)


# --- The line at every resolution ---

PICTURE = "x rawCount isExact columns { values }"
ASKED = "\n".join(
    [
        FIGURES.replace("mean", ""),
        *(
            f"s{number}{method}: sample(maxPoints: {number}, method: {method}) {{ {PICTURE} }}"
            for number in (2, 7, 30, 100, 999, 4_000)
            for method in ("MINMAX", "LTTB", "LAST", "MEAN")
        ),
        *(
            f"r{begin}: sample(maxPoints: 60, range: {{from: {begin}, to: {begin + 3_000}}}) {{ {PICTURE} }}"
            for begin in (0, 2_500, 9_000)
        ),
    ]
)


async def told(graph: Graph, run: str) -> dict[str, Any]:
    found: dict[str, Any] = (await graph(SAMPLE % ASKED, id=run))["node"]["metric"]
    return found


def long_points(chance: random.Random, begin: int, end: int, mess: float) -> list[Point]:
    """One for each step; some are late, or have none."""
    steps: list[int | None] = list(range(begin, end))
    for place in range(len(steps)):
        if chance.random() < mess:
            steps[place] = chance.choice([None, chance.randrange(end), end - 1])
    return [(step, chance.gauss(0, 1)) for step in steps]


@pytest.mark.parametrize(("seed", "mess"), [(1, 0), (2, 0), (3, 0.001), (4, 0.001), (5, 0.2)])
async def test_every_picture_of_the_line_is_as_if_it_had_been_logged_so(graphql: Graph, seed: int, mess: float) -> None:
    """Whatever was compacted before a resumption and after it, beside the same points logged once into a tail.

    What was left behind is all there, in order of arrival, whichever segments came whole.
    """
    chance = random.Random(seed)
    run = (await graphql.change(MAKE))["experiment"]["id"]
    owner = (graphql.caller.tenant_id, UUID(run[4:]))
    line: list[Point] = []
    step = 0
    for number in range(1, 4):
        for _ in range(3):
            points = long_points(chance, step, step + chance.choice([900, 5_000, 9_000]), mess)
            await log(graphql, run, "m", points)
            line += points
            step += len(points)
            if chance.random() < 0.6:
                await compact(graphql.database, *owner)
        step = chance.choice([step - 100, step // 2, step // 3, 4_095])
        await graphql.change(RESUME, input={"id": run, "step": step})
        left = [point for point in line if point[0] is not None and point[0] > step]
        line = [point for point in line if point[0] is None or point[0] <= step]
        assert await told(graphql, run) == await logged_at_once(graphql, line)
        assert [points_of(one) for one in (await series(graphql, run, number)).values()] == [left] * bool(left)
        step += 1


async def logged_at_once(graph: Graph, points: list[Point], *, is_compacted: bool = False) -> dict[str, Any]:
    run = (await graph.change(MAKE_OLD if is_compacted else MAKE))["experiment"]["id"]
    for begin in range(0, len(points), 10_000):
        await log(graph, run, "m", points[begin : begin + 10_000])
    if is_compacted:
        await compact(graph.database, graph.caller.tenant_id, UUID(run[4:]))
        await roll_up(graph, run)
    return await told(graph, run)


OLD = """mutation { createNamespace(input: {path: "old", rawMetricDays: 1}) {
  created userErrors { code message path } } }"""
MAKE_OLD = """mutation { createExperiment(input: {namespace: "old"}) {
  experiment { id } userErrors { code message path } } }"""


async def roll_up(graph: Graph, run: str) -> None:
    name = piece.of_object(graph.caller.tenant_id, UUID(run[4:]))
    await retention.roll_up(graph.database, name, datetime.now(UTC) + timedelta(days=3))


@pytest.mark.parametrize("is_before", [True, False])
async def test_pictures_of_a_line_that_is_rolled_up(graphql: Graph, is_before: bool) -> None:
    """Before the resumption or after it, the line is rolled up like one that never had the other points."""
    await graphql.change(OLD)
    chance = random.Random(7)
    run = (await graphql.change(MAKE_OLD))["experiment"]["id"]
    owner = (graphql.caller.tenant_id, UUID(run[4:]))
    points = long_points(chance, 0, 18_000, 0)
    for begin in (0, 9_000):
        await log(graphql, run, "m", points[begin : begin + 9_000])
    await compact(graphql.database, *owner)
    if is_before:
        await roll_up(graphql, run)
    await graphql.change(RESUME, input={"id": run, "step": 17_000})
    again = long_points(chance, 17_001, 20_000, 0)
    await log(graphql, run, "m", again)
    await compact(graphql.database, *owner)
    await roll_up(graphql, run)
    line = points[:17_001] + again
    assert await told(graphql, run) == await logged_at_once(graphql, line, is_compacted=True)
    assert (await series(graphql, run, 1))["m"]["count"] == 999


async def test_what_was_rolled_up_leaves_by_whole_segments(graphql: Graph) -> None:
    await graphql.change(OLD)
    run = (await graphql.change(MAKE_OLD))["experiment"]["id"]
    points = [(step, float(step)) for step in range(9_000)]
    await log(graphql, run, "m", points)
    await compact(graphql.database, graphql.caller.tenant_id, UUID(run[4:]))
    await roll_up(graphql, run)
    await graphql.change(RESUME, input={"id": run, "step": 4_095})
    line, left = (await series(graphql, run))["m"], (await series(graphql, run, 1))["m"]
    assert (line["count"], line["lastStep"], line["last"]) == (4_096, 4_095, 4_095.0)
    assert (left["count"], left["firstStep"], left["first"], left["last"]) == (4_904, 4_096, 4_096.0, 8_999.0)
    await graphql.change(RESUME, input={"id": run, "step": 3_000})
    assert (await series(graphql, run))["m"]["count"] == 4_096, "of a segment that was rolled up, nobody knows more"
