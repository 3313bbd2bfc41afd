"""Resuming: what was logged past a step leaves the run's line, and reads as if it had never been on it."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from db.metrics.compact import compact
from tests.graph import Graph

MAKE = """mutation ($name: String) { createExperiment(input: {name: $name}) {
  experiment { id } userErrors { code message path } } }"""
LOG = """mutation ($input: LogMetricsInput!) { logMetrics(input: $input) {
  pointCount userErrors { code message path } } }"""
RESUME = """mutation ($input: ResumeExperimentInput!) { resumeExperiment(input: $input) {
  experiment { leg status endedAt legs { number fromStep checkpoint { id } startedBy { name } } }
  userErrors { code message path } } }"""
FIGURES = "count nonFiniteCount firstStep lastStep first last min minStep max maxStep mean"
READ = f"""query ($id: ID!, $leg: Int) {{ node(id: $id) {{ ... on Experiment {{ metrics(leg: $leg) {{ nodes {{
  key leg {FIGURES}
  columns {{ steps values }}
  sample(maxPoints: 50) {{ rawCount columns {{ steps values }} }}
}} }} }} }} }}"""
FINISH = """mutation ($id: ID!) { finishExperiment(input: {id: $id, status: FAILED}) {
  experiment { status } userErrors { code message path } } }"""
CHECKPOINT = """mutation ($input: CreateCheckpointInput!) { createCheckpoint(input: $input) {
  checkpoint { id } userErrors { code message path } } }"""
ODD = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e300]

Point = tuple[int | None, float]


async def new_run(graph: Graph, name: str | None = None) -> str:
    made: str = (await graph.change(MAKE, name=name))["experiment"]["id"]
    return made


async def log(graph: Graph, run: str, key: str, points: Sequence[Point]) -> None:
    if points:
        steps, values = zip(*points, strict=True)
        columns = {"steps": list(steps), "values": {key: [_json(value) for value in values]}}
        await graph.change(LOG, input={"objectId": run, "columns": columns})


def _json(value: float) -> float | str:
    return value if math.isfinite(value) else {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]


async def series(graph: Graph, run: str, leg: int = 0) -> dict[str, dict[str, Any]]:
    found = (await graph(READ, id=run, leg=leg))["node"]["metrics"]["nodes"]
    assert all(each["leg"] == leg for each in found)
    return {each["key"]: each for each in found}


def uuid_of(run: str) -> UUID:
    return UUID(run.removeprefix("exp_"))


async def assert_same(
    graph: Graph, found: dict[str, Any] | None, points: list[Point], *, has_gaps: bool = False
) -> None:
    """A series is as one that had only these points logged, in this order.

    One that has gaps may be sampled in other stretches.
    """
    if not points:
        assert found is None
        return
    assert found is not None
    fresh = await new_run(graph)
    await log(graph, fresh, "m", points)
    wanted = (await series(graph, fresh))["m"]
    for name in FIGURES.split():
        if name == "mean" and wanted["mean"] is not None:
            assert found["mean"] == pytest.approx(wanted["mean"], rel=1e-9, abs=1e-12)
        else:
            assert repr(found[name]) == repr(wanted[name]), name
    assert repr(found["columns"]) == repr(wanted["columns"])
    assert found["sample"]["rawCount"] == wanted["sample"]["rawCount"]
    assert has_gaps or repr(found["sample"]) == repr(wanted["sample"])


def random_points(chance: random.Random, count: int, at: int) -> list[Point]:
    """Steps that mostly grow; some are missing, doubled or from long ago."""
    points: list[Point] = []
    for number in range(count):
        step = chance.choices([at + number, None, chance.randrange(at + count), at], [20, 1, 1, 1])[0]
        value = chance.choice(ODD) if chance.random() < 0.02 else chance.gauss(0, 1)
        points.append((step, value))
    return points


@pytest.mark.parametrize("seed", range(12))
async def test_the_line_is_as_if_it_had_been_logged_so(graphql: Graph, seed: int) -> None:
    chance = random.Random(seed)
    run = await new_run(graphql)
    line: list[Point] = []
    left: dict[int, list[Point]] = {}
    for number in range(1, 4):
        for _ in range(chance.randrange(1, 4)):
            points = random_points(chance, chance.choice([3, 200, 3_000]), len(line))
            await log(graphql, run, "m", points)
            line += points
            if chance.random() < 0.5:
                await compact(graphql.database, graphql.caller.tenant_id, uuid_of(run))
        step = chance.choice([-1, 0, len(line) // 3, len(line) - 5, len(line) * 2])
        await graphql.change(RESUME, input={"id": run, "step": step})
        left[number] = [point for point in line if point[0] is not None and point[0] > step]
        line = [point for point in line if point[0] is None or point[0] <= step]
        await assert_same(graphql, (await series(graphql, run)).get("m"), line)
    for number, points in left.items():
        await assert_same(graphql, (await series(graphql, run, number)).get("m"), points, has_gaps=True)


async def test_from_a_checkpoint(graphql: Graph) -> None:
    run = await new_run(graphql)
    await log(graphql, run, "m", [(step, float(step)) for step in range(10)])
    checkpoint = (await graphql.change(CHECKPOINT, input={"experimentId": run, "step": 6}))["checkpoint"]["id"]
    await graphql.change(FINISH, id=run)
    found = (await graphql.change(RESUME, input={"id": run, "checkpointId": checkpoint}))["experiment"]
    assert (found["leg"], found["status"], found["endedAt"]) == (1, "RUNNING", None)
    leg = {"number": 1, "fromStep": 6, "checkpoint": {"id": checkpoint}, "startedBy": {"name": "local"}}
    assert found["legs"] == [leg]
    await log(graphql, run, "m", [(7, 70.0)])
    assert (await series(graphql, run))["m"]["columns"]["values"] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 70.0]
    assert (await series(graphql, run, 1))["m"]["columns"]["values"] == [7.0, 8.0, 9.0]


async def test_strings_leave_it_too(graphql: Graph) -> None:
    run = await new_run(graphql)
    points = [{"key": "note", "string": f"at {step}", "step": step} for step in range(5)]
    await graphql.change(LOG, input={"objectId": run, "points": points})
    await graphql.change(RESUME, input={"id": run, "step": 2})
    asked = """query ($id: ID!, $leg: Int) { node(id: $id) { ... on Experiment { metric(key: "note", leg: $leg) {
      count lastStep points(first: 10) { nodes { step string } } } } } }"""
    line, left = [(await graphql(asked, id=run, leg=leg))["node"]["metric"] for leg in (0, 1)]
    assert [point["string"] for point in line["points"]["nodes"]] == ["at 0", "at 1", "at 2"]
    assert [point["string"] for point in left["points"]["nodes"]] == ["at 3", "at 4"]
    assert (line["count"], line["lastStep"], left["count"]) == (3, 2, 2)


async def test_what_a_writer_sent_before_stays_known(graphql: Graph) -> None:
    """A late retry of what was left behind brings nothing back."""
    run = await new_run(graphql)
    columns = {"steps": [1, 2, 3], "values": {"m": [1.0, 2.0, 3.0]}}
    call = {"objectId": run, "writer": "w", "sequence": 0, "columns": columns}
    await graphql.change(LOG, input=call)
    await graphql.change(RESUME, input={"id": run, "step": 1})
    await graphql.change(LOG, input=call)
    assert (await series(graphql, run))["m"]["count"] == 1


@pytest.mark.parametrize(
    ("given", "path"), [({}, "checkpointId"), ({"step": 1, "checkpointId": "ckp_" + "0" * 32}, "step")]
)
async def test_one_place_is_needed(graphql: Graph, given: dict[str, Any], path: str) -> None:
    error = await graphql.refused(RESUME, input={"id": await new_run(graphql), **given})
    assert (error["code"], error["path"]) == ("INVALID", ["input", path])


async def test_checkpoints_that_cannot_be_gone_on_from(graphql: Graph) -> None:
    run, other = await new_run(graphql), await new_run(graphql)
    wrong = [
        {"experimentId": other, "step": 1},
        {"experimentId": run},
        {"experimentId": run, "step": 1, "expectedShards": 2},
    ]
    for given in wrong:
        checkpoint = (await graphql.change(CHECKPOINT, input=given))["checkpoint"]["id"]
        error = await graphql.refused(RESUME, input={"id": run, "checkpointId": checkpoint})
        assert error["code"] == "INVALID"


async def test_logging_and_compaction_at_the_same_time(graphql: Graph) -> None:
    """Whatever happens at once, each point is on the line or off it, and none is there twice or gone."""
    run = await new_run(graphql)
    chance = random.Random(3)
    logged: list[float] = []

    async def logging() -> None:
        for call in range(30):
            points = [(call * 10 + number, float(call * 10 + number)) for number in range(10)]
            await log(graphql, run, "m", points)
            logged.extend(value for _, value in points)

    async def compacting() -> None:
        for _ in range(15):
            await compact(graphql.database, graphql.caller.tenant_id, uuid_of(run))
            await asyncio.sleep(chance.random() * 0.01)

    async def resuming() -> None:
        for _ in range(6):
            await asyncio.sleep(chance.random() * 0.02)
            await graphql.change(RESUME, input={"id": run, "step": 55})

    await asyncio.gather(logging(), compacting(), resuming())
    found: list[float] = []
    for leg in range(7):
        each = (await series(graphql, run, leg)).get("m")
        found += each["columns"]["values"] if each else []
    assert sorted(found) == sorted(logged)


async def test_a_checkpoint_that_was_left_behind_is_not_the_latest(graphql: Graph) -> None:
    run = await new_run(graphql)
    saved = {}
    for step in (100, 200):
        made = await graphql.change(CHECKPOINT, input={"experimentId": run, "step": step})
        saved[step] = made["checkpoint"]["id"]
    await graphql.change(RESUME, input={"id": run, "checkpointId": saved[100]})
    asked = (
        "query ($id: ID!) { node(id: $id) { ... on Experiment { latestCheckpoint { step } resumeState { step } } } }"
    )
    assert (await graphql(asked, id=run))["node"] == {"latestCheckpoint": {"step": 100}, "resumeState": {"step": 100}}
    await graphql.change(CHECKPOINT, input={"experimentId": run, "step": 140})
    assert (await graphql(asked, id=run))["node"]["resumeState"] == {"step": 140}
